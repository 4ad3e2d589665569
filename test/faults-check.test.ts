/** The fault tests' checker finds what it exists to find. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { check } from "../faults/check.js";
import { dataOf, eventSource, LOG, requestOf } from "../faults/events.js";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";

const EVENTS = 24;
const ZEROS = { tried: EVENTS, acknowledged: EVENTS, stored: EVENTS, lost: 0, twice: 0, unexpected: 0, holes: 0 };

let database: TestDatabase;
let folder: string;
let ledger: string;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), "seclog-faults-check-"));
  ledger = join(folder, "ledger");
  writeFileSync(ledger, "");
  const log = createSecurityLog({
    ...LOG,
    spool: { directory: join(folder, "spool") },
    handlers: [postgresHandler({ url: database.writerUrl })],
    heartbeat: false,
  });
  const events = eventSource({ life: "0", ledger, types: ["authz_fail", "authz_change"], textLength: 50 });
  for (let n = 1; n <= EVENTS; n++) {
    const event = events.begin(n);
    const type = n % 2 === 0 ? "authz_fail" : "authz_change";
    await log.recordSecurityEvent(type, requestOf(event), dataOf(event)).durable;
    events.acknowledged(event);
  }
  await log.close();
});

afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** The verdict of the checker after `statements` changed the database. They are undone afterwards. */
function afterwards(...statements: string[]): Promise<Awaited<ReturnType<typeof check>>> {
  return judged({}, ...statements);
}

/** The same, with options for the checker. */
async function judged(
  options: Parameters<typeof check>[2],
  ...statements: string[]
): Promise<Awaited<ReturnType<typeof check>>> {
  const tables = ["security_event_log", "security_event_quarantine", "security_event_source"];
  const past = (sql: string): Promise<unknown> => database.query(`SET session_replication_role = replica; ${sql}`);
  await past(tables.map((name) => `CREATE TABLE kept_${name} AS TABLE ${name}`).join("; "));
  try {
    await past(statements.join("; "));
    return await check(ledger, database.adminUrl, options);
  } finally {
    await past(
      tables
        .map((name) => `DELETE FROM ${name}; INSERT INTO ${name} TABLE kept_${name}; DROP TABLE kept_${name}`)
        .join("; "),
    );
  }
}

const OF_THE_LOG = "(SELECT source_id FROM security_event_log WHERE event_type = 'log_started')";

describe("check()", () => {
  it("finds no fault in an intact log", async () => {
    expect(await check(ledger, database.adminUrl)).toMatchObject(ZEROS);
    expect(await afterwards("SELECT 1")).toMatchObject(ZEROS);
  });

  it.each([
    ["trace_id", "span_id"],
    ["environment", "host"],
    ["logger", "service"],
    ["category", "event_type"],
    ["method", "method_original"],
    ["path", "route"],
    ["actor_id", "actor_type"],
    ["target_id", "target_type"],
    ["request_host", "request_id"],
    ["user_agent", "ip_source"],
    ["started_at", "ended_at"],
  ])("notices that %s and %s are swapped", async (a, b) => {
    const { unexpected } = await afterwards(
      `UPDATE security_event_log SET ${a} = coalesce(${b}, ${a}), ${b} = ${a} WHERE seq > 1 AND category <> 'log'`,
    );
    expect(unexpected).toBeGreaterThan(0);
  });

  it.each([
    ["level", "'info'"],
    ["outcome", "CASE WHEN outcome = 'success' THEN 'failure' ELSE 'success' END::security_event_outcome"],
    ["method_original", "NULL"],
    ["occurred_at", "created_at + interval '2 seconds'"],
    ["occurred_at", "occurred_at - interval '1 hour'"],
  ])("notices a changed %s: %s", async (column, value) => {
    const { unexpected } = await afterwards(
      `UPDATE security_event_log SET ${column} = ${value} WHERE category <> 'log'`,
    );
    expect(unexpected).toBeGreaterThan(0);
  });

  it("counts an undamaged event in quarantine, even one of the log's own", async () => {
    const quarantined = (seq: number): string[] => [
      `INSERT INTO security_event_quarantine (source_id, seq, reason, record, commitment)
        SELECT ${OF_THE_LOG}, ${seq}, 'no reason', '', ''`,
    ];
    const own = await afterwards(...quarantined(1), "DELETE FROM security_event_log WHERE seq = 1");
    expect(own).toMatchObject({ ...ZEROS, unexpected: 1 });
    const acknowledged = await afterwards(...quarantined(5), "DELETE FROM security_event_log WHERE seq = 5");
    expect(acknowledged).toMatchObject({ ...ZEROS, stored: EVENTS - 1, lost: 1, unexpected: 1 });
  });

  it("lets a power cut tear an event that was not acknowledged, and no other", async () => {
    const quarantined = (seq: number, record: string): string[] => [
      `INSERT INTO security_event_quarantine (source_id, seq, reason, record, commitment)
        SELECT ${OF_THE_LOG}, ${seq}, 'no reason', ${record}, ''`,
      `DELETE FROM security_event_log WHERE seq = ${seq}`,
    ];
    const half = "convert_to(repeat('x', 24) || '{\"v\":1', 'UTF8')";
    const whole = "convert_to(repeat('x', 24) || E'{\"v\":1}\\n{}', 'UTF8')";
    expect(await judged({ torn: true }, ...quarantined(1, half))).toMatchObject(ZEROS);
    expect(await judged({ torn: true }, ...quarantined(1, whole))).toMatchObject({ ...ZEROS, unexpected: 1 });
    expect(await judged({ torn: true }, ...quarantined(5, half))).toMatchObject({
      ...ZEROS,
      stored: EVENTS - 1,
      lost: 1,
    });
  });

  it("notices a removed row and a row stored twice", async () => {
    const removed = await afterwards("DELETE FROM security_event_log WHERE seq = 5");
    expect(removed).toMatchObject({ ...ZEROS, stored: EVENTS - 1, lost: 1, holes: 1 });
    const twice = await afterwards(
      `INSERT INTO security_event_log SELECT (made).* FROM (
         SELECT jsonb_populate_record(log, jsonb_build_object('occurred_at', occurred_at + interval '1 microsecond')) AS made
         FROM security_event_log AS log WHERE seq = 5) AS x`,
    );
    expect(twice.twice).toBe(1);
  });
});
