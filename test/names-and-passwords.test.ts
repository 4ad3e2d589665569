/** Names and passwords of every kind, against a real server: its own programs and ours must interpret them alike. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { agreedPassword } from "../packages/seclog/src/postgres/schema/saslprep.ts";
import { setupDatabase } from "../packages/seclog/src/postgres/schema/setup.ts";
import { isLong } from "./support/long.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { LONG, runProgram } from "./support/program.ts";

const hasPsql = await promisify(execFile)("psql", ["--version"]).then(
  () => true,
  () => false,
);

let database: TestDatabase;
const made: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  for (const role of made) await database.query(`DROP ROLE IF EXISTS ${pg.escapeIdentifier(role)}`);
  await database[Symbol.asyncDispose]();
});

function urlOf(role: string, password: string): string {
  const url = new URL(database.adminUrl);
  url.username = encodeURIComponent(role);
  url.password = encodeURIComponent(password);
  return url.href;
}

async function connects(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<{ name: string }>("SELECT current_user AS name")).rows[0]?.name ?? "";
  } finally {
    await client.end();
  }
}

describe("setup and doctor", LONG, () => {
  it.each(["Shop-Writer", 'say "Writer"', "shop writer", "sh\u00f6p_\u65e5\u672c", "it's 100%", "a.b;c", "user"])(
    "accept the role name %s verbatim",
    async (name) => {
      const role = `${name} ${database.name.slice(-6)}`;
      made.push(role);
      const url = urlOf(role, "pencil");
      await setupDatabase({ adminUrl: database.serverUrl, readerUrl: url });
      expect(await connects(url)).toBe(role);
      const others = { SECLOG_DATABASE_URL: undefined, SECLOG_SEALER_URL: undefined, SECLOG_ADMIN_URL: undefined };
      const doctor = await runProgram(database, ["doctor", "--json"], { ...others, SECLOG_READER_URL: url });
      const { checks } = JSON.parse(doctor.stdout) as { checks: { finding: string; status: string }[] };
      expect(checks.filter(({ finding }) => /a check failed|cannot connect|does not exist/.test(finding))).toEqual([]);
      expect((await runProgram(database, ["query"], { SECLOG_READER_URL: url })).code).toBe(0);
    },
  );

  it("refuse names that PostgreSQL reserves or would truncate, by their length in bytes", async () => {
    const set = (options: object) => setupDatabase({ adminUrl: database.serverUrl, ...options });
    await expect(set({ readerUrl: urlOf("pg_reader", "x") })).rejects.toThrow(
      "PostgreSQL reserves names that begin with pg_",
    );
    await expect(set({ readerUrl: urlOf("\u00e9".repeat(32), "x") })).rejects.toThrow("names a user of 64 bytes");
    await expect(set({ database: "x".repeat(64) })).rejects.toThrow("names a database of 64 bytes");
    const erase = ["erase", "--actor", "x", "--reason", "y", "--database", "x".repeat(64)];
    expect((await runProgram(database, erase)).stderr).toContain("--database names a database of 64 bytes");
  });

  it("find their tables, whatever the search path of the database or the role", async () => {
    const reader = new URL(database.readerUrl).username;
    await database.query(`ALTER DATABASE ${database.name} SET search_path = nowhere`);
    await database.query(`ALTER ROLE ${reader} SET search_path = ''`);
    for (const args of [
      ["query"],
      ["stats"],
      ["doctor"],
      ["erase", "--actor", "nobody", "--reason", "x"],
      ["retention"],
    ]) {
      const { code, stdout, stderr } = await runProgram(database, args);
      expect([args, stdout + stderr]).toEqual([args, expect.not.stringMatching(/relation .* does not exist/)]);
      if (args[0] !== "doctor") expect(code).toBe(0);
    }
    await database.query(`ALTER DATABASE ${database.name} RESET search_path`);
  });
});

describe("a malformed URL", LONG, () => {
  const variables = [
    "SECLOG_ADMIN_URL",
    "SECLOG_DATABASE_URL",
    "SECLOG_READER_URL",
    "SECLOG_SEALER_URL",
    "SECLOG_RELAY_URL",
  ];

  const MALFORMED = [
    "postgresql://writer:?S3cretPart@db:x/seclog",
    "postgresql://writer:100%S3cretPart@db/seclog",
    "postgresql://writer:S3cret/Part@db/seclog",
    "postgresql://writer@db/seclog?S3cretPart",
    "host=db password=S3cretPart dbname=seclog",
    "S3cretPart",
  ];

  it.each(MALFORMED)("is never repeated: %s", async (url) => {
    const outputs: string[] = [];
    const none = Object.fromEntries(variables.map((name) => [name, undefined]));
    for (const suffix of ["", "_FILE"]) {
      // One at a time: the first error ends the program.
      for (const variable of variables) {
        if (!isLong && url !== MALFORMED[0] && variable !== "SECLOG_READER_URL") continue;
        const args = variable === "SECLOG_READER_URL" ? ["query", "--json"] : ["doctor", "--json"];
        const { code, stdout, stderr } = await runProgram(database, args, { ...none, [variable + suffix]: url });
        expect(code).toBe(2);
        outputs.push(stdout + stderr);
      }
    }
    for (const args of [
      ["query", url],
      ["seal", "--once", "--key", "x", "--witness", `vkey ${url.replace("postgresql", "https")}`],
    ]) {
      const { code, stdout, stderr } = await runProgram(database, args);
      // A word alone is a query for text, which names it.
      if (args[0] === "query" && /^\w+$/.test(url)) continue;
      expect(code).not.toBe(0);
      outputs.push(stdout + stderr);
    }
    for (const output of outputs) expect(output).not.toMatch(/S3cret|Part/);
  });
});

describe("passwords", LONG, () => {
  it.runIf(hasPsql).each([
    ["ASCII", "pencil"],
    ["controls", "a\u0007b\u007f"],
    ["URL delimiters", "?#/@:%&=+ "],
    ["another space", "I\u00a0X"],
    ["a character mapped to nothing", "I\u00adX"],
    ["a ligature, a Roman number", "\ufb01 \u2168"],
    ["a letter in two parts", "cafe\u0301"],
    ["half-width kana", "\uff76\uff9e"],
    ["prohibited, and unchanged by the mapping", "a\u0085b\u2028"],
    ["unassigned in 2002", "\u{1f600}\u0221"],
    ["right to left", "\u05e9\u05dc\u05d5\u05dd"],
    ["both directions", "\u0627a1"],
    ["a private character", "\ue000x"],
    ["prohibited, and changed by the mapping", "a\u00a0\u2028"],
    ["unassigned, and changed by the mapping", "\ufb01\u{1f600}"],
    ["right to left, and changed by the mapping", "\ufb2a\u00a01"],
    ["only characters mapped to nothing", "\u00ad\u200c"],
  ])("let psql and pg log in, or are refused: %s", async (kind, password) => {
    const role = `password_${database.name.slice(-6)}`;
    if (!made.includes(role)) made.push(role);
    const url = urlOf(role, password);
    const setup = setupDatabase({ adminUrl: database.serverUrl, readerUrl: url });
    if (agreedPassword(password) === undefined) {
      expect(kind).toMatch(/, and changed by the mapping$|^only characters mapped/);
      await expect(setup).rejects.toThrow("has a password of characters that PostgreSQL's clients prepare differently");
      return;
    }
    await setup;
    expect(await connects(url)).toBe(role);
    const { hostname, port } = new URL(url);
    const { stdout } = await promisify(execFile)(
      "psql",
      ["-h", hostname, "-p", port, "-U", role, "-Atc", "SELECT current_user", database.name],
      {
        env: { PATH: process.env["PATH"], PGPASSWORD: password, PGCLIENTENCODING: "UTF8" },
      },
    );
    expect(stdout).toBe(`${role}\n`);
  });
});
