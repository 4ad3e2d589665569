/** `seclog users`, and `seclog start` with users of its own: the built program, against a real PostgreSQL. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { collect, LONG, programOf, type Result, resultOf } from "../support/program.ts";

const program = fileURLToPath(new URL("../../packages/server/bin/seclog.js", import.meta.url));
const PASSWORD = "correct horse battery";
let database: TestDatabase;
const { seclog, startProgram } = programOf(() => database);

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

const environment = (): { readonly [name: string]: string } => ({ SECLOG_CONSOLE_URL: database.consoleUrl });

/** Runs `seclog users` as a process with a standard input. */
async function users(args: readonly string[], input: string): Promise<Result> {
  const env = { PATH: process.env["PATH"], SECLOG_DATABASE_URL: database.writerUrl, ...environment() };
  const child = spawn(process.execPath, [program, "users", ...args], { env });
  child.stdin.end(input);
  return await resultOf(child);
}

describe("seclog start with SECLOG_CONSOLE_URL", LONG, () => {
  it("makes the first user by its link, knows them by their password, and records both", async () => {
    const early = await seclog(["start", "--listen", "0.0.0.0:0", "--public-url", "https://a.example"], environment());
    expect([early.code, early.stderr]).toEqual([2, expect.stringContaining("--public-url needs a user")]);

    const child = startProgram(["start", "--listen", "127.0.0.1:0", "--json"], environment());
    const stderr = collect(child.stderr);
    const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    const { listening, link } = JSON.parse(line.toString()) as { listening: string; link: string };
    const [, code] = /\/setup#([\w-]{43})$/.exec(link) ?? [];
    const post = (path: string, body: object): Promise<Response> =>
      fetch(`${listening}/api/v1/${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", origin: listening },
        body: JSON.stringify(body),
      });
    expect((await post("setup", { code, name: "ada", password: PASSWORD })).status).toBe(200);
    expect((await post("session", { name: "ada", password: "wrong" })).status).toBe(401);
    const signedIn = await post("session", { name: "ada", password: PASSWORD });
    const [cookie = ""] = (signedIn.headers.get("set-cookie") ?? "").split(";");
    expect((await fetch(`${listening}/api/v1/users`, { headers: { cookie } })).status).toBe(200);
    const entity = await fetch(`${listening}/api/v1/entities/ip/203.0.113.9`, { headers: { cookie } });
    expect([entity.status, await entity.text()]).toEqual([200, expect.any(String)]);
    child.kill("SIGTERM");
    const [exit] = (await once(child, "close")) as [number];
    expect([exit, stderr()]).toEqual([0, ""]);

    const events = await database.query<{ event: string; ip: string }>(
      `SELECT event_type || ' ' || coalesce(actor_id, '') AS event, host(ip_address) AS ip
         FROM security_event_log WHERE service = 'seclog console' AND category <> 'log' ORDER BY seq`,
    );
    expect(events).toEqual(
      ["user_created", "authn_login_success", "authn_login_fail", "authn_login_success"].map((type) => ({
        event: `${type} ada`,
        ip: "127.0.0.1",
      })),
    );
    const [read] = await database.query<{ actor_id: string; filter: string }>(
      "SELECT actor_id, data::json->>'filter' AS filter FROM security_event_log WHERE event_type = 'log_read'",
    );
    expect(read).toEqual({ actor_id: "ada", filter: 'ip="203.0.113.9"' });
    const stored = JSON.stringify(await database.query("SELECT * FROM security_event_log"));
    expect(stored).not.toMatch(new RegExp(`${PASSWORD}|${code}`));
  });
});

describe("seclog users", LONG, () => {
  it("adds, lists, changes and removes users, with the password from standard input only", async () => {
    expect(await users(["add", "grace", "--role", "analyst"], `${PASSWORD}\n`)).toEqual({
      code: 0,
      stdout: "Added grace, analyst.\n",
      stderr: "",
    });
    const weak = await users(["password", "grace"], "short\n");
    expect([weak.code, weak.stderr]).toEqual([2, expect.stringContaining("fewer than 12 characters")]);
    const changed = await seclog(["users", "role", "grace", "auditor"], environment());
    expect(changed).toMatchObject({ code: 0, stdout: "grace is auditor now, and has to sign in again.\n" });
    const list = await seclog(["users", "list", "--json"], environment());
    expect(list.stdout).toContain('{"name":"grace","role":"auditor"}\n');
    expect((await seclog(["users", "remove", "grace"], environment())).code).toBe(0);
    const unknown = await seclog(["users", "remove", "grace"], environment());
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('"grace" does not exist')]);
    const [events] = await database.query<{ types: string }>(
      "SELECT string_agg(event_type, ' ' ORDER BY occurred_at) AS types FROM security_event_log WHERE target_id = 'grace'",
    );
    expect(events?.types).toBe("user_created user_updated user_deleted");
  });

  it("says which role's URL it needs", async () => {
    const { code, stderr } = await seclog(["users", "list"]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("SECLOG_CONSOLE_URL is not set")]);
  });
});
