import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import copyStreams from "pg-copy-streams";
import { postgresHandler } from "seclog/postgres";
import { exampleBatch } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newKey, ORIGIN, rotate, seal, sealerClient, signatureLine, storedNote } from "#test/support/naive-sealer.ts";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { SNAPSHOT_SQL } from "#test/support/snapshot.ts";
import { databaseLog } from "./database-log.ts";
import { EVENT_COLUMNS } from "./event-columns.ts";
import { exportingLog, folderLog } from "./export-folder.ts";
import { InputError, openCheckpoint, readVkey } from "./note.ts";
import type { RawLog } from "./raw-log.ts";
import { type VerifyLogOptions, verifyLog } from "./verify-log.ts";
import type { VerifyReport } from "./verify-report.ts";

const A = "01936d2f-5c00-7000-8000-00000000000a";
const B = "01936d2f-5c00-7000-8000-00000000000b";
const C = "01936d2f-5c00-7000-8000-00000000000c";

const oldKey = newKey();
const key = newKey();
const strangerKey = newKey();
const keys = [readVkey(oldKey.vkey), readVkey(key.vkey)];

let database: TestDatabase;
let admin: pg.Client;
let sealer: pg.Client;
/** Notes that were kept elsewhere: after the first seal, at the rotation, after the last seal. */
const kept: { first: string; rotation: string; last: string } = { first: "", rotation: "", last: "" };

beforeAll(async () => {
  database = await createTestDatabase();
  admin = new pg.Client({ connectionString: database.adminUrl });
  await admin.connect();
  await admin.query("SET timezone = 'UTC'");
  // A month that is dropped below, whenever this runs.
  const { rows } = await admin.query("SELECT to_regclass('security_event_log_standard_2026_10') IS NULL AS missing");
  if (rows[0].missing) await admin.query("SELECT seclog_add_partition('standard', '2026-10-01Z')");
  sealer = await sealerClient(database.sealerUrl);
  const handler = postgresHandler({ url: database.writerUrl });
  const write = (options: Parameters<typeof exampleBatch>[0]) =>
    handler.handle(exampleBatch(options), AbortSignal.timeout(20_000));
  await write({ sourceId: A, firstSeq: 1, count: 300 });
  await write({ sourceId: A, firstSeq: 301, count: 10, event: { actorId: "mallory" } });
  await write({ sourceId: B, count: 30, event: { notes: { flags: ["x"] }, service: "other" } as never });
  await write({ sourceId: C, count: 20, event: { occurredAt: "2026-10-05T06:07:08.000000Z" } });
  await seal(sealer, oldKey, 250);
  kept.first = await storedNote(admin);
  await write({ sourceId: A, firstSeq: 311, count: 290 });
  await admin.query("SELECT seclog_quarantine($1, 1, $2, 31, 'it is no JSON', '\\x22626164220a')", [
    B,
    B.replaceAll("-", ""),
  ]);
  await write({ sourceId: B, firstSeq: 32, count: 9 });
  await seal(sealer, oldKey, 250);
  await rotate(sealer, key);
  kept.rotation = await storedNote(admin);
  await seal(sealer, key, 250);
  await admin.query("SELECT seclog_erase('mallory', NULL, NULL, NULL, NULL, NULL, 'asked to', false)");
  await admin.query("SELECT seclog_prune('standard', '2026-10-01Z', 'thirty days')");
  await seal(sealer, key);
  await write({ sourceId: B, firstSeq: 41, count: 2 });
  await seal(sealer, key);
  kept.last = await storedNote(admin);
  await write({ sourceId: B, firstSeq: 43, count: 2 });
  await handler.close();
});

afterAll(async () => {
  await sealer?.end();
  await admin?.end();
  await database?.[Symbol.asyncDispose]();
});

const read = (): RawLog => databaseLog((sql) => admin.query(copyStreams.to(sql)));

/** Makes `change` as superuser, past the triggers, verifies as the reader in the same transaction, and rolls back. */
async function verifyAfter(
  change: string | (() => Promise<void>),
  options: Partial<VerifyLogOptions> = {},
  log: (log: RawLog) => RawLog = (same) => same,
): Promise<VerifyReport> {
  await admin.query("BEGIN");
  try {
    await admin.query("SET LOCAL session_replication_role = replica");
    if (typeof change === "string") await admin.query(change);
    else await change();
    await admin.query(`SET LOCAL ROLE ${new URL(database.readerUrl).username}; ${SNAPSHOT_SQL}`);
    return await verifyLog(log(read()), { keys, ...options });
  } finally {
    await admin.query("ROLLBACK");
  }
}

const elsewhere = (...notes: string[]) =>
  notes.map((note) => ({ checkpoint: openCheckpoint(note, keys), file: "kept.txt" }));

describe("verifyLog()", () => {
  it("finds nothing wrong in an intact log", async () => {
    const report = await verifyAfter("", { elsewhere: elsewhere(kept.first, kept.rotation, kept.last) });
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({
      intact: true,
      origin: ORIGIN,
      size: 665,
      events: 600 - 10 + 41 + 3,
      sources: 4,
      quarantined: 1,
      erased: 10,
      erasures: 1,
      pruned: 20,
      prunings: 1,
      unsealed: 2,
      checkpoints: 5,
      checkpoints_elsewhere: 3,
      notes: [],
      newest_note: expect.stringContaining(`${ORIGIN}\n665\n`),
    });
    expect(report.keys.map(({ first_size, last_size }) => [first_size, last_size])).toEqual([
      [301, expect.any(Number)],
      [expect.any(Number), 665],
    ]);
  });

  it("continues from an earlier verification, and finds the same end", async () => {
    for (const note of [kept.first, kept.rotation, kept.last]) {
      const from = openCheckpoint(note, keys);
      const report = await verifyAfter("", { from });
      expect(report.findings).toEqual([]);
      expect(report).toMatchObject({ intact: true, from: from.size, size: 665, unsealed: 2 });
      expect(openCheckpoint(report.newest_note ?? "", keys).size).toBe(665);
    }
    const from = openCheckpoint(kept.rotation, keys);
    const late = await verifyAfter(`UPDATE security_event_log SET path = 'x' WHERE source_id = '${A}' AND seq = 599`, {
      from,
    });
    expect(late.findings[0]?.sentence).toContain("number 599");
    const early = await verifyAfter(
      "UPDATE security_event_tile SET hashes = overlay(hashes PLACING '\\x00' FROM 7000) WHERE level = 0 AND tile = 1",
      { from: openCheckpoint(kept.first, keys) },
    );
    expect(early.intact).toBe(false);
  });

  it("accepts an erasure on record, also in quarantine and before its event is sealed", async () => {
    const report = await verifyAfter("SELECT seclog_erase('bad', NULL, NULL, NULL, NULL, NULL, 'asked to', false)");
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({ intact: true, erased: 11, erasures: 2, quarantined: 0, unsealed: 3 });
    expect(report.notes).toEqual([
      "Removal 4 (1 row) is recorded by an event that is not sealed yet: verify again when it is.",
    ]);
  });

  it("reports what was removed, when, by whom and why", async () => {
    const { removals } = await verifyAfter(
      "SELECT seclog_erase('bad', NULL, NULL, NULL, NULL, NULL, 'asked again', false)",
    );
    const by = { recorded_at: expect.stringMatching(/^20\d\d-.*Z$/), actor_id: new URL(database.adminUrl).username };
    const erased = { ...by, kind: "erased", sources: 1, partitions: [] };
    expect(removals).toEqual([
      { ...erased, number: 2, rows: 10, reason: "asked to", sealed: true },
      {
        ...by,
        number: 3,
        kind: "pruned",
        rows: 20,
        sources: 1,
        reason: "thirty days",
        partitions: ["security_event_log_standard_2026_10"],
        sealed: true,
      },
      { ...erased, number: 4, rows: 1, reason: "asked again", sealed: false },
    ]);
  });

  it("accepts late events of a month that was dropped", async () => {
    const report = await verifyAfter(
      `UPDATE security_event_log SET occurred_at = '2026-10-07Z', created_at = now() WHERE source_id = '${B}' AND seq = 44`,
    );
    expect(report.findings).toEqual([]);
  });

  it("notes that an event erased on record is there again", async () => {
    const report = await verifyAfter(
      `INSERT INTO security_event_removed VALUES (4, 'erased', '${A}', '{[17,18)}');
       SELECT seclog_own_event('log_erased', format('{"reason":"","rows":1,"sha256":"%s"}', seclog_removal_digest(4)))`,
    );
    expect(report.findings).toEqual([]);
    expect(report.notes[0]).toContain("Removal 4");
    expect(report.notes[1]).toContain("1 event on record as erased or pruned is there again");
  });

  it("trusts no checkpoint that none of its keys has signed, even one that was opened before", async () => {
    const stranger = { ...elsewhere(kept.last)[0]!.checkpoint, signers: [] };
    await expect(verifyAfter("", { from: stranger })).rejects.toThrow(InputError);
    await expect(verifyAfter("", { elsewhere: [{ checkpoint: stranger, file: "kept.txt" }] })).rejects.toThrow(
      "the checkpoint kept in kept.txt cannot be trusted: none of the keys named has signed it",
    );
    const other = { ...elsewhere(kept.last)[0]!.checkpoint, origin: "other.example" };
    await expect(verifyAfter("", { from: other })).rejects.toThrow("belongs to the log other.example");
  });

  it("compares more checkpoints than a call can have arguments", async () => {
    const [checkpoint] = elsewhere(kept.last);
    const many = Array.from({ length: 200_000 }, () => checkpoint as NonNullable<typeof checkpoint>);
    expect(await verifyAfter("", { elsewhere: many })).toMatchObject({ intact: true, checkpoints_elsewhere: 200_000 });
  });

  it("verifies an export like the database that it was written from", async () => {
    const folder = mkdtempSync(join(tmpdir(), "seclog-export-"));
    try {
      const whole = await verifyAfter("", {}, (log) => exportingLog(log, join(folder, "a"), 0));
      expect(await verifyLog(folderLog(join(folder, "a"), 0), { keys })).toEqual(whole);
      const change = `UPDATE security_event_log SET path = '/other' WHERE source_id = '${A}' AND seq = 17`;
      const changed = await verifyAfter(change, {}, (log) => exportingLog(log, join(folder, "b"), 0));
      const offline = await verifyLog(folderLog(join(folder, "b"), 0), { keys });
      expect(offline).toEqual(changed);
      expect(offline.findings).toHaveLength(1);
      expect(() => exportingLog(read(), join(folder, "a"), 0)).toThrow("not empty");
      expect(() => folderLog(folder, 0)).toThrow("is not an export");
      expect(() => folderLog(join(folder, "a"), 5)).toThrow("begins with leaf 0");
      const manifest = join(folder, "a", "seclog-export.json");
      for (const broken of ['{"format":1,', "", "null", "7"]) {
        writeFileSync(manifest, broken);
        expect(() => folderLog(join(folder, "a"), 0)).toThrow(`${manifest} is not what seclog verify --write-export`);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** Another value that each column can hold. */
const OTHER: { readonly [column: string]: string } = {
  id: "'01936d2f-5c00-7000-8000-0000000000ff'",
  occurred_at: "occurred_at + interval '1 microsecond'",
  level: "'debug'",
  outcome: "'success'",
  status_code: "404",
  ip_address: "'203.0.113.10'",
  data: `'{"resource":"orders", "seq":17}'`,
  notes: "'{}'",
  count: "2",
  started_at: "now()",
  ended_at: "now()",
  source_id: `'${C}'`,
  epoch: "2",
  seq: "43",
  v: "2",
  salt: "'\\x000102030405060708090a0b0c0d0e0f'",
  commitment: "sha256('x')",
  created_at: "created_at - interval '1 day'",
  retention: "'long'",
};

const at = (column: string, seq = 17, source = A): string =>
  `UPDATE security_event_log SET ${column} = ${OTHER[column] ?? "'other'"} WHERE source_id = '${source}' AND seq = ${seq}`;

/** Rebuilds the tree over the changed rows, as an attacker who can write every table would. */
async function rewriteTree(signer?: typeof key): Promise<void> {
  await admin.query("RESET ROLE");
  const ranges = await admin.query<{ source_id: string; first_seq: string; last_seq: string }>(
    "SELECT source_id, first_seq, last_seq FROM security_event_seal ORDER BY first_leaf",
  );
  const { entriesOf } = await import("#test/support/naive-sealer.ts");
  const { leafHash, TreeAppender, formatCheckpoint } = await import("seclog/merkle");
  const appender = new TreeAppender();
  const { rows: checkpoints } = await admin.query<{ size: string }>("SELECT size FROM security_event_checkpoint");
  const sizes = new Set(checkpoints.map(({ size }) => Number(size)));
  const stored = await admin.query<{ hashes: Buffer }>(
    "SELECT hashes FROM security_event_tile WHERE level = 0 ORDER BY tile",
  );
  const before = Buffer.concat(stored.rows.map(({ hashes }) => hashes));
  for (const { source_id, first_seq, last_seq } of ranges.rows) {
    for (const entry of await entriesOf(admin, source_id, Number(first_seq), Number(last_seq))) {
      const isGone = entry.startsWith('{"missing"');
      const old = before.subarray(appender.size * 32, (appender.size + 1) * 32);
      appender.append(isGone ? old : leafHash(entry));
      if (!sizes.has(appender.size)) continue;
      const root = Buffer.from(appender.root());
      await admin.query("UPDATE security_event_checkpoint SET root = $2 WHERE size = $1", [appender.size, root]);
      if (signer === undefined) continue;
      const text = formatCheckpoint({ origin: ORIGIN, size: appender.size, root });
      await admin.query("DELETE FROM security_event_signature WHERE size = $1", [appender.size]);
      await admin.query("INSERT INTO security_event_signature (size, name, key_id, line) VALUES ($1, $2, $3, $4)", [
        appender.size,
        ORIGIN,
        signer.keyId,
        signatureLine(text, signer),
      ]);
    }
  }
  for (const tile of appender.take()) {
    await admin.query("UPDATE security_event_tile SET hashes = $3 WHERE level = $1 AND tile = $2", [
      tile.level,
      tile.index,
      Buffer.from(tile.hashes),
    ]);
  }
  await admin.query("UPDATE security_event_tree SET root = $1", [Buffer.from(appender.root())]);
}

/** Restores the log byte for byte to what it was before the last seal. */
const ROLL_BACK = `
  DELETE FROM security_event_log WHERE source_id = '${B}' AND seq > 40;
  UPDATE security_event_source SET last_seq = 40 WHERE id = '${B}';
  DELETE FROM security_event_seal WHERE first_leaf >= 663;
  DELETE FROM security_event_checkpoint WHERE size > 663; DELETE FROM security_event_signature WHERE size > 663;
  UPDATE security_event_tile SET hashes = substring(hashes FROM 1 FOR 151 * 32) WHERE level = 0 AND tile = 2;
  UPDATE security_event_tree SET size = 663, root = (SELECT root FROM security_event_checkpoint WHERE size = 663)`;

interface Attack {
  readonly title: string;
  readonly change: string | (() => Promise<void>);
  /** Matches a finding; absent where nothing can be found. */
  readonly finds?: RegExp;
  readonly count?: number;
  readonly options?: () => Partial<VerifyLogOptions>;
}

/** A copy of another row that claims to be the own source's. */
function asOwn(retention: string, seq: number, type: string, data = "log.data"): string {
  return `SELECT (r).* FROM (SELECT jsonb_populate_record(log, jsonb_build_object('source_id', own_source, 'seq', ${seq},
    'retention', ${retention}, 'event_type', '${type}', 'data', ${data})) AS r
    FROM security_event_log log, security_event_tree WHERE source_id = '${A}' AND seq = 18) AS x`;
}

/** Deletes one event, and records the deletion as retention does. */
function underItsName(partitions: string): string {
  return `DELETE FROM security_event_log WHERE source_id = '${A}' AND seq = 17;
    INSERT INTO security_event_removed VALUES (4, 'pruned', '${A}', '{[17,18)}');
    SELECT seclog_own_event('log_retention', format('{${partitions}"reason":"old","rows":1,"sha256":"%s"}', seclog_removal_digest(4)))`;
}

const PERSONAL = EVENT_COLUMNS.slice(EVENT_COLUMNS.indexOf("salt"));
const columnAttacks = EVENT_COLUMNS.map((column): Attack => {
  const title = `edit column ${column}`;
  const change = at(column);
  if (column === "seq" || column === "source_id") return { title, change, finds: /removed|inserted/ };
  if (PERSONAL.includes(column))
    return { title, change, finds: /number 17, .* was changed: its personal part/, count: 1 };
  return {
    title,
    change,
    finds: /number 17, .* was changed: its (?:non-personal columns|personal part does not match its commitment)/,
    count: 1,
  };
});

const attacks: readonly Attack[] = [
  ...columnAttacks,
  {
    title: "add a space to data",
    change: at("data").replace(", ", ",  "),
    finds: /changed: its personal part/,
    count: 1,
  },
  {
    title: "edit the path and renew the commitment",
    change: `UPDATE security_event_log SET path = '/b', commitment = sha256(salt || convert_to('{"path":"/b"}', 'UTF8')),
      actor_id = NULL, ip_address = NULL, user_agent = NULL, data = NULL WHERE source_id = '${A}' AND seq = 17`,
    finds: /number 17, .* was changed: its non-personal columns, or its personal part together with its commitment/,
    count: 1,
  },
  {
    title: "edit a record in quarantine",
    change: "UPDATE security_event_quarantine SET record = 'x'",
    finds: /quarantined record with number 31 .* was changed: its reason or its bytes/,
    count: 1,
  },
  {
    title: "edit when a record was quarantined",
    change: "UPDATE security_event_quarantine SET created_at = now() - interval '1 day'",
    finds: /quarantined record with number 31 .* was changed/,
    count: 1,
  },
  {
    title: "delete one",
    change: `DELETE FROM security_event_log WHERE source_id = '${A}' AND seq = 17`,
    finds: /the event with number 17 of source …00000000000a was removed/,
    count: 1,
  },
  {
    title: "delete several in a row",
    change: `DELETE FROM security_event_log WHERE source_id = '${A}' AND seq BETWEEN 240 AND 270`,
    finds: /the 31 events with numbers 240 to 270 of source …00000000000a were removed/,
    count: 1,
  },
  {
    title: "delete a record in quarantine",
    change: "DELETE FROM security_event_quarantine",
    finds: /number 31 of source …00000000000b was removed/,
    count: 1,
  },
  {
    title: "delete a whole source",
    change: `DELETE FROM security_event_log WHERE source_id = '${B}'; DELETE FROM security_event_quarantine WHERE source_id = '${B}'; DELETE FROM security_event_source WHERE id = '${B}'`,
    finds:
      /source …00000000000b, which has 42 sealed numbers, was removed from security_event_source|all 42 events of source …00000000000b were removed/,
    count: 2,
  },
  {
    title: "delete what is not sealed yet",
    change: `DELETE FROM security_event_log WHERE source_id = '${B}' AND seq = 44`,
    finds: /source …00000000000b has stored number 44, but that event is missing: it was removed before sealing/,
    count: 1,
  },
  {
    title: "insert beside a sealed number",
    change: `INSERT INTO security_event_log SELECT (r).* FROM (SELECT jsonb_populate_record(log, '{"id":"01936d2f-5c00-7000-8000-0000000000ff","occurred_at":"2026-11-01T00:00:00Z"}') AS r FROM security_event_log log WHERE source_id = '${A}' AND seq = 17) AS x`,
    finds: /event 01936d2f-5c00-7000-8000-0000000000ff .* shares its number with another row, which was sealed with it/,
    count: 1,
  },
  {
    title: "insert a copy with another retention",
    change: `INSERT INTO security_event_log SELECT (r).* FROM (SELECT jsonb_populate_record(log, '{"retention":"long"}') AS r FROM security_event_log log WHERE source_id = '${A}' AND seq = 17) AS x`,
    finds: /number 17, .* shares its number with another row, which was sealed with it/,
    count: 1,
  },
  {
    title: "insert beyond the source's position",
    change: `INSERT INTO security_event_log SELECT (r).* FROM (SELECT jsonb_populate_record(log, '{"seq":700}') AS r FROM security_event_log log WHERE source_id = '${A}' AND seq = 17) AS x`,
    finds: /number 700, .* was inserted by a writer: its source's position is 600, which does not cover it/,
    count: 1,
  },
  {
    title: "insert a number beyond 2^53",
    change: `INSERT INTO security_event_log SELECT (r).* FROM (SELECT jsonb_populate_record(log, '{"seq":9007199254740993}') AS r FROM security_event_log log WHERE source_id = '${A}' AND seq = 17) AS x`,
    finds:
      /number 9007199254740993, .* was inserted by a writer: its source's position is 600, which does not cover it/,
    count: 1,
  },
  {
    title: "set a source's position to the largest number",
    change: `UPDATE security_event_source SET last_seq = 9223372036854775807 WHERE id = '${A}'`,
    finds: /source …00000000000a has stored numbers 601 to 9223372036854775807, but those events are missing/,
    count: 1,
  },
  {
    title: "insert number 0",
    change: `ALTER TABLE security_event_log DROP CONSTRAINT security_event_log_values;
      UPDATE security_event_log SET seq = 0 WHERE source_id = '${B}' AND seq = 44`,
    finds: /number 0, .* was inserted by a writer|stored number 44/,
    count: 2,
  },
  {
    title: "insert for a source that does not exist",
    change: `INSERT INTO security_event_log SELECT (r).* FROM (SELECT jsonb_populate_record(log, '{"source_id":"01936d2f-5c00-7000-8000-0000000000ee"}') AS r FROM security_event_log log WHERE source_id = '${A}' AND seq = 17) AS x`,
    finds: /was inserted: its source does not exist/,
    count: 1,
  },
  {
    title: "swap two rows' numbers",
    change: `UPDATE security_event_log SET seq = CASE seq WHEN 17 THEN 18 ELSE 17 END WHERE source_id = '${A}' AND seq IN (17, 18)`,
    finds: /number 17, .* was sealed as number 18 of source …00000000000a: the two were swapped/,
    count: 2,
  },
  {
    title: "swap two rows' personal parts",
    change: `UPDATE security_event_log x SET path = y.path, data = y.data, salt = y.salt, actor_id = y.actor_id FROM security_event_log y
      WHERE x.source_id = '${A}' AND y.source_id = '${A}' AND x.seq IN (17, 18) AND y.seq = 35 - x.seq`,
    finds: /number 17, .* was changed: its personal part/,
    count: 2,
  },
  {
    title: "reorder: move a row to the end, and the rows after it one up",
    change: `UPDATE security_event_log SET seq = CASE seq WHEN 11 THEN 20 ELSE seq - 1 END WHERE source_id = '${A}' AND seq BETWEEN 11 AND 20`,
    finds: /number 11, .* was sealed as number 12 of source …00000000000a: it was moved/,
    count: 10,
  },
  {
    title: "reorder the ranges",
    change: `UPDATE security_event_seal SET source_id = '${A}', first_seq = 9001, last_seq = 9002 WHERE first_leaf = 250;
      UPDATE security_event_seal SET source_id = '${B}', first_seq = 1, last_seq = 20 WHERE first_leaf = 280;
      UPDATE security_event_seal SET source_id = '${C}', first_seq = 1, last_seq = 30 WHERE first_leaf = 250`,
    finds: /security_event_seal was changed|was sealed as|two ranges cover/,
  },
  {
    title: "remove a range",
    change: "DELETE FROM security_event_seal WHERE first_leaf = 250",
    finds: /no range covers leaves 250 to 279/,
  },
  {
    title: "cut the tail: rows, ranges, tiles and checkpoints, with nothing kept elsewhere",
    change: ROLL_BACK,
  },
  {
    title: "cut the tail: rows, ranges, tiles and checkpoints",
    change: ROLL_BACK,
    finds:
      /the database has 663 leaves, but a checkpoint kept elsewhere has 665: the tail was cut off, or the database was rolled back/,
    options: () => ({ elsewhere: elsewhere(kept.last) }),
  },
  {
    title: "cut the rows of the tail only",
    change: `DELETE FROM security_event_log WHERE source_id = '${A}' AND seq > 590`,
    finds: /the 10 events with numbers 591 to 600 of source …00000000000a were removed/,
    count: 1,
  },
  {
    title: "replay an old checkpoint as the newest",
    change:
      "DELETE FROM security_event_checkpoint WHERE size > 301; DELETE FROM security_event_signature WHERE size > 301",
    finds: /the tree has 665 leaves, but no checkpoint has that size: it was removed/,
  },
  {
    title: "replay an old checkpoint under the newest size",
    change:
      "UPDATE security_event_checkpoint SET root = (SELECT root FROM security_event_checkpoint WHERE size = 301) WHERE size = 665",
    finds:
      /the checkpoint of 665 leaves does not verify: the signature of .* is invalid; its root or its signature was changed/,
  },
  {
    title: "change a tile",
    change:
      "UPDATE security_event_tile SET hashes = overlay(hashes PLACING '\\x00' FROM 100) WHERE level = 0 AND tile = 1",
    finds:
      /the stored tree was changed, not the events: the hash of number \d+ of source …00000000000. \(leaf 259\) in tile\/0\/001/,
  },
  {
    title: "change a tile of level 1",
    change: "UPDATE security_event_tile SET hashes = overlay(hashes PLACING '\\x00' FROM 40) WHERE level = 1",
    finds: /tile\/1\/000 and tile\/0\/001 do not match: one of the two was changed; this concerns leaves 256 to 511/,
    count: 1,
  },
  {
    title: "remove a tile",
    change: "DELETE FROM security_event_tile WHERE level = 0 AND tile = 1",
    finds: /tile\/0\/001 was removed/,
  },
  {
    title: "lengthen a tile",
    change: "UPDATE security_event_tile SET hashes = hashes || sha256('x') WHERE level = 0 AND tile = 2",
    finds: /tile\/0\/002 was changed: it has 154 hashes, but the tree needs 153/,
    count: 1,
  },
  {
    title: "change a row, and its tiles to match",
    change: async () => {
      await admin.query(at("status_code"));
      await rewriteTree();
      await admin.query(
        "UPDATE security_event_checkpoint c SET root = old.root FROM pg_temp.kept_roots old WHERE old.size = c.size",
      );
    },
    finds:
      /the tree was changed between leaf 0 and leaf 300: the checkpoint of 301 leaves, signed by log\.example\/shop\+\w+, has a different root; these leaves are numbers 1 to 250 of source …00000000000a, numbers 1 to 30 of source …00000000000b/,
  },
  {
    title: "change row, tiles and checkpoints without the key",
    change: async () => {
      await admin.query(at("status_code"));
      await rewriteTree();
    },
    finds: /the checkpoint of 301 leaves does not verify: the signature of .* is invalid/,
  },
  {
    title: "change row, tiles and checkpoints, signed with another key",
    change: async () => {
      await admin.query(at("status_code"));
      await rewriteTree(strangerKey);
    },
    finds: /the newest checkpoint, of 665 leaves, is not signed by .*, the last key named/,
  },
  {
    title: "change row, tiles and checkpoints, signed with the retired key",
    change: async () => {
      await admin.query(at("status_code", 580));
      await rewriteTree(oldKey);
    },
    finds: /the newest checkpoint, of 665 leaves, is not signed by .*, the last key named/,
  },
  {
    title: "sign the newest checkpoint with the retired key only",
    change: async () => {
      const { rows } = await admin.query<{ root: Buffer }>(
        "SELECT root FROM security_event_checkpoint WHERE size = 665",
      );
      const text = `${ORIGIN}\n665\n${rows[0]?.root.toString("base64")}\n`;
      await admin.query("UPDATE security_event_signature SET key_id = $1, line = $2 WHERE size = 665", [
        oldKey.keyId,
        signatureLine(text, oldKey),
      ]);
    },
    finds:
      /the checkpoint of 665 leaves is signed only by log\.example\/shop\+\w+, which was retired: log\.example\/shop\+\w+ has signed from \d+ leaves on/,
  },
  {
    title: "change everything, signed with the stolen key",
    change: async () => {
      await admin.query(at("status_code"));
      await rewriteTree(key);
    },
    finds:
      /history before leaf 301 was rewritten: the checkpoint of 301 leaves in kept\.txt, signed by .*, has a different root/,
    options: () => ({ elsewhere: elsewhere(kept.first) }),
  },
  {
    title: "erase without a record",
    change: `UPDATE security_event_log SET salt = NULL, actor_id = NULL, ip_address = NULL, path = NULL, user_agent = NULL, data = NULL WHERE source_id = '${A}' AND seq = 17`,
    finds: /number 17, .* was erased, and no record says by whom/,
    count: 1,
  },
  {
    title: "add numbers to a removal's record",
    change: `UPDATE security_event_removed SET seqs = seqs + '{[17,18)}' WHERE kind = 'erased'; DELETE FROM security_event_log WHERE source_id = '${A}' AND seq = 17`,
    finds: /the record of removal 2 \(11 rows\) does not match its event/,
  },
  {
    title: "forge the record of a removal",
    change: `INSERT INTO security_event_removed VALUES (9, 'pruned', '${A}', '{[17,18)}'); DELETE FROM security_event_log WHERE source_id = '${A}' AND seq = 17`,
    finds:
      /the record of removal 9 \(1 row\) names event 9 of the log's own source, which does not exist: the record is forged/,
    count: 1,
  },
  {
    title: "turn an erasure's record into one of retention",
    change: `UPDATE security_event_removed SET kind = 'pruned' WHERE kind = 'erased'; DELETE FROM security_event_log WHERE source_id = '${A}' AND salt IS NULL`,
    finds: /is of another kind than its event, log_erased: the record is forged/,
  },
  {
    title: "remove single events as if their month was dropped",
    change: `${underItsName('"partitions":["security_event_log_standard_2026_11"],')};
      UPDATE security_event_log SET occurred_at = occurred_at + interval '1 hour' WHERE retention = 'own' AND seq = 4`,
    finds:
      /removal 4 says that security_event_log_standard_2026_11 was dropped, but \d+ events stored in it before that are still there, such as event .*: single events were removed under its name/,
    count: 1,
  },
  {
    title: "remove a single event as if by retention, without a month",
    change: underItsName(""),
    finds:
      /the record of removal 4 \(1 row\) names no partition, but retention drops whole partitions: single events were removed under its name/,
    count: 1,
  },
  {
    title: "remove a removal's record",
    change: "DELETE FROM security_event_removed WHERE kind = 'pruned'",
    finds: /all 20 events of source …00000000000c were removed|the record of removal 3 was removed/,
  },
  {
    title: "edit the event that records a removal",
    change: `UPDATE security_event_log_own SET data = replace(data::text, 'asked to', 'because')::json WHERE seq = 2`,
    finds: /log_erased\) was changed|proves nothing: the event that records it was changed/,
    count: 2,
  },
  {
    title: "insert a row with the own source's id and a sealed number",
    change: `INSERT INTO security_event_log ${asOwn("'standard'", 2, "log_erased")}`,
    finds: /number 2, .* was inserted: it has the id of the log's own source, but its retention is not 'own'/,
    count: 1,
  },
  {
    title: "replace the event that records a removal with a row that has the own source's id",
    change: `DELETE FROM security_event_log_own WHERE seq = 2; INSERT INTO security_event_log ${asOwn("'standard'", 2, "log_erased")}`,
    finds: /number 2 of source .* was removed|names event 2 of the log's own source, which does not exist/,
    count: 3,
  },
  {
    title: "remove an event, and record that in a row with the own source's id",
    change: `INSERT INTO security_event_removed VALUES (4, 'pruned', '${A}', '{[17,18)}'); DELETE FROM security_event_log WHERE source_id = '${A}' AND seq = 17;
      UPDATE security_event_source SET last_seq = 4 WHERE id = (SELECT own_source FROM security_event_tree);
      INSERT INTO security_event_log ${asOwn("'standard'", 4, "log_retention", `format('{"sha256":"%s"}', seclog_removal_digest(4))::json`)}`,
    finds:
      /number 4, .* was inserted: it has the id of the log's own source|names event 4 of the log's own source, which does not exist/,
    count: 3,
  },
  {
    title: "remove one of the log's own events on record",
    change: `DELETE FROM security_event_log_own WHERE seq = 1;
      INSERT INTO security_event_removed SELECT 4, 'pruned', own_source, '{[1,2)}' FROM security_event_tree;
      SELECT seclog_own_event('log_retention', format('{"partitions":["security_event_log_long_2026_01"],"reason":"","rows":1,"sha256":"%s"}', seclog_removal_digest(4)))`,
    finds: /the record of removal 4 \(1 row\) names 1 event of the log's own source: those are never removed/,
    count: 2,
  },
  {
    title: "change the retention of one of the log's own events",
    change: "UPDATE security_event_log SET retention = 'long' WHERE retention = 'own' AND seq = 1",
    finds: /number 1 of source .* was removed|was inserted: it has the id of the log's own source/,
    count: 2,
  },
  {
    title: "change the tree's root",
    change: "UPDATE security_event_tree SET root = sha256('x')",
    finds: /security_event_tree has a different root from the tiles/,
    count: 1,
  },
  {
    title: "set the tree's size beyond everything stored",
    change: "UPDATE security_event_tree SET size = 9007199254740991",
    finds: /security_event_tree claims 9,007,199,254,740,991 leaves, but the ranges cover 665/,
    count: 1,
  },
  {
    title: "set the tree's size beyond everything stored, with a range and a checkpoint to match",
    change: `UPDATE security_event_tree SET size = 9007199254740000;
      INSERT INTO security_event_seal VALUES (665, '${A}', 601, 601 + 9007199254740000 - 666);
      INSERT INTO security_event_checkpoint (size, origin, root) VALUES (9007199254740000, 'x', '\\x')`,
    finds: /security_event_tree claims 9,007,199,254,740,000 leaves, .* and there are 3 tiles/,
  },
  {
    title: "insert a range that no log can have",
    change: `INSERT INTO security_event_seal VALUES (664, '${A}', 601, 9223372036854775807)`,
    finds: /a range of source …00000000000a runs from number 601 to 9223372036854775807, which no log can have/,
  },
  {
    title: "set a source's position back",
    change: `UPDATE security_event_source SET last_seq = 500 WHERE id = '${A}'`,
    finds: /says that it has stored 500, but 600 are sealed: its position was set back/,
    count: 1,
  },
];

/** A sentence without the parts that differ from run to run. */
function steady(sentence: string): string {
  return sentence
    .replace(/\+[0-9a-f]{8}\b/g, "+…")
    .replace(/(log_\w+\)|…)[0-9a-f]{12}/g, (all, before) => (all.includes("00000000000") ? all : `${before}…`))
    .replace(/event [0-9a-f-]{36}/g, (id) => (id.includes("01936d2f") ? id : "event …"))
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d UTC, log_/g, "…, log_");
}

describe("attacks on a log", () => {
  const table: string[] = [];

  it.each(attacks)("$title", async ({ title, change, finds, count, options }) => {
    const report = await verifyAfter(async () => {
      await admin.query(
        "CREATE TEMP TABLE kept_roots ON COMMIT DROP AS SELECT size, root FROM security_event_checkpoint",
      );
      if (typeof change === "string") await admin.query(change);
      else await change();
    }, options?.());
    const sentences = report.findings.map(({ sentence }) => sentence);
    const first = sentences.find((sentence) => finds?.test(sentence)) ?? sentences[0];
    const found = first === undefined ? "nothing: see [who can do what](integrity.md)" : steady(first);
    table.push(`| ${title} | ${report.findings_total} | ${found} |`);
    if (finds === undefined) {
      expect(sentences).toEqual([]);
      return;
    }
    expect(report.intact).toBe(false);
    expect(sentences.join("\n")).toMatch(finds);
    if (count !== undefined) expect(sentences, sentences.join("\n")).toHaveLength(count);
  });

  it("are listed in docs/design/attacks.md with the sentence that finds them", async () => {
    const page = `# Attacks on a log, and the sentence that finds each

A superuser makes each attack, past all triggers, on a log of 665 leaves that four sources filled, with a quarantined record, an
erased person, a pruned month and a rotated key, and undoes it before the next. The test that proves this page also writes it:
\`packages/verify/src/verify-log.test.ts\`. "…" stands for what differs from run to run.

| attack | findings | the sentence |
|---|--:|---|
${table.join("\n")}
`;
    expect(table).toHaveLength(attacks.length);
    await expect(page).toMatchFileSnapshot("../../../docs/design/attacks.md");
  });
});
