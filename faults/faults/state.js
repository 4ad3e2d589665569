/** Clocks, copies and versions: state that was right once and returns at another time. */
import { createHash } from "node:crypto";
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import pg from "pg";
import { drainSpool } from "seclog/spool";
import { contentHash } from "../check.js";
import { PostgresProxy } from "../proxy.js";
import { isCommitted } from "../server.js";
import { subfolder } from "../world.js";
import { keyOf } from "./spool.js";

/** Nothing listens there: recorded events stay in the spool. */
const NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing?sslmode=disable";
const FIXTURES = fileURLToPath(new URL("../fixtures", import.meta.url));
const DAY = 86_400_000;

/** The jumps of the wall clock in a process's life: after how many ms, by how many, over how many. */
const CLOCKS = [
  [
    [250, DAY],
    [600, 0],
    [950, -DAY],
    [1_300, 0],
  ],
  [
    [200, 1_000, 600],
    [1_000, 0],
    [1_200, -1_000, 600],
  ],
  [
    [300, -3_600_000],
    [900, -3_599_000],
    [1_200, 3_600_000],
  ],
];

/** Moves clocks back and forth under applications that share a spool; one of them has the right time. */
async function jumpClocks({ runs, world: create, finish, ran, expect, note }) {
  const world = await create();
  const lost = [];
  for (let run = 0; run < runs; run++) {
    const clocks = [...CLOCKS, []];
    const apps = await Promise.all(
      clocks.map((clock) =>
        world.startApp(
          { pause: 10 },
          {
            execArgv: ["--import", new URL("../preloads/jumping-clock.js", import.meta.url).href],
            env: { CLOCK_JUMPS: JSON.stringify(clock) },
          },
        ),
      ),
    );
    await sleep(2_200);
    // Half of them leave something behind.
    await Promise.all(apps.map((app, index) => (index % 2 === run % 2 ? app.kill() : app.close())));
    lost.push(...apps.filter(({ state }) => state.failures?.SECLOG_SPOOL_LOST !== undefined));
    ran();
  }
  await world.drain();
  const [{ disorder, flagged, span }] = await world.query(
    `SELECT count(*) FILTER (WHERE occurred_at <= before)::int AS disorder,
            count(*) FILTER (WHERE notes::text LIKE '%the clock was set back%')::int AS flagged,
            extract(epoch FROM max(occurred_at) - min(occurred_at))::int AS span
     FROM (SELECT occurred_at, notes, lag(occurred_at) OVER (PARTITION BY source_id ORDER BY seq) AS before
           FROM security_event_log) AS e`,
  );
  expect(disorder === 0, `${disorder} events are not later than the one before them in their source`);
  expect(flagged > 0, "no event says that the clock was set back");
  expect(span >= DAY / 1_000, "no clock jumped by a day");
  expect(lost.length === 0, "an application was taken for dead because of its clock");
  note(`${flagged} events say that the clock was set back, none stands before an earlier one of its source`);
  // From a day ahead to a day behind.
  await finish(world, { setBack: 2 * DAY });
}

/** Restores spools that were already shipped. */
async function shipAgain({ runs, world: create, finish, ran, expect }) {
  for (let run = 0; run < runs; run++) {
    const world = await create();
    const rows = async () =>
      (await world.query("SELECT count(*)::int AS n FROM security_event_log WHERE category <> 'log'"))[0].n;
    const backup = join(world.folder, "backup");

    const first = await world.startApp({ count: 500 }, { url: NOWHERE });
    await first.done();
    await first.kill();
    cpSync(world.spool, backup, { recursive: true });
    await world.drain();
    expect((await rows()) === 500, "the spool was not delivered the first time");

    cpSync(backup, world.spool, { recursive: true });
    await world.drain();
    expect((await rows()) === 500, "a restored spool was stored again");
    expect(world.sources.length === 0, "a restored spool was not finished");

    // A newer life meets the restored copy when it starts, and records while it ships it.
    cpSync(backup, world.spool, { recursive: true });
    const [old] = world.sources;
    const newer = await world.startApp({ pause: 5 });
    await until(() => !existsSync(join(world.spool, old)), "the newer life did not finish the restored copy");
    await stopAndCount(newer, world, rows, 500, expect);

    await restoreUnderItsOwner(world, expect);
    await meetStaleStore(world, expect);
    await world.drain();
    await finish(world);
    ran();
  }
}

async function stopAndCount(app, world, rows, before, expect) {
  const { acknowledged } = await app.close();
  await world.drain();
  expect((await rows()) === before + acknowledged, "the rows are not those of both lives");
}

/**
 * Another process ships a copy of a running application's source, since its process id is another process's in the
 * copy.
 */
async function restoreUnderItsOwner(world, expect) {
  const app = await world.startApp({ pause: 5, closeDeadline: 500 });
  await app.until(({ acknowledged }) => acknowledged >= 200);
  const elsewhere = subfolder(world, "elsewhere");
  const [source] = world.sources;
  const copy = join(elsewhere, source);
  cpSync(join(world.spool, source), copy, { recursive: true });
  const owner = join(copy, "owner.1");
  writeFileSync(owner, JSON.stringify({ ...JSON.parse(readFileSync(owner, "utf8")), start: "another" }));
  await world.drain({ directory: elsewhere });
  await app.until(({ failures }) => failures.SECLOG_SOURCE_FENCED > 0);
  expect(!app.ended, "the application ended when another one shipped its spool");
  await app.close();
  await world.drain();
}

/** A copy of the database that is older than the spool must not pass for the database. */
async function meetStaleStore(world, expect) {
  const stale = `${world.database.name}_stale`;
  await copyDatabase(world, stale);
  const app = await world.startApp({ wait: "stored", pause: 5 });
  await app.until(({ acknowledged }) => acknowledged >= 200);
  const [source] = world.sources;
  const cursor = join(world.spool, source, "cursor.postgres");
  await until(() => /[1-9]/.test(readFileSync(cursor, "latin1")), "the position was not kept");
  await app.kill();
  const url = new URL(world.database.writerUrl);
  url.pathname = `/${stale}`;
  const error = await refusal(world.drain({ url: url.href }));
  expect(error?.code === "SECLOG_STORE_BEHIND", `a store that is behind raised ${error?.message ?? "no alarm"}`);
  expect(world.sources.includes(source), "what a store had lost was removed from the spool");
  await world.drain();
  expect(!world.sources.includes(source), "the right store did not take the spool");
}

async function copyDatabase({ server, database }, name) {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    // PostgreSQL copies a database only without connections to it: those of killed clients linger.
    await client.query("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1", [
      database.name,
    ]);
    const { rows } = await client.query("SELECT datdba::regrole AS owner FROM pg_database WHERE datname = $1", [
      database.name,
    ]);
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${database.name} OWNER ${rows[0].owner}`);
  } finally {
    await client.end();
  }
}

/** The reason of a promise's rejection. */
async function refusal(promise) {
  return await promise.then(
    () => undefined,
    (error) => error,
  );
}

/** Reads the fixture of each format byte for byte, and as rows. */
async function readOldSpools({ world: create, finish, ran, expect, note }) {
  const formats = readdirSync(FIXTURES).filter((name) => name.startsWith("spool-"));
  for (const format of formats) {
    const world = await create();
    const expected = fixture(world, format, world.spool);
    const spool = subfolder(world, "bytes");
    cpSync(join(FIXTURES, format, "spool"), spool, { recursive: true });
    const read = [];
    const handler = {
      name: "postgres",
      handle: async ({ source, firstSeq, records }) => {
        for (const [index, record] of records.entries())
          read.push({ source: source.id, seq: firstSeq + index, payload: Buffer.from(record).toString() });
      },
      close: async () => {},
    };
    await drainSpool({ directory: spool, handlers: [handler], signal: AbortSignal.timeout(60_000) });
    const order = ({ source, seq }) => `${source} ${String(seq).padStart(9)}`;
    const sorted = (list) => JSON.stringify(list.toSorted((a, b) => (order(a) < order(b) ? -1 : 1)));
    expect(sorted(read) === sorted(expected), `${format} is not read byte for byte`);

    await newerProgram(world, expect);
    await finish(world);
    await newerParts(await create(), format, expect, finish);
    ran();
  }
  note(`formats read: ${formats.map((name) => name.slice(6)).join(", ")}`);
  const world = await create();
  await newerSchema(world, expect);
  await finish(world);
}

/** A newer program wrote one of two sources: this program leaves it alone, and reports that, until it is upgraded. */
async function newerProgram(world, expect) {
  const [newer, own] = world.sources;
  const segment = join(world.spool, newer, "00000001.seg");
  const format = readFileSync(segment).readUInt8(6);
  setFormat(segment, format + 1);
  const before = digest(join(world.spool, newer));

  const error = await refusal(world.drain());
  expect(error?.code === "SECLOG_SPOOL_NEWER", `a newer spool raised ${error?.code ?? "no alarm"}`);
  expect(!world.sources.includes(own), "a newer spool held up another one");
  const app = await world.startApp({ count: 200 });
  await app.done();
  await app.until(({ failures }) => failures.SECLOG_SPOOL_NEWER > 0);
  await app.close();
  expect(digest(join(world.spool, newer)) === before, "a newer spool was touched");

  setFormat(segment, format);
  await world.drain();
}

/** A frame of an unknown kind and an event of a newer version go to quarantine whole; what surrounds them is stored. */
async function newerParts(world, format, expect, finish) {
  fixture(world, format, world.spool);
  const [source] = world.sources;
  const segment = join(world.spool, source, "00000001.seg");
  const bytes = readFileSync(segment);
  const frames = [];
  for (let at = 64; at < bytes.length; at += 24 + bytes.readUInt32LE(at + 12)) frames.push(at);
  const damaged = [4, 8].map((index) => ({
    place: `${source}/${index + 1}`,
    key: keyOf(bytes, { from: frames[index], end: frames[index + 1] }),
  }));
  bytes.writeUInt8(0xa6, (frames[4] ?? 0) + 3);
  const at = frames[8] ?? 0;
  const payload = bytes
    .toString("utf8", at + 24, at + 24 + bytes.readUInt32LE(at + 12))
    .replace('"v":1}', '"v":2,"zone":"x"}');
  writeFileSync(segment, Buffer.concat([bytes.subarray(0, at), frame(9, payload), bytes.subarray(frames[9])]));

  const { quarantined } = await world.drain();
  expect(quarantined === 2, `${quarantined} records were reported in quarantine, not 2`);
  const kept = await world.query("SELECT seq::int, record FROM security_event_quarantine ORDER BY seq");
  expect(kept[1]?.record.toString() === payload, "the event of a newer version is not whole in quarantine");
  const { quarantined: missing } = await finish(world, { damaged });
  expect(missing === 2, `${missing} events are in quarantine, not 2`);
}

/**
 * With a newer database, an older program keeps spooling and reports the remedy; everything is delivered after the
 * upgrade.
 */
async function newerSchema(world, expect) {
  await world.query(
    "INSERT INTO seclog_migration (id, name, breaking, checksum) VALUES (9999, '9999-newer.sql', true, '')",
  );
  const app = await world.startApp({ count: 500 });
  const { acknowledged } = await app.done();
  expect(acknowledged === 500, "an application stopped recording because of a newer database");
  await app.until(({ failures, health }) => failures.SECLOG_SCHEMA_NEWER > 0 && health.status === "failing");
  await app.kill();
  const error = await refusal(world.drain());
  expect(error?.code === "SECLOG_SCHEMA_NEWER", `a newer database raised ${error?.code ?? "no alarm"}`);
  expect(/use a newer seclog/.test(error?.message), "the refusal does not say what to do");
  await world.query("DELETE FROM seclog_migration WHERE id = 9999");
  await world.drain();
}

/** Copies a fixture's spool, and enters its events into the ledger. */
function fixture(world, format, spool) {
  cpSync(join(FIXTURES, format, "spool"), spool, { recursive: true });
  const lines = readFileSync(join(FIXTURES, format, "expected.ndjson"), "utf8")
    .trimEnd()
    .split("\n");
  const expected = lines.map((line) => JSON.parse(line));
  let entries = "";
  for (const { payload } of expected) {
    const [core, personal] = payload.split("\n").map((line) => JSON.parse(line));
    if (core.category === "log") continue;
    const { key } = personal.data;
    entries += `try ${key} ${contentHash({ ...core, ...personal })}\nack ${key}\n`;
  }
  appendFileSync(join(world.folder, "pipe"), entries);
  return expected;
}

function setFormat(segment, format) {
  const bytes = readFileSync(segment);
  bytes.writeUInt8(format, 6);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 60)), 60);
  writeFileSync(segment, bytes);
}

/** As the head of spool/segment.ts describes it. */
function frame(seq, text) {
  const payload = Buffer.from(text);
  const bytes = Buffer.alloc(24 + payload.length);
  const check = Math.imul(payload.length, 0x9e3779b1) ^ Math.imul(seq, 0x85ebca6b);
  bytes.writeUInt32LE(0xa5434553, 0);
  bytes.writeUInt32LE(check >>> 0, 4);
  bytes.writeUInt32LE(payload.length, 12);
  bytes.writeBigUInt64LE(BigInt(seq), 16);
  payload.copy(bytes, 24);
  bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8);
  return bytes;
}

function digest(folder) {
  const hash = createHash("sha256");
  for (const name of readdirSync(folder).sort()) hash.update(`${name}\0`).update(readFileSync(join(folder, name)));
  return hash.digest("hex");
}

async function until(condition, failure, deadline = 60_000) {
  for (const end = performance.now() + deadline; !condition(); await sleep(50)) {
    if (performance.now() > end) throw new Error(failure);
  }
}

/** The position is no longer part of the storing transaction: it is written down from time to time. */
async function positionOutside({ runs, world: create, finish, ran }) {
  for (let run = 0; run < runs; run++) {
    const world = await create();
    // The unique index would prevent what only the position must prevent here.
    await world.query(`
      DROP INDEX security_event_log_source;
      CREATE OR REPLACE FUNCTION seclog_advance(source uuid, own_epoch integer, key text, first_seq bigint, new_last_seq bigint)
      RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS ''`);
    const proxy = await PostgresProxy.start(world.server.port);
    try {
      // The first batch's commit: those before it open the source.
      let copied = false;
      let isCut = false;
      proxy.trap = (message) => {
        copied ||= message.from === "client" && message.data.includes("COPY");
        if (isCut || !copied || !isCommitted(message)) return undefined;
        isCut = true;
        return { how: "reset", pass: 0 };
      };
      const app = await world.startApp(
        { count: 500, wait: "stored" },
        { url: proxy.through(world.database.writerUrl) },
      );
      await app.done();
      await world.query(
        `UPDATE security_event_source s SET last_seq = (SELECT max(seq) FROM security_event_log WHERE source_id = s.id)`,
      );
      await app.close();
    } finally {
      await proxy.end();
    }
    await finish(world);
    ran();
  }
}

export const STATE_FAULTS = [
  {
    number: 24,
    name: "clock set by a day, back, and smeared",
    runs: { full: 3, short: 1 },
    run: jumpClocks,
  },
  {
    number: 27,
    name: "spools restored from a backup, and a stale database",
    runs: { full: 3, short: 1 },
    run: shipAgain,
  },
  {
    number: 31,
    name: "spools and databases of older and newer versions",
    runs: { full: 1, short: 1 },
    run: readOldSpools,
  },
  {
    number: "C2",
    name: "control: the position outside the transaction",
    control: ["twice"],
    runs: { full: 3, short: 1 },
    run: positionOutside,
  },
];
