import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter, type NestExpressApplication } from "@nestjs/platform-express";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";
import express5 from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { describe, expect, it, onTestFinished } from "vitest";
import { securityCapture as expressCapture } from "../packages/seclog/src/capture/express/express.ts";
import { securityCapture as fastifyCapture } from "../packages/seclog/src/capture/fastify/fastify.ts";
import { securityCapture as httpCapture } from "../packages/seclog/src/capture/node/http.ts";
import type { Diagnostic } from "../packages/seclog/src/record/security-log.ts";
import { type MemoryLog, type MemoryLogOptions, memoryLog } from "../packages/seclog/src/testing/memory-log.ts";
import { closeServer } from "./support/http-client.ts";

const express4 = createRequire(import.meta.url)("express4") as typeof express5;

/** The proxies that a framework is set to trust. */
type Trust = boolean | number | string | readonly string[] | ((address: string, hop: number) => boolean);

/** An application that answers 403 to everything, as a listener. */
type Application = (log: MemoryLog, trust: Trust | undefined) => Promise<http.RequestListener> | http.RequestListener;

function expressApplication(express: typeof express5): Application {
  return (log, trust) => {
    const app = express();
    if (trust !== undefined) app.set("trust proxy", trust);
    app.use(expressCapture(log));
    // A mounted application inherits the setting.
    app.use(express().use((_req, res) => void res.sendStatus(403)));
    return app;
  };
}

const fastifyApplication: Application = async (log, trust) => {
  const app = Fastify({ ...(trust !== undefined && { trustProxy: trust as string }) });
  onTestFinished(() => app.close());
  await app.register(fastifyCapture, { log });
  app.register(async (scope) => void scope.get("/", async (_request, reply) => reply.code(403).send()));
  await app.ready();
  return (request, response) => app.routing(request, response);
};

class Empty {}
Module({})(Empty);

const nestOnExpress: Application = async (log, trust) => {
  const app = await NestFactory.create<NestExpressApplication>(Empty, new ExpressAdapter(), { logger: false });
  onTestFinished(() => app.close());
  if (trust !== undefined) app.set("trust proxy", trust);
  app.use(expressCapture(log));
  app.use((_req: unknown, res: express5.Response) => void res.sendStatus(403));
  await app.init();
  return app.getHttpAdapter().getInstance() as http.RequestListener;
};

const nestOnFastify: Application = async (log, trust) => {
  const adapter = new FastifyAdapter({ ...(trust !== undefined && { trustProxy: trust as string }) });
  const app = await NestFactory.create<NestFastifyApplication>(Empty, adapter, { logger: false });
  onTestFinished(() => app.close());
  await app.register(fastifyCapture as never, { log });
  const fastify = app.getHttpAdapter().getInstance();
  fastify.get("/", async (_request, reply) => reply.code(403).send());
  await app.init();
  await fastify.ready();
  return (request, response) => fastify.routing(request, response);
};

const FRAMEWORKS: readonly (readonly [name: string, application: Application])[] = [
  ["Express 5", expressApplication(express5)],
  ["Express 4", expressApplication(express4)],
  ["Fastify", fastifyApplication],
  ["Nest on Express", nestOnExpress],
  ["Nest on Fastify", nestOnFastify],
];

/** A log, and the diagnostics that it reported. */
function logOf(options: MemoryLogOptions = {}) {
  const reported: Diagnostic[] = [];
  const log = memoryLog({ ...options, diagnostics: (diagnostic) => void reported.push(diagnostic) });
  onTestFinished(() => log.close());
  return { log, reported };
}

/** Serves a listener on a free port or a Unix socket. Returns a function that sends it a request. */
async function serve(listener: http.RequestListener, path?: string) {
  const server = http.createServer(listener);
  onTestFinished(() => closeServer(server));
  await new Promise<void>((done) => {
    if (path === undefined) server.listen(0, "127.0.0.1", done);
    else server.listen(path, done);
  });
  const address = server.address();
  const target = typeof address === "string" ? { socketPath: address } : { host: "127.0.0.1", port: address?.port };
  return (headers: http.OutgoingHttpHeaders = {}): Promise<number> =>
    new Promise((resolve, reject) => {
      const request = http.get({ ...target, headers, agent: false }, (response) => {
        response.resume().on("end", () => resolve(response.statusCode ?? 0));
      });
      request.on("error", reject);
    });
}

function socketPath(): string {
  const folder = mkdtempSync(join(tmpdir(), "seclog-unix-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, "app.sock");
}

const FORGED = "6.6.6.6, 203.0.113.7, 10.1.2.3";

describe.each(FRAMEWORKS)("the client address behind a proxy, %s", (name, application) => {
  it.each<[title: string, trust: Trust | undefined, address: string]>([
    ["has no proxy setting", undefined, "127.0.0.1"],
    ["trusts no proxy", false, "127.0.0.1"],
    // Fastify stopped counting hops in 5.12: a client that connects directly could send that many itself.
    ["trusts two hops", 2, name.includes("Fastify") ? "127.0.0.1" : "203.0.113.7"],
    ["trusts a list of names and networks", ["loopback", "10.0.0.0/8"], "203.0.113.7"],
    ["trusts a comma-separated list", "127.0.0.1, 10.1.2.3", "203.0.113.7"],
    ["decides by a function", (address: string) => address === "127.0.0.1" || address.startsWith("10."), "203.0.113.7"],
    ["trusts only another proxy", ["10.0.0.0/8"], "127.0.0.1"],
    ["trusts every proxy", true, "6.6.6.6"],
  ])("is the one that the framework finds when it %s", async (_title, trust, address) => {
    const { log } = logOf();
    const get = await serve(await application(log, trust));
    expect(await get({ "x-forwarded-for": FORGED })).toBe(403);
    const event = await log.expectEvent("authz_fail", { ipAddress: address });
    expect(event.ipSource).toBe(address === "127.0.0.1" ? "socket" : "x-forwarded-for");
    expect(event.ipChain).toBe(address === "127.0.0.1" ? undefined : `${FORGED}, 127.0.0.1`);
  });

  it("is reported once as open to forgery when the framework trusts every proxy, with the setting to use instead", async () => {
    const { log, reported } = logOf();
    const get = await serve(await application(log, true));
    for (let sent = 0; sent < 3; sent++) await get({ "x-forwarded-for": FORGED });
    await log.events();
    await expect.poll(() => reported.length).toBe(1);
    expect(reported[0]).toMatchObject({ level: "warning", code: "SECLOG_CLIENT_ADDRESS" });
    expect(reported[0]?.message).toMatch(/anyone can forge .*(?:trust proxy", "loopback"|trustProxy: "loopback")/);
  });

  it("follows the log's own clientIp if set, even one that trusts no proxy", async () => {
    const trusting = logOf({ clientIp: { trust: ["loopback"] } });
    await (await serve(await application(trusting.log, true)))({ "x-forwarded-for": FORGED });
    await trusting.log.expectEvent("authz_fail", { ipAddress: "10.1.2.3" });
    const strict = logOf({ clientIp: { trust: [] } });
    await (await serve(await application(strict.log, true)))({ "x-forwarded-for": FORGED });
    await strict.log.expectEvent("authz_fail", { ipAddress: "127.0.0.1" });
    expect([...trusting.reported, ...strict.reported]).toEqual([]);
  });

  it("survives headers that are not addresses, and one of 1,500 hops", async () => {
    const { log } = logOf();
    const get = await serve(await application(log, ["loopback"]));
    const values = ["unknown", "_hidden", "fe80::1%eth0", "[2001:db8::7]:80", "203.0.113.7:4711", "::ffff:203.0.113.7"];
    for (const value of values) await get({ "x-forwarded-for": `6.6.6.6, ${value}` });
    await get({ "x-forwarded-for": `${"1.1.1.1,".repeat(1_500)}203.0.113.7` });
    const events = await log.events();
    expect(events.map(({ ipAddress, ipSource }) => ipAddress ?? ipSource)).toEqual([
      ...["invalid", "invalid", "fe80::1", "2001:db8::7", "203.0.113.7", "203.0.113.7", "203.0.113.7"],
    ]);
  });

  it("counts a Unix socket as a hop, and is reported with the setting to use if the socket is not trusted", async () => {
    const hops = logOf();
    await (await serve(await application(hops.log, (_address, hop) => hop < 1), socketPath()))({
      "x-forwarded-for": "6.6.6.6, 203.0.113.7",
    });
    await hops.log.expectEvent("authz_fail", { ipAddress: "203.0.113.7" });
    const none = logOf();
    await (await serve(await application(none.log, undefined), socketPath()))({ "x-forwarded-for": "203.0.113.7" });
    await expect
      .poll(() => none.reported.map(({ message }) => message))
      .toEqual([expect.stringContaining('clientIp: { trust: ["unix"] }')]);
  });
});

describe("the client address behind a proxy, node:http", () => {
  const refuse = (log: MemoryLog) =>
    httpCapture(log, (_request: http.IncomingMessage, response: http.ServerResponse) => {
      response.statusCode = 403;
      response.end();
    });

  it("comes from the header if the Unix socket is trusted, and is absent otherwise", async () => {
    for (const trust of [["unix"], ["loopback"]]) {
      const { log } = logOf({ clientIp: { trust } });
      const get = await serve(refuse(log), socketPath());
      await get({ "x-forwarded-for": "6.6.6.6, 203.0.113.7" });
      await get();
      const trusted = trust[0] === "unix";
      const [first, second] = await log.events();
      expect(first?.ipAddress).toBe(trusted ? "203.0.113.7" : undefined);
      expect(first?.ipChain).toBe(trusted ? "6.6.6.6, 203.0.113.7, unix" : undefined);
      expect([second?.ipAddress, second?.ipSource]).toEqual([undefined, undefined]);
    }
  });

  it("is invalid if the header itself names a hop unix", async () => {
    const { log } = logOf({ clientIp: { trust: ["unix"] } });
    await (await serve(refuse(log), socketPath()))({ "x-forwarded-for": "6.6.6.6, unix" });
    expect((await log.events())[0]).toMatchObject({ ipSource: "invalid", ipChain: "6.6.6.6, unix, unix" });
  });

  it.each([
    ["x-forwarded-for", 'clientIp: { trust: ["loopback"] }'],
    ["forwarded", 'clientIp: { trust: ["loopback"], header: "forwarded" }'],
    ["x-real-ip", 'clientIp: { trust: ["loopback"], header: "x-real-ip" }'],
    ["cf-connecting-ip", 'clientIp: { trust: ["loopback"], header: "cf-connecting-ip" }'],
  ])("is reported once when a %s is not trusted, with a clientIp setting that works", async (header, line) => {
    const { log, reported } = logOf();
    const get = await serve(refuse(log));
    for (let sent = 0; sent < 3; sent++)
      await get({ [header]: header === "forwarded" ? "for=203.0.113.7" : "203.0.113.7" });
    await expect.poll(() => reported.length).toBe(1);
    expect(reported[0]?.message).toContain(line);
    const options = new Function(`return ({ ${line} })`)() as MemoryLogOptions;
    const other = logOf(options);
    await (await serve(refuse(other.log)))({ [header]: header === "forwarded" ? "for=203.0.113.7" : "203.0.113.7" });
    await other.log.expectEvent("authz_fail", { ipAddress: "203.0.113.7" });
    expect(other.reported).toEqual([]);
  });

  it("is not reported without such a header, for a public peer, or if clientIp trusts no proxy on purpose", async () => {
    const quiet = logOf();
    await (await serve(refuse(quiet.log)))();
    quiet.log.recordSecurityEvent("authz_fail", {
      headers: { "x-forwarded-for": "203.0.113.7" },
      socket: { remoteAddress: "198.51.100.1" },
    });
    const strict = logOf({ clientIp: { trust: [] } });
    await (await serve(refuse(strict.log)))({ "x-forwarded-for": "203.0.113.7" });
    for (const { log } of [quiet, strict]) await log.events();
    await new Promise((done) => setImmediate(done));
    expect([...quiet.reported, ...strict.reported]).toEqual([]);
  });

  it.each(["10.0.3.7", "172.20.0.2", "192.168.1.1", "100.64.0.9", "169.254.1.1", "fd00::5", "fe80::5%eth0"])(
    "is reported with a setting that adds the private peer %s to the proxies trusted so far",
    async (peer) => {
      const { log, reported } = logOf({ clientIp: { trust: ["203.0.113.9"] } });
      log.recordSecurityEvent("authz_fail", {
        headers: { "x-forwarded-for": "203.0.113.7" },
        socket: { remoteAddress: peer },
      });
      await log.events();
      await expect.poll(() => reported.length).toBe(1);
      expect(reported[0]?.message).toContain(`clientIp: { trust: ["203.0.113.9","${peer.replace(/%.*/, "")}"] }`);
    },
  );
});

describe("the client address behind a proxy, Koa", () => {
  it("is found app.maxIpsCount hops away, and is reported if that is not set", async () => {
    for (const [most, address] of [
      [1, "10.1.2.3"],
      [2, "203.0.113.7"],
      [0, "6.6.6.6"],
    ] as const) {
      const { log, reported } = logOf();
      const app = new Koa({ proxy: true, maxIpsCount: most });
      app.use((ctx) => {
        log.recordSecurityEvent("authz_fail", ctx);
        log.recordSecurityEvent("authz_fail", ctx.request);
        ctx.status = 403;
      });
      await (await serve(app.callback()))({ "x-forwarded-for": FORGED });
      expect((await log.events()).map(({ ipAddress }) => ipAddress)).toEqual([address, address]);
      await new Promise((done) => setImmediate(done));
      expect(reported.map(({ message }) => message)).toEqual(
        most === 0 ? [expect.stringContaining("app.maxIpsCount = 1")] : [],
      );
    }
  });

  it("comes from the header that app.proxyIpHeader names", async () => {
    const { log } = logOf();
    const app = new Koa({ proxy: true, maxIpsCount: 1, proxyIpHeader: "X-Real-IP" });
    app.use((ctx) => void log.recordSecurityEvent("authz_fail", ctx));
    await (await serve(app.callback()))({ "x-real-ip": "203.0.113.7", "x-forwarded-for": "6.6.6.6" });
    expect((await log.events())[0]).toMatchObject({ ipAddress: "203.0.113.7", ipSource: "header" });
  });
});

describe("a Fetch request", () => {
  it("has the remoteAddress passed with it, which decides whether its headers are trusted", async () => {
    const { log, reported } = logOf({ clientIp: { trust: ["127.0.0.1", "unix"] } });
    const request = new Request("http://shop.example/orders?x=1", { headers: { "x-forwarded-for": "203.0.113.7" } });
    for (const remoteAddress of ["198.51.100.1", "::ffff:127.0.0.1", "unix", undefined, null, "no address"]) {
      log.recordSecurityEvent("authz_fail", { request, remoteAddress }, { resource: "orders" });
    }
    const events = await log.events();
    expect(events.map(({ ipAddress, ipSource }) => ipAddress ?? ipSource)).toEqual([
      ...["198.51.100.1", "203.0.113.7", "203.0.113.7", undefined, undefined, "invalid"],
    ]);
    for (const event of events) {
      expect(event).toMatchObject({ path: "/orders", data: { resource: "orders" } });
      expect(event.notes).toBeUndefined();
    }
    expect(reported).toEqual([]);
  });

  it("has the address that a Hono application's middleware passed once for all calls", async () => {
    const { log } = logOf();
    const { runWithRequest } = await import("../packages/seclog/src/record/context.ts");
    const app = new Hono();
    app.use((c, next) => runWithRequest({ request: c.req.raw, remoteAddress: "198.51.100.1" }, next));
    app.get("/", (c) => {
      log.recordSecurityEvent("authz_fail");
      log.recordSecurityEvent("authz_fail", c.req.raw);
      return c.text("no", 403);
    });
    await app.request("/");
    expect((await log.events()).map(({ ipAddress }) => ipAddress)).toEqual(["198.51.100.1", "198.51.100.1"]);
  });
});
