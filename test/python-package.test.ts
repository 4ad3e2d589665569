/** The Python package against a real collector: its own tests, and a collector that is killed meanwhile. */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CATALOGUE } from "seclog";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addToken } from "../packages/server/src/ingest/receivers/token-file.ts";
import { root } from "../scripts/files.js";
import { steadyPort } from "./support/port.js";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { eventually, LONG, startProgram } from "./support/program.ts";

const folder = join(root, "python");

function runs(python: string): boolean {
  const check = "import sys; sys.exit(sys.version_info < (3, 9) or sys.platform == 'win32')";
  return spawnSync(python, ["-c", check], { stdio: "ignore" }).status === 0;
}

// Debian's, which may have Django.
const python = ["/usr/bin/python3", "python3"].find(runs);
if (python === undefined) console.warn("SKIPPED: the Python package: there is no Python 3.9 or later");

/** Records numbers as fast as it can for a while, and ends when the collector has them all. */
const SENDER = `
import sys, time, seclog
seclog.configure(spool=sys.argv[1], exit_timeout=60)
for number in range(2000):
    seclog.record_security_event("test_killed", number=f"{sys.argv[2]}-{number}")
    if number % 20 == 0: time.sleep(0.01)
print("recorded", flush=True)
sys.exit(0 if seclog.flush(60) else 1)
`;

describe.skipIf(python === undefined)("the Python package", LONG, () => {
  let database: TestDatabase;
  let port: number;
  let token: string;
  let collector: ChildProcess | undefined;
  const own = mkdtempSync(join(tmpdir(), "seclog-python-"));
  const url = () => `http://127.0.0.1:${port}`;
  const environment = () => ({
    PATH: process.env["PATH"],
    PYTHONPATH: join(folder, "src"),
    PYTHONDONTWRITEBYTECODE: "1",
    SECLOG_TEST_URL: url(),
    SECLOG_TEST_TOKEN: token,
    SECLOG_COLLECTOR_URL: url(),
    SECLOG_COLLECTOR_TOKEN: token,
  });

  async function startCollector(): Promise<void> {
    const args = ["collect", "--listen", `127.0.0.1:${port}`, "--spool", join(own, "collect")];
    collector = startProgram(database, args);
    await once(collector.stdout as NodeJS.ReadableStream, "data");
  }

  async function killCollector(signal: NodeJS.Signals): Promise<void> {
    const ended = collector?.exitCode === null ? once(collector, "close") : undefined;
    collector?.kill(signal);
    await ended;
  }

  beforeAll(async () => {
    [database, port] = await Promise.all([createTestDatabase(), steadyPort()]);
    token = addToken(join(own, "collect"), { name: "shop", services: ["python-shop"] }).token;
    await startCollector();
  });
  afterAll(async () => {
    await killCollector("SIGTERM");
    await database?.[Symbol.asyncDispose]();
    rmSync(own, { recursive: true, force: true });
  });

  const rows = async (columns: string, type: string) =>
    await database.query<Record<string, unknown>>(
      `SELECT ${columns} FROM security_event_log WHERE event_type LIKE $1 AND service = 'python-shop' ORDER BY seq`,
      [type],
    );

  it("passes its own tests, and what they record is in the database once", async () => {
    const { stderr } = await promisify(execFile)(python ?? "", ["-m", "unittest", "discover", "-s", "tests"], {
      cwd: folder,
      env: environment(),
    }).catch((error: unknown) => error as { stderr: string });
    expect(stderr).toMatch(/\nOK(?: \(skipped=\d+\))?\n$/);
    if (stderr.includes("skipped=")) console.warn("SKIPPED: the Python package in Django: it is not installed");
    await eventually(async () => (await rows("1", "test_threads")).length >= 800, "all events are stored");
    const counts = await rows(
      "DISTINCT event_type, count(*) OVER (PARTITION BY event_type)::int AS n, 0 AS seq",
      "test_%",
    );
    expect(Object.fromEntries(counts.map(({ event_type, n }) => [event_type, n]))).toEqual({
      ...{
        test_delivered: 1500,
        test_forked: 2,
        test_left: 300,
        test_after_refusal: 1,
        test_handled: 1,
        test_threads: 800,
      },
    });
    expect(await rows("level::text, path, logger, data->>'number' AS number", "test_handled")).toEqual([
      { level: "warning", path: "/x", logger: "shop.handler", number: "1" },
    ]);
    const [logged] = await rows("level::text, data::text AS data", "logged_message");
    expect(logged).toMatchObject({ level: "error", data: expect.stringContaining("KeyError") as unknown });
    expect(String(logged?.["data"])).not.toContain("secret value");
  });

  it("records what Django refuses, once, and logins", async ({ skip }) => {
    if ((await rows("1", "malicious_csrf")).length === 0) skip("Django is not installed");
    const found = await rows(
      "event_type, status_code, path, method, allowed_methods, actor_id, data->>'reason' AS reason",
      "%",
    );
    const django = found.filter(({ event_type }) => !/^(test_|logged_)/.test(String(event_type)));
    expect(django.map(({ event_type, path, reason }) => [event_type, path, reason])).toEqual(
      expect.arrayContaining([
        ["malicious_csrf", "/only-get", "CSRF cookie not set."],
        ["illegal_request_method", "/only-get", null],
        ["authz_fail", "/denied", "PermissionDenied"],
        ["malicious_direct_reference", "/suspicious", "SuspiciousFileOperation"],
        ["authn_login_fail", null, "credentials"],
      ]),
    );
    const types = django.map(({ event_type }) => event_type).sort();
    expect(types).toEqual([
      ...["authn_login_fail", "authn_login_success", "authz_fail", "authz_fail", "illegal_request_method"],
      ...["malicious_csrf", "malicious_direct_reference", "session_logout"],
    ]);
    expect(django.find(({ event_type }) => event_type === "illegal_request_method")).toMatchObject({
      allowed_methods: "GET",
      status_code: 405,
    });
  });

  it("loses and repeats nothing while the collector is killed", async () => {
    const spool = join(own, "sender");
    const senders = ["a", "b"].map((name) =>
      spawn(python ?? "", ["-c", SENDER, spool, name], { env: environment(), stdio: ["ignore", "pipe", "inherit"] }),
    );
    const codes = Promise.all(senders.map(async (sender) => (await once(sender, "close"))[0] as number));
    const stored = async () => (await rows("1", "test_killed")).length;
    for (const least of [1, 500]) {
      await eventually(async () => (await stored()) >= least, `${least} events are stored`);
      await killCollector("SIGKILL");
      await startCollector();
    }
    expect(await codes).toEqual([0, 0]);
    await eventually(async () => (await stored()) >= 4_000, "all events are stored");
    const numbers = (await rows("data->>'number' AS number, 0 AS seq", "test_killed")).map(({ number }) => number);
    expect(numbers).toHaveLength(4_000);
    expect(new Set(numbers).size).toBe(4_000);
  });

  it("knows the types of the catalogue", () => {
    const text = readFileSync(join(folder, "src/seclog/_types.py"), "utf8");
    const [, list = ""] = /EventType = Literal\[(.*)\]/s.exec(text) ?? [];
    const types = [...list.matchAll(/"(\w+)"/g)].map(([, type]) => type);
    const own = /^log_|^events_dropped$|^event_quarantined$/;
    expect(types).toEqual(Object.keys(CATALOGUE).filter((type) => !own.test(type)));
  });
});
