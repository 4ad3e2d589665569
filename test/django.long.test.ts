/** The Django example sends to a collector, with the standard library alone: with Debian's Django, and the current one. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Collector, startCollector } from "../packages/server/src/ingest/receivers/collector.ts";
import { addToken } from "../packages/server/src/ingest/receivers/token-file.ts";
import { send } from "./support/http-client.ts";
import { steadyPort } from "./support/port.js";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { eventually, LONG } from "./support/program.ts";

const example = fileURLToPath(new URL("../examples/django", import.meta.url));
const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");

/** The Pythons that have Django, by its version. */
const pythons = new Map(
  ["/usr/bin/python3", join(cache, "seclog-ci", "django", "bin", "python")].flatMap((python) => {
    const version = djangoOf(python);
    return version === undefined ? [] : [[version, python] as const];
  }),
);
if (pythons.size === 0)
  console.warn("SKIPPED: the Django example: neither Debian's python3-django nor the one of .ci/run");

function djangoOf(python: string): string | undefined {
  try {
    return execFileSync(python, ["-c", "import django; print(django.__version__)"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return undefined;
  }
}

/** What the TypeScript shop's capture and helpers record of the same refusals: the columns that both have. */
const ROWS: readonly { readonly [column: string]: unknown }[] = [
  {
    event_type: "malicious_csrf",
    level: "warning",
    outcome: "failure",
    status_code: 403,
    method: "POST",
    path: "/transfer",
  },
  {
    event_type: "illegal_request_method",
    level: "warning",
    outcome: "failure",
    status_code: 405,
    method: "DELETE",
    path: "/orders/1",
    allowed_methods: "GET",
    route: "/orders/<int:number>",
  },
  {
    event_type: "authz_fail",
    level: "critical",
    outcome: "failure",
    status_code: 403,
    method: "GET",
    path: "/orders/2",
  },
  {
    event_type: "input_validation_fail",
    level: "warning",
    outcome: "failure",
    status_code: 400,
    method: "POST",
    path: "/transfer",
    actor_id: "1",
  },
  {
    event_type: "malicious_direct_reference",
    level: "critical",
    outcome: "unknown",
    status_code: 400,
    method: "GET",
    path: "/files",
  },
  {
    event_type: "host_header_rejected",
    level: "warning",
    outcome: "failure",
    status_code: 400,
    request_host: "evil.example",
  },
  {
    event_type: "authn_login_fail",
    level: "warning",
    outcome: "failure",
    method: "POST",
    path: "/login",
    actor_id: "ada",
  },
  {
    event_type: "authn_login_success",
    level: "info",
    outcome: "success",
    method: "POST",
    path: "/login",
    actor_id: "1",
  },
  { event_type: "session_logout", level: "info", outcome: "success", method: "POST", path: "/logout", actor_id: "1" },
  {
    event_type: "sensitive_read",
    level: "warning",
    outcome: "success",
    method: "GET",
    path: "/orders/1",
    actor_id: "1",
    data: { object: "order 1" },
  },
];

describe.skipIf(pythons.size === 0).each([...pythons])("examples/django, with Django %s", LONG, (_version, python) => {
  let database: TestDatabase;
  let collector: Collector;
  let shop: ChildProcess;
  let origin: string;
  let output = "";
  const folder = mkdtempSync(join(tmpdir(), "seclog-django-"));

  beforeAll(async () => {
    database = await createTestDatabase();
    const spool = join(folder, "spool");
    const { token } = addToken(spool, { name: "shop", services: ["django-shop"] });
    collector = await startCollector({
      listen: { host: "127.0.0.1", port: 0 },
      spool,
      url: database.writerUrl,
      onTrouble: (error) => {
        output += `${String(error)}\n`;
      },
    });
    const env = {
      PATH: process.env["PATH"],
      PYTHONDONTWRITEBYTECODE: "1",
      SHOP_DATA_DIR: folder,
      SECLOG_TOKEN: token,
      SECLOG_COLLECTOR: new URL(collector.url).host,
    };
    const manage = (...args: string[]): void => {
      execFileSync(python, ["manage.py", ...args], { cwd: example, env, stdio: ["ignore", "ignore", "inherit"] });
    };
    manage("migrate", "--verbosity=0");
    const user = "from django.contrib.auth.models import User; User.objects.create_user('ada', password='lovelace')";
    manage("shell", "-c", user);
    const port = await steadyPort();
    origin = `http://127.0.0.1:${port}`;
    shop = spawn(python, ["manage.py", "runserver", "--noreload", `127.0.0.1:${port}`], { cwd: example, env });
    for (const stream of [shop.stdout, shop.stderr]) {
      stream?.on("data", (text: Buffer) => {
        output += text.toString();
      });
    }
    await eventually(
      () =>
        fetch(origin).then(
          ({ ok }) => ok,
          () => false,
        ),
      `the shop answers: ${output}`,
    );
  });

  afterAll(async () => {
    shop.kill("SIGTERM");
    await collector.close();
    await database[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  it("records what Django refuses, and what the application says, as the TypeScript shop does", async () => {
    const cookies = new Map<string, string>();
    const agent = { "user-agent": "trial/1" };
    const call = async (
      path: string,
      form?: Record<string, string>,
      headers = {},
      method?: string,
    ): Promise<Response> => {
      const response = await fetch(`${origin}${path}`, {
        method: method ?? (form === undefined ? "GET" : "POST"),
        headers: { ...agent, cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; "), ...headers },
        redirect: "manual",
        ...(form !== undefined && { body: new URLSearchParams(form) }),
      });
      for (const cookie of response.headers.getSetCookie()) {
        const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
        cookies.set(name, value);
      }
      return response;
    };
    const token = async (): Promise<{ csrfmiddlewaretoken: string }> => ({
      csrfmiddlewaretoken: await (await call("/")).text(),
    });

    expect((await call("/transfer", { amount: "1" })).status).toBe(403);
    expect(
      (await call("/orders/1", undefined, { "x-csrftoken": (await token()).csrfmiddlewaretoken }, "DELETE")).status,
    ).toBe(405);
    expect((await call("/orders/2")).status).toBe(403);
    expect((await call("/files?name=../../etc/passwd")).status).toBe(400);
    expect((await call("/nowhere")).status).toBe(404);
    const login = { ...(await token()), username: "ada" };
    expect((await call("/login", { ...login, password: "wrong" })).status).toBe(401);
    expect((await call("/login", { ...login, password: "lovelace" })).status).toBe(200);
    expect((await call("/transfer", { ...(await token()), amount: "ten" })).status).toBe(400);
    expect((await call("/orders/1")).status).toBe(200);
    expect((await call("/logout", await token())).status).toBe(200);
    const evil = await send(Number(new URL(origin).port), "GET", "/", { headers: { host: "evil.example" } });
    expect(evil.status).toBe(400);

    const select = "SELECT * FROM security_event_log WHERE service = 'django-shop' ORDER BY seq";
    let found: Record<string, unknown>[] = [];
    await expect
      .poll(
        async () => {
          found = await database.query(select);
          return found.length;
        },
        { timeout: 20_000, message: output },
      )
      .toBeGreaterThanOrEqual(ROWS.length);
    const missing = ROWS.filter((row) => !found.some((each) => contains(each, row)));
    expect(missing, JSON.stringify(found, undefined, 1)).toEqual([]);
    expect(found, JSON.stringify(found, undefined, 1)).toHaveLength(ROWS.length);
    for (const row of found) {
      expect(row).toMatchObject({ ip_address: "127.0.0.1", notes: null });
      if (row["event_type"] !== "host_header_rejected") expect(row).toMatchObject({ user_agent: "trial/1" });
    }
    expect(output).not.toContain("Traceback");
  });
});

function contains(row: Record<string, unknown>, part: Record<string, unknown>): boolean {
  return Object.entries(part).every(([name, value]) =>
    typeof value === "object" && value !== null
      ? contains(Object(row[name]) as Record<string, unknown>, value as Record<string, unknown>)
      : String(row[name]) === String(value),
  );
}
