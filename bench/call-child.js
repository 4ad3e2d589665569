/**
 * One contestant of `bench/call.js`: records N events in turns of 20, as simultaneous requests do, and prints the
 * microseconds of the application's thread for each: in the call alone, and in all (the call, and what the end of the
 * turn and the event loop do for it).
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [contestant, count] = [process.argv[2], Number(process.argv[3])];
const folder = mkdtempSync(join(tmpdir(), "seclog-bench-"));
const TURN = 20;

/** The request that a framework hands over: the contestants read the same fields of it. */
const request = {
  method: "PUT",
  url: "/products/17",
  originalUrl: "/products/17",
  headers: {
    host: "shop.example:3000",
    "user-agent":
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "x-request-id": "0f8fad5b-d9cb-469f-a165-70867728950e",
  },
  socket: { remoteAddress: "203.0.113.9" },
};

/** The event's fields, for loggers that do not read requests. Each event has an id of its own, as Seclog's have. */
const fields = (attempt) => ({
  id: randomUUID(),
  event_type: "illegal_request_method",
  category: "request",
  outcome: "failure",
  method: request.method,
  path: request.originalUrl,
  request_host: request.headers.host,
  user_agent: request.headers["user-agent"],
  request_id: request.headers["x-request-id"],
  ip_address: request.socket.remoteAddress,
  ip_source: "socket",
  status_code: 404,
  allowed_methods: "GET, HEAD",
  seq: attempt,
  source_id: "01a204f8-8c28-7000-9f1a-38f98eabf569",
  data: { attempt },
});
const base = { service: "shop-api", environment: "production", host: "machine", logger: "security" };

const contestants = {
  async seclog() {
    const { createSecurityLog } = await import("seclog");
    const log = createSecurityLog({
      service: "shop-api",
      environment: "production",
      spool: { directory: join(folder, "spool") },
      // Events stay in the spool, as with a database that is down: only the cost of the spool is measured.
      handlers: [{ name: "none", handle: () => new Promise(() => {}), close: async () => {} }],
    });
    return {
      call: (attempt) =>
        log.recordSecurityEvent("illegal_request_method", request, {
          statusCode: 404,
          allowedMethods: "GET, HEAD",
          attempt,
        }),
      end: () => log.close({ deadline: 0 }),
    };
  },
  async pino() {
    const { default: pino } = await import("pino");
    const destination = pino.destination({ dest: join(folder, "pino.log"), sync: false, minLength: 4096 });
    const log = pino({ base }, destination);
    return {
      call: (attempt) => log.warn(fields(attempt), "illegal_request_method"),
      end: async () => destination.flushSync(),
    };
  },
  async winston() {
    const { default: winston } = await import("winston");
    const log = winston.createLogger({
      defaultMeta: base,
      format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
      transports: [new winston.transports.File({ filename: join(folder, "winston.log") })],
    });
    return { call: (attempt) => log.warn("illegal_request_method", fields(attempt)), end: async () => log.end() };
  },
};

const { call, end } = await contestants[contestant]();
let attempt = 0;

async function run(events) {
  let inCalls = 0;
  const before = performance.eventLoopUtilization();
  for (let done = 0; done < events; done += TURN) {
    const start = performance.now();
    for (let i = 0; i < TURN; i++) call(attempt++);
    inCalls += performance.now() - start;
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { active } = performance.eventLoopUtilization(before);
  return { call: (inCalls * 1_000) / events, all: (active * 1_000) / events };
}

await run(count / 4);
console.log(JSON.stringify(await run(count)));
await end();
rmSync(folder, { recursive: true, force: true });
process.exit();
