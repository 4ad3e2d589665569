/** What an attacker with the writer's login can do beside an honest application: a hijacked application, say. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { makeKey, startSealer, verify } from "./seal.js";

const SOURCE = "01936d2f-5c00-7000-8000-00000000bad0";

/** On a busy machine, everything that the honest application stored is sealed within this. */
const DEADLINE_MS = 60_000;
/** The most memory a sealer needs. */
const MOST_MEGABYTES = 300;

/** Runs statements as the writer. */
async function asWriter(world, ...statements) {
  const client = new pg.Client({ connectionString: world.database.writerUrl });
  await client.connect();
  try {
    for (const sql of statements) await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Waits until every event of the application is sealed, and returns how long that took. */
async function honestSealed(world, sealer) {
  const start = performance.now();
  for (;;) {
    const [{ left }] = await world.query(
      `SELECT count(*)::int AS left FROM security_event_source AS source WHERE source.login LIKE 'faults%' AND id <> '${SOURCE}'
        AND last_seq > coalesce((SELECT max(last_seq) FROM security_event_seal WHERE source_id = source.id), 0)`,
    );
    const ms = performance.now() - start;
    if (left === 0) return { ms, megabytes: peakMegabytes(sealer.child.pid) };
    if (sealer.ended) throw new Error(`the sealer ended: ${sealer.output.slice(-500)}`);
    if (ms > DEADLINE_MS) throw new Error(`${left} honest sources are not sealed after ${DEADLINE_MS} ms`);
    await sleep(50);
  }
}

function peakMegabytes(pid) {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}

/** An honest application, an attack, and a sealer that starts after the attack. */
async function besideAttack({ world: create, finish, ran, expect, note }, attack, finding) {
  const world = await create();
  const log = makeKey(world);
  const app = await world.startApp({ count: 300 });
  await app.done();
  await app.close();
  await attack(world);
  const sealer = startSealer(world, log);
  const first = await honestSealed(world, sealer);
  const second = await world.startApp({ count: 300 });
  await second.done();
  await second.close();
  const next = await honestSealed(world, sealer);
  ran();
  for (const { megabytes } of [first, next])
    expect(megabytes < MOST_MEGABYTES, `the sealer had ${Math.round(megabytes)} MB in memory`);
  note(
    `sealed after ${(first.ms / 1000).toFixed(1)} s, including the start, then after ${(next.ms / 1000).toFixed(1)} s; ${Math.round(next.megabytes)} MB`,
  );
  await sealer.kill();
  const verdict = await verify(world, log);
  expect(verdict.code === 1 && finding.test(verdict.output), `verify did not name it: ${verdict.output.slice(0, 500)}`);
  await world.query(
    "SET session_replication_role = replica; DELETE FROM security_event_source WHERE login = 'hostile'; RESET session_replication_role",
  );
  await finish(world, { proven: true });
}

const MANY_ROWS = {
  number: "33b",
  name: "many rows of one number, of a writer",
  runs: { full: 1, short: 1 },
  alone: true,
  async run(context) {
    const rows = context.short ? 100_000 : 1_000_000;
    await besideAttack(
      context,
      (world) =>
        asWriter(
          world,
          `SELECT seclog_open_source('${SOURCE}', 1, 'k')`,
          `INSERT INTO security_event_log (source_id, seq, occurred_at, retention, id, event_type, level, category, outcome,
              logger, epoch, v, commitment)
            SELECT '${SOURCE}', 1, now() + n * interval '1 microsecond', 'standard', gen_random_uuid(), 'x', 'info', 'log',
              'unknown', repeat('x', 500), 1, 1, '' FROM generate_series(1, ${rows}) AS n`,
          `SELECT seclog_advance('${SOURCE}', 1, 'k', 1, 1)`,
        ),
      /inserted/,
    );
  },
};

const NO_ROWS = {
  number: "33c",
  name: "a billion numbers without an event",
  runs: { full: 1, short: 1 },
  alone: true,
  async run(context) {
    const { expect } = context;
    await besideAttack(
      context,
      async (world) => {
        // A writer can no longer do this; a log may have them from before, or from a superuser.
        const refused = await asWriter(
          world,
          "SELECT seclog_open_source(gen_random_uuid(), 1, 'k')",
          `SELECT seclog_open_source('${SOURCE}', 1, 'k')`,
          `SELECT seclog_advance('${SOURCE}', 1, 'k', 1, 100000)`,
        ).catch(({ code }) => code);
        expect(refused === "SL005", `a position without events was not refused: ${refused}`);
        await world.query(`SET session_replication_role = replica;
          INSERT INTO security_event_source (id, epoch, key_hash, last_seq, login)
            SELECT gen_random_uuid(), 1, 'x', 100000, 'hostile' FROM generate_series(1, 10000);
          RESET session_replication_role`);
      },
      /hole/,
    );
  },
};

export const HOSTILE_FAULTS = [MANY_ROWS, NO_ROWS];
