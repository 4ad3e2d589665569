/** The built program, against a real PostgreSQL: what doctor finds. */
import { chmodSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { type Environment, LONG, programOf } from "../support/program.ts";
import { SOURCE_A, seedLog } from "../support/seeded-log.ts";

let database: TestDatabase;
let folder: string;
const { seclog } = programOf(() => database);

beforeAll(async () => {
  database = await createTestDatabase();
  await seedLog(database);
  folder = mkdtempSync(join(tmpdir(), "seclog-cli-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

describe("seclog doctor", LONG, () => {
  interface Report {
    readonly ok: boolean;
    readonly checks: readonly {
      readonly area: string;
      readonly status: string;
      readonly finding: string;
      readonly advice?: string;
    }[];
  }

  /** The faults and warnings, except those of the test server, which runs without fsync. */
  async function findings(args: readonly string[] = [], environment: Environment = {}): Promise<string[]> {
    const { code, stdout } = await seclog(["doctor", "--json", ...args], environment);
    const { ok, checks } = JSON.parse(stdout) as Report;
    const faults = checks.filter(({ status }) => status === "fault");
    expect(ok).toBe(faults.length === 0);
    expect(code).toBe(faults.length === 0 ? 0 : 1);
    const bad = checks.filter(({ status }) => status === "fault" || status === "warning");
    return bad
      .map(({ area, status, finding }) => `${area} ${status}: ${finding}`)
      .filter((text) => !text.includes("fsync"));
  }

  it("finds nothing wrong with a fresh setup, and lists what it did not check", async () => {
    // Left by the tests above: events of years without a partition.
    const expected = [
      expect.stringMatching(/^reader warning: .* in the default partition of security_event_log_standard/),
    ];
    expect(await findings()).toEqual(expected);
    const { stdout } = await seclog(["doctor"], { SECLOG_ADMIN_URL: undefined });
    expect(stdout).toContain("not checked: SECLOG_ADMIN_URL is not set");
    expect(stdout).toContain("may insert events and move its own sources' positions, and nothing");
    expect(stdout).toContain("may read the columns of leaves and append to the tree, and nothing");
    expect(stdout).toContain("nothing is sealed yet");
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(
      (
        await seclog(["doctor"], {
          SECLOG_ADMIN_URL: undefined,
          SECLOG_DATABASE_URL: undefined,
          SECLOG_READER_URL: undefined,
          SECLOG_SEALER_URL: undefined,
        })
      ).code,
    ).toBe(2);
  });

  it("names excess and missing privileges", async () => {
    const writer = new URL(database.writerUrl).username;
    const reader = new URL(database.readerUrl).username;
    const sealer = new URL(database.sealerUrl).username;
    const [partition] = await database.query<{ name: string }>(
      "SELECT relid::regclass::text AS name FROM pg_partition_tree('security_event_log') WHERE isleaf LIMIT 1",
    );
    await database.query(`GRANT DELETE ON security_event_log TO ${writer}`);
    await database.query(`GRANT TRUNCATE ON ${partition?.name} TO ${writer}`);
    await database.query(`ALTER ROLE ${writer} CREATEDB`);
    await database.query(`GRANT CREATE ON SCHEMA public TO ${writer}`);
    await database.query(`GRANT INSERT (created_at) ON security_event_log TO ${writer}`);
    await database.query("REVOKE SELECT ON security_event_source FROM seclog_reader");
    await database.query(`GRANT UPDATE (path) ON security_event_log TO ${reader}`);
    await database.query(`GRANT SELECT (salt, actor_id) ON security_event_log TO ${sealer}`);
    await database.query("GRANT EXECUTE ON FUNCTION seclog_prune(text, timestamptz, text) TO seclog_sealer");
    try {
      const text = (await findings()).join("\n");
      expect(text).toContain("may DELETE on security_event_log");
      expect(text).toContain(`may TRUNCATE on ${partition?.name}`);
      expect(text).toContain("allowed to create databases");
      expect(text).toContain("create objects in the schema public");
      expect(text).toContain("INSERT of created_at");
      expect(text).toContain(`${reader} may UPDATE on security_event_log`);
      expect(text).toContain(`${reader} may not SELECT on security_event_source`);
      expect(text).toContain("sealer fault: it may read salt, actor_id, which name people");
      expect(text).toContain(`${sealer} may call public.seclog_prune(text, timestamptz, text)`);
    } finally {
      await database.query(`REVOKE ALL ON security_event_log, ${partition?.name} FROM ${writer}, ${reader}`);
      await database.query(`REVOKE INSERT (created_at) ON security_event_log FROM ${writer}`);
      await database.query(`REVOKE UPDATE (path) ON security_event_log FROM ${reader}`);
      await database.query(`REVOKE SELECT (salt, actor_id) ON security_event_log FROM ${sealer}`);
      await database.query("REVOKE EXECUTE ON FUNCTION seclog_prune(text, timestamptz, text) FROM seclog_sealer");
      await database.query(`REVOKE CREATE ON SCHEMA public FROM ${writer}`);
      await database.query(`ALTER ROLE ${writer} NOCREATEDB`);
      await database.query("GRANT SELECT ON security_event_source TO seclog_reader");
    }
  });

  it("examines the relay if its URL is set, and does not ask for one", async () => {
    const { stdout } = await seclog(["doctor"]);
    expect(stdout).not.toContain("RELAY");
    const relay = { SECLOG_RELAY_URL: database.relayUrl };
    const report = await seclog(["doctor"], relay);
    expect(report.stdout).toContain("may insert events and move the positions of sources, and nothing else");
    await database.query("GRANT SELECT ON security_event_source TO seclog_relay");
    await database.query(
      "GRANT EXECUTE ON FUNCTION seclog_advance(uuid, integer, text, bigint, bigint) TO seclog_relay",
    );
    try {
      const text = (await findings([], relay)).join("\n");
      const name = new URL(database.relayUrl).username;
      expect(text).toContain(`relay fault: ${name} may SELECT on security_event_source`);
      expect(text).toContain(`relay fault: ${name} may call public.seclog_advance(`);
    } finally {
      await database.query("REVOKE SELECT ON security_event_source FROM seclog_relay");
      await database.query(
        "REVOKE EXECUTE ON FUNCTION seclog_advance(uuid, integer, text, bigint, bigint) FROM seclog_relay",
      );
    }
    const elsewhere = await findings([], { SECLOG_RELAY_URL: database.writerUrl });
    expect(elsewhere.join("\n")).toContain("is also a member of seclog_writer");
  });

  it("compares processes × connections with the server's limit", async () => {
    const [{ free } = { free: 0 }] = await database.query<{ free: number }>(
      "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - current_setting('reserved_connections')::int AS free",
    );
    const per = (processes: number): Promise<string[]> =>
      findings(["--processes", String(processes), "--pool-max", "3"]);
    const over = Math.floor(free / 3) + 1;
    expect((await per(over)).join("\n")).toContain(
      `${over} processes × 3 = ${over * 3} connections, and the server admits ${free}`,
    );
    expect((await per(over - 1)).join("\n")).toContain("is more than half");
    expect((await per(1)).join("\n")).not.toContain("processes");
  });

  it("finds a disabled trigger, a quarantined event and partitions that run out", async () => {
    await database.query("ALTER TABLE security_event_log_short_default DISABLE TRIGGER seclog_no_truncate");
    await database.query("ALTER TABLE security_event_tile DISABLE TRIGGER seclog_append_only");
    await database.query("ALTER TABLE security_event_quarantine DISABLE TRIGGER seclog_commit");
    await database.query(
      "INSERT INTO security_event_quarantine (source_id, seq, reason, record, commitment) VALUES ($1, 99, 'no reason', '', '')",
      [SOURCE_A],
    );
    const partitions = await database.query<{ name: string }>(
      "SELECT relid::regclass::text AS name FROM pg_partition_tree('security_event_log') WHERE parentrelid = 'security_event_log_long'::regclass AND relid::regclass::text ~ '_\\d{4}_\\d\\d$'",
    );
    for (const { name } of partitions)
      await database.query(`ALTER TABLE security_event_log_long DETACH PARTITION ${name}`);
    const [middle] = await database.query<{ name: string }>(
      "SELECT 'security_event_log_standard_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM') AS name",
    );
    await database.query(`ALTER TABLE security_event_log_standard DETACH PARTITION ${middle?.name}`);
    const text = (await findings()).join("\n");
    const month = middle?.name.slice(-7).replace("_", "-");
    expect(text).toContain(`security_event_log_standard has no partition from ${month}-01 to `);
    expect(text).toContain(
      "security_event_log_short_default, security_event_quarantine, security_event_tile would accept changes",
    );
    expect(text).toContain("1 event could not be stored and is set aside");
    expect(text).toContain("security_event_log_long has no partition for now");
    await database.query("ALTER TABLE security_event_log_short_default ENABLE TRIGGER seclog_no_truncate");
    await database.query("ALTER TABLE security_event_tile ENABLE TRIGGER seclog_append_only");
    await database.query("ALTER TABLE security_event_quarantine ENABLE TRIGGER seclog_commit");
  });

  it("warns when stored events are no longer sealed", async () => {
    const source = "01a00000-0000-7000-8000-0000000000e1";
    const store = (seq: number, age: string): Promise<unknown> =>
      database.query(
        `WITH position AS (INSERT INTO security_event_source (id, epoch, last_seq, key_hash) VALUES ($1, 1, $2, '')
           ON CONFLICT (id) DO UPDATE SET last_seq = excluded.last_seq)
         INSERT INTO security_event_log (id, occurred_at, created_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment)
         VALUES (gen_random_uuid(), now(), now() - $3::interval, 'sealing', 'info', 'test', 'success', 'security', $1, 1, $2, 1, '')`,
        [source, seq, age],
      );
    const sealing = async (): Promise<string[]> =>
      (await findings([], { SECLOG_ADMIN_URL: undefined })).filter((text) => text.includes("sealed"));
    await store(1, "3 hours");
    // As if everything stored were sealed.
    await database.query("INSERT INTO security_event_checkpoint (size, origin, root) VALUES (1, 'test', '')");
    await database.query(
      `INSERT INTO security_event_seal (first_leaf, source_id, first_seq, last_seq)
       SELECT row_number() OVER (), id, 1, 1000000 FROM security_event_source WHERE id <> $1`,
      [source],
    );
    expect(await sealing()).toEqual(["reader warning: the oldest unsealed event was stored 3 hours ago"]);
    await database.query("INSERT INTO security_event_seal VALUES (0, $1, 1, 1)", [source]);
    expect(await sealing()).toEqual([]);
    await store(2, "40 seconds");
    expect(await sealing()).toEqual([]);
    // Records in quarantine must be sealed as well.
    await database.query("INSERT INTO security_event_seal VALUES (1000, $1, 2, 2)", [source]);
    await database.query(
      "INSERT INTO security_event_quarantine (source_id, seq, reason, record, created_at) VALUES ($1, 3, 'none', '', now() - interval '5 minutes')",
      [source],
    );
    await database.query("UPDATE security_event_source SET last_seq = 3 WHERE id = $1", [source]);
    expect(await sealing()).toEqual(["reader warning: the oldest unsealed event was stored 5 minutes ago"]);
  });

  it("finds roles that cannot connect, are superusers, or point to another database", async () => {
    const unreachable = await findings([], { SECLOG_DATABASE_URL: "postgresql://app:hunter2@127.0.0.1:1/seclog" });
    expect(unreachable.join("\n")).toContain("writer fault: cannot connect");
    expect((await findings([], { SECLOG_READER_URL: database.adminUrl })).join("\n")).toContain(
      "postgres is a superuser",
    );
    expect((await findings([], { SECLOG_DATABASE_URL: database.serverUrl })).join("\n")).toContain("no Seclog tables");
  });

  it("checks a spool", async () => {
    const spool = join(folder, "open-spool");
    const { mkdirSync } = await import("node:fs");
    mkdirSync(spool);
    chmodSync(spool, 0o777);
    expect((await findings(["--spool", spool])).join("\n")).toContain(`other users may write to ${spool} (mode 777)`);
    chmodSync(spool, 0o755);
    expect((await findings(["--spool", spool])).join("\n")).toContain("other users may enter");
    symlinkSync(spool, `${spool}-link`);
    expect((await findings(["--spool", `${spool}-link`])).join("\n")).toContain("is a symbolic link");
    expect((await findings(["--spool", `${spool}-none`])).join("\n")).toContain("does not exist");
  });
});
