import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, connect as http2Connect } from "node:http2";
import type { AddressInfo } from "node:net";
import express from "express";
import express4 from "express4";
import fastify from "fastify";
import { describe, expect, it, onTestFinished } from "vitest";
import { fc } from "#test/support/properties.ts";
import type { EventNotes } from "../event/event.ts";
import { NoteTaker } from "../event/text.ts";
import { subjectOf } from "./addressed-request.ts";
import { type ClientIpOptions, createClientIp } from "./client-ip.ts";
import { createRedactor, type RedactOptions } from "./redact.ts";
import { isRequest, type RequestFacts, requestFacts } from "./request.ts";

interface Options {
  readonly clientIp?: ClientIpOptions;
  readonly redact?: RedactOptions;
}

function factsOf(request: unknown, { clientIp, redact }: Options = {}): RequestFacts & { notes?: EventNotes } {
  const notes = new NoteTaker();
  const facts = requestFacts(subjectOf(request as object), createClientIp(clientIp), createRedactor(redact), notes);
  const taken = notes.notes();
  return taken === undefined ? facts : { ...facts, notes: taken };
}

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const HEADERS = {
  host: "shop.example",
  "user-agent": "curl/8.0",
  "x-request-id": "r-1",
  traceparent: `00-${TRACE}-${SPAN}-01`,
};
const COMMON = { requestHost: "shop.example", userAgent: "curl/8.0", requestId: "r-1", traceId: TRACE, spanId: SPAN };

/** Sends one real request to a listener on 127.0.0.1 and waits for its response. */
async function send(
  listener: (request: IncomingMessage, response: ServerResponse) => void,
  path: string,
  method = "GET",
) {
  const server = createServer(listener);
  onTestFinished(() => void server.close());
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((done, failed) => {
    const sent = httpRequest({ port, host: "127.0.0.1", path, method, headers: HEADERS }, (response) => {
      response.resume().on("end", done);
    });
    sent.on("error", failed).end();
  });
}

describe("requestFacts() of real frameworks", () => {
  it("reads node:http", async () => {
    let before: unknown;
    await send((request, response) => {
      before = factsOf(request);
      response.statusCode = 404;
      response.end();
    }, "/a/b?token=secret");
    expect(before).toEqual({ ...COMMON, method: "GET", path: "/a/b", ipAddress: "127.0.0.1", ipSource: "socket" });
  });

  it.each([
    ["Express 5", express],
    ["Express 4", express4 as unknown as typeof express],
  ])("reads %s: the route's template with its mount, and the status once it is sent", async (_, framework) => {
    const seen: unknown[] = [];
    const app = framework();
    const orders = framework.Router({ mergeParams: true });
    orders.get("/orders/:order", (request, response) => {
      seen.push(factsOf(request).statusCode);
      response.status(403).end();
      seen.push(factsOf(request));
    });
    app.use("/users/:user/v2/4711", orders);
    await send(app as unknown as Parameters<typeof send>[0], "/users/alice/v2/4711/orders/7?x=1");
    expect(seen).toEqual([
      undefined,
      {
        ...COMMON,
        method: "GET",
        path: "/users/alice/v2/4711/orders/7",
        route: "/users/:user/v2/*/orders/:order",
        statusCode: 403,
        ipAddress: "127.0.0.1",
        ipSource: "socket",
      },
    ]);
  });

  it("reads Fastify", async () => {
    let seen: unknown;
    const app = fastify();
    app.get("/users/:id", (request) => {
      seen = factsOf(request);
      return "ok";
    });
    await app.ready();
    await send((request, response) => app.routing(request, response), "/users/7?x=1");
    await app.close();
    expect(seen).toEqual({
      ...COMMON,
      method: "GET",
      path: "/users/7",
      route: "/users/:id",
      ipAddress: "127.0.0.1",
      ipSource: "socket",
    });
  });

  it("reads HTTP/2, even after its stream is gone", async () => {
    const seen: unknown[] = [];
    const server = createHttp2Server((request, response) => {
      seen.push(factsOf(request));
      response.end("ok");
      response.stream.once("close", () => seen.push(factsOf(request)));
    });
    onTestFinished(() => void server.close());
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as AddressInfo;
    const client = http2Connect(`http://127.0.0.1:${port}`);
    await new Promise<void>((done) => {
      const { host: _, ...headers } = HEADERS;
      const stream = client.request({ ":path": "/a?b=1", ":authority": "shop.example", ...headers });
      stream.resume().on("close", done);
    });
    await new Promise<void>((done) => client.close(done));
    await expect.poll(() => seen).toHaveLength(2);
    expect(seen[0]).toEqual({ ...COMMON, method: "GET", path: "/a", ipAddress: "127.0.0.1", ipSource: "socket" });
    expect(seen[1]).toMatchObject({ ...COMMON, method: "GET", path: "/a" });
  });
});

describe("requestFacts() by shape", () => {
  const node = { method: "POST", url: "/x?y", headers: HEADERS, socket: { remoteAddress: "::ffff:192.0.2.1" } };
  const facts = { ...COMMON, method: "POST", path: "/x", ipAddress: "192.0.2.1", ipSource: "socket" };

  it.each<[string, unknown, object]>([
    ["a plain object", node, facts],
    [
      "Koa",
      { req: node, res: { headersSent: true, statusCode: 405 }, request: {}, headers: HEADERS, _matchedRoute: "/:a" },
      { ...facts, route: "/:a", statusCode: 405 },
    ],
    [
      "Fetch",
      new Request("https://shop.example/x?y#z", { method: "POST", headers: HEADERS }),
      { ...COMMON, method: "POST", path: "/x" },
    ],
    [
      "Hono",
      {
        req: { raw: new Request("https://shop.example/x?y", { method: "POST", headers: HEADERS }), routePath: "/:a" },
        env: { incoming: node },
        finalized: true,
        res: new Response("", { status: 418 }),
      },
      { ...facts, route: "/:a", statusCode: 418 },
    ],
    [
      "HTTP/2 headers",
      { ":method": "POST", ":path": "/x?y", ":authority": "shop.example", "user-agent": "curl/8.0" },
      { method: "POST", path: "/x", requestHost: "shop.example", userAgent: "curl/8.0" },
    ],
    [
      "repeated headers",
      { ...node, headers: { ...HEADERS, "user-agent": ["a", "b"] } },
      { ...facts, userAgent: "a, b" },
    ],
  ])("reads %s", (_, request, expected) => {
    expect(isRequest(request)).toBe(true);
    expect(factsOf(request)).toEqual(expected);
  });

  it("does not ask Hono for a response that it does not have yet", () => {
    const context = {
      req: { raw: new Request("http://x/") },
      finalized: false,
      get res(): never {
        throw new Error("made too early");
      },
    };
    expect(factsOf(context).statusCode).toBeUndefined();
  });

  it.each([undefined, null, 5, "GET", {}, [], { reason: "x" }, { method: "GET" }, new Error("x"), new Map()])(
    "isRequest() - %s is none",
    (value) => {
      expect(isRequest(value)).toBe(false);
    },
  );

  it.each([
    ["get", "_OTHER"],
    ["QUERY", "QUERY"],
    ["PATCH", "PATCH"],
    ["PROPFIND", "_OTHER"],
    ["x".repeat(100), "_OTHER"],
  ])("reads the method %s as %s", (sent, method) => {
    const facts = factsOf({ ...node, method: sent });
    expect(facts.method).toBe(method);
    expect(facts.methodOriginal).toBe(method === "_OTHER" ? sent.slice(0, 64) : undefined);
  });

  it.each([
    ["/a?b=c", "/a"],
    ["/a#b", "/a"],
    ["/a;jsessionid=1/b;x=2?c", "/a/b"],
    ["?x=1", "/"],
    [";x", "/"],
    ["http://u:p@host:80/a?b", "/a"],
    ["http://host?x", "/"],
    ["*", "*"],
    ["//evil.example/a", "//evil.example/a"],
    ["", ""],
    ["/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "/reset/[redacted]"],
    ["/a/../../etc/passwd", "/a/../../etc/passwd"],
  ])("reads the target %s as the path %s", (url, path) => {
    expect(factsOf({ ...node, url }).path).toBe(path);
  });

  it("keeps no query value in any fact", () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true }), fc.webPath(), (url, path) => {
        const planted = "pl4nt3d";
        for (const target of [
          `${url}?a=${planted}`,
          `${path}?a=${planted}`,
          `${path}#${planted}`,
          `/a;s=${planted}/b`,
        ]) {
          const request = { ...node, url: target, originalUrl: target };
          expect(JSON.stringify(factsOf(request))).not.toContain(planted);
        }
      }),
      { numRuns: 30 },
    );
  });

  it.each([
    ["upper case", `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ["version ff", `ff-${TRACE}-${SPAN}-01`],
    ["a zero trace", `00-${"0".repeat(32)}-${SPAN}-01`],
    ["a zero span", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["version 00 with more fields", `00-${TRACE}-${SPAN}-01-x`],
    ["a list", `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
  ])("ignores a traceparent with %s", (_, traceparent) => {
    const facts = factsOf({ ...node, headers: { traceparent } });
    expect([facts.traceId, facts.spanId]).toEqual([undefined, undefined]);
  });

  it("accepts more fields in a traceparent of a later version", () => {
    expect(factsOf({ ...node, headers: { traceparent: `01-${TRACE}-${SPAN}-01-more` } }).traceId).toBe(TRACE);
  });

  it.each(["", "a b", "x".repeat(129), "<script>", "a\r\nb"])("ignores the x-request-id %j", (id) => {
    expect(factsOf({ ...node, headers: { "x-request-id": id } }).requestId).toBeUndefined();
  });

  it("redacts the paths that the application configures", () => {
    const redact = { paths: ["userAgent", "path", "ipAddress", "requestId", "requestHost"] };
    expect(factsOf(node, { redact })).toEqual({
      ...{ method: "POST", path: "[redacted]", userAgent: "[redacted]", requestHost: "[redacted]" },
      ...{ requestId: "[redacted]", traceId: TRACE, spanId: SPAN, ipSource: "socket" },
      notes: { redacted: ["path", "requestHost", "userAgent", "requestId", "ipAddress"] },
    });
  });

  it("can redact the chain of addresses alone", () => {
    const proxied = { ...node, headers: { "x-forwarded-for": "192.0.2.7" }, socket: { remoteAddress: "127.0.0.1" } };
    const facts = factsOf(proxied, { clientIp: { trust: ["loopback"] }, redact: { paths: ["ipChain"] } });
    expect(facts).toMatchObject({ ipAddress: "192.0.2.7", ipChain: "[redacted]", notes: { redacted: ["ipChain"] } });
  });

  it("redacts the whole of a secret that a cut would split", () => {
    const agent = `${"u".repeat(500)} AKIAABCDEFGHIJKLMNOP`;
    expect(factsOf({ ...node, headers: { "user-agent": agent } }).userAgent).toBe(`${"u".repeat(500)} [redacted]`);
  });

  it("cuts long texts and notes that; of the chain it keeps the right end", () => {
    const facts = factsOf(
      {
        method: "GET",
        url: `/${"p".repeat(5000)}`,
        headers: { "user-agent": "u".repeat(5000), "x-forwarded-for": `${"6.6.6.6, ".repeat(500)}192.0.2.7` },
        socket: { remoteAddress: "127.0.0.1" },
      },
      { clientIp: { trust: ["loopback"] } },
    );
    expect([facts.path?.length, facts.userAgent?.length, facts.ipChain?.length]).toEqual([2048, 512, 1000]);
    expect(facts.ipChain?.endsWith("6.6.6.6, 192.0.2.7, 127.0.0.1")).toBe(true);
    expect(facts.notes?.truncated).toEqual({ path: 5001, userAgent: 5000, ipChain: 4520 });
  });

  it("never throws, whatever looks like a request", () => {
    const member = fc.oneof(
      fc.anything(),
      fc.string({ unit: "binary" }),
      fc.constantFrom<unknown>(
        new Proxy(
          {},
          {
            get: () => {
              throw new Error("trap");
            },
          },
        ),
        HEADERS,
        node,
      ),
    );
    const names = [
      "method",
      "url",
      "originalUrl",
      "headers",
      "socket",
      "raw",
      "req",
      "res",
      "route",
      "baseUrl",
      "params",
      "routeOptions",
      "env",
    ];
    fc.assert(
      fc.property(
        fc.record(Object.fromEntries(names.map((name) => [name, member])), { requiredKeys: [] }),
        (request) => {
          isRequest(request);
          const { notes, ...facts } = factsOf(request, { clientIp: { trust: ["private"] } });
          expect(notes?.flags).toBeUndefined();
          for (const fact of Object.values(facts)) {
            if (typeof fact === "string") expect(fact.isWellFormed() && !fact.includes("\0")).toBe(true);
          }
        },
      ),
    );
  });
});
