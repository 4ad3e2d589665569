import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createShop } from "./app.ts";
import { openSecurityLog } from "./security.ts";
import { readSettings } from "./settings.ts";

const settings = await readSettings();
const security = openSecurityLog(settings.directory);
const server = createServer(createShop(settings, security));

server.on("error", (error) => {
  console.error(
    `The shop cannot listen on ${settings.host}:${settings.port}: ${error.message}. Set PORT to a free one.`,
  );
  process.exitCode = 1;
  void security.close();
  if (process.connected) process.disconnect();
});

server.listen(settings.port, settings.host, () => {
  const { port } = server.address() as AddressInfo;
  console.log(
    `The shop is open at http://${settings.host}:${port} (names and passwords: ${settings.directory}/credentials.json)`,
  );
  process.send?.({ listening: port });
});

let stopping = false;

/** Finishes the requests under way, then gives the log time to store its events. The rest stays in the spool. */
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  server.close();
  server.closeIdleConnections();
  setTimeout(() => server.closeAllConnections(), 2000).unref();
  await security.close();
  if (process.connected) process.disconnect();
}

process.on("SIGINT", () => void stop());
process.on("SIGTERM", () => void stop());
// The program that started the shop is gone, and nothing else would stop it.
process.once("disconnect", () => void stop());
