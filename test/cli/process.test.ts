/**
 * Each command as a process, which has to end by itself. The other tests run the program inside their own process
 * (`test/support/here.ts`): this one also shows that both print and return the same.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { store } from "../support/life-of-a-log.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { LONG, programOf, type Result, resultOf } from "../support/program.ts";

const UNKNOWN = "01936d2f-5c00-7000-8000-0000000000ff";
const REASON = ["--reason", "ticket 4711"];
const folder = mkdtempSync(join(tmpdir(), "seclog-process-"));
const key = join(folder, "log.key");

let database: TestDatabase;
let vkey: string;
const { seclog, startProgram } = programOf(() => database);

beforeAll(async () => {
  database = await createTestDatabase();
  await store(database, "alice");
  expect(await seclog(["keys", "generate", "--out", key, "--name", "log.example"])).toMatchObject({ code: 0 });
  expect(await seclog(["seal", "--once", "--key", key])).toMatchObject({ code: 0 });
  vkey = (await seclog(["keys", "show", key])).stdout.trim();
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

/** Times, process ids and counts of a moment differ between any two runs. */
const steady = ({ code, stdout, stderr }: Result): Result => ({
  code,
  stdout: stdout.replace(/\d+/g, "0"),
  stderr: stderr.replace(/\d+/g, "0"),
});

describe("seclog, as a process", LONG, () => {
  it.each<[command: string, code: number, args: () => readonly string[]]>([
    ["--version", 0, () => []],
    ["--help", 0, () => []],
    ["setup", 0, () => ["--print-sql"]],
    ["doctor", 1, () => ["--json"]],
    ["ship", 2, () => ["--spool", join(folder, "none")]],
    ["tail", 2, () => ["--interval", "0"]],
    ["query", 0, () => []],
    ["stats", 0, () => []],
    ["seal", 0, () => ["--once", "--key", key]],
    ["keys", 0, () => ["show", key]],
    ["verify", 0, () => ["--vkey", vkey]],
    ["prove", 1, () => [UNKNOWN]],
    ["verify-proof", 2, () => [join(folder, "none"), "--vkey", vkey]],
    ["witness", 2, () => ["--key", key]],
    ["tiles", 2, () => ["--listen", "nowhere"]],
    ["erase", 0, () => ["--actor", "alice", ...REASON]],
    ["prune", 0, () => ["--older-than", "1y", ...REASON]],
    ["hold", 0, () => ["--list"]],
    ["retention", 0, () => []],
    ["demo", 2, () => []],
  ])("%s ends by itself with %i, and prints the same as in the other tests", async (command, code, args) => {
    const [process, here] = [await resultOf(startProgram([command, ...args()])), await seclog([command, ...args()])];
    expect(process, process.stderr).toMatchObject({ code });
    expect(process.stdout + process.stderr).not.toBe("");
    expect(steady(process)).toEqual(steady(here));
  });

  it("lists the commands without loading what they need", () => {
    const script = `import { createRequire } from "node:module";
      const { run } = await import(${JSON.stringify(new URL("../../packages/server/dist/cli/run.js", import.meta.url))});
      const loaded = (name) => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes(name));
      await run(["--help"]);
      const before = loaded("/pg/");
      await run(["query", "--help"]);
      console.log(JSON.stringify({ before, after: loaded("/pg/") }));`;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
    expect(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")).toEqual({ before: false, after: true });
  });
});
