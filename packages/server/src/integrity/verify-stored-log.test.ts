import { readVkey, verifyLog } from "@seclog/verify";
import pg from "pg";
import { postgresHandler } from "seclog/postgres";
import { exampleBatch } from "seclog/testing";
import { describe, expect, it } from "vitest";
import { createTestDatabase } from "#test/support/postgres.ts";
import { sealLog, TEST_SIGNER } from "#test/support/seal-log.ts";
import { openSnapshot } from "./verify-stored-log.ts";

describe("openSnapshot()", () => {
  it("sees the record of a partition dropped during its start", async () => {
    await using database = await createTestDatabase();
    const handler = postgresHandler({ url: database.writerUrl });
    await database.query("SELECT seclog_add_partition('standard', '2026-01-01Z')");
    const event = { occurredAt: "2026-01-05T06:07:08.000000Z" };
    await handler.handle(exampleBatch({ count: 20, event }), AbortSignal.timeout(20_000));
    await handler.close();
    await sealLog(database);
    const admin = new pg.Client({ connectionString: database.adminUrl });
    await admin.connect();
    await admin.query("BEGIN");
    await admin.query("SELECT seclog_prune('standard', '2026-01-01Z', 'thirty days')");
    const verified = (async () => {
      const { session, log } = await openSnapshot(database.readerUrl);
      try {
        const { rows } = await session.client.query(
          "SELECT relation::regclass::text AS name FROM pg_locks WHERE pid = pg_backend_pid()",
        );
        return {
          locks: rows.map(({ name }) => name),
          report: await verifyLog(log, { keys: [readVkey(TEST_SIGNER.vkey)] }),
        };
      } finally {
        await session.end();
      }
    })();
    for (;;) {
      const [waiting] = await database.query(
        "SELECT FROM pg_locks JOIN pg_database d ON d.oid = database WHERE NOT granted AND datname = current_database()",
      );
      if (waiting !== undefined) break;
    }
    await admin.query("COMMIT");
    await admin.end();
    const { locks, report } = await verified;
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({ intact: true, pruned: 20, prunings: 1 });
    expect(locks).toContain("security_event_log_own");
  });
});
