/** An attacker's process with the application's login, out to keep the application's events from being stored. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { PostgresProxy, REFUSE } from "../proxy.js";
import { handlerOf, LOAD, shippedSince } from "../server.js";

/** Everything that a login may see of other sessions. */
const VIEWS = [
  "SELECT query AS text FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
  "SELECT statement AS text FROM pg_prepared_statements",
  "SELECT statement AS text FROM pg_cursors",
  "SELECT command AS text FROM pg_stat_progress_copy",
  "SELECT application_name AS text FROM pg_stat_activity",
];

/**
 * Rows for the numbers that the position is to pass, since it only moves over stored ones. Marked as the log's own,
 * which the checker ignores.
 */
const FILL = `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch,
    seq, v, salt, commitment)
  SELECT gen_random_uuid(), now(), 'log_heartbeat', 'info', 'log', 'success', 'thief', $1, 1, seq, 1, uuid_send($1::uuid),
    sha256(uuid_send($1::uuid) || convert_to('{}', 'UTF8')) FROM generate_series($2::bigint, $3::bigint) AS seq`;

/** Calls a function as the thief, and returns the SQLSTATE of its failure, if it fails. */
async function tried(thief, text, values) {
  try {
    await thief.query(text, values);
    return undefined;
  } catch ({ code }) {
    return code;
  }
}

/** Collects whatever looks like a key in what the thief sees, until the application has shipped enough events. */
async function keysSeen(thief, app) {
  const until = handlerOf(app.state).shipped + 200;
  const seen = new Set();
  while (handlerOf(app.state).shipped < until) {
    for (const view of VIEWS)
      for (const { text } of (await thief.query(view)).rows)
        for (const [key] of (text ?? "").matchAll(/[0-9a-f]{32}/g)) seen.add(key);
  }
  return seen;
}

/** A source's position in the store. */
async function positionOf(world, source) {
  const [row] = await world.query("SELECT last_seq::int AS position FROM security_event_source WHERE id = $1", [
    source,
  ]);
  return row?.position;
}

export const SEIZED_FAULTS = [
  {
    number: "33a",
    name: "the same login moves a source's position over events that are not stored",
    runs: { full: 10, short: 1 },
    async run({ runs, world: create, finish, ran, expect, note }) {
      for (let run = 0; run < runs; run++) {
        const world = await create();
        const proxy = await PostgresProxy.start(world.server.port);
        const thief = new pg.Client({ connectionString: world.database.writerUrl });
        await thief.connect();
        try {
          const app = await world.startApp(LOAD, { url: proxy.through(world.database.writerUrl) });
          await app.until((state) => handlerOf(state)?.shipped > 0);
          const [source] = readdirSync(world.spool);
          // With what the login alone can get.
          const keys = await keysSeen(thief, app);
          for (const key of [...keys, source.replaceAll("-", "")]) {
            const state = await tried(thief, "SELECT seclog_open_source($1, 1, $2)", [source, key]);
            expect(state === "SL004", `a key that another session shows ends with ${state}`);
          }
          // And by a thief who can also read the spool, while the application has a backlog.
          proxy.trap = REFUSE;
          proxy.cut();
          const { recorded } = app.state;
          await app.until((state) => state.recorded > recorded + 200);
          const { key: stolen } = JSON.parse(readFileSync(join(world.spool, source, "owner.1"), "utf8"));
          const position = await positionOf(world, source);
          const over = 1 + Math.floor(Math.random() * 400);
          const moved = [source, 1, stolen, position + 1, position + over];
          await thief.query(FILL, [source, position + 1, position + over]);
          const state = await tried(thief, "SELECT seclog_advance($1, $2, $3, $4, $5)", moved);
          expect(state === undefined, `the position could not be moved with the spool's own key: ${state}`);
          proxy.trap = undefined;
          await shippedSince(app);
          const { failures, health } = app.state;
          expect(failures.SECLOG_SOURCE_SEIZED > 0, "no diagnostic SECLOG_SOURCE_SEIZED");
          expect(health.handlers[0].lastError?.code === "SECLOG_SOURCE_SEIZED", "health() does not report it");
          await app.close();
          const alarms = await world.query(
            "SELECT data->>'source_id' AS source, data->>'successor_id' AS successor FROM security_event_log WHERE event_type = 'source_seized'",
          );
          expect(alarms.length === 1 && alarms[0].source === source, `${alarms.length} alarms are on record`);
          expect((await positionOf(world, alarms[0]?.successor)) > 200, "nothing is stored under another source");
          expect((await positionOf(world, source)) === position + over, "the seized source was used again");
          note(`${keys.size} keys seen by the login; ${over} numbers passed by the thief`);
          await finish(world);
          ran();
        } finally {
          await thief.end();
          await proxy.end();
        }
      }
    },
  },
];
