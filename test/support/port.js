import { once } from "node:events";
import { createServer } from "node:net";

/** Below the ephemeral ports that systems assign (from 32768 or 49152 on). */
const FIRST = 20_000;
const COUNT = 10_000;

/**
 * A port of 127.0.0.1 for a server that is started and stopped more than once. It is free and stays so: a port that
 * the system chose would go to another program between two starts, even to a client that tries to reach it.
 *
 * @returns {Promise<number>}
 */
export async function steadyPort() {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    const server = createServer();
    server.listen(port, "127.0.0.1");
    const free = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!free) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}
