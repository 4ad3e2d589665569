/** `seclog start` and `seclog rollup`: the built program, against a real PostgreSQL. */
import { once } from "node:events";
import { apiClient } from "@seclog/api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { collect, LONG, programOf } from "../support/program.ts";
import { seedLog } from "../support/seeded-log.ts";

let database: TestDatabase;
const { seclog, startProgram } = programOf(() => database);

beforeAll(async () => {
  database = await createTestDatabase();
  await seedLog(database);
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

describe("seclog start", LONG, () => {
  it("serves the log to those who have its token, until it is stopped", async () => {
    const child = startProgram(["start", "--listen", "127.0.0.1:0", "--json"]);
    const stderr = collect(child.stderr);
    const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    const { listening, token } = JSON.parse(line.toString()) as { listening: string; token: string };
    const { events } = await apiClient({ url: listening, token }).events({ q: "actor:alice" });
    expect(events.map(({ seq }) => seq)).toEqual([3, 1]);
    await expect(apiClient({ url: listening, token: "x" }).sources()).rejects.toMatchObject({ status: 401 });
    // An open stream does not keep it running.
    const items = apiClient({ url: listening, token }).stream({});
    expect((await items.next()).value).toMatchObject({ kind: "ready" });
    child.kill("SIGTERM");
    const [code] = (await once(child, "close")) as [number];
    expect([code, stderr()]).toEqual([0, ""]);
  });

  it("signs in a browser by a link that works once, and prints the next", async () => {
    const child = startProgram(["start", "--listen", "127.0.0.1:0", "--json"]);
    const stderr = collect(child.stderr);
    const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    const { listening, link } = JSON.parse(line.toString()) as { listening: string; link: string };
    const ask = (url: string, cookie = "", init: RequestInit = {}): Promise<Response> =>
      fetch(new URL(url, listening), { redirect: "manual", ...init, headers: { cookie, ...init.headers } });
    const session = async (cookie: string): Promise<unknown> =>
      ((await (await ask("/api/v1/session", cookie)).json()) as { user: { role: string } | null }).user?.role;

    expect((await ask(`${listening}/enter/x`)).status).toBe(410);
    // What loads a page in advance, or looks at where a link leads, does not use it up.
    expect((await ask(link, "", { method: "HEAD" })).status).toBe(410);
    expect((await ask(link, "", { headers: { "sec-purpose": "prefetch" } })).status).toBe(410);
    const entered = await ask(link);
    const [cookie = "", ...attributes] = (entered.headers.get("set-cookie") ?? "").split("; ");
    expect([entered.status, entered.headers.get("location"), attributes]).toEqual([
      303,
      "/",
      ["HttpOnly", "SameSite=Strict", "Path=/"],
    ]);
    expect([await session(""), await session(`${cookie}x`), await session(cookie)]).toEqual([
      undefined,
      undefined,
      "admin",
    ]);
    expect((await ask("/api/v1/events", cookie)).status).toBe(200);
    expect((await ask(link)).status).toBe(410);

    const next = /For another browser: (\S+)/.exec(stderr())?.[1] ?? "";
    expect((await ask(next)).status).toBe(303);
    const elsewhere = { method: "DELETE", headers: { "sec-fetch-site": "cross-site" } };
    expect((await ask("/api/v1/session", cookie, elsewhere)).status).toBe(403);
    expect((await ask("/api/v1/session", cookie, { method: "DELETE" })).status).toBe(204);
    expect(await session(cookie)).toBeUndefined();
    child.kill("SIGTERM");
    await once(child, "close");
  });

  it("takes the token from the environment, and refuses a short one and an address that others can reach", async () => {
    const short = await seclog(["start"], { SECLOG_API_TOKEN: "short" });
    expect([short.code, short.stderr]).toEqual([2, expect.stringContaining("SECLOG_API_TOKEN has fewer than 32")]);
    const open = await seclog(["start", "--listen", "0.0.0.0:0"]);
    expect([open.code, open.stderr]).toEqual([2, expect.stringMatching(/--listen 0\.0\.0\.0: .*loopback only/)]);
  });
});

describe("seclog rollup", LONG, () => {
  it("counts what is stored, and again from the start", async () => {
    const counted = async (...args: string[]): Promise<number> =>
      (JSON.parse((await seclog(["rollup", "--json", ...args])).stdout) as { counted: number }).counted;
    const first = await counted();
    expect(first).toBeGreaterThan(5);
    expect(await counted()).toBe(0);
    expect(await counted("--rebuild")).toBe(first);
    const [sum] = await database.query<{ events: number }>(
      "SELECT sum(events)::int AS events FROM security_event_rollup WHERE category = 'test'",
    );
    expect(sum).toEqual({ events: 6 });
  });
});
