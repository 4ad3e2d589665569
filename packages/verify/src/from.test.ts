/** Verification that continues between the record of a removal and the leaves that were sealed later. */
import pg from "pg";
import copyStreams from "pg-copy-streams";
import { postgresHandler } from "seclog/postgres";
import { exampleBatch } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newKey, seal, sealerClient, storedNote } from "#test/support/naive-sealer.ts";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { SNAPSHOT_SQL } from "#test/support/snapshot.ts";
import { databaseLog } from "./database-log.ts";
import { openCheckpoint, readVkey } from "./note.ts";
import { pathTiles } from "./tile-names.ts";
import { verifyLog } from "./verify-log.ts";
import type { VerifyReport } from "./verify-report.ts";

const A = "01936d2f-5c00-7000-8000-00000000000a";
const B = "01936d2f-5c00-7000-8000-00000000000b";
const key = newKey();
const keys = [readVkey(key.vkey)];

let database: TestDatabase;
let admin: pg.Client;
let sealer: pg.Client;
let note: string;

beforeAll(async () => {
  database = await createTestDatabase();
  admin = new pg.Client({ connectionString: database.adminUrl });
  await admin.connect();
  sealer = await sealerClient(database.sealerUrl);
  const handler = postgresHandler({ url: database.writerUrl });
  const write = (options: Parameters<typeof exampleBatch>[0]) =>
    handler.handle(exampleBatch(options), AbortSignal.timeout(20_000));
  await write({ sourceId: A, count: 300 });
  await seal(sealer, key);
  await write({ sourceId: B, count: 5, event: { actorId: "mallory" } });
  await admin.query("SELECT seclog_erase('mallory', NULL, NULL, NULL, NULL, NULL, 'asked to', false)");
  // A busy sealer seals one source after another: B's position is hidden so that its numbers are sealed late.
  const hide = (last: number) => admin.query("UPDATE security_event_source SET last_seq = $2 WHERE id = $1", [B, last]);
  await admin.query("SET session_replication_role = replica");
  await hide(0);
  await seal(sealer, key);
  await write({ sourceId: A, firstSeq: 301, count: 500 });
  await seal(sealer, key);
  note = await storedNote(admin);
  await hide(5);
  await admin.query("SET session_replication_role = DEFAULT");
  await write({ sourceId: A, firstSeq: 801, count: 10 });
  await seal(sealer, key);
  await handler.close();
});

afterAll(async () => {
  await sealer?.end();
  await admin?.end();
  await database?.[Symbol.asyncDispose]();
});

async function verifyAfter(change: string): Promise<VerifyReport> {
  await admin.query("BEGIN");
  try {
    await admin.query(`SET LOCAL session_replication_role = replica; ${change}`);
    await admin.query(`SET LOCAL ROLE ${new URL(database.readerUrl).username}; ${SNAPSHOT_SQL}`);
    const log = databaseLog((sql) => admin.query(copyStreams.to(sql)));
    return await verifyLog(log, { keys, from: openCheckpoint(note, keys) });
  } finally {
    await admin.query("ROLLBACK");
  }
}

const sentences = ({ findings }: VerifyReport): string[] => findings.map(({ sentence }) => sentence);

const BLANK = `UPDATE security_event_log SET salt = NULL, actor_id = NULL, ip_address = NULL, path = NULL, user_agent = NULL, data = NULL
  WHERE source_id = '${A}' AND seq = 805;
  INSERT INTO security_event_removed VALUES (2, 'erased', '${A}', '{[805,806)}');`;
const RECORD = `UPDATE security_event_log_own SET data = replace(data::text, '"sha256":"' || (data ->> 'sha256'),
    '"sha256":"' || seclog_removal_digest(2))::json WHERE seq = 2;
  UPDATE security_event_log_own SET commitment = sha256(salt ||
    convert_to('{"actor_id":' || to_json(actor_id) || ',"actor_type":"operator","data":' || data || '}', 'UTF8')) WHERE seq = 2;`;

describe("verifyLog() from a checkpoint between a removal and the leaves that it affects", () => {
  it("reads the removal's record again", async () => {
    const report = await verifyAfter("");
    expect(sentences(report)).toEqual([]);
    expect(report).toMatchObject({ intact: true, from: 802, size: 817, erased: 5, erasures: 1 });
    expect(report.removals).toMatchObject([{ number: 2, rows: 5, reason: "asked to", sealed: true }]);
    // Its leaf is in a full tile, whose root is in the tree's last tiles.
    expect(pathTiles(301, 802)).toEqual([{ level: 0, tile: 1 }]);
  });

  it("checks the record against its event, and the event against its leaf", async () => {
    expect(sentences(await verifyAfter(BLANK))).toEqual([
      expect.stringContaining("the record of removal 2 (6 rows) does not match its event"),
    ]);
    expect(sentences(await verifyAfter(BLANK + RECORD))).toEqual([
      expect.stringContaining("the record of removal 2 (6 rows) proves nothing: the event that records it was changed"),
    ]);
    const gone = await verifyAfter(`${BLANK} DELETE FROM security_event_log_own WHERE seq = 2`);
    expect(sentences(gone)).toEqual([expect.stringContaining("event 2 of the log's own source, which does not exist")]);
  });

  it("checks the leaf's tile against those above it", async () => {
    const { entriesOf } = await import("#test/support/naive-sealer.ts");
    const { leafHash } = await import("seclog/merkle");
    const [own] = await database.query<{ source: string; leaf: string }>(
      "SELECT source_id AS source, first_leaf + 2 - first_seq AS leaf FROM security_event_seal JOIN security_event_tree ON source_id = own_source WHERE 2 BETWEEN first_seq AND last_seq",
    );
    const { source = "", leaf } = own ?? {};
    await admin.query("BEGIN");
    await admin.query(`SET LOCAL session_replication_role = replica; ${BLANK + RECORD}`);
    const [entry = ""] = await entriesOf(admin, source, 2, 2);
    await admin.query("ROLLBACK");
    const hash = Buffer.from(leafHash(entry)).toString("hex");
    const report = await verifyAfter(
      `UPDATE security_event_tile SET hashes = overlay(hashes PLACING '\\x${hash}' FROM ${32 * (Number(leaf) % 256) + 1})
        WHERE level = 0 AND tile = 1; ${BLANK + RECORD}`,
    );
    expect(sentences(report)).toContainEqual(
      expect.stringContaining("proves nothing: the event that records it was changed"),
    );
  });
});
