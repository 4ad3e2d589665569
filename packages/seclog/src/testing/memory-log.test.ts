import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import express from "express";
import { afterEach, expect, it } from "vitest";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import { recordLogin, securityCapture } from "../capture/express/express.ts";
import { securityCapture as captureHttp } from "../capture/node/http.ts";
import { defineEvents } from "../event/define-events.ts";
import { memoryLog } from "./memory-log.ts";

const ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

it("memoryLog() - collects a captured application's events, one per cause, with the request's facts", async () => {
  const security = memoryLog();
  ends.push(() => security.close());
  const app = express();
  app.use(securityCapture(security));
  app.get("/orders/:id", (_req, res) => void res.send("order"));
  app.get("/admin", (_req, res) => void res.sendStatus(403));
  app.post("/login", (req, res) => {
    recordLogin(security, req, { userid: "ada", success: false, reason: "password" });
    res.sendStatus(401);
  });
  const server = http.createServer(app);
  ends.push(() => closeServer(server));
  const port = await listen(server);
  await send(port, "DELETE", "/orders/7?token=x", { headers: { "user-agent": "probe" } });
  await send(port, "GET", "/admin");
  await send(port, "POST", "/login");

  const wrong = await security.expectEvent("illegal_request_method", { method: "DELETE" });
  expect(wrong).toMatchObject({
    path: "/orders/7",
    route: "/orders/:id",
    statusCode: 404,
    allowedMethods: "GET, HEAD",
    ipAddress: "127.0.0.1",
    userAgent: "probe",
  });
  await security.expectEvent("authz_fail", { path: "/admin", statusCode: 403 });
  await security.expectEvent("authn_login_fail", { actorId: "ada", data: { reason: "password" } });
  expect((await security.events()).map(({ type }) => type)).toEqual([
    ...["illegal_request_method", "authz_fail", "authn_login_fail"],
  ]);
  await security.clear();
  expect(await security.events()).toEqual([]);
});

it("memoryLog() - has the client's address, even if the connection closed before the event was recorded", async () => {
  const security = memoryLog();
  ends.push(() => security.close());
  const refuse = (_request: object, response: { statusCode: number; end(): unknown }): void => {
    response.statusCode = 403;
    response.end();
  };
  let arrived = (): void => {};
  const slow = http.createServer(
    captureHttp(security, (_request: http.IncomingMessage, response: http.ServerResponse) => {
      response.on("close", () => refuse({}, response));
      arrived();
    }),
  );
  ends.push(() => closeServer(slow));
  const client = net.connect(await listen(slow), "127.0.0.1");
  client.on("error", () => {});
  arrived = () => void client.resetAndDestroy();
  client.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");

  const second = http2.createServer(captureHttp(security, refuse));
  ends.push(async () => void second.close());
  const session = http2.connect(`http://127.0.0.1:${await listen(second)}`);
  session.request({ ":path": "/second" }).resume();
  for (const path of ["/slow", "/second"]) {
    expect(await security.expectEvent("authz_fail", { path }), path).toMatchObject({ ipAddress: "127.0.0.1" });
  }
  session.close();
});

it("memoryLog() - lets an event that a route handler records explain the status", async () => {
  const security = memoryLog();
  ends.push(() => security.close());
  const app = express();
  app.use(securityCapture(security));
  app.get("/", (_req, res) => {
    // The recorder finds the request in the context, and marks it.
    security.recordSecurityEvent("malicious_direct_reference", undefined, { userid: "ada" });
    res.sendStatus(403);
  });
  const server = http.createServer(app);
  ends.push(() => closeServer(server));
  await send(await listen(server), "GET", "/");
  await security.expectEvent("malicious_direct_reference", { path: "/" });
  expect(await security.events()).toHaveLength(1);
});

it("expectEvent() - waits for a later event, and reports what was recorded instead", async () => {
  const events = defineEvents({ refund_refused: { level: "info" } });
  const security = memoryLog({ events });
  ends.push(() => security.close());
  setTimeout(() => security.recordSecurityEvent("refund_refused", null, { amount: 7 }), 20);
  expect(await security.expectEvent("refund_refused")).toMatchObject({ data: { amount: 7 } });
  await expect(security.expectEvent("refund_refused", { data: { amount: 8 } }, { deadline: 20 })).rejects.toThrow(
    'no event refund_refused {"data":{"amount":8}}; these were recorded:\n  refund_refused {"data":{"amount":7}}',
  );
  await security.clear();
  await expect(security.expectEvent("authz_fail", {}, { deadline: 20 })).rejects.toThrow(/nothing was recorded/);
});
