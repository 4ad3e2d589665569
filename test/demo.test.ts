import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { isAlive } from "./support/is-alive.ts";

const repository = fileURLToPath(new URL("..", import.meta.url));
const program = join(repository, "packages", "demo", "bin", "seclog-demo.js");

/** The events that the demo promises to show, each with the status of its response. */
const EXPECTED = [
  "unauthenticated_request 401",
  "authn_login_fail 401",
  "authn_login_success 303",
  "authz_fail 403",
  "authz_fail 404",
  "malicious_csrf 403",
  "illegal_request_method 404",
  "illegal_request_method 400",
  "webhook_signature_failure 400",
  "input_validation_fail 400",
  "input_validation_fail 413",
  "input_validation_fail 415",
  "input_validation_fail 431",
  "excess_rate_limit_exceeded 429",
];

/** Each test starts PostgreSQL, a shop and a program, perhaps on a busy machine. */
const LONG = { timeout: 240_000 };

let data: string;
const running: ChildProcess[] = [];

beforeAll(() => {
  data = mkdtempSync(join(tmpdir(), "seclog-demo-"));
});

afterEach(async () => {
  for (const child of running.splice(0)) {
    if (hasEnded(child)) continue;
    const closed = new Promise((done) => child.once("close", done));
    child.kill("SIGTERM");
    await closed;
  }
});

afterAll(() => rmSync(data, { recursive: true, force: true }));

describe("seclog-demo", LONG, () => {
  it("stays up, prints commands that work as printed, refuses its data to another demo, and stops with all its children on Ctrl-C", async () => {
    const demo = start([]);
    await demo.prints("Ctrl-C stops everything");
    const children = childrenOf(demo.child);
    expect(children.length).toBeGreaterThanOrEqual(2);

    const lines = demo
      .text()
      .split("\n")
      .filter((line) => line.startsWith("  "))
      .map((line) => line.trim());
    const named = lines.map((line) => /curl|query|psql|verify/.exec(line)?.[0] ?? "");
    expect(named).toEqual(["curl", "query", ...((await isInstalled("psql")) ? ["psql"] : []), "verify"]);
    const link = /The console: (\S+)/.exec(demo.text())?.[1] ?? "";
    const entered = await fetch(link, { redirect: "manual" });
    const cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? "";
    expect([entered.status, entered.headers.get("location")]).toEqual([303, "/"]);
    // The crowd arrives, also when the terminal shows nothing of it.
    const others = new URL("/api/v1/count?q=-ip:127.0.0.1%20level:warning", link);
    await vi.waitUntil(async () => {
      const response = await fetch(others, { headers: { cookie } });
      return ((await response.json()) as { events: number }).events > 50;
    }, LONG);
    expect((await fetch(others)).status).toBe(401);

    const answers: string[] = [];
    for (const line of lines) answers.push(await shell(line));
    expect(answers[0]).toContain("HTTP/1.1 404");
    expect(answers[1]).toContain("authz_fail");
    if (named[2] === "psql") expect(answers[2]).toContain("illegal_request_method");
    expect(answers.at(-1)).toContain("demo.seclog.example is intact.");
    await demo.prints("DELETE /products/morning-mug", 2);

    const second = start(["--once"]);
    expect(await second.exit).toBe(1);
    expect(second.text()).toMatch(/in use by process \d+.*SECLOG_DATA_DIR/);

    // Under npm, one Ctrl-C arrives twice: the terminal signals the process group, and npm signals its child again.
    demo.child.kill("SIGINT");
    demo.child.kill("SIGINT");
    expect(await demo.exit).toBe(0);
    expect(demo.text()).toContain("stopped PostgreSQL");
    // The shell that watched PostgreSQL is signalled last, and may still be ending.
    await gone(children);
  });

  it("runs again on the same data with --once, shows only new events, each that the capture detects, and exits with 0", async () => {
    const demo = start(["--once"]);
    const code = await demo.exit;
    expect(demo.text()).toContain("expected events are in the table");
    expect(shown(demo.text())).toEqual(expect.arrayContaining(EXPECTED));
    expect(shown(demo.text()).filter((line) => line === "malicious_csrf 403")).toHaveLength(1);
    expect(code).toBe(0);
    expect(demo.text()).not.toContain("\x1b");
    expect(tableOf(demo.text()).filter((line) => line.length > 80)).toEqual([]);
  });

  it("leaves no process behind when it is killed", async () => {
    const demo = start([]);
    await demo.prints("Ctrl-C stops everything");
    const children = childrenOf(demo.child);
    expect(children.length).toBeGreaterThanOrEqual(2);
    demo.child.kill("SIGKILL");
    await demo.exit;
    await gone(children);
  });

  it("refuses a port that is in use, and stops what it has started", async () => {
    const taken = await listen();
    const demo = start(["--once"], { PORT: String(taken.port) });
    expect(await demo.exit).toBe(1);
    expect(demo.text()).toContain(`Port ${taken.port} on 127.0.0.1 is in use: set PORT to a free one.`);
    expect(demo.text()).toContain("stopped PostgreSQL");
    taken.server.close();
  });

  it("refuses a data directory that it cannot use", async () => {
    const file = join(data, "a-file");
    writeFileSync(file, "");
    const demo = start(["--once"], { SECLOG_DATA_DIR: join(file, "below") });
    expect(await demo.exit).toBe(1);
    expect(demo.text()).toMatch(/data directory .*cannot be used \(ENOTDIR\).*set SECLOG_DATA_DIR/);
  });

  it.runIf(process.platform === "linux")("refuses a data directory that it cannot create", async () => {
    const demo = start(["--once"], { SECLOG_DATA_DIR: "/proc/seclog/demo" });
    expect(await demo.exit).toBe(1);
    expect(demo.text()).toContain("/proc/seclog/demo cannot be used (ENOENT)");
  });

  it("refuses a PORT that is not a port number", async () => {
    const demo = start(["--once"], { PORT: "http" });
    expect(await demo.exit).toBe(1);
    expect(demo.text()).toContain('PORT must be a number from 0 to 65535, not "http"');
  });
});

/** Leaves out the developer's own settings: colours, widths, proxies and databases. */
const ENVIRONMENT = { PATH: process.env["PATH"], HOME: process.env["HOME"] };

interface Running {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  text(): string;
  /** Resolves once the output contains `what` `times` times. */
  prints(what: string, times?: number): Promise<void>;
}

function start(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: repository,
    env: { ...ENVIRONMENT, INIT_CWD: repository, PORT: "0", SECLOG_DATA_DIR: data, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.push(child);
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  const exit = new Promise<number | null>((done) => child.once("close", done));
  return {
    child,
    exit,
    text: () => text,
    async prints(what, times = 1) {
      const deadline = performance.now() + LONG.timeout * 0.8;
      while (text.split(what).length <= times) {
        if (hasEnded(child) || performance.now() > deadline) throw new Error(`never printed "${what}":\n${text}`);
        await sleep(25);
      }
    },
  };
}

/** The rows of the table, without its head. */
function tableOf(text: string): readonly string[] {
  return text.split("\n").filter((line) => /^\d\d:\d\d:\d\d /.test(line));
}

/** `type status` of each row. */
function shown(text: string): readonly string[] {
  return tableOf(text).map((line) => {
    const words = line.trim().split(/\s+/);
    return `${words[2]} ${words.at(-1)}`;
  });
}

async function shell(line: string): Promise<string> {
  const { stdout } = await promisify(execFile)("/bin/sh", ["-c", line], {
    cwd: repository,
    env: { ...ENVIRONMENT, PAGER: "cat" },
    timeout: LONG.timeout / 2,
  });
  return stdout;
}

async function isInstalled(name: string): Promise<boolean> {
  return (await shell(`command -v ${name} || true`)).trim() !== "";
}

/** The pids of a process's children: the shop, PostgreSQL, and the shell that watches it. */
function childrenOf(parent: ChildProcess): readonly number[] {
  const text = readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, "utf8");
  return text.trim().split(" ").map(Number);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function gone(pids: readonly number[]): Promise<void> {
  const deadline = performance.now() + LONG.timeout * 0.8;
  while (pids.some(isAlive) && performance.now() < deadline) await sleep(50);
  expect(pids.filter(isAlive)).toEqual([]);
}

async function listen(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  return { server, port: typeof address === "object" && address !== null ? address.port : 0 };
}
