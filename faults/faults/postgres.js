/** Faults of the PostgreSQL server itself. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";

import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { setupDatabase } from "seclog/postgres/schema";
import { PostgresProxy } from "../proxy.js";
import {
  expectNoStalls,
  expectStored,
  handlerOf,
  isCommit,
  isCommitted,
  LOAD,
  STORED,
  shippedSince,
  stretch,
} from "../server.js";
import { NOWHERE } from "../world.js";

/** Ends the writer's sessions, in every database: no other run uses the role. */
const END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'faults_writer'";

/** Runs SQL as the superuser in the server's own database, where nothing is harmed. */
async function asAdmin(world, ...statements) {
  const client = new pg.Client({ connectionString: world.server.url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** As `seclog setup` does. */
async function setUp({ server, database: { writerUrl, readerUrl, sealerUrl } }) {
  await setupDatabase({ adminUrl: server.url, writerUrl, readerUrl, sealerUrl });
}

async function startLoad(world, options = {}, how = {}) {
  const app = await world.startApp({ ...LOAD, ...options }, how);
  await app.until((state) => handlerOf(state)?.shipped > 0);
  return app;
}

/** Waits until the application has shipped everything, and ends it. */
async function endLoad(app, { finish, expect }, world, onRecord = []) {
  const start = performance.now();
  await shippedSince(app);
  world.drained = Math.max(world.drained, performance.now() - start);
  const state = await app.close();
  expect(handlerOf(state)?.behind === 0, `the application ended with ${handlerOf(state)?.behind} events unshipped`);
  const { quarantined } = await finish(world, { damaged: onRecord });
  expect(quarantined === onRecord.length, `${quarantined} events in quarantine, not ${onRecord.length}`);
}

/** The application must keep recording while its handler is in trouble. */
async function isAlive(app) {
  const { recorded, acknowledged } = app.state;
  return await app.until((state) => state.recorded > recorded + 50 && state.acknowledged > acknowledged + 50);
}

/**
 * Something that PostgreSQL refuses while it lasts.
 *
 * @param {object} context
 * @param {object} trouble
 * @param {"retrying" | "stopped"} trouble.status health()'s status of the handler: does it pass, or must an operator
 *   act?
 * @param {string} trouble.code of the diagnostics
 * @param {RegExp} trouble.says matches the handler's last error
 */
async function outage(context, world, app, { harm, repair, status, code, says }) {
  const { expect } = context;
  const before = app.state.failures?.[code] ?? 0;
  await harm(world);
  try {
    // The harm may have to end the sessions first: then the handler reports that until it retries.
    const state = await app.until(({ failures, health }) => {
      const [handler] = health?.handlers ?? [];
      return failures?.[code] > before && handler?.status === status && says.test(handler.lastError?.message);
    }, 30_000);
    const all = status === "stopped" ? "failing" : "degraded";
    expect(state.health.status === all, `health() says ${state.health.status}, not ${all}`);
    await isAlive(app);
  } finally {
    await repair(world, app);
  }
  await shippedSince(app);
  expect(app.state.health.status === "ok", `health() says ${app.state.health.status} when all is well again`);
}

/** A fault that is one outage of a running application in a world on the run's own server. */
function outageFault(number, name, trouble) {
  return {
    number,
    name,
    runs: { full: 3, short: 1 },
    async run(context) {
      const world = await context.world();
      const app = await startLoad(world);
      for (let run = 0; run < context.runs; run++) {
        await outage(context, world, app, trouble);
        context.ran();
      }
      await endLoad(app, context, world);
    },
  };
}

/**
 * An older copy of the data takes the server's place. `settle` does what an operator would; it returns the events that
 * were lost and put on record as such, in check.js's form.
 */
function standbyFault(number, name, settle) {
  return {
    number,
    name,
    runs: { full: 2, short: 1 },
    async run(context) {
      const { expect, note, runs, ran } = context;
      const world = await context.world({ ownServer: true });
      const { server } = world;
      const data = join(server.folder, "pgdata");
      const [stale, newest] = [`${data}.stale`, `${data}.newest`];
      const app = await startLoad(world);
      const onRecord = [];
      for (let run = 0; run < runs; run++) {
        await server.down();
        cpSync(data, stale, { recursive: true, preserveTimestamps: true });
        sameOwners(data, stale);
        await server.up();
        await shippedSince(app);
        await isAlive(app);
        await shippedSince(app);
        await outage(context, world, app, {
          async harm() {
            await server.down();
            renameSync(data, newest);
            renameSync(stale, data);
            await server.up();
          },
          async repair() {
            const positions = async () =>
              JSON.stringify(
                await world.query(
                  "SELECT id, last_seq, (SELECT count(*) FROM security_event_log) FROM security_event_source ORDER BY id",
                ),
              );
            const before = await positions();
            const tries = app.state.failures.SECLOG_STORE_BEHIND;
            // It looks again and again.
            await app.until(
              ({ failures, health }) => failures.SECLOG_STORE_BEHIND > tries && health.handlers[0].status === "stopped",
            );
            expect((await positions()) === before, "it kept storing on the stale standby");
            onRecord.push(...((await settle({ world, app, data, newest, note })) ?? []));
          },
          status: "stopped",
          code: "SECLOG_STORE_BEHIND",
          says: /older copy of the database/,
        });
        ran();
      }
      await endLoad(app, context, world, onRecord);
    },
  };
}

/** The postmaster first, since it would start new sessions, then all its processes. */
function processesOf(postmaster) {
  const children = readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const text = readFileSync(`/proc/${name}/stat`, "latin1");
      return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]) === postmaster;
    } catch {
      return false; // It has ended meanwhile.
    }
  });
  return children.map(Number);
}

function signal(pids, name) {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if (error.code !== "ESRCH") throw error;
    }
  }
}

/** A small file system that can be filled, or the reason why it cannot be mounted. */
function smallDisk() {
  if (process.platform !== "linux" || process.getuid() !== 0)
    return "needs root on Linux, to mount a file system of a few megabytes";
  const folder = mkdtempSync(join(tmpdir(), "seclog-faults-disk-"));
  chmodSync(folder, 0o755);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=24m,mode=0755", "seclog-faults", folder], { stdio: "pipe" });
  } catch (error) {
    rmSync(folder, { recursive: true });
    return `mount failed: ${String(error.stderr ?? error).trim()}`;
  }
  return {
    folder,
    end() {
      execFileSync("umount", [folder]);
      rmSync(folder, { recursive: true });
    },
  };
}

export const POSTGRES_FAULTS = [
  {
    number: 14,
    name: "PostgreSQL stopped (SIGSTOP), 60 s",
    needs: () => (process.platform === "linux" ? undefined : "needs Linux, to find the server's processes in /proc"),
    runs: { full: 1, short: 1 },
    alone: true,
    async run(context) {
      const { short, ran, expect, note } = context;
      const world = await context.world();
      const halt = short ? 5_000 : 60_000;
      const handler = short ? { connectTimeout: 500, statementTimeout: 500 } : {};
      const app = await startLoad(world, { handler });
      const healthy = await stretch(app, halt / 2, () => isAlive(app));
      const spooled = app.state.health.spooledBytes;
      const { pid } = world.server;
      signal([pid], "SIGSTOP");
      const sessions = processesOf(pid);
      signal(sessions, "SIGSTOP");
      try {
        const { recorded, acknowledged } = app.state;
        const halted = await stretch(app, halt);
        const state = await app.until(({ health }) => health.handlers[0].status === "retrying");
        expect(state.acknowledged > acknowledged + 200, "the application was held up");
        expect(state.health.spooledBytes > spooled, "the spool did not grow");
        expect(state.health.status === "degraded", `health() says ${state.health.status}, not degraded`);
        note(`${state.recorded - recorded} events recorded while it stood still`);
        expectNoStalls(expect, note, "while it stood still", healthy, halted);
      } finally {
        signal([...sessions, pid], "SIGCONT");
      }
      ran();
      await endLoad(app, context, world);
    },
  },
  {
    number: 15,
    name: "PostgreSQL killed (SIGKILL), stopped (immediate, fast)",
    runs: { full: 9, short: 3 },
    async run(context) {
      const { runs, ran, expect } = context;
      const world = await context.world({ ownServer: true });
      const { server } = world;
      const proxy = await PostgresProxy.start(server.port);
      try {
        const app = await startLoad(world, STORED, { url: proxy.through(world.database.writerUrl) });
        for (let run = 0; run < runs; run++) {
          await sleep(Math.random() * 500);
          const before = app.state.failures.SECLOG_HANDLER_RETRY ?? 0;
          // Two of three die with a COMMIT that did not reach them, or whose reply did not arrive.
          const held = run % 3 === 2 ? undefined : proxy.hold(run % 2 === 0 ? isCommit : isCommitted);
          await held?.met;
          if (held !== undefined) {
            await sleep(300);
            await expectStored(world, expect, "while a COMMIT was under way");
          }
          if (run % 3 === 0) await server.kill();
          else {
            if (run % 3 === 1) process.kill(server.pid, "SIGQUIT");
            await server.down();
          }
          held?.release();
          const { recorded } = await app.until(({ failures }) => failures.SECLOG_HANDLER_RETRY > before);
          await app.until((state) => state.recorded > recorded + 50);
          await server.up();
          await shippedSince(app);
          ran();
        }
        for (const code of ["SECLOG_HANDLER_STOPPED", "SECLOG_STORE_BEHIND"])
          expect(
            !(code in app.state.failures),
            `a server that comes back was reported as needing an operator: ${code}`,
          );
        await endLoad(app, context, world);
      } finally {
        await proxy.end();
      }
    },
  },
  {
    number: 17,
    name: "pg_terminate_backend during COPY",
    runs: { full: 120, short: 12 },
    async run(context) {
      const { runs, ran, note } = context;
      const world = await context.world();
      // Long texts, so that COPY takes time.
      const app = await startLoad(world, { textLength: 4_000, perTurn: 20, handler: { batchSize: 200 } });
      const client = new pg.Client({ connectionString: world.database.adminUrl });
      await client.connect();
      let ended = 0;
      let amidCopy = 0;
      try {
        for (let run = 0; run < runs; run++) {
          const deadline = performance.now() + 30_000;
          for (;;) {
            const { rows } = await client.query(
              // In two steps: PostgreSQL may evaluate a condition after it called the function.
              `WITH found AS MATERIALIZED (SELECT pid, state = 'active' AND query LIKE '%COPY%' AS copies
                 FROM pg_stat_activity WHERE usename = 'faults_writer' AND datname = current_database())
               SELECT copies FROM found WHERE CASE WHEN copies OR $1 THEN pg_terminate_backend(pid) END`,
              [run % 3 === 2],
            );
            amidCopy += rows.filter(({ copies }) => copies).length;
            ended += rows.length;
            if (rows.length > 0) break;
            if (performance.now() > deadline) throw new Error("no session within 30 s");
            await sleep(Math.random() * 5);
          }
          // Some in a row, then time to recover.
          if (run % 6 === 5) await shippedSince(app);
          ran();
        }
      } finally {
        await client.end();
      }
      note(`${ended} sessions were ended, ${amidCopy} of them in the middle of a COPY`);
      await endLoad(app, context, world);
    },
  },
  {
    number: "20a",
    name: "PostgreSQL's disk is full",
    needs() {
      const disk = smallDisk();
      if (typeof disk === "string") return disk;
      disk.end();
    },
    runs: { full: 3, short: 1 },
    async run(context) {
      const world = await context.world({ ownServer: true });
      const { server, database } = world;
      const disk = smallDisk();
      try {
        const { uid, gid } = statSync(join(server.folder, "pgdata"));
        const place = join(disk.folder, "tablespace");
        mkdirSync(place);
        chownSync(place, uid, gid);
        await asAdmin(
          world,
          `CREATE TABLESPACE small LOCATION '${place}'`,
          `ALTER DATABASE ${database.name} SET TABLESPACE small`,
        );
        const app = await startLoad(world);
        const ballast = join(disk.folder, "ballast");
        for (let run = 0; run < context.runs; run++) {
          await outage(context, world, app, {
            harm: () => execFileSync("sh", ["-c", 'cat /dev/zero > "$0" 2>/dev/null || :', ballast]),
            repair: () => rmSync(ballast),
            status: "stopped",
            code: "SECLOG_HANDLER_STOPPED",
            says: /53100.*free space/,
          });
          context.ran();
        }
        await endLoad(app, context, world);
      } finally {
        await server.down();
        disk.end();
      }
    },
  },
  outageFault("20b", "PostgreSQL is read-only", {
    harm: (world) =>
      asAdmin(world, `ALTER DATABASE ${world.database.name} SET default_transaction_read_only = on`, END_SESSIONS),
    repair: (world) =>
      asAdmin(world, `ALTER DATABASE ${world.database.name} RESET default_transaction_read_only`, END_SESSIONS),
    // It may be a failover that passes.
    status: "retrying",
    code: "SECLOG_HANDLER_RETRY",
    says: /read-only.*25006.*server doctor/,
  }),
  outageFault("20c", "the writer's password was changed", {
    harm: (world) => asAdmin(world, "ALTER ROLE faults_writer PASSWORD 'changed'", END_SESSIONS),
    repair: setUp,
    status: "stopped",
    code: "SECLOG_HANDLER_STOPPED",
    says: /28P01.*password/,
  }),
  {
    number: "20d",
    name: "the tables are missing",
    runs: { full: 2, short: 2 },
    async run(context) {
      const missing = { status: "stopped", code: "SECLOG_SCHEMA_MISSING", says: /run npx @seclog\/server setup/ };
      const world = await context.world();
      const { name } = world.database;
      // First as an application started before `seclog setup` has run finds it.
      await asAdmin(world, `DROP DATABASE ${name}`, `CREATE DATABASE ${name}`);
      const app = await world.startApp(LOAD);
      await outage(context, world, app, { ...missing, harm() {}, repair: setUp });
      context.ran();
      const rename = (from, to) => world.query(`ALTER TABLE ${from} RENAME TO ${to}`);
      await outage(context, world, app, {
        ...missing,
        harm: () => rename("security_event_log", "elsewhere"),
        repair: () => rename("elsewhere", "security_event_log"),
      });
      context.ran();
      await endLoad(app, context, world);
    },
  },
  {
    number: "20e",
    name: "too many connections",
    runs: { full: 3, short: 1 },
    async run(context) {
      const world = await context.world();
      const app = await startLoad(world);
      for (let run = 0; run < context.runs; run++) {
        const clients = [];
        await outage(context, world, app, {
          async harm() {
            const deadline = performance.now() + 30_000;
            // These sessions race the writer for its two connections, and win while it waits between its tries.
            for (let refused = 0; refused < 3; ) {
              if (performance.now() > deadline) throw new Error("the connections are not used up within 30 s");
              const client = new pg.Client({ connectionString: world.database.readerUrl });
              client.on("error", () => {});
              try {
                await client.connect();
                clients.push(client);
                refused = 0;
              } catch (error) {
                if (error.code !== "53300") throw error;
                refused++;
                if (refused < 3) await asAdmin(world, END_SESSIONS);
              }
            }
          },
          repair: () => Promise.all(clients.map((client) => client.end())),
          status: "retrying",
          code: "SECLOG_HANDLER_RETRY",
          says: /53300/,
        });
        context.ran();
      }
      await endLoad(app, context, world);
    },
  },
  standbyFault("20f", "failover to a stale standby", async ({ world, data, newest }) => {
    await world.server.down();
    rmSync(data, { recursive: true });
    renameSync(newest, data);
    await world.server.up();
  }),
  standbyFault("20i", "failover to a stale standby for good", async ({ world, app, newest, note }) => {
    rmSync(newest, { recursive: true });
    // As docs/operations.md says: every number that only the lost server had is put on record as lost.
    const [, id, end, stored] = /source (\S+) ends at (\d+) there, but the spool's cursor says (\d+)/.exec(
      handlerOf(app.state).lastError.message,
    );
    const folder = join(world.spool, id);
    const owner = readdirSync(folder).find((name) => name.startsWith("owner."));
    const { key } = JSON.parse(readFileSync(join(folder, owner), "utf8"));
    await world.query(
      `SELECT seclog_quarantine($1, $2, $3, seq, 'lost with the old server', '') FROM generate_series($4::bigint, $5) AS seq`,
      [id, owner.slice(6), key, Number(end) + 1, Number(stored)],
    );
    // The application's numbers are the source's, shifted by the log's own events before them.
    const [{ shift, shifts }] = await world.query(
      `SELECT min(seq - n)::int AS shift, count(DISTINCT seq - n)::int AS shifts
       FROM (SELECT seq, split_part(data->>'key', '-', 2)::int AS n FROM security_event_log WHERE category <> 'log') AS e`,
    );
    if (shifts !== 1) throw new Error(`the keys do not say the numbers: ${shifts} differences`);
    const lost = Array.from({ length: stored - end }, (_, index) => {
      const seq = Number(end) + 1 + index;
      return { place: `${id}/${seq}`, key: `${app.life}-${seq - shift}` };
    });
    note(
      `${lost.length} events that only the lost server had: each is on record in the quarantine, no other is missing`,
    );
    return lost;
  }),
  outageFault("20g", "the database is gone, then an empty one has its name", {
    // Kept under another name, as a backup would be.
    harm: (world) =>
      asAdmin(
        world,
        `ALTER DATABASE ${world.database.name} ALLOW_CONNECTIONS false`,
        END_SESSIONS,
        `ALTER DATABASE ${world.database.name} RENAME TO ${world.database.name}_kept`,
      ),
    async repair(world, app) {
      const { name } = world.database;
      const before = app.state.failures.SECLOG_STORE_BEHIND ?? 0;
      await setUp(world);
      await app.until(({ failures }) => failures.SECLOG_STORE_BEHIND > before);
      const rows = await world.query(
        "SELECT 1 FROM security_event_log WHERE source_id <> (SELECT own_source FROM security_event_tree)",
      );
      if (rows.length > 0) throw new Error("it stored in the empty database as if nothing had happened");
      await asAdmin(
        world,
        `DROP DATABASE ${name} WITH (FORCE)`,
        `ALTER DATABASE ${name}_kept RENAME TO ${name}`,
        `ALTER DATABASE ${name} ALLOW_CONNECTIONS true`,
      );
    },
    status: "stopped",
    code: "SECLOG_HANDLER_STOPPED",
    says: /3D000.*server setup/,
  }),
  outageFault("20h", "the writer's privilege is revoked", {
    harm: (world) => world.query("REVOKE INSERT ON security_event_log FROM seclog_writer"),
    repair: setUp,
    status: "stopped",
    code: "SECLOG_HANDLER_STOPPED",
    says: /42501.*server setup/,
  }),
  {
    number: "20j",
    name: "sources of dead processes that only an operator can repair",
    runs: { full: 1, short: 1 },
    async run({ short, world: create, finish, ran, expect }) {
      const world = await create();
      const most = short ? 5 : 15;
      for (let n = 0; n <= most; n++) {
        const dead = await world.startApp({ count: 50 }, { url: NOWHERE });
        await dead.done();
        await dead.kill();
      }
      // The database knows all but one as another spool's; a process that goes through them finds the sound one last.
      const refused = world.sources.sort();
      const sound = refused.pop();
      for (const id of refused) await world.query("SELECT seclog_open_source($1, 1, 'of another spool')", [id]);
      const app = await world.startApp(LOAD);
      await app.until(({ failures }) => failures?.SECLOG_SOURCE_FENCED > 0);
      const [own] = world.sources.filter((id) => id !== sound && !refused.includes(id));
      const storedOf = async (id) => {
        const rows = await world.query("SELECT last_seq::int AS stored FROM security_event_source WHERE id = $1", [id]);
        return rows[0]?.stored ?? 0;
      };
      const { recorded } = app.state;
      // A few are taken up at each look, every 15 seconds.
      for (const end = performance.now() + 180_000; performance.now() < end; await sleep(100))
        if (!world.sources.includes(sound) && (await storedOf(own)) > recorded) break;
      expect(!world.sources.includes(sound), `a source was held up by ${most} others that are refused`);
      expect((await storedOf(own)) > recorded, `the application's own events were held up by ${most} sources`);
      expect(app.state.health.status !== "ok", "health() says ok, with sources that are refused");

      await world.query(
        "SET session_replication_role = replica; DELETE FROM security_event_source WHERE key_hash = sha256('of another spool')",
      );
      const end = performance.now() + 120_000;
      while (world.sources.length > 1 && performance.now() < end) await sleep(100);
      expect(
        world.sources.length === 1,
        `${world.sources.length - 1} sources did not continue when they were repaired`,
      );
      await app.until(({ health }) => health.status === "ok");
      ran();
      await endLoad(app, { finish, expect }, world);
    },
  },
];

/** The server's account owns its data; the copy may have been made by root. */
function sameOwners(from, to) {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(from);
  chownSync(to, uid, gid);
  for (const name of readdirSync(to, { recursive: true })) chownSync(join(to, name), uid, gid);
}
