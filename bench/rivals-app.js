/**
 * One contestant of `bench/rivals.js` in an application: 10,000 events at 2,000 a second. A contestant has `record`,
 * which resolves with its strongest report on an event, and `end`, which ends it properly. Options come as JSON in
 * `FAULT_APP` (see `startApp` in faults/world.js).
 */
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { eventSource, requestOf, stallMeter } from "../faults/events.js";

const options = JSON.parse(process.env.FAULT_APP);
const { contestant, count, rate, modules } = options;
const url = process.env.SECLOG_DATABASE_URL;
const require = createRequire(join(modules, "package.json"));
// Only what each contestant can keep, so that all do the same work.
const events = eventSource({ ...options, plain: true });
const state = { tried: 0, acknowledged: 0, refused: 0, uncaught: 0 };
/** Uncaught errors would end the application: they are caught here, so that the contestant can continue. */
for (const name of ["uncaughtException", "unhandledRejection"]) process.on(name, () => state.uncaught++);

/** Events without an outcome yet. */
const waiting = new Set();

const CONTESTANTS = {
  async seclog() {
    const { createSecurityLog } = await import("seclog");
    const { postgresHandler } = await import("seclog/postgres");
    const log = createSecurityLog({
      service: "rivals",
      spool: options.spool,
      handlers: [postgresHandler({ url })],
      diagnostics: () => {},
    });
    return {
      record: (event) => {
        const { type, actor, key, text } = event;
        return log.recordSecurityEvent(type, requestOf(event), { actor, key, text }).durable;
      },
      end: () => log.close({ deadline: 60_000 }),
    };
  },

  /** `node app.js | pino-postgres`: pino writes to standard output and reports nothing but the return of the call. */
  async pino() {
    const log = require("pino")();
    return { record: async (event) => log.info(event), end: async () => log.flush() };
  },

  /** Its transport emits `logged` when an event's INSERT has succeeded. */
  async winston() {
    const winston = require("winston");
    const { PostgresTransport } = require("@innova2/winston-pg");
    const text = (name) => ({ name, dataType: "VARCHAR" });
    const transport = new PostgresTransport({
      connectionString: url,
      maxPool: 10,
      tableName: "winston_logs",
      tableColumns: [
        { name: "id", dataType: "SERIAL", primaryKey: true, unique: true },
        { name: "timestamp", dataType: "TIMESTAMP" },
        ...["level", "message", "key", "type", "path", "actor", "text"].map(text),
      ],
    });
    const log = winston.createLogger({ transports: [transport] });
    log.on("error", () => {});
    // Without it, an idle connection that PostgreSQL closes raises an uncaught error.
    transport.pool.on("error", () => {});
    const waiting = new Map();
    transport.on("logged", ({ key }) => waiting.get(key)?.());
    return {
      record: (event) =>
        new Promise((resolve) => {
          waiting.set(event.key, resolve);
          log.info({ message: "refused", ...event });
        }),
      end: () =>
        new Promise((resolve) => {
          transport.once("finish", resolve);
          log.end();
        }),
    };
  },

  /** What a request handler would do: await its INSERT. */
  async insert() {
    const { Pool } = (await import("pg")).default;
    const pool = new Pool({ connectionString: url, max: 2 });
    pool.on("error", () => {});
    return {
      record: ({ key, type, path, actor, text }) =>
        pool.query({
          name: "insert",
          text: "INSERT INTO inserted_logs (key, type, path, actor, text) VALUES ($1, $2, $3, $4, $5)",
          values: [key, type, path, actor, text],
        }),
      end: async () => {
        await Promise.all(waiting);
        await pool.end();
      },
    };
  },
};

const { record, end } = await CONTESTANTS[contestant]();
// The time to open is not counted.
const stall = stallMeter();
const report = (more = {}, sent) => process.send?.({ ...state, stall: stall.longest, ...more }, sent);
setInterval(report, 20).unref();
let mayEnd = false;
process.once("message", () => {
  mayEnd = true;
});
process.send?.("ready");

const start = performance.now();
while (state.tried < count) {
  // Whatever is due, but at most twice a turn's share: who falls behind catches up over the next turns, as requests
  // would.
  const due = Math.min(count, ((performance.now() - start) * rate) / 1_000, state.tried + rate / 50);
  while (state.tried < due) {
    const event = events.begin(++state.tried);
    const done = record(event).then(
      () => {
        state.acknowledged++;
        events.acknowledged(event);
      },
      () => {
        state.refused++;
        events.refused(event);
      },
    );
    waiting.add(done);
    void done.then(() => waiting.delete(done));
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
}
// The parent reports that PostgreSQL is back.
if (!mayEnd) await once(process, "message");
// Each contestant may take a minute to store what it still has.
const ended = await Promise.race([
  end().then(() => true),
  new Promise((resolve) => setTimeout(resolve, 60_000, false)),
]);
report({ closed: ended }, () => process.exit());
