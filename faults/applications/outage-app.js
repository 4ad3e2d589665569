/**
 * An Express application that records an event for each request, and others as well on its parent's command. Its load
 * is outage-load.js. Its options come as JSON in `FAULT_APP` (see `startApp` in world.js).
 */
import { once } from "node:events";
import express from "express";
import { createSecurityLog } from "seclog";
import { securityCapture } from "seclog/express";
import { postgresHandler } from "seclog/postgres";
import { dataOf, eventSource, LOG, requestOf, stallMeter } from "../events.js";

const options = JSON.parse(process.env.FAULT_APP);
const events = eventSource(options);
const stall = stallMeter();
const state = { recorded: 0, acknowledged: 0, refused: 0, rss: 0, failures: {} };

const security = createSecurityLog({
  ...LOG,
  spool: options.spool,
  handlers: [postgresHandler({ url: process.env.SECLOG_DATABASE_URL })],
  diagnostics: ({ code }) => {
    state.failures[code] = (state.failures[code] ?? 0) + 1;
  },
});

function record(request) {
  const event = events.begin(++state.recorded, request === undefined ? {} : knownOf(request));
  security.recordSecurityEvent(event.type, request ?? requestOf(event), dataOf(event)).durable.then(
    () => {
      state.acknowledged++;
      events.acknowledged(event);
    },
    () => {
      state.refused++;
      events.refused(event);
    },
  );
}

/** What is known of the load's requests. */
function knownOf({ originalUrl: path, headers: { host, traceparent } }) {
  const [, id, span] = traceparent.split("-");
  const absent = { userAgent: undefined, requestId: undefined };
  return { method: "GET", path, host, ip: "127.0.0.1", route: "/orders/:order", trace: { id, span }, ...absent };
}

const app = express();
app.use(securityCapture(security));
app.get("/orders/:order", (request, response) => {
  record(request);
  response.status(403).json({ message: "not yours" });
});
const server = app.listen(0, "127.0.0.1");
// A keep-alive connection closed just as it is reused would fail a request, and that is not the outage's fault.
server.keepAliveTimeout = 0;
await once(server, "listening");
const { port } = server.address();

/** Events still to be recorded without a request, and how many every 5 ms: 25 are 5,000 a second if the machine can. */
let left = 0;
let perTick = 0;
setInterval(() => {
  for (let i = 0; i < perTick && left > 0; i++, left--) record();
}, 5);

const report = (more = {}, sent) => {
  state.rss = Math.max(state.rss, process.memoryUsage.rss());
  process.send?.(
    { ...state, left, port, stall: stall.longest, stretch: stall.stretch, health: security.health(), ...more },
    sent,
  );
};
setInterval(report, 100);
process.on("message", async (message) => {
  if (message.record !== undefined) ({ record: left, perTick = 0 } = message);
  if (message !== "stop") return;
  left = 0;
  server.close();
  server.closeAllConnections();
  const before = performance.now();
  await security.close({ deadline: options.closeDeadline });
  report({ closed: performance.now() - before }, () => process.exit(0));
});
process.on("disconnect", () => process.exit(1));
process.send?.("ready");
