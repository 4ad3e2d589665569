/**
 * A client with a source's key moves its position over events that are not stored. No event is lost or stored twice.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { createSecurityLog, type Diagnostic } from "seclog";
import { fileHandler } from "seclog/file";
import { postgresHandler } from "seclog/postgres";
import { drainSpool } from "seclog/spool";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { runProgram } from "./support/program.ts";
import { sealLog, TEST_SIGNER } from "./support/seal-log.ts";

let database: TestDatabase;
let folder = "";
let spool = "";
let service = "";
let diagnostics: Diagnostic[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-seized-"));
  spool = join(folder, "spool");
  service = folder.slice(-6);
  diagnostics = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const NOWHERE = "postgresql://nobody:nothing@127.0.0.1:1/nowhere";

function openLog(url: string): ReturnType<typeof createSecurityLog> {
  return createSecurityLog({
    service,
    spool: { directory: spool },
    handlers: [postgresHandler({ url }), fileHandler({ path: join(folder, "events.ndjson") })],
    heartbeat: false,
    diagnostics: (diagnostic) => diagnostics.push(diagnostic),
  });
}

function record(log: ReturnType<typeof createSecurityLog>, from: number, count: number): Promise<void>[] {
  return Array.from({ length: count }, (_, index) => {
    return log.recordSecurityEvent("authz_fail", null, { resource: `${from + index}` }).stored;
  });
}

function keyOf(sourceId: string): string {
  return (JSON.parse(readFileSync(join(spool, sourceId, "owner.1"), "utf8")) as { key: string }).key;
}

/** How an attacker with the same login fills the numbers before moving the position: with rows, or in quarantine. */
const FILLS = {
  rows: `WITH made AS (INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger,
      source_id, epoch, seq, v, salt, commitment)
    SELECT gen_random_uuid(), now(), 'authz_fail', 'info', 'authz', 'failure', 'thief', $1, 1, seq, 1, '\\x00', '\\x00'
      FROM generate_series($4::bigint, $5::bigint) AS seq) SELECT $2::int, $3::text`,
  quarantine:
    "SELECT seclog_quarantine($1, $2, $3, seq, 'not so', '') FROM generate_series($4::bigint, $5::bigint) AS seq",
} as const;

/** Moves the position to `to`, as an attacker with the same login who can read the spool. */
async function seize(sourceId: string, key: string, to: number, how: keyof typeof FILLS): Promise<void> {
  const attacker = new pg.Client({ connectionString: database.writerUrl });
  await attacker.connect();
  try {
    const opened = await attacker.query("SELECT seclog_open_source($1, 1, $2) AS last_seq", [sourceId, key]);
    const values = [sourceId, 1, key, Number(opened.rows[0].last_seq) + 1, to];
    await attacker.query(FILLS[how], values);
    if (how === "rows") await attacker.query("SELECT seclog_advance($1, $2, $3, $4, $5)", values);
  } finally {
    await attacker.end();
  }
}

interface Stored {
  readonly resources: readonly string[];
  readonly sources: readonly string[];
  readonly ids: number;
}

/** The stored events of this test's application, without the log's own. */
async function stored(): Promise<Stored> {
  const rows = await database.query<{ id: string; source_id: string; seq: string; resource: string }>(
    `SELECT id, source_id, seq, data->>'resource' AS resource FROM security_event_log
      WHERE service = $1 AND event_type = 'authz_fail' ORDER BY (data->>'resource')::int`,
    [service],
  );
  return {
    resources: rows.map(({ resource }) => resource),
    sources: [...new Set(rows.map(({ source_id }) => source_id))],
    ids: new Set(rows.map(({ id }) => id)).size,
  };
}

const numbers = (to: number): string[] => Array.from({ length: to }, (_, index) => `${index}`);

/** The events in the file: each once, under its own source. */
function inFile(): string[] {
  const events = readFileSync(join(folder, "events.ndjson"), "utf8").trimEnd().split("\n");
  return events
    .map((line) => JSON.parse(line) as { event_type: string; data: { resource: string } })
    .filter(({ event_type }) => event_type === "authz_fail")
    .map(({ data }) => data.resource);
}

describe("a seized source", () => {
  it("continues as another source while its log lives, with an alarm, and again when that is seized", async () => {
    const log = openLog(database.writerUrl);
    await Promise.all(record(log, 0, 50));
    await seize(log.sourceId, keyOf(log.sourceId), 500, "rows");
    await Promise.all(record(log, 50, 150));
    expect(diagnostics.filter(({ code }) => code === "SECLOG_SOURCE_SEIZED")).toEqual([
      expect.objectContaining({ level: "error", handler: "postgres", message: expect.stringContaining(log.sourceId) }),
    ]);
    expect(log.health().handlers[0]?.lastError?.code).toBe("SECLOG_SOURCE_SEIZED");
    // Until the alarm is stored as well.
    await log.flush();
    const kept = readFileSync(join(spool, log.sourceId, "successor.postgres"), "utf8");
    const [, second = "", key = ""] = kept.trim().split(" ");
    await seize(second, key, 1_000, "quarantine");
    await Promise.all(record(log, 200, 50));
    await log.close({ deadline: 30_000 });
    const { resources, sources, ids } = await stored();
    expect([resources, ids, sources.length]).toEqual([numbers(250), 250, 3]);
    const alarms = await database.query<{ source_id: string; level: string; data: object }>(
      "SELECT source_id, level, data FROM security_event_log WHERE service = $1 AND event_type = 'source_seized' ORDER BY id",
      [service],
    );
    const data = { handler: "postgres", source_id: log.sourceId };
    const third = sources.find((id) => id !== second && id !== log.sourceId);
    // After log_started and 50 events; then after 150 more.
    expect(alarms).toEqual([
      { source_id: second, level: "critical", data: { ...data, last_seq: 51, successor_id: second } },
      { source_id: third, level: "critical", data: { ...data, last_seq: expect.any(Number), successor_id: third } },
    ]);
    expect(inFile()).toEqual(numbers(250));
    expect(readdirSync(spool)).not.toContain(log.sourceId);
  });

  it("is shipped by another process as the same successor, however often, even from a backup of the spool", async () => {
    const log = openLog(NOWHERE);
    void record(log, 0, 300);
    await log.close({ deadline: 0 });
    await seize(log.sourceId, keyOf(log.sourceId), 100, "rows");
    cpSync(spool, join(folder, "backup"), { recursive: true });
    const failures: string[] = [];
    const drain = (): ReturnType<typeof drainSpool> =>
      drainSpool({
        directory: spool,
        handlers: [
          postgresHandler({ url: database.writerUrl, batchSize: 70 }),
          fileHandler({ path: join(folder, "events.ndjson") }),
        ],
        onFailure: ({ code }) => failures.push(code),
      });
    expect(await drain()).toMatchObject({ sources: 1, finished: 1 });
    expect(failures).toEqual(["SECLOG_SOURCE_SEIZED"]);
    const first = await stored();
    expect([first.resources, first.ids, first.sources.length]).toEqual([numbers(300), 300, 1]);
    expect(first.sources).not.toEqual([log.sourceId]);
    cpSync(join(folder, "backup"), spool, { recursive: true });
    expect(await drain()).toMatchObject({ finished: 1 });
    expect(await stored()).toEqual(first);
    expect(inFile()).toEqual(numbers(300));
  });

  it("is not reported when retention has dropped events that a backup of the spool ships again", async () => {
    const log = openLog(database.writerUrl);
    await Promise.all(record(log, 0, 20));
    cpSync(spool, join(folder, "backup"), { recursive: true });
    await log.close({ deadline: 30_000 });
    // As after `seclog prune`: the rows are gone, and their numbers recorded.
    await database.query(`BEGIN; SET LOCAL session_replication_role = replica;
      DELETE FROM security_event_log WHERE source_id = '${log.sourceId}';
      INSERT INTO security_event_removed VALUES (1, 'pruned', '${log.sourceId}', '{[1,23)}'); COMMIT`);
    for (const name of readdirSync(join(folder, "backup"))) {
      rmSync(join(folder, "backup", name, "cursor.postgres"), { force: true });
    }
    cpSync(join(folder, "backup"), spool, { recursive: true });
    const failures: string[] = [];
    await drainSpool({
      directory: spool,
      handlers: [postgresHandler({ url: database.writerUrl })],
      onFailure: ({ code }) => failures.push(code),
    }).catch((error: unknown) => failures.push(String(error)));
    expect(failures).toEqual([]);
    expect((await stored()).resources).toEqual([]);
  });
});

describe("an edited cursor", () => {
  it.each([52, 30, 999_999])("deletes no event before the database has confirmed it: %i", async (claimed) => {
    const log = openLog(NOWHERE);
    void record(log, 0, 50);
    await log.close({ deadline: 0 });
    const line = `${String(claimed).padStart(15, "0")} ${String(claimed).padStart(15, "0")}\n`;
    const cursor = join(spool, log.sourceId, "cursor.postgres");
    writeFileSync(cursor, line + line, { mode: 0o600 });
    // Otherwise the other handler's cursor would keep the source.
    rmSync(join(spool, log.sourceId, "cursor.file"), { force: true });
    const shipped = await runProgram(database, ["ship", "--spool", spool]);
    expect(shipped.code, shipped.stdout).not.toBe(0);
    expect(shipped.stderr).toContain(
      `source ${log.sourceId} ends at 0 there, but the spool's cursor says ${claimed} was stored`,
    );
    expect(shipped.stderr).toContain("or the cursor was edited");
    expect(readdirSync(join(spool, log.sourceId)).filter((name) => name.endsWith(".seg")).length).toBeGreaterThan(0);

    // As docs/operations.md says.
    rmSync(cursor);
    expect(await runProgram(database, ["ship", "--spool", spool])).toMatchObject({ code: 0 });
    expect(await stored()).toMatchObject({ resources: numbers(50), ids: 50, sources: [log.sourceId] });
  });
});

/** An event as an attacker reads it in the application's files. */
interface SpooledEvent {
  readonly id: string;
  readonly occurred_at: string;
  readonly seq: number;
}

describe("an attacker who has read a source's key in its spool", () => {
  it("can stop the source by raising the epoch: its events wait in the spool, and health says so", async () => {
    const log = openLog(database.writerUrl);
    await Promise.all(record(log, 0, 20));
    const attacker = new pg.Client({ connectionString: database.writerUrl });
    await attacker.connect();
    await attacker.query("SELECT seclog_open_source($1, 5, $2)", [log.sourceId, keyOf(log.sourceId)]);
    await attacker.end();
    void record(log, 20, 30);
    const postgres = (): unknown => log.health().handlers.find(({ name }) => name === "postgres");
    await expect.poll(postgres, { timeout: 30_000 }).toMatchObject({
      status: "stopped",
      behind: expect.any(Number),
      lastError: { code: "SECLOG_SOURCE_FENCED" },
    });
    expect(log.health().status).not.toBe("ok");
    await log.close({ deadline: 1_000 });
    expect(await stored()).toMatchObject({ resources: numbers(20), sources: [log.sourceId] });
    expect(readdirSync(spool)).toContain(log.sourceId);

    // The statement in docs/operations.md releases them, once and under their own source.
    await database.query(
      `SET seclog.maintenance = on; UPDATE security_event_source SET epoch = 1 WHERE id = '${log.sourceId}'; RESET seclog.maintenance`,
    );
    await drainSpool({ directory: spool, handlers: [postgresHandler({ url: database.writerUrl })] });
    expect(await stored()).toMatchObject({ resources: numbers(50), ids: 50, sources: [log.sourceId] });
  });

  it("can store other contents under the ids and times of waiting events, undetected", async () => {
    const before = openLog(database.writerUrl);
    await Promise.all(record(before, 0, 10));
    await before.close({ deadline: 30_000 });
    const log = openLog(NOWHERE);
    void record(log, 10, 40);
    const waiting = (): SpooledEvent[] =>
      readFileSync(join(folder, "events.ndjson"), "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as SpooledEvent & { readonly source_id: string })
        .filter(({ source_id }) => source_id === log.sourceId);
    // After log_started.
    await expect.poll(() => waiting().length, { timeout: 30_000 }).toBeGreaterThanOrEqual(41);
    await log.close({ deadline: 0 });
    const key = keyOf(log.sourceId);
    const attacker = new pg.Client({ connectionString: database.writerUrl });
    await attacker.connect();
    await attacker.query("SELECT seclog_open_source($1, 1, $2)", [log.sourceId, key]);
    for (const { id, occurred_at, seq } of waiting().slice(0, 41)) {
      await attacker.query(
        `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, service,
            source_id, epoch, seq, v, data, salt, commitment)
          SELECT $1, $2, 'authz_fail', 'info', 'authz', 'failure', 'thief', $3, $4, 1, $5, 1, line.data, salt.salt,
              sha256(salt.salt || convert_to('{"data":' || line.data || '}', 'UTF8'))
            FROM (SELECT '{"resource":"99"}'::json AS data) AS line, (SELECT uuid_send(gen_random_uuid()) AS salt) AS salt`,
        [id, occurred_at, service, log.sourceId, seq],
      );
    }
    await attacker.query("SELECT seclog_advance($1, 1, $2, 1, 41)", [log.sourceId, key]);
    await attacker.end();
    const failures: string[] = [];
    await drainSpool({
      directory: spool,
      handlers: [postgresHandler({ url: database.writerUrl }), fileHandler({ path: join(folder, "events.ndjson") })],
      onFailure: ({ code }) => failures.push(code),
    });
    expect(failures).toEqual([]);
    await sealLog(database);
    // Other tests of this file leave findings for their own sources.
    const { stdout } = await runProgram(database, ["verify", "--vkey", TEST_SIGNER.vkey, "--json"]);
    const { findings } = JSON.parse(stdout) as { readonly findings: readonly { readonly source?: string }[] };
    expect(findings.filter(({ source }) => source === log.sourceId)).toEqual([]);
    // Events shipped before are intact; those that waited were replaced by the attacker's.
    const { resources } = await stored();
    expect(resources.slice(0, 10)).toEqual(numbers(10));
    expect(new Set(resources.slice(10))).toEqual(new Set(["99"]));
  });
});
