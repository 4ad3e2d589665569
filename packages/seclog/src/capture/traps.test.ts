import http from "node:http";
import { bodyParser } from "@koa/bodyparser";
import Router from "@koa/router";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { describe, expect, it, onTestFinished } from "vitest";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import type { SecurityEvent } from "../event/event.ts";
import { memoryLog } from "../testing/memory-log.ts";
import { securityCapture } from "./express/express.ts";
import { securityCapture as fastifyCapture } from "./fastify/fastify.ts";
import { securityCapture as honoCapture } from "./hono/hono.ts";
import { securityCapture as koaCapture } from "./koa/koa.ts";
import type { TrapOptions } from "./traps.ts";

const JSON_BODY = { "content-type": "application/json" };

async function express5(options: TrapOptions & { readonly detect?: { readonly openRedirect?: boolean } } = {}) {
  const log = memoryLog();
  const app = express();
  app.use(securityCapture(log, { actor: () => undefined, ...options }));
  app.use(express.json());
  app.post("/login", (req, res) => {
    const { answer = "/" } = req.body as { answer?: string | number };
    if (typeof answer === "number") res.sendStatus(answer);
    else if (answer === "html") res.type("html").send("<form>");
    else if (answer === "json") res.json({ ok: true });
    else if (answer === "recorded") {
      log.recordSecurityEvent("authn_login_success", req, { userid: "ada" });
      res.redirect("/");
    } else res.redirect(answer);
  });
  app.post("/comment", (_req, res) => res.sendStatus(201));
  app.get("/go", (req, res) => res.redirect(String(req.query["to"])));
  app.get("/own", (_req, res) => res.redirect("https://partner.example/"));
  const server = http.createServer(app);
  const port = await listen(server);
  onTestFinished(async () => {
    await closeServer(server);
    await log.close();
  });
  const post = async (path: string, body: object, headers: http.OutgoingHttpHeaders = {}) =>
    await send(port, "POST", path, { headers: { ...JSON_BODY, ...headers }, body: JSON.stringify(body) });
  const get = async (path: string) => await send(port, "GET", path);
  return { log, post, get };
}

function shown({ type, level, actorId, statusCode, data }: SecurityEvent): unknown {
  return [type, level, actorId, statusCode, data?.["reason"] ?? data?.["inputname"]];
}

describe("loginPath", () => {
  it.each([
    ["/login", "fail"],
    ["/login?error=1", "fail"],
    ["/sign-in?failed", "fail"],
    ["/account", "success"],
    ["https://shop.example/account", "success"],
    ["html", "fail"],
    ["json", "success"],
    [204, "success"],
    [401, "fail"],
    [422, "fail"],
  ])("takes the answer %s for a %s", async (answer, outcome) => {
    const { log, post } = await express5({ loginPath: "/login" });
    await post("/login", { username: "ada", password: "secret", answer });
    const event = await log.expectEvent(outcome === "fail" ? "authn_login_fail" : "authn_login_success");
    expect(event).toMatchObject({ actorId: "ada", route: "/login" });
    expect(await log.events()).toHaveLength(1);
  });

  it("takes the page that the form is on for a failure, and the page with a form beside others for a success", async () => {
    const { log, post } = await express5({ loginPath: ["/login"] });
    await post("/login", { answer: "/sign-in" }, { referer: "http://shop.example/sign-in" });
    await post("/login", { answer: "/" }, { referer: "http://shop.example/" });
    expect((await log.events()).map(({ type }) => type)).toEqual(["authn_login_fail", "authn_login_success"]);
  });

  it.each([404, 429, 500])(
    "leaves the answer %s to the other detectors, and the application's own event alone",
    async (answer) => {
      const { log, post, get } = await express5({ loginPath: "/login" });
      await post("/login", { username: "ada", answer });
      await post("/login", { username: "ada", answer: "recorded" });
      await get("/login");
      const types = (await log.events()).map(({ type }) => type);
      expect(types.filter((type) => type.startsWith("authn_"))).toEqual(["authn_login_success"]);
    },
  );

  it("sees the login of Fastify, Koa and Hono", async () => {
    const log = memoryLog();
    onTestFinished(() => log.close());
    const options = { loginPath: "/login" };

    const fastifyApp = fastify();
    await fastifyApp.register(fastifyCapture, { log, ...options });
    fastifyApp.post("/login", async (_request, reply) => reply.redirect("/login?error"));
    const koa = new Koa();
    koa.use(koaCapture(log, options));
    koa.use(bodyParser());
    koa.use(new Router().post("/login", (ctx) => ctx.redirect("/login?error")).routes());
    const hono = new Hono();
    hono.use(honoCapture(log, { app: hono, ...options }));
    hono.post("/login", (c) => c.redirect("/login?error"));

    const koaServer = http.createServer(koa.callback());
    const body = JSON.stringify({ email: "ada@shop.example" });
    await fastifyApp.inject({ method: "POST", url: "/login", headers: JSON_BODY, body });
    await send(await listen(koaServer), "POST", "/login", { headers: JSON_BODY, body });
    await hono.request("/login", { method: "POST", headers: JSON_BODY, body });
    await fastifyApp.close();
    await closeServer(koaServer);
    const events = await log.events();
    expect(events.map(({ type }) => type)).toEqual(Array(3).fill("authn_login_fail"));
    // Hono reads the body when the application asks for it, and keeps it nowhere.
    expect(events.map(({ actorId }) => actorId)).toEqual(["ada@shop.example", "ada@shop.example", undefined]);
  });
});

describe("honeypots", () => {
  it("records who asks for a path that no page names, whatever is answered", async () => {
    const { log, get } = await express5({ honeypots: ["/admin.old", "/backup/*"] });
    await get("/admin.old?x=1");
    await get("/backup/2026.zip");
    await get("/backups");
    expect((await log.events()).map(shown)).toEqual([
      ["malicious_direct_reference", "warning", undefined, 404, "honeypot"],
      ["malicious_direct_reference", "warning", undefined, 404, "honeypot"],
    ]);
  });

  it("records who fills a hidden field, by its name and not by its value", async () => {
    const { log, post } = await express5({ honeypotFields: ["website"] });
    await post("/comment", { text: "hello", website: "" });
    await post("/comment", { text: "hello", website: "https://spam.example" });
    const events = await log.events();
    expect(events.map(shown)).toEqual([["malicious_extraneous", "warning", undefined, 201, "honeypot"]]);
    expect(events[0]?.data).toEqual({ inputname: "website", reason: "honeypot" });
  });
});

describe("openRedirect", () => {
  const on = { detect: { openRedirect: true } };

  it.each(["https://evil.example/a", "//evil.example/a", "/\\evil.example/a"])(
    "records a redirect to %s",
    async (to) => {
      const { log, get } = await express5(on);
      await get(`/go?to=${encodeURIComponent(to)}`);
      const event = await log.expectEvent("malicious_extraneous");
      expect(event).toMatchObject({ level: "warning", statusCode: 302 });
      expect(event.data).toEqual({ inputname: "to", host: "evil.example", reason: "open-redirect" });
    },
  );

  it("ignores redirects within the site, to allowed hosts, and to where the application decides", async () => {
    const { log, get } = await express5({ ...on, redirectHosts: ["Partner.example"] });
    await get("/go?to=%2Faccount");
    await get(`/go?to=${encodeURIComponent("https://partner.example/x")}`);
    await get("/own?to=https%3A%2F%2Felsewhere.example");
    expect(await log.events()).toEqual([]);
  });

  it("is off by default", async () => {
    const { log, get } = await express5();
    await get(`/go?to=${encodeURIComponent("https://evil.example/")}`);
    expect(await log.events()).toEqual([]);
  });
});

describe("the options", () => {
  it.each([
    [{ loginPath: "login" }, 'loginPath has "login": a path begins with /'],
    [{ honeypots: "/x" }, "honeypots must be a list of texts"],
    [{ honeypotFields: [""] }, "honeypotFields has , which is not a text"],
  ])("refuse %o", (options, message) => {
    const log = memoryLog();
    onTestFinished(() => log.close());
    expect(() => securityCapture(log, options as never)).toThrow(message);
  });
});
