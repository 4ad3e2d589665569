/** What somebody did to the database around the log: each is said by name, by doctor and by whoever would be misled. */
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { runProgram } from "./support/program.ts";

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(() => database[Symbol.asyncDispose]());

async function doctor(): Promise<string> {
  const { stdout } = await runProgram(database, ["doctor"], { COLUMNS: "1000" });
  return stdout;
}

describe("row-level security", () => {
  it("is refused by name by every command that reads, and found by doctor", async () => {
    expect(await doctor()).toContain("nothing was added to the log's tables and functions");
    await database.query(
      "ALTER TABLE security_event_log ENABLE ROW LEVEL SECURITY; CREATE POLICY nobody ON security_event_log USING (false)",
    );
    const vkey = "log.example/shop+1f2e3d4c+AQ";
    for (const args of [["query"], ["query", "--json"], ["stats"], ["tail"], ["prove", crypto.randomUUID()]]) {
      const { code, stderr } = await runProgram(database, args);
      expect(code, args[0]).not.toBe(0);
      expect(stderr, args[0]).toContain("row-level security");
    }
    expect((await runProgram(database, ["verify", "--vkey", vkey])).code).not.toBe(0);
    const found = await doctor();
    expect(found).toContain("security_event_log has row-level security");
    expect(found).toContain("security_event_log (nobody) has a row-level policy");
  });
});

describe("seclog doctor", () => {
  it("finds rules, triggers, partitions and functions that are not Seclog's", async () => {
    await database.query(`
      CREATE RULE away AS ON INSERT TO security_event_quarantine DO INSTEAD NOTHING;
      CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
      CREATE TRIGGER drop_it BEFORE INSERT ON security_event_log FOR EACH ROW EXECUTE FUNCTION drop_it();
      CREATE TABLE security_event_log_more PARTITION OF security_event_log FOR VALUES IN ('more');
      CREATE OR REPLACE FUNCTION seclog_require_events() RETURNS trigger LANGUAGE plpgsql
        SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN NULL; END $$`);
    const found = await doctor();
    expect(found).toContain("security_event_quarantine (away) has a rule");
    expect(found).toContain("security_event_log (drop_it) has a trigger that is not Seclog's");
    expect(found).toContain("security_event_log_more belongs to the log and was not made by Seclog");
    expect(found).toContain("the function seclog_require_events is not the one that Seclog made");
  });

  it("says whose sources have passed numbers without an event, and how old the oldest event is that waits", async () => {
    await database.query(`BEGIN; SET LOCAL session_replication_role = replica;
      INSERT INTO security_event_source (id, epoch, key_hash, last_seq, login)
        SELECT gen_random_uuid(), 1, 'x', 1000000, 'taken_over' FROM generate_series(1, 3); COMMIT`);
    expect(await doctor()).toContain("3 sources that taken_over opened have passed 3,000,000 numbers without an event");
  });

  it("names settings that a role has been given, and whose transaction keeps others waiting", async () => {
    const writer = new pg.Client({ connectionString: database.writerUrl, application_name: "taken over" });
    await writer.connect();
    const name = new URL(database.writerUrl).username;
    await writer.query(
      `ALTER ROLE ${name} SET statement_timeout = '1ms'; ALTER ROLE ${name} SET search_path = nowhere`,
    );
    await writer.query("BEGIN");
    await writer.query(
      `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v,
        commitment) VALUES (gen_random_uuid(), now(), 'x', 'info', 'x', 'unknown', 'x', gen_random_uuid(), 1, 1, 1, '')`,
    );
    const owner = new pg.Client({ connectionString: database.adminUrl });
    await owner.connect();
    const waiting = owner.query("BEGIN; LOCK TABLE security_event_log IN SHARE MODE").catch(() => {});
    await expect
      .poll(doctor, { timeout: 60_000 })
      .toMatch(/process \d+ \(writer_\w+, taken over\) has held locks on the log.*and 1 session wait for it/);
    const found = await doctor();
    expect(found).toContain(`${name} has the setting statement_timeout=1ms`);
    expect(found).toContain(`${name} has the setting search_path=nowhere`);
    await writer.query("ROLLBACK");
    await waiting;
    await writer.end();
    await owner.end();
  });
});

describe("created_at", () => {
  it("is when the row was stored, however long its transaction was open before", async () => {
    const writer = new pg.Client({ connectionString: database.writerUrl });
    await writer.connect();
    await writer.query("BEGIN");
    await writer.query("SELECT pg_sleep(1.5)");
    const source = crypto.randomUUID();
    await writer.query(
      `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v,
        commitment) VALUES (gen_random_uuid(), now(), 'x', 'info', 'x', 'unknown', 'x', '${source}', 1, 1, 1, '')`,
    );
    await writer.query("COMMIT");
    await writer.end();
    const [row] = await database.query<{ late: number }>(
      `SELECT extract(epoch FROM created_at - occurred_at)::float8 AS late FROM security_event_log WHERE source_id = '${source}'`,
    );
    expect(row?.late).toBeGreaterThan(1.4);
  });
});
