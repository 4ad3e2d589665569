/**
 * The programs with an output that is closed or full. What they found stands before they print it: a log that was changed
 * is reported as changed whatever happens to the report, and a full disk is never reported as a change.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, cpSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filesBelow, root } from "../../scripts/files.js";
import { store } from "../support/life-of-a-log.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { collect, LONG, type Result, runProgram } from "../support/program.ts";

const folder = mkdtempSync(join(tmpdir(), "seclog-output-"));
const key = join(folder, "log.key");
const [intact, changed, proof] = [join(folder, "intact"), join(folder, "changed"), join(folder, "proof")];
const FULL = "/dev/full";

let database: TestDatabase;
let vkey: string;

beforeAll(async () => {
  database = await createTestDatabase();
  await store(database, "alice");
  const seclog = async (...args: readonly string[]): Promise<string> => {
    const result = await runProgram(database, args);
    expect(result.code, result.stderr).toBe(0);
    return result.stdout;
  };
  await seclog("keys", "generate", "--out", key, "--name", "log.example");
  await seclog("seal", "--once", "--key", key);
  vkey = (await seclog("keys", "show", key)).trim();
  await seclog("verify", "--vkey", vkey, "--write-export", intact);
  const { events } = JSON.parse(await seclog("query", "--json", "--actor", "alice", "--since", "1w"));
  writeFileSync(proof, await seclog("prove", events[0].id));
  cpSync(intact, changed, { recursive: true });
  const rows = filesBelow(changed).find((path) => path.includes("events-")) ?? "";
  const text = readFileSync(rows, "utf8");
  expect(text).toContain("alice");
  writeFileSync(rows, text.replaceAll("alice", "nobody"));
}, LONG.timeout);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

/** Runs a program of this repository; its standard output has no reader, or goes to `output`. */
async function run(bin: string, args: readonly string[], output?: string): Promise<Omit<Result, "stdout">> {
  const file = output === undefined ? undefined : openSync(output, "w");
  const child: ChildProcess = spawn(process.execPath, [join(root, bin), ...args], {
    env: {
      PATH: process.env["PATH"],
      SECLOG_ADMIN_URL: database.serverUrl,
      SECLOG_DATABASE_URL: database.writerUrl,
      SECLOG_READER_URL: database.readerUrl,
      SECLOG_SEALER_URL: database.sealerUrl,
    },
    stdio: ["ignore", file ?? "pipe", "pipe"],
  });
  // Before it has loaded, and so before it prints.
  child.stdout?.destroy();
  const stderr = collect(child.stderr);
  const [code] = (await once(child, "close")) as [number | null];
  if (file !== undefined) closeSync(file);
  return { code, stderr: stderr() };
}

const SECLOG = "packages/server/bin/seclog.js";
const VERIFY = "packages/verify/bin/seclog-verify.js";
const DEMO = "packages/demo/bin/seclog-demo.js";

const GOOD: readonly [program: string, name: string, args: () => readonly string[]][] = [
  [SECLOG, "--help", () => ["--help"]],
  [SECLOG, "setup", () => ["setup", "--print-sql"]],
  [SECLOG, "query", () => ["query", "--since", "1w"]],
  [SECLOG, "tail", () => ["tail"]],
  [SECLOG, "seal", () => ["seal", "--once", "--key", key]],
  [SECLOG, "verify", () => ["verify", "--export", intact, "--vkey", vkey]],
  [SECLOG, "verify --save -", () => ["verify", "--export", intact, "--vkey", vkey, "--save", "-"]],
  [SECLOG, "prove", () => ["prove", JSON.parse(eventOf(proof)).id]],
  [SECLOG, "verify-proof", () => ["verify-proof", proof, "--vkey", vkey]],
  [SECLOG, "tiles", () => ["tiles", "--listen", "127.0.0.1:0"]],
  [SECLOG, "prune", () => ["prune", "--older-than", "1y", "--reason", "ticket 4711"]],
  [SECLOG, "hold", () => ["hold", "--list", "--json"]],
  [VERIFY, "--help", () => ["--help"]],
  [VERIFY, "export", () => ["export", intact, "--vkey", vkey]],
  [VERIFY, "export --save -", () => ["export", intact, "--vkey", vkey, "--save", "-"]],
  [VERIFY, "proof", () => ["proof", proof, "--vkey", vkey]],
  [DEMO, "--help", () => ["--help"]],
];

/** The event in a proof's second line. */
function eventOf(file: string): string {
  const [, extra = ""] = readFileSync(file, "utf8").split("\n");
  return Buffer.from(extra.slice("extra ".length), "base64").toString().split("\n")[0] ?? "";
}

const BAD: readonly [program: string, name: string, args: () => readonly string[]][] = [
  [SECLOG, "verify", () => ["verify", "--export", changed, "--vkey", vkey]],
  [SECLOG, "verify --save -", () => ["verify", "--export", changed, "--vkey", vkey, "--save", "-"]],
  [SECLOG, "doctor", () => ["doctor", "--spool", join(folder, "none")]],
  [VERIFY, "export", () => ["export", changed, "--vkey", vkey]],
];

const named = (rows: typeof GOOD) =>
  rows.map(([bin, ...rest]) => [/seclog[a-z-]*/.exec(bin.slice(9))?.[0], ...rest, bin] as const);

describe("an answer", LONG, () => {
  it.each(named(GOOD))(
    "%s %s - is good without a reader, and not delivered by a full disk",
    async (_, name, args, bin) => {
      // These two run until they are stopped.
      const ends = !["tiles", "tail"].includes(name);
      const [closed, full] = await Promise.all([
        ends ? run(bin, args()) : { code: 0 },
        existsSync(FULL) ? run(bin, args(), FULL) : undefined,
      ]);
      expect(closed).toMatchObject({ code: 0 });
      if (full === undefined) return console.log(`skipped: this system has no ${FULL}`);
      expect(full).toEqual({ code: 3, stderr: expect.stringMatching(/standard output cannot be written: ENOSPC/) });
    },
  );

  it.each(named(BAD))("%s %s - is bad, whatever happens to the output", async (_, _name, args, bin) => {
    const runs = [run(bin, args()), ...(existsSync(FULL) ? [run(bin, args(), FULL)] : [])];
    for (const { code, stderr } of await Promise.all(runs)) expect(code, stderr).toBe(1);
  });
});
