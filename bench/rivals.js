/**
 * The fault tests' ledger and checker on other ways from an application into PostgreSQL: once with PostgreSQL down for
 * three of the five seconds, once with the application killed in the middle. The rivals are not dependencies: they are
 * installed for the run, set up as their own documentation says, each with the best confirmation of an event that it
 * offers.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Server, World } from "../faults/world.js";
import { table } from "./report.js";

const PINNED = ["pino@10.4.0", "pino-postgres@0.0.33", "winston@3.19.0", "@innova2/winston-pg@1.4.0"];

const CONTESTANTS = [
  {
    contestant: "seclog",
    name: "Seclog",
    acked: "the receipt's `durable` resolved",
    rows: `SELECT id, source_id || '/' || seq AS place, event_type, path, actor_id, data
           FROM security_event_log WHERE category <> 'log'`,
  },
  {
    contestant: "pino",
    name: "pino | pino-postgres",
    acked: "the call returned, its only report",
    table: "CREATE TABLE logs (id bigserial PRIMARY KEY, content jsonb)",
    rows: `SELECT content->>'type' AS event_type, content->>'path' AS path, content->>'actor' AS actor_id,
             json_build_object('key', content->>'key', 'text', content->>'text') AS data FROM logs`,
  },
  {
    contestant: "winston",
    name: "winston + @innova2/winston-pg",
    acked: "the transport emitted `logged` for it",
    // It creates the table itself.
    rows: `SELECT type AS event_type, path, actor AS actor_id, json_build_object('key', key, 'text', text) AS data
           FROM winston_logs`,
  },
  {
    contestant: "insert",
    name: "INSERT in the request, pool of 2",
    acked: "the INSERT resolved",
    table:
      "CREATE TABLE inserted_logs (id bigserial PRIMARY KEY, key text, type text, path text, actor text, text text)",
    rows: `SELECT type AS event_type, path, actor AS actor_id, json_build_object('key', key, 'text', text) AS data
           FROM inserted_logs`,
  },
];

const SCENARIOS = {
  "PostgreSQL restarted, 3 s down, in the middle": async ({ server, app, events }) => {
    // It is back before the last events come, so that contestants that reconnect can show it.
    await app.until(({ tried }) => tried >= events / 5);
    const start = performance.now();
    await server.down();
    await sleep(3_000);
    await server.up();
    const away = performance.now() - start;
    app.child.send("end");
    await app.until((state) => state.closed !== undefined, 180_000);
    await app.exited;
    return away;
  },
  "The application killed in the middle (kill -9)": async ({ app, events }) => {
    await app.until(({ tried }) => tried >= events / 2);
    await app.kill();
    return 0;
  },
};

/** @param {{ events?: number, rate?: number }} options `events`: in total; `rate`: per second */
export async function benchRivals({ events = 10_000, rate = 2_000 } = {}) {
  const modules = mkdtempSync(join(tmpdir(), "seclog-rivals-"));
  const results = {};
  let server;
  try {
    const why = install(modules);
    if (why !== undefined) {
      console.log(`\nThe rivals were skipped: they could not be installed (${why}).`);
      return undefined;
    }
    server = await Server.start();
    for (const [scenario, happen] of Object.entries(SCENARIOS)) {
      results[scenario] = [];
      for (const rival of CONTESTANTS) {
        console.error(`${scenario}: ${rival.name} …`);
        results[scenario].push(await run({ server, rival, happen, modules, events, rate }));
      }
    }
  } finally {
    await server?.end();
    rmSync(modules, { recursive: true, force: true });
  }
  for (const [scenario, rows] of Object.entries(results)) {
    console.log(`\n${scenario}: ${events} events at ${rate} a second\n`);
    table(
      ["", "tried", "acked", "kept", "not kept", "lost", "twice", "unexp.", "stall ms", "uncaught", "away ms"],
      rows.map(({ name, verdict, stall, uncaught, away }) => {
        const { tried, acknowledged, stored, lost, twice, unexpected } = verdict;
        const numbers = [
          tried,
          acknowledged,
          stored,
          tried - stored,
          lost,
          twice,
          unexpected,
          Math.round(stall),
          uncaught,
          Math.round(away),
        ];
        return [name, ...numbers.map(String)];
      }),
    );
  }
  console.log(`\nacked: the event was reported to the application as safe:`);
  for (const { name, acked } of CONTESTANTS) console.log(`  ${name}: ${acked}`);
  console.log("lost: acknowledged, but not in the table. not kept: tried, but not in the table.");
  console.log("uncaught: errors that would have ended the application, had it not caught them for the whole process.");
  console.log("away: from the order to stop until PostgreSQL took connections again. The application ends after that.");
  console.log(PINNED.join(", "));
  return results;
}

/** Runs one contestant in a world of its own. */
async function run({ server, rival, happen, modules, events, rate }) {
  const { contestant, name, table: createTable, rows } = rival;
  const world = await World.create({ server });
  let transport;
  let stdout = "ignore";
  try {
    if (createTable !== undefined) await world.query(createTable);
    const url = contestant === "seclog" ? world.database.writerUrl : world.database.adminUrl;
    if (contestant === "pino") [transport, stdout] = startPinoPostgres(world.folder, modules, url);
    const app = await world.startApp(
      { contestant, count: events, rate, modules },
      { url, stdout, program: new URL("rivals-app.js", import.meta.url).href },
    );
    if (typeof stdout === "number") closeSync(stdout);
    const away = await happen({ server, app, events });
    // What is left continues: to Seclog's next process, and through pino's pipe.
    if (contestant === "seclog") await world.drain();
    if (transport !== undefined) await transport.ended;
    return {
      name,
      verdict: await world.check({ select: rows }),
      stall: world.stall,
      uncaught: app.state.uncaught,
      away,
    };
  } finally {
    transport?.child.kill("SIGKILL");
    await world.end();
  }
}

/**
 * The right side of `node app.js | pino-postgres --connection …`.
 *
 * @returns the transport, and the descriptor for the left side's standard output
 */
function startPinoPostgres(folder, modules, url) {
  const pipe = join(folder, "stdout");
  execFileSync("mkfifo", ["-m", "600", pipe]);
  // For reading first, as otherwise each side waits for the other.
  const read = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  const write = openSync(pipe, constants.O_WRONLY);
  const child = spawn(process.execPath, [join(modules, "node_modules/pino-postgres/index.js"), "--connection", url], {
    stdio: [read, "ignore", "ignore"],
  });
  closeSync(read);
  const ended = Promise.race([once(child, "exit"), sleep(60_000, undefined, { ref: false })]);
  return [{ child, ended }, write];
}

/** Installs the rivals into a folder; returns the reason when that fails. */
function install(folder) {
  const flags = ["--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund"];
  try {
    execFileSync("npm", ["install", ...flags, ...PINNED], { stdio: "pipe", timeout: 180_000 });
    return undefined;
  } catch (error) {
    return (error.stderr?.toString().match(/npm error (.*)/)?.[1] ?? error.message).trim();
  }
}
