import dns from "node:dns";
import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { type ClientHttp2Session, connect } from "node:http2";
import type { AddressInfo } from "node:net";
import cookie from "@fastify/cookie";
import csrfProtection from "@fastify/csrf-protection";
import rateLimit from "@fastify/rate-limit";
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyServerOptions,
  type InjectOptions,
  type LightMyRequestResponse,
} from "fastify";
import { Webhook } from "standardwebhooks";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { send, sendRaw } from "#test/support/http-client.ts";
import { recordedCalls } from "#test/support/recorded-calls.ts";
import { createSecurityLog } from "../../log/create-security-log.ts";
import { currentContext, currentRequest, setActor } from "../../record/context.ts";
import type { OutcomeLog } from "../outcomes.ts";
import { type CaptureLog, checkAccess, type FastifyCaptureOptions, recordLogin, securityCapture } from "./fastify.ts";

const apps: FastifyInstance[] = [];

const clients: ClientHttp2Session[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

function application(server: FastifyServerOptions = {}, options: Omit<FastifyCaptureOptions, "log"> = {}) {
  const { log, calls } = recordedCalls();
  const app = Fastify(server);
  apps.push(app);
  app.register(securityCapture, { log, ...options });
  return { app, log, calls };
}

async function listening(app: FastifyInstance): Promise<number> {
  await app.listen({ host: "127.0.0.1", port: 0 });
  return (app.server.address() as { port: number }).port;
}

/** The reason for a refusal is recorded in the turn in which the response arrives, but after this. */
async function inject(app: FastifyInstance, request: string | InjectOptions): Promise<LightMyRequestResponse> {
  const answer = await app.inject(request);
  await new Promise(setImmediate);
  return answer;
}

function typesOf(calls: readonly { readonly type: string }[]): string[] {
  return calls.map(({ type }) => type);
}

describe("wrong method", () => {
  it("a 404 on a known path records the allowed methods and the route, once, as the framework's own request", async () => {
    const { app, calls } = application();
    app.register(
      async (scope) => {
        scope.get("/orders/:id", async () => "order");
        scope.delete("/orders/:id", async () => "gone");
      },
      { prefix: "/api" },
    );
    const port = await listening(app);
    expect((await send(port, "POST", "/api/orders/7?x=1")).status).toBe(404);
    expect(calls).toMatchObject([
      {
        type: "illegal_request_method",
        data: { statusCode: 404, allowedMethods: "GET, HEAD, DELETE", route: "/api/orders/:id" },
      },
    ]);
    expect(calls[0]?.request).toHaveProperty("raw.httpVersion", "1.1");
  });

  it("records nothing for served requests and unknown paths", async () => {
    const { app, calls } = application();
    app.get("/orders", async () => "orders");
    app.post("/teapot", async (_request, reply) => reply.code(418).send("short"));
    for (const [method, url] of [
      ["GET", "/orders"],
      ["HEAD", "/orders"],
      ["POST", "/teapot"],
      ["POST", "/nothing"],
    ] as const) {
      await inject(app, { method, url });
    }
    expect(calls).toEqual([]);
  });

  it("the application's own not-found handler, whatever it answers", async () => {
    for (const status of [200, 301, 400, 404, 405, 500]) {
      const { app, calls } = application();
      app.get("/page", async () => "page");
      app.setNotFoundHandler((_request, reply) => void reply.code(status).send("fallback"));
      await inject(app, { method: "PUT", url: "/page" });
      await inject(app, { method: "PUT", url: "/other" });
      // Without a route, a 405 still names the method, and a 500 is a failure.
      const expected = status === 405 || status === 500 ? [status, status] : [status];
      expect(
        calls.map(({ data }) => data["statusCode"]),
        String(status),
      ).toEqual(expected);
      expect(calls[0]?.type).toBe("illegal_request_method");
    }
  });

  it("follows the router's options, patterns, wildcards, optional parameters and hosts", async () => {
    const { app, calls } = application({ routerOptions: { caseSensitive: false, ignoreTrailingSlash: true } });
    app.get("/Exact", async () => "x");
    app.get("/files/*", async () => "x");
    app.get("/at/:hour(^\\d+)h:minute(^\\d+)m", async () => "x");
    app.get("/posts/:id?", async () => "x");
    app.get("/name::verb", async () => "x");
    app.get("/near/:lat-:lng", async () => "x");
    app.route({ method: "GET", url: "/inner", constraints: { host: "inner.example" }, handler: async () => "x" });
    app.route({ method: "GET", url: "/versioned", constraints: { version: "1.2.0" }, handler: async () => "x" });
    const known = ["/exact/", "/files/a/b.txt", "/at/08h15m", "/posts", "/posts/7", "/name:verb", "/near/5-7"];
    for (const url of known) await inject(app, { method: "POST", url });
    await inject(app, { method: "POST", url: "/inner", headers: { host: "inner.example" } });
    expect(typesOf(calls)).toEqual(Array(known.length + 1).fill("illegal_request_method"));
    const unknown = [
      "/exactly",
      "/files",
      "/at/xxh15m",
      "/posts/7/8",
      "/name/verb",
      "/near/57",
      "/inner",
      "/versioned",
    ];
    for (const url of unknown) await inject(app, { method: "POST", url });
    await inject(app, { method: "GET", url: "/versioned" });
    expect(calls).toHaveLength(known.length + 1);
  });

  it("a route that has the method, but another version, is not refused for the method", async () => {
    const { app, calls } = application();
    app.route({ method: "GET", url: "/items", constraints: { version: "1.0.0" }, handler: async () => "x" });
    app.put("/items", async () => "x");
    const answer = await inject(app, { method: "GET", url: "/items", headers: { "accept-version": "2.x" } });
    expect(answer.statusCode).toBe(404);
    expect(calls).toEqual([]);
    await inject(app, { method: "POST", url: "/items" });
    expect(calls).toMatchObject([{ data: { allowedMethods: "PUT" } }]);
  });

  it("a catch-all page and a preflight for everything do not make paths known", async () => {
    const { app, calls } = application();
    app.get("/*", async () => "page");
    app.options("*", async () => "");
    await inject(app, { method: "POST", url: "/unknown" });
    expect(calls).toEqual([]);
  });

  it("a route of parameters only has its methods, however many there are", async () => {
    const { app, calls } = application();
    app.get("/:owner/:repo/:branch?", async () => "page");
    for (const url of ["/a/b", "/a/b/c", "/a", "/a/b/c/d"]) await app.inject({ method: "POST", url });
    expect(calls.map(({ data }) => data["route"])).toEqual(["/:owner/:repo", "/:owner/:repo/:branch"]);
  });

  it("is the cause even where the body, which no route would have received, cannot be read", async () => {
    const { app, calls } = application({ bodyLimit: 10 });
    app.get("/page", async () => "page");
    app.post("/form", async () => "made");
    const json = { "content-type": "application/json" };
    const bodies = [
      { headers: json, payload: "{bad" },
      { headers: json, payload: "" },
      { headers: json, payload: '{"much":"too long"}' },
      { headers: { "content-type": "text/weird" }, payload: "x" },
    ];
    for (const body of bodies) await inject(app, { method: "POST", url: "/page", ...body });
    expect(calls.map(({ type, data }) => [type, data["allowedMethods"]])).toEqual(
      Array(bodies.length).fill(["illegal_request_method", "GET, HEAD"]),
    );
    calls.length = 0;
    for (const body of bodies) await inject(app, { method: "POST", url: "/form", ...body });
    // Fastify's "not found" takes bodies of any type.
    for (const body of bodies.slice(0, -1)) await inject(app, { method: "POST", url: "/unknown", ...body });
    expect(typesOf(calls)).toEqual(Array(2 * bodies.length - 1).fill("input_validation_fail"));
  });

  it("records an unreadable body as such where wrong methods are not detected", async () => {
    const { app, calls } = application({}, { detect: { wrongMethod: false } });
    app.get("/page", async () => "page");
    const headers = { "content-type": "application/json" };
    await inject(app, { method: "POST", url: "/page", headers, payload: "{bad" });
    expect(typesOf(calls)).toEqual(["input_validation_fail"]);
  });

  it("records nothing for an unanswered preflight", async () => {
    const { app, calls } = application();
    app.get("/page", async () => "page");
    expect((await inject(app, { method: "OPTIONS", url: "/page" })).statusCode).toBe(404);
    expect(calls).toEqual([]);
  });

  it("records one that Node's parser refuses, with the methods of the path", async () => {
    const { app, calls } = application();
    app.get("/page", async () => "page");
    const port = await listening(app);
    const answer = await sendRaw(port, "FROB /page HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(calls).toMatchObject([
      {
        type: "illegal_request_method",
        request: { method: "FROB", url: "/page" },
        data: { allowedMethods: "GET, HEAD", reason: "HPE_INVALID_METHOD" },
      },
    ]);
  });
});

it("401 and 403 - by status, and not when the handler recorded the cause by one call", async () => {
  const { app, log, calls } = application();
  app.get("/private", async (_request, reply) => reply.code(401).header("www-authenticate", "Basic").send());
  app.get("/admin", async () => {
    throw Object.assign(new Error("no"), { statusCode: 403 });
  });
  app.post("/login", async (request, reply) => {
    recordLogin(log as OutcomeLog, request, { userid: "ada", success: false });
    return reply.code(401).send();
  });
  app.get("/orders", async (request, reply) =>
    checkAccess(log as OutcomeLog, request, false, { resource: "orders" }) ? "orders" : reply.code(403).send(),
  );
  await inject(app, "/private");
  await inject(app, "/admin");
  await inject(app, { method: "POST", url: "/login" });
  await inject(app, "/orders");
  expect(calls.map(({ type, data }) => [type, data])).toMatchObject([
    ["unauthenticated_request", { statusCode: 401, scheme: "Basic" }],
    ["authz_fail", { statusCode: 403 }],
    ["authn_login_fail", { userid: "ada" }],
    ["authz_fail", { resource: "orders" }],
  ]);
  expect(calls).toHaveLength(4);
});

it.each([true, false])("a cause recorded after the response makes one event, on a socket: %s", async (socket) => {
  const { app, log, calls } = application();
  app.addHook("onResponse", async (request, reply) => {
    if (reply.statusCode === 403) checkAccess(log as OutcomeLog, request, false, { userid: "ada" });
  });
  app.get("/hook", async (_request, reply) => reply.code(403).send());
  app.get("/await", async (request, reply) => {
    await reply.code(401).send();
    recordLogin(log as OutcomeLog, request, { userid: "ada", success: false });
  });
  const port = socket ? await listening(app) : 0;
  for (const path of ["/hook", "/await"]) await (socket ? send(port, "GET", path) : inject(app, path));
  expect(calls.map(({ type, data }) => [type, data["userid"]])).toEqual([
    ["authz_fail", "ada"],
    ["authn_login_fail", "ada"],
  ]);
});

it("a log that is flushed or closed right after the response has the refusal", async () => {
  for (const end of ["flush", "close"] as const) {
    const events: string[] = [];
    const log = createSecurityLog({
      spool: "memory",
      handlers: [
        {
          name: "list",
          handle: async (batch) => void events.push(...batch.events.map(({ type }) => type)),
          close: async () => {},
        },
      ],
    });
    const app = Fastify();
    apps.push(app);
    app.register(securityCapture, { log });
    app.get("/admin", async (_request, reply) => reply.code(403).send());
    await app.inject("/admin");
    await log[end]();
    expect(events, end).toContain("authz_fail");
    await log.close();
    expect(events.filter((type) => type === "authz_fail")).toHaveLength(1);
  }
});

it("headers of the answer - the scheme of a 401 and the methods of a 405, on a socket", async () => {
  const { app, calls } = application();
  app.get("/private", async (_request, reply) => reply.code(401).header("WWW-Authenticate", "Basic").send());
  app.all("/cart", async (_request, reply) => reply.code(405).header("Allow", "GET, POST").send());
  const port = await listening(app);
  await send(port, "GET", "/private");
  await send(port, "PUT", "/cart");
  expect(calls.map(({ type, data }) => [type, data["scheme"] ?? data["allowedMethods"]])).toEqual([
    ["unauthenticated_request", "Basic"],
    ["illegal_request_method", "GET, POST"],
  ]);
});

it.each([undefined, 403, 200])(
  "@fastify/csrf-protection - one malicious_csrf when the error handler answers %s",
  async (status) => {
    const { app, calls } = application();
    app.register(cookie, { secret: "a secret of the test" });
    app.register(csrfProtection);
    if (status !== undefined) app.setErrorHandler((_error, _request, reply) => void reply.code(status).send("mine"));
    app.after(() => {
      app.post("/transfer", { onRequest: app.csrfProtection }, async () => "done");
    });
    const answer = await inject(app, { method: "POST", url: "/transfer" });
    expect(answer.statusCode).toBe(status ?? 403);
    expect(calls.map(({ type, data }) => [type, data])).toEqual([
      ["malicious_csrf", { reason: "FST_CSRF_MISSING_SECRET", statusCode: status ?? 403 }],
    ]);
  },
);

/** Without a socket `inject` finds all headers in the response; Node forgets the arguments of `writeHead`. */
it.each([true, false])("@fastify/rate-limit - the refusal and the ban, on a socket: %s", async (socket) => {
  const { app, calls } = application();
  app.register(rateLimit, { max: 1, ban: 1 });
  app.after(() => {
    app.get("/", async () => "ok");
  });
  const port = socket ? await listening(app) : 0;
  for (let sent = 0; sent < 3; sent++) await (socket ? send(port, "GET", "/") : inject(app, "/"));
  expect(calls.map(({ type, data }) => [type, data])).toEqual([
    ["excess_rate_limit_exceeded", { max: 1, statusCode: 429 }],
    ["excess_rate_limit_exceeded", { max: 1, statusCode: 403 }],
  ]);
});

it("webhooks - an error of Standard Webhooks that the handler throws", async () => {
  const { app, calls } = application();
  const webhook = new Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  app.post("/hook", async (request) => webhook.verify("{}", request.headers as Record<string, string>));
  await inject(app, { method: "POST", url: "/hook" });
  expect(calls.map(({ type, data }) => [type, data])).toEqual([
    ["webhook_signature_failure", { reason: "Missing required headers", statusCode: 500 }],
  ]);
});

it("malformed requests - bodies, schemas and paths that cannot be decoded", async () => {
  const { app, calls } = application({ bodyLimit: 30 });
  const schema = { body: { type: "object", required: ["name"], properties: { name: { type: "string" } } } };
  app.post("/json", { schema }, async () => "ok");
  const port = await listening(app);
  const headers = { "content-type": "application/json" };
  await send(port, "POST", "/json", { headers, body: "{nonsense" });
  await send(port, "POST", "/json", { headers, body: JSON.stringify({ name: "more than thirty characters" }) });
  await send(port, "POST", "/json", { headers: { "content-type": "text/csv" }, body: "a,b" });
  await send(port, "POST", "/json", { headers, body: "{}" });
  expect((await send(port, "GET", "/%E0%A4%A")).status).toBe(400);
  expect(calls.map(({ type, data }) => [type, data["statusCode"], data["reason"], data["fields"]])).toEqual([
    ["input_validation_fail", 400, expect.stringMatching(/^(SyntaxError|FST_ERR_CTP_INVALID_JSON_BODY)$/), undefined],
    ["input_validation_fail", 413, "FST_ERR_CTP_BODY_TOO_LARGE", undefined],
    ["input_validation_fail", 415, "FST_ERR_CTP_INVALID_MEDIA_TYPE", undefined],
    ["input_validation_fail", 400, "FST_ERR_VALIDATION", ["body/name"]],
    ["input_validation_fail", 400, undefined, undefined],
  ]);
});

it.each([
  ["the application", ""],
  ["a scope", "/x"],
])("paths that the router refuses, in %s, also where frameworkErrors answers in its own way", async (_, prefix) => {
  for (const own of [undefined, 400, 404, 422]) {
    const { log, calls } = recordedCalls();
    const app = Fastify({
      ...(own !== undefined && {
        frameworkErrors: (_error: Error, _request: unknown, reply: object) => {
          (reply as FastifyReply).code(own).send("no");
        },
      }),
    });
    apps.push(app);
    const part = (scope: FastifyInstance) =>
      scope.register(securityCapture, { log }).register(async (inner) => inner.get("/a/:id", async () => "a"));
    if (prefix === "") part(app);
    else app.register(async (scope) => part(scope), { prefix });
    const port = await listening(app);
    for (const path of ["/%", "/%zz", "/%E0%A4%A", "/a/%", `/a/${"x".repeat(101)}`]) {
      const { status } = await send(port, "GET", prefix + path);
      expect(status).toBe(own ?? (path.length > 100 ? 414 : 400));
      expect(calls.splice(0)).toMatchObject([{ type: "input_validation_fail", data: { statusCode: status } }]);
    }
    await send(port, "GET", `${prefix}/b/${"x".repeat(101)}`);
    expect(calls).toEqual([]);
  }
});

it("detect - each detector can be turned off", async () => {
  const { app, calls } = application({}, { detect: { wrongMethod: false, forbidden: false, unauthenticated: false } });
  app.get("/403", async (_request, reply) => reply.code(403).send());
  app.get("/401", async (_request, reply) => reply.code(401).send());
  await inject(app, "/403");
  await inject(app, "/401");
  await inject(app, { method: "POST", url: "/401" });
  expect(calls).toEqual([]);
});

it("it covers the whole application, and knows routes registered before it, after it and in scopes", async () => {
  const { log, calls } = recordedCalls();
  const app = Fastify();
  apps.push(app);
  app.get("/before/:id/x", async () => "x");
  app.get("/before/:id(^a|b$)-:more", async () => "x");
  app.put("/before::all", async () => "x");
  app.route({ method: "GET", url: "/host", constraints: { host: /^inner\./ }, handler: async () => "x" });
  app.route({ method: "PUT", url: "/host", constraints: { host: "other.example" }, handler: async () => "x" });
  app.register(securityCapture, { log });
  app.register(async (scope) => {
    scope.get("/inside", async (_request, reply) => reply.code(403).send());
  });
  app.get("/beside", async (_request, reply) => reply.code(403).send());
  await app.ready();
  for (const url of ["/before/1/x", "/before/a-7", "/before:all", "/inside"])
    await inject(app, { method: "POST", url });
  for (const host of ["inner.example", "other.example", "third.example"]) {
    await inject(app, { method: "POST", url: "/host", headers: { host } });
  }
  expect(calls.map(({ data }) => data["allowedMethods"])).toEqual([
    ...["GET, HEAD", "GET, HEAD", "PUT", "GET, HEAD", "GET, HEAD", "PUT"],
  ]);
  calls.length = 0;
  for (const url of ["/before/1", "/before/c-7", "/before/x", "/unbefore:all"])
    await inject(app, { method: "POST", url });
  expect(calls).toEqual([]);
  await inject(app, "/inside");
  expect(typesOf(calls)).toEqual(["authz_fail"]);
});

it("hostile errors - the application responds as without capture", async () => {
  for (const error of ["text", 7, null, undefined, Object.freeze(new Error("frozen")), Object.create(null)]) {
    const { app, calls } = application();
    app.get("/", () => {
      throw error;
    });
    app.setErrorHandler((_error, _request, reply) => void reply.code(500).send("mine"));
    const plain = Fastify();
    apps.push(plain);
    plain.get("/", () => {
      throw error;
    });
    plain.setErrorHandler((_error, _request, reply) => void reply.code(500).send("mine"));
    const [with_, without] = [await inject(app, "/"), await plain.inject("/")];
    expect([with_.statusCode, with_.body]).toEqual([without.statusCode, without.body]);
    expect(calls.map(({ type }) => type)).toEqual(["sys_error"]);
  }
});

it("context - calls without a request find the current one, even after a body was read", async () => {
  const { app, calls } = application();
  app.addHook("onRequest", async () => setActor("ada"));
  app.post("/", async (request) => {
    await new Promise((resolve) => setImmediate(resolve));
    return { found: currentRequest() === request, actor: currentContext()?.actor };
  });
  const port = await listening(app);
  const answer = await send(port, "POST", "/", { headers: { "content-type": "application/json" }, body: "{}" });
  expect(answer.body).toBe('{"found":true,"actor":"ada"}');
  expect(calls).toEqual([]);
});

it("securityCapture - a missing log and an unknown detector stop the application", async () => {
  const app = Fastify();
  await expect(app.register(securityCapture, { log: {} as CaptureLog }).ready()).rejects.toThrow(/createSecurityLog/);
  const other = Fastify();
  const options = { log: recordedCalls().log, detect: { wrongMethods: false } } as FastifyCaptureOptions;
  await expect(other.register(securityCapture, options).ready()).rejects.toThrow(/wrongMethods/);
});

describe("http2", () => {
  async function http2Application(routes: (app: FastifyInstance) => void, before?: (app: FastifyInstance) => void) {
    const { log, calls } = recordedCalls();
    const app = Fastify({ http2: true }) as unknown as FastifyInstance;
    apps.push(app);
    before?.(app);
    await app.register(securityCapture, { log });
    routes(app);
    const client = connect(`http://127.0.0.1:${await listening(app)}`);
    clients.push(client);
    const send = async (method: string, path: string): Promise<unknown> => {
      const stream = client.request({ ":method": method, ":path": path }).resume();
      stream.end();
      const [[answer]] = await Promise.all([once(stream, "response"), once(stream, "close")]);
      return (answer as { readonly ":status": number })[":status"];
    };
    return { calls, client, send };
  }

  it("a wrong method, and methods that no router knows, on paths that are known and on others", async () => {
    const { calls, send } = await http2Application((app) => app.get("/page", async () => "page"));
    for (const method of ["PUT", "FROB", "get"]) {
      for (const path of ["/page", "/other"]) expect(await send(method, path)).toBe(404);
    }
    await expect
      .poll(() => calls.map(({ type, data }) => [type, data["statusCode"], data["allowedMethods"]]))
      .toEqual([
        ["illegal_request_method", 404, "GET, HEAD"],
        ...["FROB", "get"].flatMap(() => [
          ["illegal_request_method", 404, "GET, HEAD"],
          ["illegal_request_method", 404, undefined],
        ]),
      ]);
  });

  it("a stream that is reset before a slow refusal is still recorded", async () => {
    const arrived = new EventEmitter();
    const { calls, client } = await http2Application((app) => {
      app.get("/slow", async (request, reply) => {
        arrived.emit("arrived");
        await once(request.raw, "close");
        await new Promise((resolve) => setTimeout(resolve, 10));
        return reply.code(403).send("no");
      });
    });
    const stream = client.request({ ":path": "/slow" });
    stream.on("error", () => {});
    await once(arrived, "arrived");
    stream.close(8);
    await expect.poll(() => calls).toMatchObject([{ type: "authz_fail", data: { statusCode: 403 } }]);
    expect(calls).toHaveLength(1);
  });

  it("a path that cannot be decoded", async () => {
    const { calls, send } = await http2Application((app) => app.get("/page", async () => "page"));
    expect(await send("GET", "/%E0%A4%A")).toBe(400);
    await expect.poll(() => calls).toMatchObject([{ type: "input_validation_fail", data: { statusCode: 400 } }]);
  });
});

it("the parser's refusals have the status that Fastify's own listener answers, or the application's", async () => {
  const mine: FastifyServerOptions = {
    clientErrorHandler: (_error, socket) => void socket.end("HTTP/1.1 499 Mine\r\n\r\n"),
  };
  for (const [options, expected] of [
    [{}, [400, 431, 400]],
    [mine, [499, 499, 499]],
  ] as const) {
    const { app, calls } = application(options);
    app.get("/page", async () => "page");
    const port = await listening(app);
    const overflow = `GET / HTTP/1.1\r\nHost: a\r\nX-Much: ${"x".repeat(20_000)}\r\n\r\n`;
    for (const bytes of ["FROB /page HTTP/1.1\r\n\r\n", overflow, "GET / HTTP/1.1\r\nno header\r\n\r\n"]) {
      expect(await sendRaw(port, bytes)).toMatch(/^HTTP\/1\.1 4/);
    }
    expect(calls.map(({ data }) => data["statusCode"])).toEqual(expected);
    expect(calls.every(({ request }) => (request as IncomingMessage).socket.remoteAddress === "127.0.0.1")).toBe(true);
  }
});

describe("the servers of localhost", () => {
  /** Fastify requests all addresses of the name; most machines that run tests have only one. */
  function twoAddresses(): void {
    const addresses = ["127.0.0.1", "127.0.0.2"].map((address) => ({ address, family: 4 }));
    const original = dns.lookup as (...values: unknown[]) => void;
    const lookup = (host: string, ...rest: unknown[]): void => {
      if (host !== "localhost") {
        original(host, ...rest);
        return;
      }
      const done = rest.pop() as (...found: unknown[]) => void;
      if ((rest[0] as { readonly all?: boolean } | undefined)?.all) done(null, addresses);
      else done(null, "127.0.0.1", 4);
    };
    const spy = vi.spyOn(dns, "lookup").mockImplementation(lookup as typeof dns.lookup);
    onTestFinished(() => spy.mockRestore());
  }

  it.each(["application", "scope"])(
    "are all watched, from before the first request, by the capture of the %s",
    async (where) => {
      twoAddresses();
      const { log, calls } = recordedCalls();
      const app = Fastify();
      apps.push(app);
      const plugin = async (scope: FastifyInstance): Promise<void> => {
        await scope.register(securityCapture, { log });
        scope.get("/page", async (_request, reply) => reply.code(403).send());
      };
      if (where === "scope") app.register(plugin, { prefix: "/api" });
      else await plugin(app);
      await app.listen({ host: "localhost", port: 0 });
      const bound = app.addresses().map((address) => (address as unknown as AddressInfo).address);
      expect(bound.sort()).toEqual(["127.0.0.1", "127.0.0.2"]);
      const prefix = where === "scope" ? "/api" : "";
      const port = (app.server.address() as AddressInfo).port;
      for (const host of ["127.0.0.2", "127.0.0.1"]) {
        await sendRaw(port, `FROB ${prefix}/page HTTP/1.1\r\nHost: a\r\n\r\n`, host);
        await sendRaw(port, `GET ${prefix}/%E0%A4%A HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`, host);
        await sendRaw(port, `GET ${prefix}/page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`, host);
      }
      const each = ["illegal_request_method", "input_validation_fail", "authz_fail"];
      await expect.poll(() => typesOf(calls)).toEqual([...each, ...each]);
    },
  );
});

/** `inject` shows nothing to the server, a socket does: the scopes hold for both. */
describe.each(["inject", "a socket"])("scopes, by %s", (by) => {
  async function ask(app: FastifyInstance, method: string, url: string): Promise<void> {
    if (by === "inject") {
      await inject(app, { method, url } as InjectOptions);
      return;
    }
    const { port } = (app.server.address() as AddressInfo | null) ?? { port: await listening(app) };
    await send(port, method, url);
  }

  const refuse = (code: number) => async (_request: unknown, reply: FastifyReply) => reply.code(code).send();

  it("a capture in a scope covers its routes and the wrong methods on their paths, and leaves the rest alone", async () => {
    for (const prefix of ["/admin", ""]) {
      const { log, calls } = recordedCalls();
      const app = Fastify();
      apps.push(app);
      app.get("/before", refuse(403));
      app.register(
        async (scope) => {
          await scope.register(securityCapture, { log });
          scope.get("/users", refuse(403));
          scope.register(async (child) => void child.get("/deep/:id", refuse(401)), { prefix: "/child" });
          scope.post("/business", refuse(400));
        },
        { prefix },
      );
      app.register(async (scope) => {
        for (const code of [400, 401, 403, 404, 405, 414, 415, 429]) scope.get(`/public/${code}`, refuse(code));
        // The other methods of a path may belong to another part of the application.
        scope.put(`${prefix}/users`, refuse(404));
      });
      await app.ready();
      await ask(app, "GET", `${prefix}/users`);
      await ask(app, "GET", `${prefix}/child/deep/7`);
      await ask(app, "DELETE", `${prefix}/users`);
      expect(calls.map(({ type, data }) => [type, data["allowedMethods"], data["route"]])).toEqual([
        ["authz_fail", undefined, undefined],
        ["unauthenticated_request", undefined, undefined],
        ["illegal_request_method", "GET, HEAD", `${prefix}/users`],
      ]);
      calls.length = 0;
      await ask(app, "POST", `${prefix}/business`);
      await ask(app, "PUT", `${prefix}/users`);
      await ask(app, "GET", "/before");
      for (const code of [400, 401, 403, 404, 405, 414, 415, 429]) await ask(app, "GET", `/public/${code}`);
      await ask(app, "POST", "/public/403");
      await ask(app, "GET", "/nowhere");
      expect(calls).toEqual([]);
    }
  });

  it("refusals without a hook, of the router and the parser, belong to a scope below its prefix", async () => {
    const { log, calls } = recordedCalls();
    const app = Fastify();
    apps.push(app);
    app.register(
      async (scope) => {
        // Before the plugin: no hook reports it.
        scope.get("/early/:id", async () => "x");
        scope.register(securityCapture, { log });
      },
      { prefix: "/admin" },
    );
    app.get("/administration/:id", async () => "x");
    const port = await listening(app);
    const long = "x".repeat(101);
    for (const prefix of ["/administration", "/admin"]) {
      expect((await send(port, "GET", `${prefix}/%E0%A4%A`)).status).toBe(400);
      await send(port, "GET", `${prefix}${prefix === "/admin" ? "/early" : ""}/${long}`);
      await sendRaw(port, `FROB ${prefix}/early/1 HTTP/1.1\r\nHost: a\r\n\r\n`);
      await sendRaw(port, `GET ${prefix} HTTP/1.1\r\nConnection: close\r\n\r\n`);
      await sendRaw(port, "no HTTP\r\n\r\n");
      await send(port, "POST", `${prefix}/early/1`);
      if (prefix === "/administration") expect(calls).toEqual([]);
    }
    expect(calls.map(({ type, data }) => [type, data["statusCode"], data["reason"] ?? data["allowedMethods"]])).toEqual(
      [
        ["input_validation_fail", 400, undefined],
        ["input_validation_fail", 414, undefined],
        ["illegal_request_method", 400, "HPE_INVALID_METHOD"],
        ["input_validation_fail", 400, "MISSING_HOST"],
        ["illegal_request_method", 404, "GET, HEAD"],
      ],
    );
  });

  it("several captures: each scope has its own, the innermost records, and no refusal is recorded twice", async () => {
    const [outer, one, two] = [recordedCalls(), recordedCalls(), recordedCalls()];
    const app = Fastify();
    apps.push(app);
    await app.register(securityCapture, { log: outer.log });
    app.register(
      async (scope) => {
        await scope.register(securityCapture, { log: one.log, detect: { unauthenticated: false } });
        scope.get("/401", refuse(401));
        scope.get("/403", refuse(403));
      },
      { prefix: "/one" },
    );
    app.register(
      async (scope) => {
        await scope.register(securityCapture, { log: two.log });
        scope.get("/401", refuse(401));
      },
      { prefix: "/two" },
    );
    app.get("/401", refuse(401));
    for (const url of ["/one/401", "/one/403", "/two/401", "/401"]) await ask(app, "GET", url);
    expect([outer, one, two].map(({ calls }) => typesOf(calls))).toEqual([
      ["unauthenticated_request"],
      ["authz_fail"],
      ["unauthenticated_request"],
    ]);
  });

  it("a capture that is registered late does not take another scope's response for the router's", async () => {
    const { log, calls } = recordedCalls();
    const app = Fastify();
    apps.push(app);
    await app.register(async (scope) => void scope.get("/business/:id", refuse(400)));
    await app.register(securityCapture, { log });
    app.get("/late", refuse(403));
    await ask(app, "GET", "/business/7");
    await ask(app, "GET", `/business/${"7".repeat(100)}`);
    expect(calls).toEqual([]);
    await ask(app, "GET", "/late");
    expect(typesOf(calls)).toEqual(["authz_fail"]);
  });

  it("a server of the application's own making", async () => {
    const { app, calls } = application({ serverFactory: (handler) => createServer((req, res) => handler(req, res)) });
    app.get("/admin", refuse(403));
    const port = await listening(app);
    await send(port, "GET", "/admin");
    await sendRaw(port, "FROB /admin HTTP/1.1\r\n\r\n");
    expect(typesOf(calls)).toEqual(["authz_fail", "illegal_request_method"]);
  });
});
