/** A log that was dumped and restored with PostgreSQL's own programs, in their common forms. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { faults, live, store, succeed } from "./support/life-of-a-log.ts";
import { isLong } from "./support/long.ts";
import { debianPostgres, type OwnPostgres, startOwnPostgres } from "./support/own-postgres.ts";
import { runProgram } from "./support/program.ts";

const LONG = { timeout: 300_000 };

if (debianPostgres === undefined) {
  console.warn("PostgreSQL is not installed below /usr/lib/postgresql: the tests of dump and restore are skipped");
}
const binaries = debianPostgres ?? "";

let folder: string;
let server: OwnPostgres;
let key: string;
let vkey: string;

beforeAll(async () => {
  if (debianPostgres === undefined) return;
  folder = mkdtempSync(join(tmpdir(), "seclog-test-restore-"));
  server = await startOwnPostgres(binaries);
  const urls = server.logOf("original");
  await succeed(urls, "setup");
  key = join(folder, "log.key");
  const made = await succeed(urls, "keys", "generate", "--json", "--out", key, "--name", "restored.example/log");
  vkey = (JSON.parse(made.stdout) as { vkey: string }).vkey;
  await store(urls, "before");
  await succeed(urls, "seal", "--once", "--key", key);
  await succeed(urls, "retention", "session=short");
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

/** Runs one of PostgreSQL's programs as a server's superuser. */
async function run(at: OwnPostgres, program: string, ...args: string[]): Promise<void> {
  const { port, username, password } = new URL(at.urlOf("postgres"));
  await promisify(execFile)(join(binaries, "bin", program), args, {
    env: { ...process.env, PGHOST: "127.0.0.1", PGPORT: port, PGUSER: username, PGPASSWORD: password },
  });
}

/** Continues a restored log. Seals with a copy of the sealer's state, since every copy continues the same tree. */
async function continueLog(at: OwnPostgres, database: string): Promise<void> {
  const urls = at.logOf(database);
  await succeed(urls, "setup");
  expect(await faults(urls)).toEqual([]);
  const copy = join(folder, `${database}.key`);
  await promisify(execFile)("cp", [key, copy]);
  await promisify(execFile)("cp", [`${key}.sealed`, `${copy}.sealed`]);
  await live({ urls, key: copy, vkey }, `after-${database}`);
}

describe.runIf(debianPostgres !== undefined)("a restored log", LONG, () => {
  it("continues after setup: pg_dump --format=custom, pg_restore", async () => {
    await run(server, "pg_dump", "--format=custom", `--file=${join(folder, "custom")}`, "original");
    await run(server, "createdb", "from_custom");
    await run(server, "pg_restore", "--dbname=from_custom", "--exit-on-error", join(folder, "custom"));
    await continueLog(server, "from_custom");
  });

  it.runIf(isLong)(
    "is repaired by setup, and until then named by doctor and refused by erase: --no-owner --no-privileges as SQL",
    async () => {
      const file = join(folder, "plain.sql");
      await run(server, "pg_dump", "--no-owner", "--no-privileges", `--file=${file}`, "original");
      await run(server, "createdb", "from_plain");
      await run(server, "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", `--file=${file}`, "from_plain");
      const urls = server.logOf("from_plain");
      expect((await faults(urls)).join("\n")).toMatch(
        /public\.seclog_\w+\(.*\) and \d+ other objects of the log belong to postgres, not to seclog_owner.*acts with the rights of postgres/,
      );
      const erase = await runProgram(urls, ["erase", "--actor", "before", "--reason", "ticket"]);
      expect(erase).toMatchObject({
        code: 3,
        stderr: expect.stringMatching(/belongs to postgres, not to seclog_owner.*run .*setup/),
      });
      await continueLog(server, "from_plain");
    },
  );

  it("is taken over by setup in another cluster, which lacks the roles", async () => {
    await using other = await startOwnPostgres(binaries);
    await run(server, "pg_dump", "--format=custom", `--file=${join(folder, "moved")}`, "original");
    await run(other, "createdb", "moved");
    // pg_restore reports a missing role for each owner and privilege, and continues.
    await expect(run(other, "pg_restore", "--dbname=moved", join(folder, "moved"))).rejects.toThrow("seclog_owner");
    await continueLog(other, "moved");
  });
});
