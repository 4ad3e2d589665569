/**
 * Runs the commands of the pages, in their order, on a real log: a shell splits each block into commands, and the values
 * that stand for the reader's own (`…`, paths) become the test's. Commands that serve until Ctrl-C are started and
 * stopped.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { root } from "../scripts/files.js";
import { runHere } from "./support/here.ts";
import { store } from "./support/life-of-a-log.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { collect, LONG, type Result, resultOf, runProgram, startProgram } from "./support/program.ts";

const URLS = [
  "SECLOG_ADMIN_URL",
  "SECLOG_DATABASE_URL",
  "SECLOG_READER_URL",
  "SECLOG_SEALER_URL",
  "SECLOG_RELAY_URL",
  "SECLOG_CONSOLE_URL",
] as const;

/** The pages, with the number of commands that each shows. */
const PAGES = [
  ["README.md", 8],
  ["docs/operations.md", 16],
  ["docs/deploy.md", 2],
  ["packages/server/README.md", 1],
  ["packages/verify/README.md", 2],
] as const;

/** Those that need a log before they can run. */
const SET_UP_ELSEWHERE = ["packages/verify/README.md"];

/** Until Ctrl-C. */
const SERVERS = ["tail", "witness"];

/** One command line of a page. */
interface Command {
  readonly program: "seclog" | "seclog-verify";
  readonly urls: { readonly [variable: string]: string };
  readonly args: readonly string[];
}

/** What the shell makes of a page's blocks: each command prints its program, its URLs and its arguments. */
function commandsOf(page: string): readonly Command[] {
  const blocks = [...readFileSync(join(root, page), "utf8").matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text]) => text);
  const script = `
    record() { printf '%s\\0' "$1" ${URLS.map((name) => `"$${name}"`).join(" ")} "$(($# - 1))"; shift; [ $# = 0 ] || printf '%s\\0' "$@"; }
    seclog() { record seclog "$@"; }
    npx() { case $1 in @seclog/server) shift; record seclog "$@";; @seclog/verify) shift; record seclog-verify "$@";; esac; }
    npm() { :; }
    ${blocks.join("\n")}`;
  const words = execFileSync("sh", ["-c", script], { encoding: "utf8", env: { PATH: process.env["PATH"] } }).split(
    "\0",
  );
  const commands: Command[] = [];
  for (let at = 0; at + 1 < words.length; ) {
    const [program, ...values] = words.slice(at, at + URLS.length + 1) as [Command["program"], ...string[]];
    const count = Number(words[at + URLS.length + 1]);
    const from = at + URLS.length + 2;
    const urls = Object.fromEntries(URLS.flatMap((name, index) => (values[index] ? [[name, values[index]]] : [])));
    commands.push({ program, urls, args: words.slice(from, from + count) });
    at = from + count;
  }
  return commands;
}

let database: TestDatabase;
let folder: string;
/** The vkey of the page's log, once it has made its key. */
let vkey: string | undefined;

beforeEach(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), "seclog-documents-"));
  vkey = undefined;
  await store(database, "4711");
});
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

/** The test's value in the place of one that stands for the reader's. */
async function ownValue(text: string): Promise<string> {
  if (/^[\w./-]+\+.*…$/.test(text)) return vkey ?? (await makeKey());
  if (text === "0199c0de-…") {
    const [row] = await database.query<{ id: string }>("SELECT id FROM security_event_log WHERE seq = 3 LIMIT 1");
    return row?.id ?? "";
  }
  const [name] = /[\w.-]+$/.exec(text) ?? [];
  const isPath = /^\/(mnt|var)\//.test(text) || /\.(key|tlog-proof)$|^(export|kept|kept-elsewhere)$/.test(text);
  return isPath ? join(folder, name ?? "") : text;
}

async function makeKey(): Promise<string> {
  const key = join(folder, "made.key");
  if (!existsSync(key)) await succeed(["keys", "generate", "--out", key, "--name", "example.com/shop-log"]);
  return (await succeed(["keys", "show", key])).stdout.trim();
}

async function succeed(args: readonly string[]): Promise<Result> {
  const result = await runProgram(database, args, { SECLOG_RELAY_URL: database.relayUrl });
  expect(result, `seclog ${args.join(" ")}: ${result.stderr}`).toMatchObject({ code: 0 });
  return result;
}

/** What another page made: an export, the checkpoints that were kept, and a proof. */
async function setUpElsewhere(): Promise<void> {
  const [id, kept] = [await ownValue("0199c0de-…"), await ownValue("kept-elsewhere")];
  vkey = await makeKey();
  await succeed(["seal", "--once", "--key", join(folder, "made.key"), "--checkpoint-file", kept]);
  await succeed(["verify", "--vkey", vkey, "--write-export", await ownValue("export")]);
  await succeed(["prove", id, "--out", await ownValue("event.tlog-proof")]);
}

/** Each URL of the page as that of the same role here. */
function ownUrls(urls: Command["urls"]): { readonly [variable: string]: string } {
  const own = {
    SECLOG_ADMIN_URL: database.serverUrl,
    SECLOG_DATABASE_URL: database.writerUrl,
    SECLOG_READER_URL: database.readerUrl,
    SECLOG_SEALER_URL: database.sealerUrl,
    SECLOG_RELAY_URL: database.relayUrl,
    SECLOG_CONSOLE_URL: database.consoleUrl,
  };
  for (const [name, url] of Object.entries(urls)) {
    expect(url).toMatch(/^postgresql:\/\/\w+:…@db\.internal\/(postgres|seclog)$/);
    expect(Object.keys(own)).toContain(name);
  }
  return own;
}

async function run({ program, urls, args: printed }: Command): Promise<Result> {
  const [command = "", ...rest] = printed;
  const args = [command, ...(await Promise.all(rest.map(ownValue)))];
  const env = { PATH: process.env["PATH"], ...ownUrls(urls) };
  if (program === "seclog-verify") {
    const bin = join(root, "packages/verify/bin/seclog-verify.js");
    return await resultOf(spawn(process.execPath, [bin, ...args], { env: { PATH: env.PATH } }));
  }
  if (SERVERS.includes(args[0] ?? "")) return await startAndStop(args);
  if (args[0] === "init") args.push(anApplication());
  return await runHere(args[0] === "seal" ? [...args, "--once"] : args, env);
}

/** The reader's own folder, which the commands run in. */
function anApplication(): string {
  const own = join(folder, "application");
  mkdirSync(own);
  writeFileSync(join(own, "package.json"), "{}");
  return own;
}

async function startAndStop(args: readonly string[]): Promise<Result> {
  const listen = args[0] === "witness" ? ["--listen", "127.0.0.1:0"] : [];
  const child = startProgram(database, [...args, ...listen]);
  const stderr = collect(child.stderr);
  const first = (await Promise.race([
    once(child.stdout as NodeJS.ReadableStream, "data"),
    once(child, "close"),
  ])) as unknown[];
  child.kill("SIGINT");
  const [code] = child.exitCode === null ? ((await once(child, "close")) as [number | null]) : [child.exitCode];
  return { code, stdout: String(first[0]), stderr: stderr() };
}

describe("the commands of the pages", LONG, () => {
  it.each(PAGES)("work as %s prints them: %i", async (page, count) => {
    const commands = commandsOf(page);
    expect(commands.map(({ args }) => args.join(" "))).toHaveLength(count);
    if (SET_UP_ELSEWHERE.includes(page)) await setUpElsewhere();
    for (const command of commands) {
      const what = `${command.program} ${command.args.join(" ")}`;
      const { code, stdout, stderr } = await run(command);
      expect(code, `${page}: ${what}\n${stderr}`).toBe(0);
      expect(stdout + stderr, `${page}: ${what}`).not.toBe("");
      if (/^keys generate (?!--witness)/.test(command.args.join(" "))) vkey = stdout.split("\n")[0];
      await afterwards(command);
    }
  });

  it("include the query in SQL, which the reader may run (README.md)", async () => {
    const [, sql = ""] = /^```sql\n(.*?)^```$/ms.exec(readFileSync(join(root, "README.md"), "utf8")) ?? [];
    const reader = new pg.Client({ connectionString: database.readerUrl });
    await reader.connect();
    const { fields } = await reader.query(sql);
    await reader.end();
    expect(fields.map(({ name }) => name)).toContain("status_code");
  });
});

/** What the page's reader does between two commands: keeps checkpoints elsewhere, and receives a proof. */
async function afterwards({ args }: Command): Promise<void> {
  if (args[0] !== "seal") return;
  const id = await ownValue("0199c0de-…");
  copyFileSync(await ownValue("/mnt/elsewhere/checkpoints"), await ownValue("kept"));
  await succeed(["prove", id, "--out", await ownValue("event.tlog-proof")]);
}
