/** Changes to the database around the log: doctor names each, and so does every command that it would mislead. */
import pg from "pg";
import { createSecurityLog, type SecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { runProgram } from "./support/program.ts";
import { sealLog, TEST_SIGNER } from "./support/seal-log.ts";

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(() => database[Symbol.asyncDispose]());

async function doctor(): Promise<string> {
  const { stdout } = await runProgram(database, ["doctor"], { COLUMNS: "1000" });
  return stdout;
}

/** An application's log, with the writer's login. */
function openLog(service: string): SecurityLog {
  return createSecurityLog({
    service,
    spool: "memory",
    handlers: [postgresHandler({ url: database.writerUrl })],
    heartbeat: false,
    diagnostics: () => {},
  });
}

/** Inserts a row under a source's number, as an attacker with the writer's login. */
async function forge(
  source: string,
  seq: number | bigint,
  columns: { readonly [name: string]: string } = {},
): Promise<void> {
  const row: { readonly [name: string]: string } = {
    id: "gen_random_uuid()",
    occurred_at: "now() - interval '1 minute'",
    event_type: "'authz_fail'",
    level: "'warning'",
    category: "'authz'",
    outcome: "'failure'",
    logger: "'security'",
    source_id: `'${source}'`,
    epoch: "1",
    seq: String(seq),
    v: "1",
    salt: "decode(repeat('00', 16), 'hex')",
    commitment: "sha256(decode(repeat('00', 16), 'hex') || '{}'::bytea)",
    ...columns,
  };
  const writer = new pg.Client({ connectionString: database.writerUrl });
  await writer.connect();
  try {
    await writer.query(
      `INSERT INTO security_event_log (${Object.keys(row).join(", ")}) VALUES (${Object.values(row).join(", ")})`,
    );
  } finally {
    await writer.end();
  }
}

describe("a row under the next number of another application's source", () => {
  it("is sealed in the event's place, and verify and prove leave open which of the two was inserted", async () => {
    const log = openLog("shop");
    await log.recordSecurityEvent("authz_fail").stored;
    await forge(log.sourceId, 3);
    const honest = log.recordSecurityEvent("authz_fail");
    await honest.stored;
    const unsealed = await runProgram(database, ["verify", "--vkey", TEST_SIGNER.vkey]);
    expect(unsealed.code).not.toBe(0);
    await log.close();
    await sealLog(database);

    const { code, stdout } = await runProgram(database, ["verify", "--vkey", TEST_SIGNER.vkey, "--json"]);
    expect(code).toBe(1);
    const { findings } = JSON.parse(stdout) as {
      findings: readonly { kind: string; event_id: string; sentence: string }[];
    };
    expect(findings).toMatchObject([{ kind: "inserted", event_id: honest.id, seq: 3 }]);
    expect(findings[0]?.sentence).toContain(
      "one of the two was inserted, and the log cannot decide which; compare both with the application's spool and receipts",
    );
    const proof = await runProgram(database, ["prove", honest.id ?? ""]);
    expect(proof.code).toBe(1);
    expect(proof.stderr).toContain("either it was changed, or an inserted row was sealed in its place");
    expect(proof.stderr).toContain("compare with the application's spool and receipts");
  });

  it("is named in the same words while neither is sealed", async () => {
    const log = openLog("shop");
    await log.recordSecurityEvent("authz_fail").stored;
    await sealLog(database);
    await forge(log.sourceId, 3);
    await log.recordSecurityEvent("authz_fail").stored;
    const { code, stdout } = await runProgram(database, ["verify", "--vkey", TEST_SIGNER.vkey]);
    await log.close();
    expect(code).toBe(1);
    expect(stdout.replace(/\s+/g, " ")).toContain(
      "shares its number with another row, and neither is sealed yet: one of the two was inserted",
    );
  });
});

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
    expect(found).toContain("security_event_log_more is a partition that Seclog did not create");
    expect(found).toContain("the function seclog_require_events is not the one that Seclog created");
  });

  it("names the login whose sources have passed numbers without an event", async () => {
    await database.query(`BEGIN; SET LOCAL session_replication_role = replica;
      INSERT INTO security_event_source (id, epoch, key_hash, last_seq, login)
        SELECT gen_random_uuid(), 1, 'x', 1000000, 'taken_over' FROM generate_series(1, 3); COMMIT`);
    expect(await doctor()).toContain("3 sources that taken_over opened have skipped 3,000,000 numbers");
  });

  it("names a login that several services share, by what their sources have stored", async () => {
    const shop = openLog("shop");
    await shop.recordSecurityEvent("authz_fail").stored;
    // A row beyond its source's position does not prove a service's name.
    await forge(shop.sourceId, 1_000, { service: "'forged'" });
    expect(await doctor()).not.toContain("share the login");
    const mail = openLog("mail");
    await mail.recordSecurityEvent("authz_fail").stored;
    const found = await doctor();
    await Promise.all([shop.close(), mail.close()]);
    const login = new URL(database.writerUrl).username;
    expect(found).toContain(
      `the services mail, shop share the login ${login}: each can interfere with the others' sources`,
    );
    expect(found).toContain(
      "give each application its own login: run seclog setup with another user in SECLOG_DATABASE_URL",
    );
  });

  it("names a role's settings, and the session whose transaction blocks others", async () => {
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

describe("a number beyond 2^53", () => {
  it("is shown exactly by every command that reads", async () => {
    const log = openLog("shop");
    await log.recordSecurityEvent("authz_fail").stored;
    await log.close();
    await sealLog(database);
    await forge(log.sourceId, 9_007_199_254_740_993n);
    await database.query(`BEGIN; SET LOCAL session_replication_role = replica;
      INSERT INTO security_event_source (id, epoch, key_hash, last_seq, login)
        VALUES (gen_random_uuid(), 1, 'x', 9223372036854775807, 'taken_over'); COMMIT`);
    const run = async (...args: string[]): Promise<string> =>
      (await runProgram(database, args, { COLUMNS: "1000" })).stdout;
    const keys = ["--vkey", TEST_SIGNER.vkey];
    const wrong = /9,?007,?199,?254,?740,?99[24]|9,?223,?372,?036,?854,?77[56],?[0-7]0[0-68-9]/;
    for (const [args, found] of [
      [["verify", ...keys], /number 9007199254740993,[\s\S]*numbers 1 to 9223372036854775807/],
      [["verify", ...keys, "--json"], /"seq": ?"9007199254740993"[\s\S]*"last_seq": ?"9223372036854775807"/],
      [["query", "--json"], /"seq": ?"9007199254740993"/],
      [["stats"], /9,?223,?372,?036,?854,?775,?807/],
      [["stats", "--json"], /"unsealed": ?"9223372036854775807"/],
      [["doctor"], /skipped 9,223,372,036,854,775,807 numbers/],
    ] as const) {
      const text = await run(...args);
      expect(text, args.join(" ")).toMatch(found);
      expect(text, args.join(" ")).not.toMatch(wrong);
    }
  });
});

describe("created_at", () => {
  it("is the time at which the row was stored, however long its transaction was open before", async () => {
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
