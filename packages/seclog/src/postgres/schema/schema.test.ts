import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, postgresUrl, type TestDatabase } from "#test/support/postgres.ts";
import { dumpSchema } from "#test/support/schema-dump.ts";
import { exampleBatch } from "../../testing/example-events.ts";
import { postgresHandler } from "../handler.ts";
import { checkSchemaVersion } from "../schema-version.ts";
import { accessProblems } from "./access.ts";
import { migrations } from "./migrations.ts";
import { scramVerifier } from "./scram.ts";
import { setupDatabase } from "./setup.ts";
import { setupSql } from "./setup-sql.ts";

let database: TestDatabase;
const sourceId = "01936d2f-5c00-7000-8000-000000000001";
const now = new Date().toISOString();
/** The partition of this month's events. */
const month = `security_event_log_standard_${now.slice(0, 7).replace("-", "_")}`;

beforeAll(async () => {
  database = await createTestDatabase();
  const handler = postgresHandler({ url: database.writerUrl });
  await handler.handle(
    exampleBatch({ sourceId, count: 3, event: { occurredAt: now.replace("Z", "000Z") } }),
    AbortSignal.timeout(20_000),
  );
  await handler.close();
});
afterAll(() => database[Symbol.asyncDispose]());

/** Runs statements as a role, on a new connection. */
async function as<Row extends pg.QueryResultRow>(url: string, ...statements: string[]): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    let rows: Row[] = [];
    for (const sql of statements) rows = (await client.query<Row>(sql)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

const drop = async (name: string): Promise<void> => {
  await as(await postgresUrl(), `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
};

describe("the schema", () => {
  it("is the committed one", async () => {
    await expect(await dumpSchema(database)).toMatchFileSnapshot("./schema.sql");
  });

  it("answers a reader's plain query", async () => {
    const rows = await as(
      database.readerUrl,
      "SELECT event_type, path, ip_address FROM security_event_log WHERE created_at > now() - interval '1 day'",
    );
    const event = { event_type: "authz_fail", path: "/admin/orders", ip_address: "203.0.113.9" };
    const own = { event_type: "log_setup", path: null, ip_address: null };
    expect(rows.sort((a, b) => (String(a["event_type"]) < String(b["event_type"]) ? -1 : 1))).toEqual([
      event,
      event,
      event,
      own,
    ]);
  });

  it("prunes partitions for a range of the events' time", async () => {
    const plan = await as<{ "QUERY PLAN": string }>(
      database.readerUrl,
      `EXPLAIN (COSTS OFF) SELECT * FROM security_event_log
        WHERE occurred_at >= '${now}' AND occurred_at < '${now}'::timestamptz + interval '1 second'`,
    );
    const text = plan.map((row) => row["QUERY PLAN"]).join("\n");
    // One month of each retention class, and the partition for classes unknown so far.
    const scanned = [...text.matchAll(/ on (security_event_log\S*)/g)].map(([, part]) => part);
    expect(scanned.sort()).toEqual(
      [
        month.replace("standard", "long"),
        month.replace("standard", "short"),
        month,
        "security_event_log_other",
        "security_event_log_own",
      ].sort(),
    );
  });

  it.each([
    ["writer", "SELECT * FROM security_event_log"],
    ["writer", "SELECT * FROM security_event_source"],
    ["writer", "UPDATE security_event_source SET last_seq = 0"],
    ["writer", "UPDATE security_event_log SET path = ''"],
    ["writer", "DELETE FROM security_event_log"],
    ["writer", "TRUNCATE security_event_log"],
    ["writer", "INSERT INTO security_event_log (created_at) VALUES (now())"],
    ["writer", "INSERT INTO security_event_quarantine VALUES (gen_random_uuid(), 1, '', '')"],
    ["writer", "SELECT seclog_add_partition('short', now())"],
    ["writer", "CREATE TABLE mine ()"],
    ["writer", "CREATE TEMPORARY TABLE mine ()"],
    ["writer", "SET ROLE seclog_owner"],
    ["writer", "SELECT seclog_advance(gen_random_uuid(), 1, 'x', 1, 1)"],
    ["reader", "INSERT INTO security_event_retention VALUES ('x', 'short')"],
    ["reader", "UPDATE security_event_log SET path = ''"],
    ["reader", "DELETE FROM security_event_log"],
    ["reader", "SELECT seclog_ensure_partitions()"],
    ["reader", "SELECT seclog_open_source(gen_random_uuid(), 1, 'x')"],
  ] as const)("the %s may not: %s", async (role, sql) => {
    await expect(as(role === "writer" ? database.writerUrl : database.readerUrl, sql)).rejects.toMatchObject({
      code: expect.stringMatching(/^(42501|SL004)$/),
    });
  });

  it.each([
    "SELECT id FROM security_event_log",
    "SELECT last_seq FROM security_event_source",
    "SELECT record FROM security_event_quarantine",
    "SELECT root FROM security_event_tree",
    "UPDATE security_event_log SET path = ''",
    "UPDATE security_event_source SET last_seq = 0",
    "UPDATE security_event_source SET sender = 'mine'",
    "DELETE FROM security_event_log",
    "DELETE FROM security_event_source",
    "TRUNCATE security_event_log",
    `INSERT INTO ${month} (id) VALUES (gen_random_uuid())`,
    "INSERT INTO security_event_log (created_at) VALUES (now())",
    "INSERT INTO security_event_quarantine VALUES (gen_random_uuid(), 1, '', '')",
    "INSERT INTO security_event_source (id, epoch, key_hash) VALUES (gen_random_uuid(), 1, '')",
    "SELECT seclog_open_source(gen_random_uuid(), 1, 'x')",
    "SELECT seclog_advance(gen_random_uuid(), 1, 'x', 1, 1)",
    "SELECT seclog_quarantine(gen_random_uuid(), 1, 'x', 1, '', '')",
    "SELECT seclog_confirm(gen_random_uuid(), 1, 'x', 1, '{}', '{}', '{}')",
    "SELECT seclog_ensure_partitions()",
    "SELECT seclog_open(gen_random_uuid(), 1, '', NULL)",
    "SELECT seclog_move(gen_random_uuid(), NULL, '', 1, 1)",
    "SELECT seclog_set_aside(gen_random_uuid(), NULL, '', 1, '', '')",
    "SELECT seclog_find(gen_random_uuid(), NULL, '', 1, '{}', '{}', '{}')",
    "SELECT seclog_own_event('log_erased', '{}')",
    "SELECT seclog_next_own_seq()",
    "SELECT seclog_seal(0, '', 1, '', '', 1, '', '', '{}', '{}', '{}', '{}', '{}', '{}')",
    "SELECT seclog_take_turn(gen_random_uuid(), 60)",
    "SELECT seclog_make_partitions(1)",
    "SELECT seclog_add_partition('short', now())",
    "SELECT seclog_erase('a', NULL, NULL, NULL, NULL, NULL, 'x', true)",
    "SELECT seclog_prune('short', now(), 'x')",
    "SELECT seclog_hold('x', NULL, NULL, NULL)",
    "SELECT seclog_release(1, 'x')",
    "SELECT seclog_keep('authz', 'short')",
    "CREATE TABLE mine ()",
    "CREATE TEMPORARY TABLE mine ()",
    "SET ROLE seclog_owner",
    "SET ROLE seclog_writer",
    "ALTER TABLE security_event_log DISABLE TRIGGER ALL",
    "SET session_replication_role = 'replica'",
    "CREATE ROLE mine",
  ])("the relay may not: %s", async (sql) => {
    await expect(as(database.relayUrl, sql)).rejects.toMatchObject({ code: "42501" });
  });

  it.each([
    "SELECT FROM security_event_log",
    "SELECT FROM security_event_source",
    "INSERT INTO security_event_log (id) VALUES (gen_random_uuid())",
    "SELECT seclog_seal(0, '', 0, '', '', 0, '', '', '{}', '{}', '{}', '{}', '{}', '{}')",
    "SET ROLE seclog_reader",
    "TRUNCATE seclog_console_user",
  ])("the console's role may not: %s", async (sql) => {
    await expect(as(database.consoleUrl, sql)).rejects.toMatchObject({ code: "42501" });
  });

  it.each(["writer", "reader", "sealer", "relay"] as const)("the %s may not read the console's users", async (role) => {
    await expect(as(database[`${role}Url`], "SELECT FROM seclog_console_user")).rejects.toMatchObject({
      code: "42501",
    });
  });

  it("the relay inserts no event of the database's own", async () => {
    const columns =
      "id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, salt, commitment";
    const insert = (retention: string): string => `INSERT INTO security_event_log (${columns}, retention)
      VALUES (gen_random_uuid(), now(), 'log_erased', 'warning', 'log', 'success', 'security', gen_random_uuid(), 1, 1, 1, '', '', '${retention}')`;
    await expect(as(database.relayUrl, insert("own"))).rejects.toMatchObject({ code: "42501" });
    await as(database.relayUrl, insert("standard"));
  });

  it.each([
    "seclog_relay_position(gen_random_uuid())",
    "seclog_relay_open(gen_random_uuid(), 1, sha256(''), '')",
    "seclog_relay_advance(gen_random_uuid(), sha256(''), 1, 1)",
    "seclog_relay_quarantine(gen_random_uuid(), sha256(''), 1, '', '')",
    "seclog_relay_confirm(gen_random_uuid(), sha256(''), 1, '{}', '{}', '{}')",
    "seclog_relay_pass(gen_random_uuid(), sha256(''), 1, 1, 'x')",
    "seclog_relay_dropped('q', 1, '{}', 'x')",
  ])("writer, reader and sealer may not call %s", async (call) => {
    for (const url of [database.writerUrl, database.readerUrl, database.sealerUrl]) {
      await expect(as(url, `SELECT ${call}`)).rejects.toMatchObject({ code: "42501" });
    }
  });

  it.each([
    "UPDATE security_event_log SET path = ''",
    "DELETE FROM security_event_log",
    "TRUNCATE security_event_log",
    `TRUNCATE ${month}`,
    `DELETE FROM ${month}`,
    "DELETE FROM security_event_quarantine WHERE true",
    "SET seclog.maintenance = 'on'; DELETE FROM security_event_log",
    "SET ROLE seclog_owner; UPDATE security_event_log SET path = ''",
  ])("a superuser does not by accident: %s", async (sql) => {
    await database.query("INSERT INTO security_event_quarantine VALUES (gen_random_uuid(), 1, '', '')");
    await expect(as(database.adminUrl, sql)).rejects.toThrow("security events are never changed or deleted");
  });

  it("reports of each role every difference from the access it should have", async () => {
    for (const [url, role] of [
      [database.writerUrl, "writer"],
      [database.readerUrl, "reader"],
      [database.relayUrl, "relay"],
      [database.consoleUrl, "console"],
    ] as const) {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      expect(await accessProblems(client, role)).toEqual([]);
      expect(await accessProblems(client, role === "writer" ? "reader" : "writer")).not.toEqual([]);
      await database.query(`GRANT DELETE ON security_event_log TO seclog_${role}`);
      expect(await accessProblems(client, role)).toEqual([expect.stringMatching(/may DELETE on security_event_log$/)]);
      await database.query(`REVOKE DELETE ON security_event_log FROM seclog_${role}`);
      await client.end();
    }
  });

  it("setup says which database to connect to when the administrator's URL names the one to be created", async () => {
    const adminUrl = new URL(database.serverUrl);
    adminUrl.pathname = "/to_be_made";
    await expect(setupDatabase({ adminUrl: adminUrl.href, database: "to_be_made" })).rejects.toMatchObject({
      code: "SECLOG_SETUP",
      message: expect.stringContaining("must name an existing database, such as /postgres"),
    });
  });

  it("setup restores what was granted and revoked since", async () => {
    await database.query("GRANT DELETE, TRUNCATE ON security_event_log TO seclog_writer");
    await database.query("GRANT UPDATE (path) ON security_event_log TO seclog_reader");
    await database.query("REVOKE EXECUTE ON FUNCTION seclog_describe() FROM seclog_writer");
    await database.query("REVOKE SELECT ON security_event_source FROM seclog_reader");
    await database.query("GRANT EXECUTE ON FUNCTION seclog_add_partition(text, timestamptz) TO PUBLIC");
    await database.query("ALTER TABLE security_event_log DISABLE TRIGGER seclog_append_only");
    await setupDatabase({ adminUrl: database.serverUrl, writerUrl: database.writerUrl, readerUrl: database.readerUrl });
    expect(await database.query("SELECT tgrelid::regclass FROM pg_trigger WHERE tgenabled = 'D'")).toEqual([]);
    for (const [url, role] of [
      [database.writerUrl, "writer"],
      [database.readerUrl, "reader"],
    ] as const) {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      expect(await accessProblems(client, role)).toEqual([]);
      await client.end();
    }
  });
});

describe("seclog_make_partitions()", () => {
  it("creates missing partitions, moves their rows out of the default partition, and is idle afterwards", async () => {
    const count = `SELECT count(*)::int AS count, max(tableoid::regclass::text) AS part FROM security_event_log WHERE source_id = '${sourceId}'`;
    await database.query(`ALTER TABLE security_event_log_standard DETACH PARTITION ${month}`);
    await database.query(`ALTER TABLE ${month} DISABLE TRIGGER USER`);
    await database.query(`INSERT INTO security_event_log SELECT * FROM ${month}`);
    await database.query(`DROP TABLE ${month}`);
    expect(await database.query(count)).toEqual([{ count: 3, part: "security_event_log_standard_default" }]);
    expect(await as(database.sealerUrl, "SELECT seclog_make_partitions() AS n")).toEqual([{ n: 1 }]);
    expect(await database.query(count)).toEqual([{ count: 3, part: month }]);
    expect(await as(database.sealerUrl, "SELECT seclog_make_partitions() AS n")).toEqual([{ n: 0 }]);
    await expect(as(database.adminUrl, `TRUNCATE ${month}`)).rejects.toThrow("never changed");
  });

  it("gives up at the first lock that another session holds, and creates them later", async () => {
    const blocker = new pg.Client({ connectionString: database.adminUrl });
    const sealer = new pg.Client({ connectionString: database.sealerUrl });
    await Promise.all([blocker.connect(), sealer.connect()]);
    const warnings: (string | undefined)[] = [];
    sealer.on("notice", ({ message }) => warnings.push(message));
    const ensure = async () => (await sealer.query<{ n: number }>("SELECT seclog_make_partitions(4) AS n")).rows[0]?.n;
    await blocker.query("BEGIN; SELECT count(*) FROM security_event_log");
    // One wait, not one for each missing partition.
    expect(await ensure()).toBe(0);
    expect(warnings).toEqual([expect.stringContaining("lock timeout")]);
    await blocker.query("COMMIT");
    expect(await ensure()).toBe(3);
    await Promise.all([blocker.end(), sealer.end()]);
  });

  it("is bounded, whatever its argument", async () => {
    const [row] = await as<{ n: number }>(database.sealerUrl, "SELECT seclog_make_partitions(1000000) AS n");
    expect(row?.n).toBeLessThanOrEqual(3 * 24);
  });

  it("leaves a writer no way to block the log, though older libraries still call its predecessor", async () => {
    const writer = new pg.Client({ connectionString: database.writerUrl });
    await writer.connect();
    await expect(writer.query("SELECT seclog_make_partitions()")).rejects.toMatchObject({ code: "42501" });
    await writer.query("BEGIN");
    expect((await writer.query("SELECT seclog_ensure_partitions(24) AS n")).rows).toEqual([{ n: 0 }]);
    // Its own locks only: autovacuum takes others now and then.
    const { rows: locks } = await writer.query(
      "SELECT relation::regclass FROM pg_locks WHERE pid = pg_backend_pid() AND mode NOT IN ('AccessShareLock', 'RowExclusiveLock') AND relation::regclass::text LIKE 'security%'",
    );
    await writer.end();
    expect(locks).toEqual([]);
  });
});

describe("setupDatabase()", () => {
  it("can run again and twice at once, and changes passwords", async () => {
    const name = `seclog_test_${randomBytes(5).toString("hex")}`;
    const adminUrl = database.serverUrl;
    const url = (user: string, password: string): string => {
      const made = new URL(adminUrl);
      Object.assign(made, { pathname: `/${name}`, username: `${user}_${name}`, password });
      return made.href;
    };
    const options = { adminUrl, writerUrl: url("w", "one"), readerUrl: url("r", "two") };
    try {
      const both = await Promise.all([setupDatabase(options), setupDatabase(options)]);
      expect(both.map(({ databaseCreated }) => databaseCreated).sort()).toEqual([false, true]);
      expect(both.flatMap(({ migrationsApplied }) => migrationsApplied)).toHaveLength(migrations().length);
      const again = await setupDatabase({ ...options, writerUrl: url("w", "new pässword \u00a0½") });
      expect(again).toMatchObject({
        database: name,
        databaseCreated: false,
        migrationsApplied: [],
        partitionsCreated: 0,
      });
      await as(url("w", "new pässword \u00a0½"), "SELECT 1");
      await expect(as(options.writerUrl, "SELECT 1")).rejects.toMatchObject({ code: "28P01" });
    } finally {
      await drop(name);
      await as(adminUrl, `DROP ROLE "w_${name}", "r_${name}"`);
    }
  });

  it("works without a superuser, and leaves the administrator without the owner's rights", async () => {
    const name = `seclog_test_${randomBytes(5).toString("hex")}`;
    await as(database.serverUrl, `CREATE ROLE dba_${name} LOGIN CREATEROLE CREATEDB PASSWORD 'x'`);
    // The superuser created them earlier, so this administrator needs a grant.
    await as(
      database.serverUrl,
      `GRANT seclog_owner, seclog_writer, seclog_reader, seclog_sealer, seclog_relay, seclog_console TO dba_${name} WITH ADMIN OPTION, SET FALSE, INHERIT FALSE`,
    );
    const adminUrl = Object.assign(new URL(database.serverUrl), { username: `dba_${name}`, password: "x" }).href;
    try {
      await setupDatabase({ adminUrl, database: name });
      await setupDatabase({ adminUrl, database: name });
      await expect(as(adminUrl, "SET ROLE seclog_owner")).rejects.toMatchObject({ code: "42501" });
    } finally {
      await drop(name);
      await as(database.serverUrl, `DROP OWNED BY dba_${name}; DROP ROLE dba_${name}`);
    }
  });

  it("does the same as its script for psql", async () => {
    const name = `seclog_test_${randomBytes(5).toString("hex")}`;
    // Of this test alone: another file's roles may exist already, and psql would say so.
    const logins = {
      writer: `w_${name}`,
      reader: `r_${name}`,
      sealer: `s_${name}`,
      relay: `q_${name}`,
      console: `c_${name}`,
    };
    const sql = setupSql({ database: name, ...logins });
    expect(sql).not.toMatch(/PASSWORD '|SCRAM/);
    const run = () =>
      spawnSync("psql", ["--quiet", "--no-psqlrc", "--dbname", database.serverUrl], { input: sql, encoding: "utf8" });
    const first = run();
    if (first.error !== undefined) return; // no psql on this machine
    try {
      expect([first.status, run().status, first.stderr]).toEqual([0, 0, ""]);
      const made = new pg.Client(Object.assign(new URL(database.serverUrl), { pathname: `/${name}` }).href);
      await made.connect();
      const dump = await dumpSchema({
        query: async <Row extends { text: string }>(text: string) => (await made.query<Row>(text)).rows,
      });
      const setup = "SELECT data::text FROM security_event_log WHERE event_type = 'log_setup'";
      expect((await made.query(setup)).rows).toEqual(await database.query(setup));
      await made.end();
      expect(dump).toBe(await dumpSchema(database));
    } finally {
      await drop(name);
      await as(database.serverUrl, `DROP ROLE ${Object.values(logins).join(", ")}`);
    }
  });

  it("refuses a database with other tables, and one that a newer program has changed", async () => {
    const name = `seclog_test_${randomBytes(5).toString("hex")}`;
    const own = Object.assign(new URL(database.serverUrl), { pathname: `/${name}` }).href;
    try {
      await as(database.serverUrl, `CREATE DATABASE ${name}`);
      await as(own, "CREATE TABLE customers ()");
      await expect(setupDatabase({ adminUrl: database.serverUrl, database: name })).rejects.toThrow("customers");
      await as(own, "DROP TABLE customers");
      await setupDatabase({ adminUrl: database.serverUrl, database: name });
      await as(own, "INSERT INTO seclog_migration VALUES (9999, '9999-new.sql', true, '')");
      await expect(setupDatabase({ adminUrl: database.serverUrl, database: name })).rejects.toMatchObject({
        code: "SECLOG_SCHEMA_NEWER",
      });
    } finally {
      await drop(name);
    }
  });

  it.each([
    [{ writerUrl: "postgresql://seclog_writer:x@h/d" }, "group"],
    [{ writerUrl: "postgresql://postgres:x@h/d" }, "administrator"],
    [{ writerUrl: "postgresql://a:x@h/d", readerUrl: "postgresql://a:x@h/d" }, "the role a again"],
    [{ writerUrl: "postgresql://a:x@h/d", readerUrl: "postgresql://b:x@h/e" }, "database e"],
    [{ database: "postgres" }, "of its own"],
  ])("refuses %j", async (options, named) => {
    const adminUrl = "postgresql://postgres:x@127.0.0.1:1/postgres";
    await expect(setupDatabase({ adminUrl, ...options })).rejects.toThrow(named);
  });
});

describe("checkSchemaVersion()", () => {
  const own = [{ id: 1 }, { id: 2 }];
  it("distinguishes an older, an equal, a newer and an incompatible schema", () => {
    const applied = (...ids: number[]) => ids.map((id) => ({ id, breaking: id === 4 }));
    expect(() => checkSchemaVersion(own, [])).toThrow(expect.objectContaining({ code: "SECLOG_SCHEMA_MISSING" }));
    expect(() => checkSchemaVersion(own, applied(1))).toThrow(expect.objectContaining({ code: "SECLOG_SCHEMA_OLDER" }));
    expect(checkSchemaVersion(own, applied(1, 2))).toBeUndefined();
    expect(checkSchemaVersion(own, applied(1, 2, 3))).toContain("newer");
    expect(() => checkSchemaVersion(own, applied(1, 2, 3, 4))).toThrow(
      expect.objectContaining({ code: "SECLOG_SCHEMA_NEWER" }),
    );
  });
});

describe("scramVerifier()", () => {
  it("is the verifier that PostgreSQL would have stored", () => {
    // RFC 7677 section 3: user "user", password "pencil".
    expect(scramVerifier("pencil", Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64"), 4096)).toBe(
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
    );
  });
});
