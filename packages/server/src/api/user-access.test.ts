/** Users of the console, and those who try to be one: the API in this process, against a real PostgreSQL. */
import type { SessionResult } from "@seclog/api";
import type { Hono } from "hono";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { recordNow } from "#test/support/sample-log.ts";
import { type Database, openReader } from "../database/reader.ts";
import { BackgroundVerification } from "../integrity/background-verification.ts";
import { ConsoleUsers } from "../users/console-users.ts";
import { tokenAccess } from "./access.ts";
import { apiApp } from "./app.ts";
import type { Environment } from "./environment.ts";
import { UserAccess } from "./user-access.ts";

const TOKEN = "t".repeat(32);
const PASSWORD = "correct horse battery";
const WORK = { cost: 10, passes: 1 };

let server: TestDatabase;
let database: Database;
let users: ConsoleUsers;
let app: Hono<Environment>;
let now = 0;
const recorded: string[] = [];
const ending = new AbortController();

function appOf(publicUrl?: URL): Hono<Environment> {
  const access = new UserAccess({
    users,
    programs: tokenAccess(TOKEN),
    publicUrl,
    now: () => now,
    record: (type, _request, { actor, target }) => recorded.push([type, actor, target].filter(Boolean).join(" ")),
  });
  const url = server.readerUrl;
  const verification = new BackgroundVerification({ url, database, signal: ending.signal });
  return apiApp({
    database,
    url,
    access,
    version: "0",
    verification,
    signal: ending.signal,
    recheckMs: 20,
    onError: console.error,
  });
}

beforeAll(async () => {
  server = await createTestDatabase();
  database = openReader(5_000, server.readerUrl, 2);
  users = new ConsoleUsers({ url: server.consoleUrl, work: WORK });
});
afterAll(async () => {
  ending.abort();
  await users.close();
  await database.destroy();
  await server[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await server.query("TRUNCATE seclog_console_user, seclog_console_session, seclog_console_code, seclog_console_view");
  recorded.length = 0;
  now = 0;
  app = appOf();
});

interface Sent {
  readonly body?: unknown;
  readonly cookie?: string;
  readonly headers?: { readonly [name: string]: string };
}

/** As a page of the console sends it. */
async function send(method: string, path: string, { body, cookie = "", headers }: Sent = {}): Promise<Response> {
  const init = {
    method,
    headers: {
      host: "127.0.0.1:7300",
      "sec-fetch-site": "same-origin",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      cookie,
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  };
  return await app.request(`http://127.0.0.1:7300/api/v1/${path}`, init, {});
}

const cookieOf = (response: Response): string => (response.headers.get("set-cookie") ?? "").split(";", 1)[0] ?? "";
const signIn = (name: string, password = PASSWORD, more: Sent = {}): Promise<Response> =>
  send("POST", "session", { body: { name, password }, ...more });
const roleOf = async (cookie: string): Promise<string | undefined> =>
  ((await (await send("GET", "session", { cookie })).json()) as SessionResult).user?.role;
const failureOf = async (response: Response): Promise<{ code: string; message: string; tries_left?: number }> =>
  ((await response.json()) as { error: { code: string; message: string } }).error;

describe("the one-time link", () => {
  it("makes the first user once, and signs them in", async () => {
    const code = (await users.setupCode()) ?? "";
    expect(await (await send("GET", "session")).json()).toMatchObject({ user: null, setup: true, sign_in: "password" });
    const wrong = await send("POST", "setup", { body: { code: `${code}x`, name: "ada", password: PASSWORD } });
    expect([wrong.status, await failureOf(wrong)]).toMatchObject([403, { code: "SETUP" }]);
    const weak = await send("POST", "setup", { body: { code, name: "ada", password: "short" } });
    expect([weak.status, (await failureOf(weak)).message]).toEqual([400, expect.stringContaining("12 characters")]);
    const body = { code, name: "ada", password: PASSWORD };
    const both = await Promise.all([send("POST", "setup", { body }), send("POST", "setup", { body })]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, expect.any(Number)]);
    const made = both.find(({ status }) => status === 200) as Response;
    expect(await roleOf(cookieOf(made))).toBe("admin");
    expect((await send("POST", "setup", { body: { ...body, name: "eve" } })).status).toBe(403);
    expect([await users.list(), await users.setupCode()]).toEqual([[{ name: "ada", role: "admin" }], undefined]);
    expect(recorded).toContain("user_created ada ada");
  });

  it("ends after an hour", async () => {
    const code = (await users.setupCode()) ?? "";
    await server.query("UPDATE seclog_console_code SET expires_at = now() - interval '1 second'");
    const response = await send("POST", "setup", { body: { code, name: "ada", password: PASSWORD } });
    expect([response.status, await users.hasUsers()]).toEqual([403, false]);
  });
});

describe("a session", () => {
  beforeEach(() => users.add({ name: "ada", role: "admin" }, PASSWORD));

  it("begins with the password, under a new id, and ends with sign-out", async () => {
    const fixed = "seclog_00000000=chosen";
    const first = await signIn("ada", PASSWORD, { cookie: fixed });
    const [id, ...attributes] = (first.headers.get("set-cookie") ?? "").split("; ");
    expect(attributes).toEqual(["HttpOnly", "SameSite=Strict", "Path=/"]);
    expect(id).toMatch(/^seclog_[0-9a-f]{8}=[\w-]{43}$/);
    expect(id).not.toContain("chosen");
    const cookie = cookieOf(first);
    // Neither the row nor an id beside it is a way in.
    const [row] = await server.query<{ hash: Buffer }>("SELECT hash FROM seclog_console_session");
    expect(cookie).not.toContain(row?.hash.toString("base64url"));
    const [name] = cookie.split("=");
    expect(await roleOf(`${name}=${row?.hash.toString("base64url")}`)).toBeUndefined();
    expect(await roleOf(`${name}=x; ${cookie}`)).toBeUndefined();
    expect(await roleOf(cookie)).toBe("admin");
    // A second sign-in of the browser ends the first session.
    const second = cookieOf(await signIn("ada", PASSWORD, { cookie }));
    expect([await roleOf(cookie), await roleOf(second)]).toEqual([undefined, "admin"]);
    expect((await send("DELETE", "session", { cookie: second })).status).toBe(204);
    expect(await roleOf(second)).toBeUndefined();
    expect(recorded).toEqual(["authn_login_success ada", "authn_login_success ada", "session_logout ada"]);
  });

  it("ends after half an hour without a request, and after twelve hours", async () => {
    const cookie = cookieOf(await signIn("ada"));
    const age = (column: string, by: string): Promise<unknown> =>
      server.query(`UPDATE seclog_console_session SET ${column} = now() - interval '${by}'`);
    await age("used_at", "29 minutes");
    expect(await roleOf(cookie)).toBe("admin");
    await age("used_at", "31 minutes");
    expect(await roleOf(cookie)).toBeUndefined();
    await age("used_at", "0 minutes");
    await age("started_at", "12 hours 1 minute");
    expect(await roleOf(cookie)).toBeUndefined();
  });

  it("ends when the role or the password changes, or the user is removed", async () => {
    await users.add({ name: "bob", role: "analyst" }, PASSWORD);
    const other = `${PASSWORD} 2`;
    for (const [password, change] of [
      [PASSWORD, () => users.setRole("bob", "auditor")],
      [PASSWORD, () => users.setPassword("bob", other)],
      [other, () => users.remove("bob")],
    ] as const) {
      const cookie = cookieOf(await signIn("bob", password));
      expect(await roleOf(cookie)).toBeDefined();
      await change();
      expect(await roleOf(cookie)).toBeUndefined();
    }
  });

  it("does not begin with a password that was changed while it was compared", async () => {
    const { passwords } = users;
    const matches = passwords.matches.bind(passwords);
    const during = vi.spyOn(passwords, "matches").mockImplementation(async (...given) => {
      const result = await matches(...given);
      await users.setPassword("ada", `${PASSWORD} 2`);
      return result;
    });
    const response = await signIn("ada");
    during.mockRestore();
    expect([response.status, await server.query("SELECT FROM seclog_console_session")]).toEqual([401, []]);
    expect((await signIn("ada", `${PASSWORD} 2`)).status).toBe(200);
  });

  it("has a stream that ends with it", async () => {
    await users.add({ name: "bob", role: "analyst" }, PASSWORD);
    const cookie = cookieOf(await signIn("bob"));
    const reader = ((await send("GET", "stream", { cookie })).body as ReadableStream<Uint8Array>).getReader();
    expect((await reader.read()).done).toBe(false);
    await users.remove("bob");
    while (!(await reader.read()).done);
    const headers = { authorization: `Bearer ${TOKEN}` };
    const program = ((await send("GET", "stream", { headers })).body as ReadableStream<Uint8Array>).getReader();
    expect((await program.read()).done).toBe(false);
    await recordNow(server, "authn_login_lock", "carol");
    expect(new TextDecoder().decode((await program.read()).value)).toContain("carol");
    await program.cancel();
  });

  it("leaves programs their token", async () => {
    const headers = { authorization: `Bearer ${TOKEN}`, cookie: "" };
    expect((await send("GET", "sources", { headers })).status).toBe(200);
    expect((await send("GET", "sources")).status).toBe(401);
  });

  it("has a __Host- cookie behind TLS, and answers to the public name", async () => {
    app = appOf(new URL("https://console.example.com"));
    const host = { host: "console.example.com" };
    const response = await signIn("ada", PASSWORD, { headers: host });
    expect(response.headers.get("set-cookie")).toMatch(
      /^__Host-seclog=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/; Secure$/,
    );
    expect((await signIn("ada", PASSWORD, { headers: { host: "evil.example" } })).status).toBe(421);
  });
});

describe("a guess", () => {
  beforeEach(() => users.add({ name: "ada", role: "admin" }, PASSWORD));

  it("locks the name for its address after five, and for nobody else", async () => {
    app = appOf(new URL("https://console.example.com"));
    const from = (address: string): Sent => ({
      headers: { host: "console.example.com", "x-forwarded-for": `198.51.100.1, ${address}` },
    });
    for (const [left, next] of [
      [4, "4 tries left"],
      [3, "3 tries left"],
      [2, "2 tries left"],
      [1, "1 try left"],
      [0, "try again in 15 minutes"],
    ]) {
      const refused = await signIn("ada", "wrong", from("203.0.113.9"));
      const { tries_left, message } = await failureOf(refused);
      expect([refused.status, tries_left, message]).toEqual([401, left, `the name or the password is wrong: ${next}`]);
    }
    expect((await signIn("ada", PASSWORD, from("203.0.113.9"))).status).toBe(401);
    expect((await signIn("ada", PASSWORD, from("203.0.113.10"))).status).toBe(200);
    expect(recorded).toContain("authn_login_lock ada");
    now += 15 * 60_000;
    expect((await signIn("ada", PASSWORD, from("203.0.113.9"))).status).toBe(200);
  });

  it("is one of five, also when many are sent at once", async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => signIn("ada", "wrong")));
    const messages = await Promise.all(all.map(async (response) => (await failureOf(response)).message));
    expect(messages.filter((message) => message.startsWith("the name or the password is wrong"))).toHaveLength(5);
    // The others leave nothing behind.
    now += 15 * 60_000;
    expect((await signIn("ada")).status).toBe(200);
    expect((await signIn("ada")).status).toBe(200);
  });

  it("counts for the network that one IPv6 subscriber has", async () => {
    app = appOf(new URL("https://console.example.com"));
    const from = (address: string): Sent => ({
      headers: { host: "console.example.com", "x-forwarded-for": address },
    });
    for (let n = 1; n <= 5; n++) await signIn("ada", "wrong", from(`2001:db8:1:2::${n}`));
    expect((await signIn("ada", PASSWORD, from("2001:db8:1:2:3::6"))).status).toBe(401);
    expect((await signIn("ada", PASSWORD, from("2001:db8:1:3::6"))).status).toBe(200);
  });

  it("does the same work for an unknown name, and says the same", async () => {
    const known = await failureOf(await signIn("ada", "wrong"));
    const unknown = await failureOf(await signIn("nobody", "wrong"));
    expect(known).toEqual(unknown);
    // Each derives once: without the work of the unknown name, it would be answered at once.
    const slow = new ConsoleUsers({ url: server.consoleUrl, work: { cost: 15, passes: 1 } });
    const time = async (name: string): Promise<number> => {
      const start = performance.now();
      await slow.signIn(name, "wrong");
      return performance.now() - start;
    };
    await time("nobody");
    expect(await time("nobody")).toBeGreaterThan(20);
    await slow.close();
  });
});

describe("a request of another site", () => {
  it.each([
    [{ "sec-fetch-site": "cross-site" }, 403],
    [{ "sec-fetch-site": "same-site" }, 403],
    [{ "sec-fetch-site": "none" }, 403],
    [{ host: "evil.example" }, 421],
    [{ "content-type": "text/plain" }, 415],
    [{ "content-type": "application/x-www-form-urlencoded" }, 415],
  ])("signs nobody in: %j", async (headers, status) => {
    await users.add({ name: "ada", role: "admin" }, PASSWORD);
    expect((await signIn("ada", PASSWORD, { headers })).status).toBe(status);
  });

  it("cannot send a large body, or one that is not an object, and gets no password back", async () => {
    for (const [body, status] of [
      ["x".repeat(20_000), 413],
      ["[]", 400],
      ['{"name":"ada","password":"hunter2', 400],
      [{ name: ["ada"], password: {} }, 400],
    ] as const) {
      const response = await send("POST", "session", { body });
      expect([response.status, await response.text()]).toEqual([status, expect.not.stringContaining("hunter2")]);
    }
  });
});

describe("users", () => {
  it("are an admin's to add, change and remove, but for the last admin", async () => {
    await users.add({ name: "ada", role: "admin" }, PASSWORD);
    await users.add({ name: "bob", role: "analyst" }, PASSWORD);
    const admin = cookieOf(await signIn("ada"));
    const analyst = cookieOf(await signIn("bob"));
    const body = { name: "eve", role: "auditor", password: PASSWORD };
    const refused = [
      await send("GET", "users", { cookie: analyst }),
      await send("POST", "users", { cookie: analyst, body }),
      await send("PATCH", "users/bob", { cookie: analyst, body: { role: "admin" } }),
      await send("DELETE", "users/ada", { cookie: analyst }),
      await send("POST", "users", { body }),
    ];
    expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403, 401]);
    expect((await send("POST", "users", { cookie: admin, body })).status).toBe(201);
    expect((await send("POST", "users", { cookie: admin, body })).status).toBe(400);
    expect((await send("POST", "users", { cookie: admin, body: { ...body, name: "x", role: "root" } })).status).toBe(
      400,
    );
    expect((await send("PATCH", "users/eve", { cookie: admin, body: { role: "analyst" } })).status).toBe(204);
    expect(await (await send("GET", "users", { cookie: admin })).json()).toEqual({
      users: [
        { name: "ada", role: "admin" },
        { name: "bob", role: "analyst" },
        { name: "eve", role: "analyst" },
      ],
    });
    expect((await send("DELETE", "users/eve", { cookie: admin })).status).toBe(204);
    for (const last of [
      await send("DELETE", "users/ada", { cookie: admin }),
      await send("PATCH", "users/ada", { cookie: admin, body: { role: "analyst" } }),
    ])
      expect([last.status, (await failureOf(last)).message]).toEqual([400, expect.stringContaining("last admin")]);
    expect(recorded.slice(2)).toEqual(["user_created ada eve", "user_updated ada eve", "user_deleted ada eve"]);
  });

  it("leave an event of each page about somebody, once in ten minutes", async () => {
    await users.add({ name: "ada", role: "analyst" }, PASSWORD);
    const cookie = cookieOf(await signIn("ada"));
    const reads = (): number => recorded.filter((event) => event === "log_read ada").length;
    for (const path of ["entities/ip/203.0.113.9", "entities/ip/203.0.113.9", "entities/actor/bob", "events"])
      expect((await send("GET", path, { cookie })).status).toBe(200);
    expect(reads()).toBe(2);
    now += 10 * 60_000;
    await send("GET", "entities/ip/203.0.113.9", { cookie });
    expect(reads()).toBe(3);
  });

  it("keep views, each their own", async () => {
    await users.add({ name: "ada", role: "analyst" }, PASSWORD);
    await users.add({ name: "bob", role: "analyst" }, PASSWORD);
    const [ada, bob] = [cookieOf(await signIn("ada")), cookieOf(await signIn("bob"))];
    const saved = await send("POST", "views", {
      cookie: ada,
      body: { name: "Mine", query: "level>=error", since: "1d", columns: "time,level" },
    });
    const { id } = (await saved.json()) as { id: string };
    const { views } = (await (await send("GET", "views", { cookie: bob })).json()) as {
      views: { owner: string | null }[];
    };
    expect(views.at(-1)).toEqual({
      id,
      name: "Mine",
      query: "level>=error",
      since: "1d",
      columns: "time,level",
      built_in: false,
      owner: "ada",
    });
    expect(views.filter(({ owner }) => owner === null)).toHaveLength(7);
    expect((await send("DELETE", `views/${id}`, { cookie: bob })).status).toBe(404);
    expect((await send("DELETE", `views/${id}`, { cookie: ada })).status).toBe(204);
  });
});
