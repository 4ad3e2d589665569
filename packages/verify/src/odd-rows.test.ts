/** Rows that only a hostile writer stores: verification must read them exactly as the program's own sealer did. */
import pg from "pg";
import copyStreams from "pg-copy-streams";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { sealLog, TEST_SIGNER } from "#test/support/seal-log.ts";
import { movePosition } from "#test/support/sealed-tree.ts";
import { SNAPSHOT_SQL } from "#test/support/snapshot.ts";
import { databaseLog } from "./database-log.ts";
import { readVkey } from "./note.ts";
import { verifyLog } from "./verify-log.ts";
import type { VerifyReport } from "./verify-report.ts";

const A = "01936d2f-5c00-7000-8000-00000000000a";
const keys = [readVkey(TEST_SIGNER.vkey)];

let database: TestDatabase;
let reader: pg.Client;
let last = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  reader = new pg.Client({ connectionString: database.readerUrl });
  await reader.connect();
  await database.query("INSERT INTO security_event_source (id, epoch, key_hash) VALUES ($1, 1, '')", [A]);
  // Older logs have such rows from before the constraint existed.
  await database.query("ALTER TABLE security_event_log DROP CONSTRAINT security_event_log_values");
});

afterAll(async () => {
  await reader?.end();
  await database?.[Symbol.asyncDispose]();
});

/** Stores a row under the source's next number. */
async function store(columns: { readonly [column: string]: string }): Promise<void> {
  const row = {
    id: `01936d2f-5c00-7000-8000-${String(++last).padStart(12, "0")}`,
    occurred_at: "2026-11-22T19:43:22.5Z",
    event_type: "authz_fail",
    level: "critical",
    category: "authz",
    outcome: "failure",
    logger: "security",
    source_id: A,
    epoch: "1",
    seq: String(last),
    v: "1",
    salt: "\\x000102030405060708090a0b0c0d0e0f",
    ...columns,
  };
  const names = Object.keys(row);
  await database.query(
    `INSERT INTO security_event_log (${names.join(", ")}, commitment)
      VALUES (${names.map((_, i) => `$${i + 1}`).join(", ")}, sha256('\\x000102030405060708090a0b0c0d0e0f' || convert_to('{}', 'UTF8')))`,
    Object.values(row),
  );
  await movePosition(database, A, last);
}

async function verify(): Promise<VerifyReport> {
  await reader.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; ${SNAPSHOT_SQL}`);
  try {
    return await verifyLog(
      databaseLog((sql) => reader.query(copyStreams.to(sql))),
      { keys },
    );
  } finally {
    await reader.query("COMMIT");
  }
}

const TIMES = [
  "infinity",
  "-infinity",
  "10000-01-02 03:04:05+00",
  "294276-12-31 23:59:59.999999+00",
  "0044-03-15 12:00:00.5+00 BC",
  "0044-03-15 12:00:00+00 BC",
  "0044-03-15 12:00:00.123456+00 BC",
  "0001-01-01 00:00:00+00",
  "9999-12-31 23:59:59.999999+00",
  "2026-11-22 19:43:22+00",
  "2026-11-22 19:43:22.1234+00",
];

describe("a log with odd rows", () => {
  it.each(TIMES)("is intact with the time %s", async (time) => {
    await store({ occurred_at: time, route: "ab.cdefgh+jk" });
    await store({ ended_at: time, environment: "x yyyyyyyy.123456+00" });
    await store({ started_at: time, status_code: "-1" });
    await store({ created_at: time });
    await sealLog(database);
    const report = await verify();
    expect(report.findings).toEqual([]);
    // Plus the event that setup recorded.
    expect(report).toMatchObject({ intact: true, events: last + 1, unsealed: 0 });
  });
});
