import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { expressjwt } from "express-jwt";
import Fastify from "fastify";
import { Hono } from "hono";
import { jwt as honoJwt, sign as honoSign } from "hono/jwt";
import jsonwebtoken from "jsonwebtoken";
import Koa from "koa";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { securityCapture as expressCapture } from "../packages/seclog/src/capture/express/express.ts";
import { securityCapture as fastifyCapture } from "../packages/seclog/src/capture/fastify/fastify.ts";
import { securityCapture as httpCapture } from "../packages/seclog/src/capture/node/http.ts";
import { setActor } from "../packages/seclog/src/record/context.ts";
import { memoryLog } from "../packages/seclog/src/testing/memory-log.ts";
import { closeServer, listen, send } from "./support/http-client.ts";

const SECRET = "a secret of the test that is long enough";

function logOf() {
  const log = memoryLog();
  onTestFinished(() => log.close());
  return log;
}

async function serve(listener: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(listener);
  onTestFinished(() => closeServer(server));
  return await listen(server);
}

const trap = (): never => {
  throw new Error("trap");
};

describe("the actor", () => {
  it("is the user that express-jwt or Passport left on the request, in automatic and explicit events", async () => {
    const log = logOf();
    const app = express();
    app.use(expressCapture(log));
    app.use("/jwt", expressjwt({ secret: SECRET, algorithms: ["HS256"] }));
    app.use("/user", (req, _res, next) => {
      Object.assign(req, { user: { id: 7n, email: "ada@example.com", sub: "ada@example.com" } });
      next();
    });
    app.use((req, res) => {
      log.recordSecurityEvent("sensitive_read", req, { resource: "orders" });
      log.recordSecurityEvent("sensitive_delete", req, { userid: "named" });
      res.sendStatus(403);
    });
    const port = await serve(app);
    const token = jsonwebtoken.sign({ email: "ada@example.com" }, SECRET, { subject: "auth0|1" });
    await send(port, "GET", "/jwt", { headers: { authorization: `Bearer ${token}` } });
    await send(port, "GET", "/user");
    expect((await log.events()).map(({ type, actorId }) => [type, actorId])).toEqual([
      ["sensitive_read", "auth0|1"],
      ["sensitive_delete", "named"],
      ["authz_fail", "auth0|1"],
      ["sensitive_read", "7"],
      ["sensitive_delete", "named"],
      ["authz_fail", "7"],
    ]);
  });

  it("is Fastify's request.user, whichever of its request objects a call passes", async () => {
    const log = logOf();
    const app = Fastify();
    onTestFinished(() => app.close());
    await app.register(fastifyCapture, { log });
    app.decorateRequest("user", null);
    app.addHook("preHandler", async (request) => {
      Object.assign(request, { user: { sub: "u1" } });
    });
    app.get("/orders/:id", async (request, reply) => {
      log.recordSecurityEvent("sensitive_read", request.raw, { resource: "orders" });
      return reply.code(403).send();
    });
    await app.listen({ host: "127.0.0.1", port: 0 });
    await send((app.server.address() as AddressInfo).port, "GET", "/orders/1");
    const events = await log.events();
    expect(events.map(({ actorId, route }) => [actorId, route])).toEqual(Array(2).fill(["u1", "/orders/:id"]));
  });

  it("is Koa's ctx.state.user or Hono's jwtPayload, never a header of that name", async () => {
    const log = logOf();
    const koa = new Koa();
    koa.use((ctx) => {
      if (ctx.path === "/user") ctx.state["user"] = { _id: { toHexString: () => "65f0c0ffee" } };
      log.recordSecurityEvent("authz_fail", ctx);
      ctx.status = 403;
    });
    const port = await serve(koa.callback());
    for (const path of ["/user", "/"]) await send(port, "GET", path, { headers: { user: "forged" } });
    const hono = new Hono();
    hono.use("/jwt", honoJwt({ secret: SECRET, alg: "HS256" }));
    hono.get("*", (c) => {
      log.recordSecurityEvent("authz_fail", c);
      return c.text("no", 403);
    });
    const token = await honoSign({ sub: "h1" }, SECRET, "HS256");
    await hono.request("/jwt", { headers: { authorization: `Bearer ${token}`, user: "forged" } });
    await hono.request("/", { headers: { user: "forged" } });
    expect((await log.events()).map(({ actorId }) => actorId)).toEqual(["65f0c0ffee", undefined, "h1", undefined]);
  });

  it.each<[title: string, request: object, actorId: string | undefined]>([
    ["an id before any other member", { user: { username: "ada", sub: "s", id: "i", _id: "m" } }, "i"],
    ["a subject before a name", { user: { username: "ada", sub: "s" } }, "s"],
    ["a number", { user: { id: 0 } }, "0"],
    ["a string as the user", { user: "ada" }, "ada"],
    ["the name from express-basic-auth", { auth: { user: "ada", password: "secret" } }, "ada"],
    ["the subject from express-oauth2-jwt-bearer", { auth: { token: "t", payload: { sub: "s" } } }, "s"],
    ["nothing from a bare token", { auth: "Bearer abc" }, undefined],
    ["a username before a subject that is an e-mail address", { user: { sub: "a@b.example", username: "ada" } }, "ada"],
    [
      "another holder's subject before a user that is an e-mail address",
      { user: "a@b.example", auth: { sub: "s" } },
      "s",
    ],
    ["an e-mail address if nothing else is set", { user: { username: "a@b.example" } }, "a@b.example"],
    ["the member email if nothing else is set", { user: { email: "a@b.example" } }, "a@b.example"],
    ["nothing from a member email that is not an address", { user: { email: "unknown" } }, undefined],
    ["a later holder's subject before an e-mail address", { user: { email: "a@b.example" }, auth: { sub: "s" } }, "s"],
    ["Microsoft's oid before a subject that is an e-mail address", { user: { sub: "b@x.example", oid: "1-2" } }, "1-2"],
    ["user_id", { user: { user_id: 5, email: "a@b.example" } }, "5"],
    ["userID", { user: { userID: "u" } }, "u"],
    ["uuid", { user: { uuid: "0-1" } }, "0-1"],
    ["the user from express-openid-connect", { oidc: { user: { sub: "auth0|1" } } }, "auth0|1"],
    ["the property of Clerk's function, without a call", { auth: Object.assign(trap, { userId: "user_1" }) }, "user_1"],
    ["nothing from the name of a function", { auth: function id() {} }, undefined],
    ["the user that Passport keeps in the session", { session: { passport: { user: "p1" } } }, "p1"],
    ["nothing from an application's own session", { session: { userId: "u", user: { id: 1 } } }, undefined],
    ["nothing from members that are not ids", { user: { id: Number.NaN, sub: "", _id: {}, username: [] } }, undefined],
    ["nothing from an absent user", { user: null, auth: undefined }, undefined],
  ])("is %s", async (_title, request, actorId) => {
    const log = logOf();
    log.recordSecurityEvent("authz_fail", { headers: {}, ...request });
    const [event] = await log.events();
    expect([event?.actorId, event?.notes]).toEqual([actorId, undefined]);
  });

  it("survives getters, proxies and methods that throw, and is cut if it is too long", async () => {
    const log = logOf();
    const users = [
      Object.defineProperty({ sub: "s" }, "id", { get: trap }),
      new Proxy({}, { get: trap }),
      { id: { toHexString: trap }, sub: "s" },
      { id: "x".repeat(10_000_000) },
    ];
    for (const user of users) log.recordSecurityEvent("authz_fail", { headers: {}, user });
    log.recordSecurityEvent("authz_fail", Object.defineProperty({ headers: {} }, "user", { get: trap }));
    // A getter of this name opens a session in some frameworks, which then set a cookie.
    const opened = vi.fn();
    log.recordSecurityEvent("authz_fail", Object.defineProperty({ headers: {} }, "session", { get: opened }));
    expect(opened).not.toHaveBeenCalled();
    expect((await log.events()).map(({ actorId }) => actorId)).toEqual([
      ...["s", undefined, "s", "x".repeat(256), undefined, undefined],
    ]);
  });

  it("is what the capture's actor function returns, even undefined, unless setActor() was called", async () => {
    const log = logOf();
    const app = express();
    app.use(expressCapture(log, { actor: (req: express.Request) => req.get("x-account") }));
    app.use((req, res) => {
      Object.assign(req, { user: { id: "not asked" } });
      if (req.path === "/set") setActor({ id: "set", type: "admin" });
      res.sendStatus(403);
    });
    const port = await serve(app);
    await send(port, "GET", "/", { headers: { "x-account": "a1" } });
    await send(port, "GET", "/");
    await send(port, "GET", "/set", { headers: { "x-account": "a1" } });
    const events = await log.events();
    expect(events.map(({ actorId, actorType }) => [actorId, actorType])).toEqual([
      ["a1", undefined],
      [undefined, undefined],
      ["set", "admin"],
    ]);
  });

  it("is flagged if that function throws or does not return an id, in Fastify and node:http as well", async () => {
    const log = logOf();
    const fastify = Fastify();
    onTestFinished(() => fastify.close());
    await fastify.register(fastifyCapture, { log, actor: trap });
    fastify.get("/", async (_request, reply) => reply.code(403).send());
    expect((await fastify.inject("/")).statusCode).toBe(403);
    const later = (async () => "too late") as unknown as () => string;
    const port = await serve(
      httpCapture(
        log,
        (_request, response) => {
          response.statusCode = 403;
          response.end();
        },
        { actor: later },
      ),
    );
    await send(port, "GET", "/");
    expect((await log.events()).map(({ actorId, notes }) => [actorId, notes?.flags])).toEqual([
      [undefined, ["actor could not be read"]],
      [undefined, ["actor is not an id"]],
    ]);
    expect(() => httpCapture(log, () => {}, { actor: "ada" } as object)).toThrow(/actor must be a function/);
  });
});
