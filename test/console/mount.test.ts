/** The console inside real frameworks, at several paths, asked over HTTP. */
import { createServer, type Server, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import { type SecurityConsole, securityConsole } from "@seclog/server/console";
import compression from "compression";
import express from "express";
import express4 from "express4";
import Fastify from "fastify";
import { Hono } from "hono";
import { compress } from "hono/compress";
import { NextRequest } from "next/server.js";
import { createSecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { fillSampleLog, recordNow } from "../support/sample-log.ts";

let database: TestDatabase;
const consoles: SecurityConsole[] = [];
const errors: unknown[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  await fillSampleLog(database, { events: 40, hostile: false });
});
afterEach(async () => {
  for (const one of consoles.splice(0)) await one.close();
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

/** The application knows its user by a header; Express and Fastify put it on their requests. */
interface Subject {
  readonly user?: string;
}

function mounted(basePath?: string): SecurityConsole {
  const made = securityConsole<Subject | undefined>({
    databaseUrl: database.readerUrl,
    authorize: (request, subject) => {
      const name = subject?.user ?? request.headers.get("x-user");
      if (name === "elsewhere") return new Response(null, { status: 302, headers: { location: "/login" } });
      return name === null ? undefined : { name, role: name === "ada" ? "admin" : "analyst" };
    },
    onError: (error) => errors.push(error),
    ...(basePath === undefined ? {} : { basePath }),
  });
  consoles.push(made);
  return made;
}

interface Running {
  readonly url: string;
  close(): Promise<void>;
}

async function listening(server: Server): Promise<Running> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
}

type Start = (base: string) => Promise<Running>;

/** As an application that parses every JSON body first. */
function withExpress(make: typeof express): Start {
  return async (base) => {
    const app = make();
    app.use(compression());
    app.use(make.json());
    app.use((request, _response, next) => {
      const user = request.get("x-user");
      if (user !== undefined) Object.assign(request, { user });
      next();
    });
    app.use(base, mounted().handler);
    return await listening(createServer(app));
  };
}

const FRAMEWORKS: readonly [name: string, start: Start][] = [
  ["node:http", async (base) => await listening(createServer(mounted(base).handler))],
  ["Express 5", withExpress(express)],
  ["Express 4", withExpress(express4 as unknown as typeof express)],
  [
    "Fastify",
    async (base) => {
      const app = Fastify({ forceCloseConnections: true });
      app.addHook("onRequest", async (request) => {
        Object.assign(request, { user: request.headers["x-user"] });
      });
      await app.register(mounted().fastify, { prefix: base === "/" ? "" : base });
      return { url: await app.listen({ host: "127.0.0.1", port: 0 }), close: () => app.close() };
    },
  ],
  [
    "Hono",
    async (base) => {
      const security = mounted(base);
      const app = new Hono();
      app.use(compress());
      app.all(base === "/" ? "/*" : `${base}/*`, (c) => security.fetch(c.req.raw));
      const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server;
      await vi.waitUntil(() => server.listening);
      const { port } = server.address() as AddressInfo;
      return {
        url: `http://127.0.0.1:${port}`,
        close: async () => {
          const closed = new Promise((done) => server.close(done));
          server.closeAllConnections();
          await closed;
        },
      };
    },
  ],
  // What Next.js calls; a server of its own is in examples-next.long.test.ts.
  [
    "the route of Next.js",
    async (base) => {
      const { route } = mounted(base);
      const app = new Hono();
      app.all("/*", (c) => {
        const { method, headers, signal } = c.req.raw;
        return route[method as "GET"](new NextRequest(c.req.url, { method, headers, signal }));
      });
      const server = serve({
        fetch: app.fetch,
        port: 0,
        hostname: "127.0.0.1",
        overrideGlobalObjects: false,
      }) as Server;
      await vi.waitUntil(() => server.listening);
      const { port } = server.address() as AddressInfo;
      return {
        url: `http://127.0.0.1:${port}`,
        close: async () => {
          const closed = new Promise((done) => server.close(done));
          server.closeAllConnections();
          await closed;
        },
      };
    },
  ],
];

const ADA = { "x-user": "ada", "sec-fetch-site": "same-origin" };

describe.each(FRAMEWORKS)("the console in %s", (_name, start) => {
  it.each(["/", "/ops/seclog"])("has its pages, its assets and its API at %s", async (base) => {
    const app = await start(base);
    const root = `${app.url}${base === "/" ? "" : base}`;
    for (const path of ["/", "/explore?q=a", "/entities/route/%2Forders%2F%3Aid"]) {
      const response = await fetch(`${root}${path}`, { headers: ADA });
      const page = await response.text();
      expect([path, response.status]).toEqual([path, 200]);
      expect(page).toContain(`<base href="${base === "/" ? "/" : `${base}/`}">`);
      const script = /src="\.\/(assets\/[\w.-]+\.js)"/.exec(page)?.[1] ?? "";
      const asset = await fetch(new URL(script, `${root}/`), { headers: ADA });
      expect(asset.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
      await asset.arrayBuffer();
    }
    const session = await (await fetch(`${root}/api/v1/session`, { headers: ADA })).json();
    expect(session).toMatchObject({ user: { name: "ada", role: "admin" }, sign_in: "application" });
    const events = await fetch(`${root}/api/v1/events?q=type:authn_login_*&limit=3`, { headers: ADA });
    expect(await events.json()).toMatchObject({ events: [{}, {}, {}] });
    await app.close();
  });

  it("lets only the application's users in, and each do what the role may", async () => {
    const app = await start("/ops/seclog");
    const status = async (path: string, headers: { [name: string]: string }, method = "GET"): Promise<number> => {
      const response = await fetch(`${app.url}/ops/seclog${path}`, { headers, method, redirect: "manual" });
      await response.arrayBuffer();
      return response.status;
    };
    const eve = { "x-user": "eve", "sec-fetch-site": "same-origin" };
    expect(await status("/", {})).toBe(401);
    expect(await status("/api/v1/events", {})).toBe(401);
    expect(await status("/", { "x-user": "elsewhere" })).toBe(302);
    expect(await status("/api/v1/events", { "x-user": "elsewhere" })).toBe(302);
    expect(await status("/api/v1/events", eve)).toBe(200);
    expect(await status("/api/v1/export", eve)).toBe(403);
    expect(await status("/api/v1/export", ADA)).toBe(200);
    expect(await status("/api/v1/verification", eve, "POST")).toBe(403);
    expect(await status("/api/v1/verification", { ...ADA, "sec-fetch-site": "cross-site" }, "POST")).toBe(403);
    expect(await status("/api/v1/verification", { "x-user": "ada", origin: "http://evil.example" }, "POST")).toBe(403);
    expect(await status("/api/v1/verification", ADA, "POST")).toBe(202);
    await app.close();
  });

  it("takes a request whose body the application has read", async () => {
    const app = await start("/ops/seclog");
    const response = await fetch(`${app.url}/ops/seclog/api/v1/verification`, {
      method: "POST",
      headers: { ...ADA, "content-type": "application/json" },
      body: '{"a":1}',
    });
    expect([response.status, ((await response.json()) as { state: string }).state]).toEqual([202, "running"]);
    await app.close();
  });

  it("passes events on as they come, and ends each stream with its reader", async () => {
    const app = await start("/ops/seclog");
    // As many as the server has: those that are left make room.
    const none = `${app.url}/ops/seclog/api/v1/stream?q=type:none`;
    const left = new AbortController();
    const all = await Promise.all(Array.from({ length: 50 }, () => fetch(none, { headers: ADA, signal: left.signal })));
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 200));
    expect((await fetch(none, { headers: ADA })).status).toBe(503);
    left.abort();
    await vi.waitUntil(async () => (await firstStatus(none)) === 200, { timeout: 5_000 });
    const stream = open(`${app.url}/ops/seclog/api/v1/stream?q=type:authn_login_lock`);
    await vi.waitUntil(() => stream.text().includes("event: ready"), { timeout: 5_000 });
    await recordNow(database, "authn_login_lock", "grace");
    await vi.waitUntil(() => stream.text().includes('"authn_login_lock"'), { timeout: 5_000 });
    stream.leave();
    await app.close();
    expect(errors).toEqual([]);
  });
});

/** A reader that accepts compression, as browsers do: what a middleware compresses arrives late. */
function open(url: string): { text: () => string; leave: () => void } {
  let text = "";
  const request = send(url, { headers: { ...ADA, "accept-encoding": "gzip, br" } }, (response) => {
    expect([response.statusCode, response.headers["content-encoding"]]).toEqual([200, undefined]);
    response.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    response.on("error", () => {});
  });
  request.on("error", () => {});
  request.end();
  return { text: () => text, leave: () => void request.destroy() };
}

async function firstStatus(url: string): Promise<number> {
  const left = new AbortController();
  const { status } = await fetch(url, { headers: ADA, signal: left.signal });
  left.abort();
  return status;
}

describe("securityConsole()", () => {
  it("records an export in the application's log, with the application's user", async () => {
    const log = createSecurityLog({
      service: "shop",
      spool: "memory",
      heartbeat: false,
      handlers: [postgresHandler({ url: database.writerUrl })],
    });
    const security = securityConsole({
      databaseUrl: database.readerUrl,
      authorize: () => ({ name: "grace", role: "auditor" }),
      log,
    });
    const response = await security.fetch(
      new Request("http://localhost/api/v1/export?q=type:authn_login_fail&format=csv"),
    );
    expect((await response.text()).split("\n").length).toBeGreaterThan(2);
    await log.close();
    const rows = await database.query<{ actor_id: string; data: { reason: string } }>(
      "SELECT actor_id, data FROM security_event_log WHERE event_type = 'log_export' ORDER BY seq",
    );
    expect(rows.map(({ actor_id, data }) => `${actor_id} ${data.reason}`)).toEqual(["grace started", "grace finished"]);
    await security.close();
  });

  it("lets nobody in when authorize makes a mistake", async () => {
    const seen: unknown[] = [];
    const attempt = async (authorize: () => never): Promise<number[]> => {
      const security = securityConsole({
        databaseUrl: database.readerUrl,
        authorize,
        onError: (error) => seen.push(error),
      });
      const paths = ["/", "/api/v1/events"].map((path) => security.fetch(new Request(`http://localhost${path}`)));
      const statuses = (await Promise.all(paths)).map(({ status }) => status);
      await security.close();
      return statuses;
    };
    expect(await attempt(() => ({ name: "eve", role: "root" }) as never)).toEqual([500, 500]);
    expect(await attempt(() => ({ role: "admin" }) as never)).toEqual([500, 500]);
    expect(
      await attempt(() => {
        throw new Error("the session store is down");
      }),
    ).toEqual([500, 500]);
    expect(String(seen[0])).toContain('role "root"');
    expect(() => mounted("/../x")).toThrow("basePath");
  });

  it("is found by proxies that keep, remove or cut its path", async () => {
    const security = mounted("/ops/seclog");
    for (const path of ["/ops/seclog/api/v1/session", "/api/v1/session", "/seclog/api/v1/session"]) {
      const response = await security.fetch(new Request(`http://localhost${path}`, { headers: ADA }));
      expect([path, response.status, response.headers.get("content-type")]).toEqual([path, 200, "application/json"]);
    }
  });
});
