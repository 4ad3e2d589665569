/** The built program: the arguments and the environment that it accepts and refuses. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { type Environment, LONG, programOf } from "../support/program.ts";

let database: TestDatabase;
let folder: string;
const { seclog } = programOf(() => database);

beforeAll(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), "seclog-cli-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

describe("seclog, its arguments and environment", LONG, () => {
  it("refuses a password in the arguments without repeating it", async () => {
    for (const secret of [
      "postgresql://me:hunter2@db/seclog",
      "--url=postgres://me:hunter2@db/seclog",
      "postgresql://db/seclog?user=me&password=hunter2",
      "host=db password=hunter2",
      "--url=password=hunter2 user=me",
    ]) {
      const { code, stdout, stderr } = await seclog(["query", secret]);
      expect(code).toBe(2);
      expect(stderr).toContain("argument 2 holds a password");
      expect(stdout + stderr).not.toContain("hunter2");
    }
  });

  it("lets a search contain text that looks like a password", async () => {
    for (const text of ["password=x", "https://shop.example/login?user=me&password=x"]) {
      expect(await seclog(["query", "--json", "--text", text])).toMatchObject({ code: 0, stderr: "" });
    }
  });

  it("reads a URL from a file", async () => {
    const file = join(folder, "reader-url");
    writeFileSync(file, `${database.readerUrl}\n`, { mode: 0o600 });
    const environment = { SECLOG_READER_URL: undefined, SECLOG_READER_URL_FILE: file };
    expect((await seclog(["query", "--limit", "1"], environment)).code).toBe(0);
    const missing = await seclog(["query"], { ...environment, SECLOG_READER_URL_FILE: join(folder, "no-such-file") });
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining("SECLOG_READER_URL_FILE")]);
    const both = await seclog(["query"], { SECLOG_READER_URL_FILE: file });
    expect([both.code, both.stdout]).toEqual([2, ""]);
    expect(both.stderr).toContain("SECLOG_READER_URL and SECLOG_READER_URL_FILE are both set");
  });

  it.each([
    [["serve"], "unknown command 'serve': it is tiles now"],
    [["seal", "--memory", "x"], "unknown option '--memory': it is --state now"],
    [["seal", "--append", "x"], "unknown option '--append': it is --checkpoint-file now"],
    [["nonsense"], "unknown command 'nonsense'; npx @seclog/server --help lists what there is"],
    [["keys", "gen"], "keys --help lists what there is"],
    [["keys", "show", "a", "b"], "Expected 1 argument but got 2; npx @seclog/server keys show --help lists"],
    [["verify"], "required option '--vkey <key>' not specified; npx @seclog/server verify --help lists"],
    [["seal", "--interval", "x y"], '--interval "x y" is not a number of seconds'],
    [["setup", "--print-sql", "--json"], "exclude each other"],
    [["keys", "generate", "--out", "/nowhere/key", "--name", "https://log.example"], "leave out https://"],
    [["query", "--since", "yesterday"], '--since "yesterday" is not a time'],
    [["query", "--since", "2026-02-31x"], "is not a time"],
    [["query", "--since", "2026-02-31"], '--since "2026-02-31" is not a time: 2026-02 has the days 01 to 28'],
    [["stats", "--until", "2026-11-01T24:00"], '--until "2026-11-01T24:00" is not a time: hours go from 00 to 23'],
    [["erase", "--actor", "x", "--since", "2026-11-31", "--reason", "r"], "2026-11 has the days 01 to 30"],
    [["hold", "--until", "2026-02-29", "--reason", "r"], "2026-02 has the days 01 to 28"],
    [["query", "--since", "1d", "--until", "2d"], "no event could match"],
    [["query", "--level", "loud"], '--level "loud" is not one of debug'],
    [["query", "--ip", "10.0.0.0/33"], '--ip "10.0.0.0/33" is not an address or a network'],
    [["query", "--ip", "fe80::1%eth0"], "is not an address or a network"],
    [["query", "--limit", "0"], '--limit "0" is neither'],
    [["query", "--type", "a b"], '--type "a b" cannot be an event type'],
    [["query", "--timeout", "0"], '--timeout "0" is not a number'],
    [["query", "--no-such-option"], "--no-such-option"],
    [["tail", "--interval", "0"], '--interval "0" is not a number of seconds from'],
    [["doctor", "--processes", "many"], '--processes "many" is not a number'],
    [["setup", "--database", ""], "--database is empty"],
    [["setup", "--print-sql", "--database", " "], "--database is empty"],
    [["ship"], "--spool"],
    [["ship", "--spool", "/usr"], 'the spool "/usr" is not a spool, it holds neither sources nor a spool\'s files'],
    [["help", "qurey"], 'unknown command "qurey": did you mean query?'],
    [["qurey", "--help"], 'unknown command "qurey": did you mean query?'],
    [["help", "zzzzzz"], 'unknown command "zzzzzz": '],
    [["ship", "--spool", "misspelt"], 'the spool "misspelt" does not exist'],
    [["fly"], "unknown command 'fly'"],
  ])("%j ends with 2 and the reason", async (args, reason) => {
    const { code, stdout, stderr } = await seclog(args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(reason);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  it("exits with 2 if a URL is missing or would weaken the session, and never prints its password", async () => {
    const cases: [Environment, string][] = [
      [{ SECLOG_READER_URL: undefined }, "SECLOG_READER_URL is not set"],
      [{ SECLOG_READER_URL: "mysql://me:hunter2@db/x" }, "SECLOG_READER_URL"],
      [{ SECLOG_READER_URL: "postgresql://me:hunter2@127.0.0.1/x?options=-c%20synchronous_commit=off" }, "options"],
      [{ SECLOG_READER_URL: "postgresql://me:hunter2@db.example/x?sslmode=prefer" }, "sslmode=prefer"],
    ];
    for (const [environment, reason] of cases) {
      const { code, stderr } = await seclog(["query"], environment);
      expect([code, stderr]).toEqual([2, expect.stringContaining(reason)]);
      expect(stderr).not.toContain("hunter2");
    }
  });

  it("exits with 3 and advice if the database refuses, with a stack only under SECLOG_DEBUG", async () => {
    const port = new URL(database.readerUrl).port;
    const refused = { SECLOG_READER_URL: `postgresql://nobody:hunter2@127.0.0.1:${port}/seclog` };
    const { code, stderr } = await seclog(["stats"], refused);
    expect(code).toBe(3);
    expect(stderr).toMatch(/password authentication failed .*SECLOG_READER_URL \[SECLOG_DATABASE\]\n$/);
    const debugged = await seclog(["stats"], { ...refused, SECLOG_DEBUG: "1" });
    expect(debugged.stderr).toMatch(/\n {4}at /);
    expect(stderr + debugged.stderr).not.toContain("hunter2");
    const asWriter = await seclog(["query"], { SECLOG_READER_URL: database.writerUrl });
    expect([asWriter.code, asWriter.stderr]).toEqual([3, expect.stringContaining("permission denied")]);
  });

  it("prints its help with the exit codes", async () => {
    const { code, stdout } = await seclog(["--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain("Exit codes:");
    for (const command of ["setup", "doctor", "ship", "tail", "query", "stats", "erase", "prune", "hold", "retention"])
      expect(stdout).toContain(`  ${command} `);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(await seclog(["help"])).toEqual({ code, stdout, stderr: "" });
    const query = await seclog(["query", "--help"]);
    expect(query.stdout).toContain("--limit <number>");
    expect(await seclog(["help", "query"])).toEqual(query);
    expect((await seclog(["help", "fly"])).code).toBe(2);
  });
});

describe("seclog setup", LONG, () => {
  it("prints the SQL without secrets and without a connection", async () => {
    const environment = {
      SECLOG_ADMIN_URL: undefined,
      SECLOG_DATABASE_URL: "postgresql://shop_writer:hunter2@127.0.0.1:1/shop_log",
      SECLOG_READER_URL: "postgresql://shop_reader:hunter2@127.0.0.1:1/shop_log",
    };
    const { code, stdout } = await seclog(["setup", "--print-sql"], environment);
    expect(code).toBe(0);
    for (const name of ["shop_writer", "shop_reader", "shop_log", "security_event_log"]) expect(stdout).toContain(name);
    expect(stdout).toContain('GRANT seclog_relay TO "seclog_work";');
    const worker = { ...environment, SECLOG_RELAY_URL: "postgresql://shop_worker:hunter2@127.0.0.1:1/shop_log" };
    expect((await seclog(["setup", "--print-sql"], worker)).stdout).toContain('GRANT seclog_relay TO "shop_worker";');
    expect(stdout).not.toContain("hunter2");
  });

  it("changes nothing if everything exists", async () => {
    const { code, stdout } = await seclog(["setup", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      database: database.name,
      server_version: expect.any(String),
      database_created: false,
      migrations_applied: [],
      partitions_created: 0,
      warnings: [],
    });
    expect((await seclog(["setup"])).stdout).toContain("nothing to change");
  });
});
