import http from "node:http";
import express from "express";
import { describe, expect, it, onTestFinished } from "vitest";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import { memoryLog } from "../testing/memory-log.ts";
import { type CspReportsOptions, cspReports } from "./reports.ts";

const OLD = {
  "csp-report": {
    "document-uri": "https://shop.example/cart?token=planted",
    "violated-directive": "script-src-elem 'self'",
    "blocked-uri": "https://evil.example/x.js#planted",
    "line-number": 7,
    "original-policy": "default-src 'self'",
    "script-sample": "planted",
  },
};
const NEW = {
  type: "csp-violation",
  url: "https://shop.example/",
  body: {
    documentURL: "https://shop.example/cart?planted",
    effectiveDirective: "img-src",
    blockedURL: "data:image/png;base64,planted",
    disposition: "report",
  },
};

async function start(options: CspReportsOptions = {}, parser?: express.RequestHandler) {
  const log = memoryLog();
  const app = express();
  if (parser !== undefined) app.use(parser);
  app.all("/csp", cspReports(log, options));
  const server = http.createServer(app);
  const port = await listen(server);
  onTestFinished(async () => {
    await closeServer(server);
    await log.close();
  });
  const post = async (body: unknown, type = "application/csp-report") =>
    await send(port, "POST", "/csp", {
      headers: { "content-type": type },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  return { log, port, post };
}

const RECORDED_OLD = {
  effective_directive: "script-src-elem",
  blocked_uri: "https://evil.example/x.js",
  document_uri: "https://shop.example/cart",
  line: 7,
};

describe("cspReports()", () => {
  it.each([
    ["unparsed", undefined],
    ["parsed", express.json({ type: () => true })],
    ["as text", express.text({ type: () => true })],
    ["as bytes", express.raw({ type: () => true })],
  ])("records both kinds of reports, without query and sample (%s)", async (_how, parser) => {
    const { log, post } = await start({}, parser);
    expect((await post(OLD)).status).toBe(204);
    const list = [NEW, { type: "deprecation", body: {} }, { type: "csp-violation", body: NEW.body }];
    expect((await post(list, "application/reports+json")).status).toBe(204);
    const events = await log.events();
    expect(events.map(({ type, level, ipAddress }) => `${type} ${level} ${ipAddress}`)).toEqual(
      Array(3).fill("malicious_csp_violation warning 127.0.0.1"),
    );
    expect(events[0]?.data).toEqual(RECORDED_OLD);
    expect(events[1]?.data).toEqual({
      effective_directive: "img-src",
      blocked_uri: "data:",
      document_uri: "https://shop.example/cart",
      disposition: "report",
    });
    expect(JSON.stringify(events)).not.toContain("planted");
  });

  it("takes a request of the Fetch API", async () => {
    const log = memoryLog();
    onTestFinished(() => log.close());
    const handler = cspReports(log, { maxBytes: 1_000 });
    const post = async (body: string) =>
      await handler(new Request("https://shop.example/csp", { method: "POST", body }));
    expect((await post(JSON.stringify(OLD))).status).toBe(204);
    expect((await post("x".repeat(1_001))).status).toBe(413);
    expect((await handler(new Request("https://shop.example/csp"))).status).toBe(405);
    expect((await log.events()).map(({ data }) => data)).toEqual([RECORDED_OLD]);
  });

  it("refuses a long body, takes 20 reports of a request, and ignores what is not a report", async () => {
    const { log, port, post } = await start({ maxBytes: 20_000 });
    expect((await post("x".repeat(30_000))).status).toBe(413);
    expect((await post(Array(30).fill(NEW))).status).toBe(204);
    for (const nothing of ["", "null", "[]", "{", "7", '{"csp-report":7}', '[{"type":"csp-violation"}]']) {
      expect((await post(nothing)).status).toBe(204);
    }
    expect((await send(port, "GET", "/csp")).status).toBe(405);
    expect(await log.events()).toHaveLength(20);
  });

  it("does not read on where a body is too long", async () => {
    const { port } = await start({ maxBytes: 1_000 });
    let sent = 0;
    const request = http.request({ port, host: "127.0.0.1", method: "POST", path: "/csp" });
    const answered = new Promise<number | undefined>((resolve) => {
      request.on("response", ({ statusCode }) => resolve(statusCode));
      request.on("error", () => resolve(undefined));
    });
    const more = (): void => {
      if (sent >= 50_000_000) request.end();
      while (sent < 50_000_000 && request.write("x".repeat(100_000))) sent += 100_000;
    };
    request.on("drain", more);
    more();
    expect([413, undefined]).toContain(await answered);
    expect(sent).toBeLessThan(50_000_000);
    request.destroy();
  });

  it("refuses unknown options", () => {
    const log = memoryLog();
    onTestFinished(() => log.close());
    expect(() => cspReports(log, { limit: 1 } as never)).toThrow("cspReports: limit does not exist");
  });
});
