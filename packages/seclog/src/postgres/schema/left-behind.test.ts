import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createTestDatabase } from "#test/support/postgres.ts";
import { drainSpool } from "../../ship/drain-spool.ts";
import { spoolFs } from "../../spool/fs.ts";
import { release } from "../../spool/ownership.ts";
import { createSource, deleteShipped } from "../../spool/source.ts";
import { SpoolWriter } from "../../spool/writer.ts";
import { exampleBatch } from "../../testing/example-events.ts";
import { postgresHandler } from "../handler.ts";

const ID = "01936d2f-5c00-7000-8000-000000000001";
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "seclog-left-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

it("drainSpool() - stores what is left of a source in a database new to it, and records what was deleted before", async () => {
  await using database = await createTestDatabase();
  const owned = createSource(spoolFs, root, ID);
  const limits = { segmentBytes: 2_000, maxBytes: 1e9, memoryBytes: 1e6 };
  const observer = { synced: () => {}, failed: () => {}, recovered: () => {}, closed: () => {}, lost: () => {} };
  const writer = new SpoolWriter(spoolFs, owned, ID, limits, observer);
  for (const record of exampleBatch({ sourceId: ID, firstSeq: 1, count: 20 }).records) {
    writer.append(writer.lastSeq + 1, Buffer.from(record).toString());
    writer.flushSync();
  }
  writer.close();
  release(spoolFs, owned);
  // As after another handler, the process's only one, had stored these.
  deleteShipped(spoolFs, owned.directory, 10, () => {});
  const { shipped, quarantined } = await drainSpool({
    directory: root,
    handlers: [postgresHandler({ url: database.writerUrl })],
    signal: AbortSignal.timeout(20_000),
  });
  expect(quarantined).toBeGreaterThan(5);
  expect(shipped + quarantined).toBe(20);
  const [row] = await database.query(
    `SELECT (SELECT count(*)::int FROM security_event_log WHERE source_id = source.id) AS rows, last_seq::int AS position,
        (SELECT max(seq)::int FROM security_event_quarantine WHERE source_id = source.id) AS missing
      FROM security_event_source AS source WHERE id = $1`,
    [ID],
  );
  expect(row).toEqual({ rows: shipped, position: 20, missing: quarantined });
});
