/** A log of several windows, with what windows share and tiles up to level 2. `npm run test:long` adds a window. */
import pg from "pg";
import copyStreams from "pg-copy-streams";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isLong } from "#test/support/long.ts";
import { newKey, seal, sealerClient, storedNote } from "#test/support/naive-sealer.ts";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { SNAPSHOT_SQL } from "#test/support/snapshot.ts";
import { databaseLog } from "./database-log.ts";
import { openCheckpoint, readVkey } from "./note.ts";
import { edgeTiles, upperTiles, WINDOW_LEAVES } from "./tile-names.ts";
import { type VerifyLogOptions, verifyLog } from "./verify-log.ts";
import type { VerifyReport } from "./verify-report.ts";

const A = "01936d2f-5c00-7000-8000-00000000000a";
const B = "01936d2f-5c00-7000-8000-00000000000b";
const key = newKey();
const keys = [readVkey(key.vkey)];

let database: TestDatabase;
let admin: pg.Client;
let sealer: pg.Client;
const notes: string[] = [];

/** Events of A in each of three seals; B has half as many. A window ends within one of those seals. */
const PIECE = isLong ? 30_000 : 17_000;
/** All leaves, including the event that setup records. */
const SIZE = 1 + 3 * (PIECE + PIECE / 2);
const WINDOWS = Math.ceil(SIZE / WINDOW_LEAVES);

/** Adds events to a source, as a writer would. */
async function grow(source: string, first: number, last: number): Promise<void> {
  await admin.query(
    `INSERT INTO security_event_source (id, epoch, key_hash) VALUES ($1, 1, '') ON CONFLICT DO NOTHING`,
    [source],
  );
  await admin.query(
    `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, path, logger, source_id, epoch,
        seq, v, salt, commitment)
      SELECT gen_random_uuid(), '2026-11-22T19:43:00Z'::timestamptz + n * interval '1 ms', 'authz_fail', 'critical', 'authz',
        'failure', '/' || n, 'security', $1::uuid, 1, n, 1, salt, sha256(salt || convert_to('{"path":"/' || n || '"}', 'UTF8'))
      FROM generate_series($2::bigint, $3::bigint) AS n, LATERAL (SELECT uuid_send(gen_random_uuid()) AS salt OFFSET 0 * n) AS s`,
    [source, first, last],
  );
  await admin.query("UPDATE security_event_source SET last_seq = $2 WHERE id = $1", [source, last]);
}

beforeAll(async () => {
  database = await createTestDatabase();
  admin = new pg.Client({ connectionString: database.adminUrl });
  await admin.connect();
  sealer = await sealerClient(database.sealerUrl);
  for (const last of [PIECE, 2 * PIECE, 3 * PIECE]) {
    await grow(A, last - PIECE + 1, last);
    await grow(B, (last - PIECE) / 2 + 1, last / 2);
    await seal(sealer, key);
    notes.push(await storedNote(admin));
  }
});

afterAll(async () => {
  await sealer?.end();
  await admin?.end();
  await database?.[Symbol.asyncDispose]();
});

async function verifyAfter(change: string, options: Partial<VerifyLogOptions> = {}): Promise<VerifyReport> {
  await admin.query("BEGIN");
  try {
    await admin.query(`SET LOCAL session_replication_role = replica; ${change}`);
    await admin.query(`SET LOCAL ROLE ${new URL(database.readerUrl).username}; ${SNAPSHOT_SQL}`);
    return await verifyLog(
      databaseLog((sql) => admin.query(copyStreams.to(sql))),
      { keys, ...options },
    );
  } finally {
    await admin.query("ROLLBACK");
  }
}

const sentences = (report: VerifyReport): string[] => report.findings.map(({ sentence }) => sentence);

describe(`a log of ${WINDOWS} windows`, () => {
  it("is intact, from its beginning and from every checkpoint", async () => {
    const whole = await verifyAfter("");
    expect(sentences(whole)).toEqual([]);
    expect(whole).toMatchObject({ intact: true, size: SIZE, events: SIZE, checkpoints: 3 });
    expect(WINDOWS).toBeGreaterThan(1);
    let after = SIZE;
    for (const note of notes) {
      const from = openCheckpoint(note, keys);
      const report = await verifyAfter("", { from });
      expect(sentences(report)).toEqual([]);
      expect(report.events).toBe(SIZE - from.size);
      expect(report.events).toBeLessThan(after);
      after = report.events;
    }
  });

  it("reports one finding for events removed on both sides of a window's end", async () => {
    // B's first numbers of the second seal are on both sides of leaf 65,536.
    const [row] = await database.query<{ seq: string }>(
      "SELECT first_seq + 65536 - first_leaf AS seq FROM security_event_seal WHERE first_leaf <= 65536 ORDER BY first_leaf DESC LIMIT 1",
    );
    const middle = Number(row?.seq);
    const report = await verifyAfter(
      `DELETE FROM security_event_log WHERE source_id = '${A}' AND seq BETWEEN ${middle - 10} AND ${middle + 10}`,
    );
    expect(sentences(report)).toEqual([
      expect.stringContaining(
        `the 21 events with numbers ${middle - 10} to ${middle + 10} of source …00000000000a were removed`,
      ),
    ]);
  });

  it("finds a changed row, and a changed hash on each level", async () => {
    const last = await verifyAfter(
      `UPDATE security_event_log SET path = 'x' WHERE source_id = '${A}' AND seq = ${3 * PIECE - 1}`,
    );
    expect(sentences(last)).toEqual([expect.stringContaining(`number ${3 * PIECE - 1}`)]);
    for (const [level, tiles] of [
      [1, WINDOWS],
      [2, 1],
    ] as const) {
      const report = await verifyAfter(
        `UPDATE security_event_tile SET hashes = overlay(hashes PLACING '\\x00112233' FROM 3) WHERE level = ${level}`,
      );
      expect(sentences(report)).toEqual(
        Array.from({ length: tiles }, (_, tile) =>
          expect.stringContaining(`tile/${level}/00${tile} and tile/${level - 1}/`),
        ),
      );
    }
    const leaf = await verifyAfter(
      "UPDATE security_event_tile SET hashes = overlay(hashes PLACING '\\x00112233' FROM 3) WHERE level = 0 AND tile = 280",
    );
    expect(sentences(leaf).join("\n")).toMatch(
      /the stored tree was changed, not the events: the hash of number \d+ .* in tile\/0\/280/,
    );
    expect(leaf.events).toBe(SIZE);
  });

  it("continues from a checkpoint only if the tiles still produce its root", async () => {
    const report = await verifyAfter(
      "UPDATE security_event_tile SET hashes = overlay(hashes PLACING '\\x00112233' FROM 3) WHERE level = 1 AND tile = 0",
      { from: openCheckpoint(notes[0] ?? "", keys) },
    );
    expect(sentences(report)).toContainEqual(
      expect.stringContaining(`history before leaf ${1 + PIECE * 1.5} was rewritten`),
    );
  });

  it("keeps only the first findings when every row was changed", async () => {
    const report = await verifyAfter("UPDATE security_event_log SET path = 'x'");
    expect(report.intact).toBe(false);
    expect(report.findings_total).toBeGreaterThan(SIZE - 2);
    expect(report.findings.length).toBeLessThanOrEqual(10_000);
  });
});

describe("a log of many sources", () => {
  it("looks up each source only once", { timeout: 60_000 }, async () => {
    const before = performance.now();
    const report = await verifyAfter(
      `INSERT INTO security_event_source (id, epoch, key_hash, last_seq)
        SELECT ('01936d2f-5c00-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 1, '', 1 FROM generate_series(1, 12000) AS n;
      INSERT INTO security_event_seal (first_leaf, source_id, first_seq, last_seq)
        SELECT size + row_number() OVER (ORDER BY id) - 1, id, 1, 1 FROM security_event_source, security_event_tree
        WHERE id::text LIKE '01936d2f-5c00-7000-9000-%';
      INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment)
        SELECT gen_random_uuid(), '2026-11-22Z', 'authz_fail', 'critical', 'authz', 'failure', 'security', id, 1, 1, 1, ''
        FROM security_event_source WHERE id::text LIKE '01936d2f-5c00-7000-9000-%';
      UPDATE security_event_tree SET size = size + 12000`,
    );
    expect(report).toMatchObject({ size: SIZE + 12_000, unsealed: 0 });
    expect(performance.now() - before).toBeLessThan(20_000);
  });
});

describe("upperTiles()", () => {
  it("returns every tile above level 0 once over all windows of a tree", () => {
    for (const size of [1, 255, 256, 257, 65_535, 65_536, 65_537, 131_072, 140_000, 256 * 65_536, 256 * 65_536 + 300]) {
      const seen = new Map<string, number>();
      for (let window = 0; window * WINDOW_LEAVES < size; window++) {
        for (const { level, tile } of upperTiles(window, size)) {
          seen.set(`${level}/${tile}`, (seen.get(`${level}/${tile}`) ?? 0) + 1);
        }
      }
      const wanted = new Map<string, number>();
      for (let level = 1; size >= 256 ** level; level++) {
        const tiles = Math.ceil(Math.floor(size / 256 ** level) / 256);
        for (let tile = 0; tile < tiles; tile++) wanted.set(`${level}/${tile}`, 1);
      }
      expect(seen).toEqual(wanted);
    }
  });
});

describe("edgeTiles()", () => {
  it("returns the last tiles that are not full", () => {
    expect(edgeTiles(70_000)).toEqual([
      { level: 0, tile: 273 },
      { level: 1, tile: 1 },
      { level: 2, tile: 0 },
    ]);
    expect(edgeTiles(65_536)).toEqual([{ level: 2, tile: 0 }]);
    expect(edgeTiles(0)).toEqual([]);
  });
});
