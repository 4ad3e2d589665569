/**
 * The shop of `bench/scanners.js`, on a free port of 127.0.0.1: with its log, or without capture. It stops by itself after so
 * many requests or seconds, and reports what it was asked and what it recorded.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout } from "node:timers/promises";
import { createSecurityLog } from "seclog";
import { createShop } from "../examples/shop/dist/app.js";
import { readSettings } from "../examples/shop/dist/settings.js";

const [mode, folder, most, seconds] = process.argv.slice(2);
const rows = [];
const log =
  mode === "bare"
    ? { recordSecurityEvent() {} }
    : createSecurityLog({
        failedLogins: true,
        heartbeat: false,
        spool: { directory: `${folder}/spool` },
        handlers: [
          {
            name: "rows",
            async handle({ events }) {
              rows.push(...events.filter(({ category }) => category !== "log"));
            },
            async close() {},
          },
        ],
      });
const app = createShop(await readSettings({ PORT: "0", SHOP_DATA_DIR: `${folder}/shop` }), log);
// The first layer of the application is capture.
if (mode === "bare") app.router.stack.shift();
const server = createServer(app);
const statuses = new Map();
let requests = 0;
server.on("request", (_request, response) => {
  requests += 1;
  response.on("close", () => statuses.set(response.statusCode, (statuses.get(response.statusCode) ?? 0) + 1));
  if (requests >= Number(most)) server.close(() => {}).closeAllConnections();
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const before = process.cpuUsage();
process.send({ port: server.address().port });
await Promise.race([once(process, "message"), setTimeout(Number(seconds) * 1_000)]);
const { user, system } = process.cpuUsage(before);
server.close();
server.closeAllConnections();
await log.close?.();
const types = {};
let counted = 0;
for (const { type, count = 1 } of rows) {
  types[type] ??= { rows: 0, events: 0 };
  types[type].rows += 1;
  types[type].events += Number(count);
  counted += Number(count);
}
process.send({ requests, micros: user + system, rows: rows.length, counted, types, statuses: [...statuses] });
process.disconnect();
