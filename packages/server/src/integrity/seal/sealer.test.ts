import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { encodeEvent } from "seclog";
import {
  consistencyProof,
  formatPrivateKey,
  leafHash,
  nodeHash,
  openNote,
  parseCheckpoint,
  parsePrivateKey,
  verifyConsistency,
} from "seclog/merkle";
import { EVENT_SELECT, type EventRow, postgresHandler, rowToEvent } from "seclog/postgres";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { exampleBatch } from "../../../../seclog/src/testing/example-events.ts";
import { storedTiles } from "../stored-tree.ts";
import { type RunSealerOptions, runSealer } from "./run.ts";
import type { SealedStep, SealStep } from "./sealer.ts";
import { NoSealerState, SealerStateFile } from "./state.ts";

const KEY = formatPrivateKey("example.com/shop", Buffer.alloc(32, 7));
const OTHER_KEY = formatPrivateKey("example.com/shop", Buffer.alloc(32, 8));
const signer = parsePrivateKey(KEY);

let database: TestDatabase;
let folder: string;
let sources = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-sealer-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(() => database[Symbol.asyncDispose]());

const newSource = (): string => `01936d2f-5c00-7000-8000-${String(++sources).padStart(12, "0")}`;

async function store(sourceId: string, firstSeq: number, count: number): Promise<void> {
  const handler = postgresHandler({ url: database.writerUrl });
  try {
    await handler.handle(
      exampleBatch({ sourceId, firstSeq, count, acknowledged: firstSeq - 1 }),
      AbortSignal.timeout(30_000),
    );
  } finally {
    await handler.close();
  }
}

async function sealOnce(options: Partial<RunSealerOptions> = {}): Promise<SealedStep[]> {
  const steps: SealedStep[] = [];
  await runSealer({
    url: database.sealerUrl,
    signer,
    state: new NoSealerState(),
    intervalMs: 10,
    once: true,
    signal: AbortSignal.timeout(60_000),
    onSealed: (step) => void steps.push(step),
    ...options,
  });
  return steps;
}

/** Runs a statement past the triggers, like an attacker who owns the server. */
async function tamper(sql: string): Promise<void> {
  await database.query(`SET session_replication_role = replica; ${sql}; RESET session_replication_role`);
}

/** The entries of all sealed numbers, built independently of the sealer. */
async function entries(): Promise<string[]> {
  const rows = await database.query<EventRow & { leaf: string; hex: string; at: string; retention: string }>(
    `SELECT (first_leaf + log.seq - first_seq)::int AS leaf, encode(commitment, 'hex') AS hex, retention,
        to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, ${EVENT_SELECT.replaceAll(
          / (?=source_id\b|seq\b)/g,
          " ",
        )} FROM security_event_log AS log JOIN (SELECT first_leaf, source_id AS sealed_source, first_seq, last_seq FROM security_event_seal) AS seal
      ON sealed_source = source_id AND seq BETWEEN first_seq AND last_seq ORDER BY leaf`,
  );
  return rows.map(
    (row) =>
      `${encodeEvent(rowToEvent(row)).split("\n")[0]}\n${row.hex}\n{"created_at":"${row.at}","retention":"${row.retention}"}`,
  );
}

function naiveRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const [only] = leaves;
  if (leaves.length === 1 && only !== undefined) return only;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split)));
}

/** Checks that every checkpoint is signed and continues the one before. Returns their sizes. */
async function checkHistory(verifiers = [signer]): Promise<number[]> {
  const rows = await database.query<{ size: number; note: string }>(
    `SELECT size::int, origin || E'\\n' || size || E'\\n' || encode(root, 'base64') || E'\\n\\n' || string_agg(line, '') AS note
      FROM security_event_checkpoint JOIN security_event_signature USING (size) GROUP BY size ORDER BY size`,
  );
  const tiles = storedTiles({ query: async (text, values) => ({ rows: await database.query(text, values) }) });
  let before = parseCheckpoint(`x\n0\n${Buffer.from(leafHash("").slice(0)).toString("base64")}\n`);
  for (const { note } of rows) {
    const checkpoint = parseCheckpoint(openNote(note, verifiers).text);
    if (before.size > 0) {
      const proof = await consistencyProof(before.size, checkpoint.size, tiles);
      expect(verifyConsistency(before.size, before.root, checkpoint.size, checkpoint.root, proof)).toBe(true);
    }
    before = checkpoint;
  }
  return rows.map(({ size }) => size);
}

describe("runSealer()", () => {
  it("seals every number of every source, including the log's own, under the root of RFC 6962", async () => {
    const [one, two] = [newSource(), newSource()];
    await store(one, 1, 300);
    await store(two, 1, 5);
    const [first] = await sealOnce();
    await store(two, 6, 20);
    const [second, ...none] = await sealOnce({ mostLeaves: 1000 });
    expect(none).toEqual([]);
    // One is the log's own setup event.
    expect(first?.leaves).toBe(306);
    expect(second?.checkpoint.size).toBe(326);
    const texts = await entries();
    expect(texts).toHaveLength(326);
    expect(Buffer.from(second?.checkpoint.root ?? [])).toEqual(
      Buffer.from(naiveRoot(texts.map((text) => leafHash(text)))),
    );
    expect(await checkHistory()).toEqual([306, 326]);
    expect(await sealOnce()).toEqual([]);
  });

  it("seals in several steps what exceeds one", async () => {
    const source = newSource();
    await store(source, 1, 700);
    await store(newSource(), 1, 7);
    const steps = await sealOnce({ mostLeaves: 100 });
    expect(steps.map(({ leaves }) => leaves)).toEqual([100, 100, 100, 100, 100, 100, 100, 8]);
    expect(await checkHistory()).toHaveLength(8);
  });

  it("seals a record in quarantine by its commitment, and a hole as a hole", async () => {
    const source = newSource();
    await store(source, 1, 4);
    const key = exampleBatch({ sourceId: source, firstSeq: 1, count: 1, acknowledged: 0 }).source.key;
    await database.query("SELECT seclog_quarantine($1, 1, $2, 5, 'it was no event', '\\x00ff')", [source, key]);
    await tamper(`DELETE FROM security_event_log WHERE source_id = '${source}' AND seq = 2`);
    const [step] = await sealOnce();
    expect(step).toMatchObject({ leaves: 6, missing: 1 });
    const [quarantined] = await database.query<{ at: string; hex: string }>(
      `SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, encode(commitment, 'hex') AS hex
        FROM security_event_quarantine WHERE commitment = sha256(salt || 'it was no event'::bytea || '\\x00' || record)`,
    );
    const [{ leaf = 0 } = {}] = await database.query<{ leaf: number }>(
      `SELECT first_leaf::int AS leaf FROM security_event_seal WHERE source_id = '${source}'`,
    );
    const [{ hashes } = { hashes: Buffer.alloc(0) }] = await database.query<{ hashes: Buffer }>(
      "SELECT hashes FROM security_event_tile WHERE level = 0",
    );
    const at = (index: number): Buffer => hashes.subarray((leaf + index) * 32, (leaf + index + 1) * 32);
    expect(at(1)).toEqual(leafHash(`{"missing":true,"seq":2,"source_id":"${source}"}`));
    expect(at(4)).toEqual(
      leafHash(
        `{"created_at":"${quarantined?.at}","quarantined":true,"seq":5,"source_id":"${source}"}\n${quarantined?.hex}`,
      ),
    );
  });

  it("handles rows that no honest program writes", async () => {
    await database.query("ALTER TABLE security_event_log DROP CONSTRAINT security_event_log_values");
    const source = newSource();
    await store(source, 1, 3);
    const copy = (changes: string): Promise<unknown> =>
      database.query(
        `INSERT INTO security_event_log SELECT (jsonb_populate_record(log, '${changes}')).* FROM security_event_log AS log
          WHERE source_id = '${source}' AND seq = 1`,
      );
    await copy('{"seq": 2, "occurred_at": "infinity"}');
    await copy('{"seq": 2, "occurred_at": "0044-03-15 12:00:00+00 BC"}');
    await copy('{"seq": 9223372036854775807}');
    await copy('{"source_id": "00000000-0000-0000-0000-000000000000"}');
    await copy('{"seq": 3, "retention": "who knows"}');
    const [step] = await sealOnce();
    expect(step).toMatchObject({ leaves: 4, missing: 0 });
    await checkHistory();
  });

  it("gives each source its share, even beside one that runs far ahead", async () => {
    const honest = newSource();
    await store(honest, 1, 50);
    const writer = new pg.Client({ connectionString: database.writerUrl });
    await writer.connect();
    const greedy = newSource();
    await writer.query("SELECT seclog_open_source($1, 1, 'k')", [greedy]);
    for (const last of [1_000_000, 100_000, 1]) {
      await expect(writer.query("SELECT seclog_advance($1, 1, 'k', 1, $2)", [greedy, last])).rejects.toMatchObject({
        code: last > 100_000 ? "22023" : "SL005",
      });
    }
    await writer.end();
    await tamper(`UPDATE security_event_source SET last_seq = 100000 WHERE id = '${greedy}'`);
    const stop = new AbortController();
    await sealOnce({ mostLeaves: 200, signal: stop.signal, onSealed: () => stop.abort() });
    const sealed = await database.query<{ last: number }>(
      `SELECT max(last_seq)::int AS last FROM security_event_seal WHERE source_id = '${honest}'`,
    );
    expect(sealed).toEqual([{ last: 50 }]);
  });

  it("moves a position past numbers that thousands of rows claim, and never past one without an event", async () => {
    const source = newSource();
    const writer = new pg.Client({ connectionString: database.writerUrl });
    await writer.connect();
    await writer.query("SELECT seclog_open_source($1, 1, 'k')", [source]);
    const claim = async (numbers: string): Promise<void> => {
      await writer.query(
        `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment)
          SELECT gen_random_uuid(), now() + n * interval '1 us', 'x', 'info', 'x', 'unknown', 'x', $1, 1, ${numbers}, 1, '' FROM generate_series(1, 3000) AS n`,
        [source],
      );
    };
    // More rows than the sealer reads for 99 of the 100 numbers.
    await claim("1 + n % 99");
    const advance = async (): Promise<unknown> =>
      await writer.query("SELECT seclog_advance($1, 1, 'k', 1, 100)", [source]);
    await expect(advance()).rejects.toMatchObject({
      code: "SL005",
      message: expect.stringContaining("only 99 of them"),
    });
    await claim("100");
    await advance();
    await writer.end();
    expect(await database.query(`SELECT last_seq::int FROM security_event_source WHERE id = '${source}'`)).toEqual([
      { last_seq: 100 },
    ]);
  });

  it("reads one row of a number that thousands claim, even at the same time and under unknown classes", async () => {
    const honest = newSource();
    await store(honest, 1, 5);
    const crowded = newSource();
    await store(crowded, 1, 3);
    await database.query("ALTER TABLE security_event_log DROP CONSTRAINT security_event_log_values");
    for (const [column, value] of [
      ["occurred_at", "now() + n * interval '1 ms'"],
      ["retention", "'class ' || n"],
    ]) {
      await database.query(
        `INSERT INTO security_event_log SELECT (jsonb_populate_record(log, jsonb_build_object('${column}', ${value}))).*
          FROM security_event_log AS log, generate_series(1, 5000) AS n WHERE source_id = '${crowded}' AND seq = 2
            AND event_type = 'authz_fail' AND n <= CASE WHEN log.retention = 'standard' THEN 5000 ELSE 0 END
            AND log.occurred_at < now() - interval '1 hour'`,
      );
    }
    const [step] = await sealOnce();
    expect(step).toMatchObject({ leaves: 9, missing: 0, doubled: 1 });
    await checkHistory();
  });

  it("seals numbers without an event after all events, and returns without waiting for them", async () => {
    const honest = newSource();
    await store(honest, 1, 50);
    await tamper(
      `INSERT INTO security_event_source (id, epoch, key_hash, last_seq, login)
        SELECT gen_random_uuid(), 1, 'x', 1000000, 'hostile' FROM generate_series(1, 100)`,
    );
    const steps = await sealOnce({ mostLeaves: 1_000 });
    const sealed = await database.query<{ last: number }>(
      `SELECT max(last_seq)::int AS last FROM security_event_seal WHERE source_id = '${honest}'`,
    );
    expect(sealed).toEqual([{ last: 50 }]);
    expect(steps.at(-1)).toMatchObject({ more: false, empty: expect.any(Number) });
    expect(steps.length).toBeLessThan(5);
    await store(honest, 51, 20);
    const [next] = await sealOnce({ mostLeaves: 1_000 });
    expect((next?.leaves ?? 0) - (next?.missing ?? 0)).toBe(20);
    await checkHistory();
  });

  it("looks at every source before it returns, however many are at rest", async () => {
    const honest = newSource();
    await store(honest, 1, 3);
    await tamper(
      `INSERT INTO security_event_source (id, epoch, key_hash, login, updated_at)
        SELECT gen_random_uuid(), 1, 'x', login, now() - interval '2 hours' FROM generate_series(1, 60000),
          (SELECT login FROM security_event_source WHERE id = '${honest}') AS honest;
      UPDATE security_event_source SET updated_at = now() - interval '1 hour' WHERE id = '${honest}'`,
    );
    await sealOnce();
    const sealed = await database.query(
      `SELECT last_seq::int AS last FROM security_event_seal WHERE source_id = '${honest}'`,
    );
    expect(sealed).toEqual([{ last: 3 }]);
  });

  it("refuses a login that opens sources and stores nothing in them", async () => {
    const writer = new pg.Client({ connectionString: database.writerUrl });
    await writer.connect();
    const open = (count: number) =>
      writer.query(`SELECT seclog_open_source(gen_random_uuid(), 1, 'k') FROM generate_series(1, ${count})`);
    await tamper(
      `INSERT INTO security_event_source (id, epoch, key_hash, login)
        SELECT gen_random_uuid(), 1, 'x', '${new URL(database.writerUrl).username}' FROM generate_series(1, 9990)`,
    );
    await expect(open(11)).rejects.toMatchObject({ code: "SL006" });
    // An existing source is still taken over, and another login is not affected.
    await writer.query("SELECT seclog_open_source('01936d2f-5c00-7000-8000-0000000000fe', 1, 'k')");
    await open(9);
    await writer.query("SELECT seclog_open_source('01936d2f-5c00-7000-8000-0000000000fe', 2, 'k')");
    await expect(open(1)).rejects.toMatchObject({ code: "SL006" });
    await writer.end();
  });

  it("does not accept a writer's rows as the log's own events", async () => {
    await store(newSource(), 1, 1);
    const [{ own = "" } = {}] = await database.query<{ own: string }>(
      "SELECT own_source AS own FROM security_event_tree",
    );
    await database.query(
      `INSERT INTO security_event_log SELECT (jsonb_populate_record(log, '{"seq": 2, "source_id": "${own}",
        "occurred_at": "2001-01-01T00:00:00Z"}')).* FROM security_event_log AS log WHERE event_type = 'authz_fail'`,
    );
    await database.query("SELECT seclog_own_event('log_setup', '{}')");
    await sealOnce();
    const texts = await entries();
    const [{ hashes } = { hashes: Buffer.alloc(0) }] = await database.query<{ hashes: Buffer }>(
      "SELECT hashes FROM security_event_tile WHERE level = 0",
    );
    const found = texts.filter((text) => hashes.includes(Buffer.from(leafHash(text))));
    expect(found.map((text) => JSON.parse(text.split("\n")[0] ?? "").event_type).sort()).toEqual([
      "authz_fail",
      "log_setup",
      "log_setup",
    ]);
  });

  it("is not blocked by any lock of a writer, and hands over to another sealer at once when it ends", async () => {
    await store(newSource(), 1, 3);
    const writer = new pg.Client({ connectionString: database.writerUrl });
    await writer.connect();
    for (const key of [91556946923335, 91556946923336, 91556946923337, 91556946923338])
      await writer.query("SELECT pg_advisory_lock($1)", [key]);
    for (const sql of [
      "SELECT seclog_take_turn(gen_random_uuid(), 60)",
      "UPDATE security_event_sealer SET until = 'infinity'",
      "BEGIN; LOCK TABLE security_event_sealer",
      "BEGIN; LOCK TABLE security_event_tree IN ROW EXCLUSIVE MODE",
    ]) {
      await expect(writer.query(sql)).rejects.toMatchObject({ code: "42501" });
      await writer.query("ROLLBACK");
    }
    expect(await sealOnce()).toMatchObject([{ leaves: 4 }]);
    await store(newSource(), 1, 2);
    expect(await sealOnce()).toMatchObject([{ leaves: 2 }]);
    await writer.end();
  });

  it("cannot be stopped by a row too large to read: the database refuses it", async () => {
    await store(newSource(), 1, 1);
    for (const column of ["route", "path", "host"]) {
      await expect(
        database.query(
          `INSERT INTO security_event_log SELECT (jsonb_populate_record(log, jsonb_build_object('seq', 9, '${column}',
            repeat('x', 100000)))).* FROM security_event_log AS log WHERE event_type = 'authz_fail'`,
        ),
      ).rejects.toMatchObject({ code: "23514", constraint: expect.stringMatching(/^security_event_log_(raw_)?size$/) });
    }
  });

  it("cannot be stopped by a value that is small in the row and megabytes when read: the database refuses it", async () => {
    const writer = new pg.Client({ connectionString: database.writerUrl });
    await writer.connect();
    try {
      // Any role may comment on its own large object, and so obtain a text that the server keeps compressed.
      await writer.query("SELECT lo_create(777002)");
      await writer.query(
        `DO $$ BEGIN EXECUTE format('COMMENT ON LARGE OBJECT 777002 IS %L', repeat('a', 5000000)); END $$`,
      );
      for (const column of ["path", "user_agent", "actor_id", "request_id"]) {
        await expect(
          writer.query(
            `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment, ${column})
              SELECT gen_random_uuid(), now(), 'x', 'critical', 'authn', 'failure', 'security', gen_random_uuid(), 1, 1, 1, '\\x00', description
                FROM pg_description WHERE objoid = 777002`,
          ),
        ).rejects.toMatchObject({ code: "23514", constraint: "security_event_log_raw_size" });
      }
    } finally {
      await writer.query("SELECT lo_unlink(777002)");
      await writer.end();
    }
  });

  it("lets one of several sealers seal, however they race", async () => {
    const source = newSource();
    const stop = new AbortController();
    let sealed = 0;
    const sealers = [1, 2, 3].map(() =>
      runSealer({
        url: database.sealerUrl,
        signer,
        state: new NoSealerState(),
        intervalMs: 5,
        signal: stop.signal,
        onSealed: (step) => {
          sealed += step.leaves;
        },
      }),
    );
    for (let batch = 0; batch < 10; batch++) await store(source, 1 + batch * 30, 30);
    await expect.poll(() => sealed, { timeout: 30_000 }).toBe(301);
    stop.abort();
    await Promise.all(sealers);
    expect((await checkHistory()).at(-1)).toBe(301);
  });

  it("of two sealers that both believe to have the turn, keeps the one whose tree is current", async () => {
    const source = newSource();
    await store(source, 1, 10);
    let raced = false;
    // Just after the first has signed, another one commits without the lock.
    const steps = await sealOnce({
      onStep: (step) => {
        if (step === "signed" && !raced) raced = true;
      },
    });
    expect(raced).toBe(true);
    const [{ size = 0, root } = {}] = await database.query<{ size: number; root: Buffer }>(
      "SELECT size::int, root FROM security_event_tree",
    );
    expect(size).toBe(steps.at(-1)?.checkpoint.size);
    await expect(
      database.query(
        "SELECT seclog_seal(0, sha256(''), 12, $1, 'example.com/shop', 1, 'v', 'l', '{}', '{}', '{}', '{}', '{}', '{}')",
        [root],
      ),
    ).rejects.toMatchObject({ code: "SL010" });
  });

  it.each([
    ["a hole", "ARRAY[3]", "ARRAY[4]", "SL012"],
    ["numbers that are sealed", "ARRAY[2]", "ARRAY[3]", "SL012"],
    ["numbers beyond the source's position", "ARRAY[3]", "ARRAY[99]", "SL012"],
  ])("the database refuses %s", async (_what, firsts, lasts, code) => {
    const source = newSource();
    await store(source, 1, 10);
    await sealOnce({ mostLeaves: 3 }).catch(() => {});
    const [tree] = await database.query<{ size: number; root: Buffer }>(
      "SELECT size::int, root FROM security_event_tree",
    );
    const more = newSource();
    await store(more, 1, 5);
    await expect(
      database.query(
        `SELECT seclog_seal($1::bigint, $2, $1::bigint + 1 + (${lasts})[1] - (${firsts})[1], sha256('x'), 'example.com/shop', $3, 'v', 'l',
          ARRAY[$4::uuid], ${firsts}, ${lasts}, '{}', '{}', '{}')`,
        [tree?.size, tree?.root, signer.keyId, more],
      ),
    ).rejects.toMatchObject({ code });
  });

  it("does not continue with another key, another log, a changed tile or an unsigned tree", async () => {
    await store(newSource(), 1, 300);
    await sealOnce();
    await store(newSource(), 1, 1);
    await expect(sealOnce({ signer: parsePrivateKey(OTHER_KEY) })).rejects.toMatchObject({ code: "SECLOG_KEY" });
    const elsewhere = parsePrivateKey(formatPrivateKey("example.com/other", Buffer.alloc(32, 7)));
    await expect(sealOnce({ signer: elsewhere })).rejects.toMatchObject({ code: "SECLOG_KEY" });
    const [tile] = await database.query<{ hashes: Buffer }>(
      "SELECT hashes FROM security_event_tile WHERE level = 0 AND tile = 1",
    );
    await tamper("UPDATE security_event_tile SET hashes = set_byte(hashes, 40, 1) WHERE level = 0 AND tile = 1");
    await expect(sealOnce()).rejects.toMatchObject({ code: "SECLOG_TREE" });
    await tamper(
      `UPDATE security_event_tile SET hashes = '\\x${tile?.hashes.toString("hex")}' WHERE level = 0 AND tile = 1`,
    );
    await tamper("DELETE FROM security_event_checkpoint WHERE size = 301");
    await expect(sealOnce()).rejects.toMatchObject({ code: "SECLOG_TREE" });
  });

  it("does not continue a database that was rolled back, or one with rewritten history", async () => {
    const file = join(folder, `memory-${sources}`);
    await store(newSource(), 1, 100);
    await sealOnce({ state: new SealerStateFile(file) });
    const early = readFileSync(file, "utf8");
    await store(newSource(), 1, 100);
    await sealOnce({ state: new SealerStateFile(file) });
    expect(parseCheckpoint(openNote(readFileSync(file, "utf8"), [signer]).text).size).toBe(201);

    const seals = (
      await database.query<{ size: number }>("SELECT max(first_leaf)::int AS size FROM security_event_seal")
    )[0];
    expect(seals?.size).toBe(101);
    // Back to the state of the first checkpoint, like a restored backup.
    const { root } = parseCheckpoint(openNote(early, [signer]).text);
    await tamper(
      `DELETE FROM security_event_seal WHERE first_leaf >= 101; DELETE FROM security_event_checkpoint WHERE size > 101;
       DELETE FROM security_event_signature WHERE size > 101;
       UPDATE security_event_tile SET hashes = substring(hashes FROM 1 FOR 101 * 32);
       UPDATE security_event_tree SET size = 101, root = '\\x${Buffer.from(root).toString("hex")}'`,
    );
    await expect(sealOnce({ state: new SealerStateFile(file) })).rejects.toMatchObject({ code: "SECLOG_ROLLBACK" });
    // Without that state the sealer signs another history: sealed events can be changed.
    await tamper("UPDATE security_event_log SET method = 'PUT' WHERE seq = 7");
    await sealOnce({ mostLeaves: 1000 });
    await expect(sealOnce({ state: new SealerStateFile(file) })).rejects.toMatchObject({
      code: "SECLOG_ROLLBACK",
      message: expect.stringContaining("rewritten"),
    });
  });

  it("seals nothing more while it cannot write its state", async () => {
    await store(newSource(), 1, 10);
    const state = new SealerStateFile(join(folder, "no-such-folder", "memory"));
    await expect(sealOnce({ state, mostLeaves: 3 })).rejects.toThrow("cannot be written");
    expect(await checkHistory()).toEqual([3]);
  });

  it("takes over within seconds when the sealer is killed or suspended", async () => {
    const source = newSource();
    await store(source, 1, 10);
    const first = startSealer({});
    await sealedUpTo(11);
    const second = startSealer({});
    await expect.poll(async () => (await sealerSessions()).length).toBe(2);
    const killed = performance.now();
    first.kill("SIGKILL");
    await store(source, 11, 10);
    await sealedUpTo(21);
    expect(performance.now() - killed).toBeLessThan(15_000);
    const third = startSealer({});
    second.kill("SIGSTOP");
    await store(source, 21, 10);
    await sealedUpTo(31);
    second.kill("SIGCONT");
    second.kill("SIGKILL");
    third.kill("SIGKILL");
    await checkHistory();
  });

  it.each<SealStep>(["begun", "checked", "read", "signed", "written", "committed", "remembered"])(
    "killed after it has %s, is continued without a fork",
    async (step) => {
      const source = newSource();
      const memory = join(folder, `killed-${step}`);
      for (let round = 0; round < 2; round++) {
        await store(source, 1 + round * 50, 50);
        const child = startSealer({ dieAt: step, memory, round });
        await once(child, "exit");
        expect(child.signalCode).toBe("SIGKILL");
        // The next one waits for the dead one's turn to expire; after a kill at the first step, it has to.
        const until = step === "begun" ? "clock_timestamp() + interval '500 ms'" : "'-infinity'";
        await database.query(`UPDATE security_event_sealer SET until = ${until}`);
      }
      await sealOnce({ state: new SealerStateFile(memory) });
      expect((await checkHistory()).at(-1)).toBe(101);
      expect(parseCheckpoint(openNote(readFileSync(memory, "utf8"), [signer]).text).size).toBe(101);
    },
  );

  async function sealerSessions(): Promise<readonly unknown[]> {
    return await database.query(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'seclog seal'",
    );
  }

  async function sealedUpTo(size: number): Promise<void> {
    await expect
      .poll(
        async () => (await database.query<{ size: number }>("SELECT size::int FROM security_event_tree"))[0]?.size,
        {
          timeout: 60_000,
          interval: 50,
        },
      )
      .toBe(size);
  }

  /** A sealer in its own process, which kills itself at a step of the given round. */
  function startSealer(options: { dieAt?: SealStep; memory?: string; round?: number }): ChildProcess {
    const script = join(folder, "sealer.mjs");
    const dist = (name: string): string =>
      JSON.stringify(fileURLToPath(new URL(`../../../dist/integrity/seal/${name}`, import.meta.url)));
    writeFileSync(
      script,
      `import { parsePrivateKey } from ${JSON.stringify(fileURLToPath(new URL("../../../../seclog/dist/merkle/index.js", import.meta.url)))};
       import { NoSealerState, SealerStateFile } from ${dist("state.js")};
       import { runSealer } from ${dist("run.js")};
       const { url, key, dieAt, memory, round } = JSON.parse(process.env.SEALER);
       let rounds = round ?? 0;
       await runSealer({
         url, signer: parsePrivateKey(key), state: memory ? new SealerStateFile(memory) : new NoSealerState(), intervalMs: 20,
         // The second step of a round has nothing to seal, unless there is more.
         signal: AbortSignal.timeout(60000), onSealed() {},
         onStep(step) { if (step === dieAt && rounds-- <= 0) process.kill(process.pid, "SIGKILL"); },
         ...(round === undefined ? {} : { mostLeaves: 20 }),
       });`,
    );
    return spawn(process.execPath, [script], {
      env: { ...process.env, SEALER: JSON.stringify({ url: database.sealerUrl, key: KEY, ...options }) },
      stdio: ["ignore", "inherit", "inherit"],
    });
  }
});
