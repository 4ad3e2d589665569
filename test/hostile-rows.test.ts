/**
 * Every odd value in every column, inserted by an attacker with the writer's login. The table refuses most of them;
 * every command must cope with the rest, and with rows stored before the table refused them.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { formatPrivateKey } from "seclog/merkle";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { runProgram } from "./support/program.ts";
import { TEST_SIGNER } from "./support/seal-log.ts";

const SOURCE = "01936d2f-5c00-7000-8000-00000000bad0";
const HONEST = "01936d2f-5c00-7000-8000-00000000900d";

/** Odd values for each type, as SQL. */
const ODD: { readonly [type: string]: readonly string[] } = {
  "timestamp with time zone": [
    "'infinity'",
    "'-infinity'",
    "'294276-12-31 23:59:59.999999+00'",
    "'4713-01-01 00:00:00+00 BC'",
    "'0001-01-01 00:00:00+00'",
    "'9999-12-31 23:59:59.999999+00'",
    "'10000-01-01 00:00:00+00'",
  ],
  bigint: ["0", "-1", "9223372036854775807", "-9223372036854775808", "9007199254740993"],
  integer: ["0", "-1", "2147483647", "-2147483648"],
  smallint: ["0", "-1", "32767", "-32768"],
  inet: ["'0.0.0.0/0'", "'10.0.0.0/8'", "'::'", "'::ffff:10.0.0.1'", "'fe80::1/64'", "'255.255.255.255'"],
  json: [
    "'[]'",
    "'null'",
    "'\"text\"'",
    "'1e400'",
    `'{"userid":"alice","userid":"mallory"}'`,
    `'{ "a" : 1 }'`,
    `'{"\\u0000":1,"__proto__":{"a":1}}'`,
    "(repeat('[', 2500) || repeat(']', 2500))::json",
    `('{"a":' || repeat('[', 2500) || repeat(']', 2500) || '}')::json`,
    `json_build_object('a', repeat('x', 4000000))`,
  ],
  text: [
    "''",
    "repeat('x', 9000)",
    "E'\\e[31mred\\e[0m'",
    "E'a\\nb\\rc\\td'",
    "E'\\u202Eabc\\u2066'",
    "E'\\x7f\\u0085'",
    "'\\N'",
    "'%s$1'",
  ],
  bytea: ["''", "'\\x00'", "decode(repeat('ff', 90), 'hex')"],
  uuid: ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", `'${HONEST}'`],
};
/** Unknown retention classes, and those that a writer may not use. */
const RETENTION = ["'x'", "''", "'own'", "'other'", "'short'"];

let database: TestDatabase;
let folder: string;
const admin = (sql: string): Promise<Record<string, unknown>[]> => database.query(sql);

interface Column {
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
}

/** Inserts a row with one odd value, as the writer. Returns whether the table accepted it. */
async function insert(writer: pg.Client, seq: number, column: string, value: string): Promise<boolean> {
  const row: { [name: string]: string } = {
    id: "gen_random_uuid()",
    occurred_at: "now()",
    event_type: "'authz_fail'",
    level: "'warning'",
    category: "'authz'",
    outcome: "'failure'",
    logger: "'security'",
    source_id: `'${SOURCE}'`,
    epoch: "1",
    seq: String(seq),
    v: "1",
    commitment: "sha256('')",
    retention: "'standard'",
    [column]: value,
  };
  try {
    await writer.query(
      `INSERT INTO security_event_log (${Object.keys(row).join(", ")}) VALUES (${Object.values(row).join(", ")})`,
    );
    return true;
  } catch (error) {
    // Refused by the type, a constraint or the privilege, and by nothing else.
    expect((error as { code?: string }).code).toMatch(/^(2|42501|42804|54001)/);
    return false;
  }
}

beforeAll(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), "seclog-hostile-"));
  writeFileSync(join(folder, "log.key"), formatPrivateKey("log.example/shop", Buffer.alloc(32, 7)), { mode: 0o600 });
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

describe("a hostile writer's rows", () => {
  it("are refused if no event can have the value, and otherwise stop no command", async () => {
    const columns = (await admin(
      `SELECT column_name AS name, CASE WHEN data_type = 'USER-DEFINED' THEN udt_name ELSE data_type END AS type,
          is_nullable = 'YES' AS nullable FROM information_schema.columns
        WHERE table_name = 'security_event_log' AND column_name <> 'created_at' ORDER BY 1`,
    )) as unknown as Column[];
    expect(columns).toHaveLength(40);
    const writer = new pg.Client({ connectionString: database.writerUrl });
    await writer.connect();
    const accepted: { [column: string]: string[] } = {};
    let rows = 0;
    const all = async (): Promise<void> => {
      for (const { name, type, nullable } of columns) {
        const values = name === "retention" ? RETENTION : [...(ODD[type] ?? []), ...(nullable ? ["NULL"] : [])];
        for (const value of values) {
          if (await insert(writer, ++rows, name, value)) accepted[name] = [...(accepted[name] ?? []), value];
        }
      }
    };
    await all();
    // Accepted by today's table.
    expect(accepted["occurred_at"]).toEqual(["'0001-01-01 00:00:00+00'", "'9999-12-31 23:59:59.999999+00'"]);
    expect(accepted["ended_at"]).toEqual([...(accepted["occurred_at"] ?? []), "NULL"]);
    expect(accepted["seq"]).toEqual(["9223372036854775807", "9007199254740993"]);
    expect(accepted["epoch"]).toEqual(["2147483647"]);
    expect(accepted["v"]).toEqual(["32767"]);
    expect(accepted["retention"]).toEqual(["'short'"]);
    expect(accepted["count"]).toEqual(["NULL"]);
    expect(accepted["data"]?.filter((value) => !value.includes("{") && !value.includes("object"))).toEqual(["NULL"]);
    // Rows from before the constraint.
    await admin("ALTER TABLE security_event_log DROP CONSTRAINT security_event_log_values");
    await all();
    expect(accepted["occurred_at"]).toContain("'infinity'");
    expect(accepted["count"]).toContain("-9223372036854775808");
    // The source has passed some of these numbers; one number and one id have many rows.
    for (let n = 0; n < 3; n++) await insert(writer, 1, "id", `'${HONEST}'`);
    await writer.end();
    await admin(
      `INSERT INTO security_event_source (id, epoch, key_hash) VALUES ('${SOURCE}', 1, ''), ('${HONEST}', 1, '')`,
    );
    await admin(
      `BEGIN; SET LOCAL session_replication_role = replica;
        UPDATE security_event_source SET last_seq = ${rows} WHERE id = '${SOURCE}';
        INSERT INTO security_event_quarantine (source_id, seq, reason, record, salt, commitment)
          VALUES ('${HONEST}', 1, repeat(E'\\e\\n', 500), decode(repeat('00ff', 12000000), 'hex'), '\\x00', '\\x00');
        UPDATE security_event_source SET last_seq = 1 WHERE id = '${HONEST}'; COMMIT`,
    );

    const key = join(folder, "log.key");
    const commands: readonly (readonly [codes: readonly number[], ...args: string[]])[] = [
      [[0], "seal", "--once", "--key", key, "--state", join(folder, "memory")],
      [[0], "query", "--limit", "all", "--since", "0001-01-01"],
      [[0], "query", "--limit", "all", "--json", "--order", "oldest", "--since", "0001-01-01"],
      [[0], "query", "--limit", "all", "--ndjson"],
      [[0], "query", "--text", "mallory", "--since", "0001-01-01"],
      [[0], "stats", "--since", "0001-01-01"],
      [[0], "stats", "--json", "--since", "0001-01-01"],
      [[0, 1], "doctor"],
      [[0, 1], "doctor", "--json"],
      [[1], "verify", "--vkey", TEST_SIGNER.vkey, "--json", "--write-export", join(folder, "export")],
      [[1], "verify", "--vkey", TEST_SIGNER.vkey],
      [[1], "verify", "--vkey", TEST_SIGNER.vkey, "--export", join(folder, "export")],
      [[0, 1], "prove", HONEST],
      [[0], "erase", "--actor", "mallory", "--reason", "a test", "--database", database.name],
      [[0], "erase", "--actor", "x", "--reason", "a test", "--yes", "--json", "--database", database.name],
      [[0], "prune", "--older-than", "1d", "--reason", "a test", "--database", database.name],
    ];
    for (const [codes, ...args] of commands) {
      const { code, stdout, stderr } = await runProgram(database, args, { SECLOG_ADMIN_URL: database.adminUrl });
      const what = `seclog ${args.join(" ")}: ${code}\n${stderr.slice(-1000)}${stdout.slice(-1000)}`;
      expect(codes, what).toContain(code);
      expect(stderr, what).not.toMatch(/TypeError|RangeError|out of range|at file:/);
      expect(stdout.replaceAll("\n", ""), what).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e\u2066]/);
      if (args[0] === "query" && args.includes("--json")) {
        const { events } = JSON.parse(stdout) as { events: { [column: string]: unknown }[] };
        const odd = (column: string, value: unknown): unknown[] =>
          events.filter((event) => event[column] === value && (event["odd"] as string[] | undefined)?.includes(column));
        expect(odd("seq", "9223372036854775807").length).toBeGreaterThan(0);
        expect(odd("occurred_at", "infinity")).toHaveLength(1);
        expect(odd("occurred_at", "294276-12-31T23:59:59.999999Z")).toHaveLength(1);
        expect(odd("data", '{"userid":"alice","userid":"mallory"}').length).toBeGreaterThan(0);
        expect(odd("ip_address", "10.0.0.0/8").length).toBeGreaterThan(0);
        expect(odd("v", 0)).toHaveLength(1);
      }
    }
  });
});
