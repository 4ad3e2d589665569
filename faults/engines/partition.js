import { once } from "node:events";
import { connect, createServer } from "node:net";

/** A TCP proxy on 127.0.0.1 in front of an engine, for partitions. */
export class Partition {
  #server = createServer((client) => this.#carry(client));
  #links = new Set();
  #target;
  #mode = "open";

  /** @param port where it listens; 0 for any */
  static async start(target, port = 0) {
    const partition = new Partition();
    partition.#target = target;
    partition.#server.listen(port, "127.0.0.1");
    await once(partition.#server, "listening");
    return partition;
  }

  get port() {
    return this.#server.address().port;
  }

  #carry(client) {
    if (this.#mode === "cut") {
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.#target, "127.0.0.1");
    const link = { client, server };
    this.#links.add(link);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ]) {
      from.on("data", (bytes) => {
        if (this.#mode === "open") to.write(bytes);
      });
      from.on("error", () => {});
      from.on("close", () => {
        to.destroy();
        this.#links.delete(link);
      });
    }
  }

  /** Resets every connection, and every new one. */
  cut() {
    this.#mode = "cut";
    for (const { client, server } of this.#links) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** Swallows every byte, without an error at either end. What is lost that way never arrives: connections are reset when it heals. */
  swallow() {
    this.#mode = "swallow";
  }

  heal() {
    if (this.#mode === "swallow") this.cut();
    this.#mode = "open";
  }

  async end() {
    this.cut();
    this.#server.close();
  }
}
