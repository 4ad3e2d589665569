import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import cookieParser from "cookie-parser";
import { doubleCsrf } from "csrf-csrf";
import express5 from "express";
import { rateLimit } from "express-rate-limit";
import { Webhook } from "standardwebhooks";
import { Stripe } from "stripe";
import { afterEach, describe, expect, it } from "vitest";
import { closeServer, listen, send, sendRaw } from "#test/support/http-client.ts";
import { recordedCalls } from "#test/support/recorded-calls.ts";
import type { EventDefinition } from "../../event/definition.ts";
import { currentRequest } from "../../record/context.ts";
import type { SecurityLog } from "../../record/security-log.ts";
import type { OutcomeLog } from "../outcomes.ts";
import { hmacVerifier, verified } from "../webhooks.ts";
import { type CaptureLog, checkAccess, recordLogin, securityCapture } from "./express.ts";

/** Express 4 has no types of its own; the tests use what both versions have. */
const express4 = createRequire(import.meta.url)("express4") as typeof express5;

const servers: http.Server[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map(closeServer));
});

async function serve(app: http.RequestListener): Promise<number> {
  const server = http.createServer(app);
  servers.push(server);
  return await listen(server);
}

/** Waits until the server has noticed what a client did that does not wait for a response. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

function typesOf(calls: readonly { readonly type: string }[]): string[] {
  return calls.map(({ type }) => type);
}

describe.each([
  ["5", express5],
  ["4", express4],
])("Express %s", (version, express) => {
  /** An application with capture installed as in the README, and what it recorded. */
  function application(options?: Parameters<typeof securityCapture>[1]) {
    const { log, calls } = recordedCalls();
    const app = express();
    // Keeps Express from printing the errors that the tests provoke.
    app.set("env", "test");
    app.use(securityCapture(log, options));
    return { app, log, calls };
  }

  describe("a wrong method", () => {
    it("is recorded on a known path that responds with 404, with the allowed methods and the route", async () => {
      const { app, calls } = application();
      app.get("/orders/:id", (_req, res) => void res.send("order"));
      app.delete("/orders/:id", (_req, res) => void res.send("gone"));
      const port = await serve(app);
      const answer = await send(port, "POST", "/orders/7?token=secret");
      expect(answer.status).toBe(404);
      expect(calls).toMatchObject([
        {
          type: "illegal_request_method",
          data: { statusCode: 404, allowedMethods: "GET, HEAD, DELETE", route: "/orders/:id" },
        },
      ]);
    });

    it("is not recorded for a served path, for HEAD and OPTIONS, or for an unknown path", async () => {
      const { app, calls } = application();
      app.get("/orders", (_req, res) => void res.send("orders"));
      app.post("/forms", (_req, res) => void res.status(422).send("no"));
      const port = await serve(app);
      expect((await send(port, "GET", "/orders")).status).toBe(200);
      expect((await send(port, "HEAD", "/orders")).status).toBe(200);
      expect((await send(port, "OPTIONS", "/orders")).status).toBe(200);
      expect((await send(port, "POST", "/forms")).status).toBe(422);
      expect((await send(port, "POST", "/nothing")).status).toBe(404);
      expect(calls).toEqual([]);
    });

    it("is recorded for HEAD on a path that accepts only POST", async () => {
      const { app, calls } = application();
      app.post("/orders", (_req, res) => void res.send("made"));
      const port = await serve(app);
      await send(port, "HEAD", "/orders");
      expect(calls).toMatchObject([{ type: "illegal_request_method", data: { allowedMethods: "POST" } }]);
    });

    it("is recorded in nested routers, with parameters in the mount path", async () => {
      const { app, calls } = application();
      const items = express.Router({ mergeParams: true });
      items.get("/", (_req, res) => void res.send("items"));
      items.put("/:item", (_req, res) => void res.send("put"));
      const shops = express.Router();
      shops.use("/shops/:shop/items", items);
      app.use("/api", shops);
      const port = await serve(app);
      await send(port, "DELETE", "/api/shops/3/items");
      await send(port, "POST", "/api/shops/3/items/9");
      await send(port, "POST", "/api/shops/3/itemsy/9");
      const route = version === "5" ? "/api/shops/:shop/items/:item" : undefined;
      expect(calls).toMatchObject([
        { type: "illegal_request_method", data: { allowedMethods: "GET, HEAD" } },
        { type: "illegal_request_method", data: { allowedMethods: "PUT" } },
      ]);
      expect(calls[1]?.data["route"]).toBe(route);
    });

    it("is recorded in mounted applications, without sending their middleware a request of our own", async () => {
      const { app, calls } = application();
      const seen: string[] = [];
      const reports = express();
      reports.use((req, _res, next) => {
        seen.push(req.originalUrl);
        next();
      });
      reports.get("/daily", (_req, res) => void res.send("report"));
      const admin = express();
      admin.use("/reports", reports);
      admin.use((_err: unknown, _req: unknown, _res: unknown, next: () => void) => {
        seen.push("error handler");
        next();
      });
      app.use("/admin", admin);
      const port = await serve(app);
      await send(port, "PATCH", "/admin/reports/daily");
      await send(port, "PATCH", "/admin/reports/weekly");
      expect(calls).toMatchObject([
        { type: "illegal_request_method", data: { allowedMethods: "GET, HEAD", route: "/admin/reports/daily" } },
      ]);
      expect(calls).toHaveLength(1);
      expect(seen).toEqual(["/admin/reports/daily", "/admin/reports/weekly"]);
    });

    it("follows the router's own regular expressions, lists of paths, letter case and trailing slashes", async () => {
      const { app, calls } = application();
      app.enable("case sensitive routing");
      app.enable("strict routing");
      // Settings apply when a router is created, and installing the capture created the application's: use another one.
      const strict = express.Router({ caseSensitive: true, strict: true });
      strict.get("/Exact", (_req, res) => void res.send("exact"));
      app.use(strict);
      app.get(/^\/v\d+\/status$/, (_req, res) => void res.send("status"));
      app.get(["/one", "/two"], (_req, res) => void res.send("either"));
      const port = await serve(app);
      await send(port, "POST", "/v12/status");
      await send(port, "POST", "/two");
      await send(port, "POST", "/Exact");
      expect(typesOf(calls)).toEqual(Array(3).fill("illegal_request_method"));
      await send(port, "POST", "/exact");
      await send(port, "POST", "/Exact/");
      expect(calls).toHaveLength(3);
    });

    it("is recorded with any status of the application's own fallback, unless that succeeds", async () => {
      for (const status of [400, 404, 405, 410, 418, 501]) {
        const { app, calls } = application();
        app.get("/page", (_req, res) => void res.send("page"));
        app.use((_req, res) => void res.status(status).send("fallback"));
        const port = await serve(app);
        await send(port, "POST", "/page");
        expect(calls, String(status)).toMatchObject([{ type: "illegal_request_method", data: { statusCode: status } }]);
      }
    });

    it("is not recorded if later middleware serves the path, or every path", async () => {
      for (const status of [200, 201, 302]) {
        const { app, calls } = application();
        app.get("/known", (_req, res) => void res.send("known"));
        const api = express.Router();
        api.get("/items", (_req, res) => void res.send("items"));
        api.use((_req, res) => void res.status(status).json({ by: "the router's middleware" }));
        app.use("/api", api);
        app.use((_req, res) => void res.status(status).send("a proxy, or the page of a client-side application"));
        const port = await serve(app);
        for (const path of ["/known", "/api/items"]) expect((await send(port, "POST", path)).status).toBe(status);
        expect(calls, String(status)).toEqual([]);
      }
    });

    it("is not recorded if middleware responds to the path, with any status", async () => {
      for (const status of [200, 302, 400, 409, 422]) {
        const { app, calls } = application();
        const answer: express5.RequestHandler = (_req, res) => void res.status(status).send("answer");
        app.use((req, res, next) => (req.path === "/early" ? answer(req, res, next) : next()));
        for (const path of ["/early", "/graphql", "/files/:id"]) app.get(path, (_req, res) => void res.send("page"));
        app.use("/graphql", answer);
        app.use("/files", express.Router().use(answer));
        const everything = version === "5" ? "/{*rest}" : "*";
        app.get("/migrated", (_req, res) => void res.send("page"));
        app.all(everything, answer);
        app.use((_req, res) => void res.sendStatus(404));
        const port = await serve(app);
        for (const path of ["/early", "/graphql", "/files/5", "/migrated"]) {
          expect((await send(port, "POST", path)).status).toBe(status);
        }
        expect(calls, String(status)).toEqual([]);
      }
    });

    it("is recorded if a route for all methods refuses it, with or without an Allow header", async () => {
      const { app, calls } = application();
      app
        .route("/cart")
        .get((_req, res) => void res.send("cart"))
        .all((_req, res) => void res.set("Allow", "GET").sendStatus(405));
      app.get("/page", (_req, res) => void res.send("page"));
      app.all(version === "5" ? "/{*rest}" : "*", (_req, res) => void res.sendStatus(404));
      const port = await serve(app);
      await send(port, "PUT", "/cart");
      await send(port, "PUT", "/page");
      await send(port, "PUT", "/unknown");
      expect(calls.map(({ type, data }) => [type, data["statusCode"], data["allowedMethods"]])).toEqual([
        ["illegal_request_method", 405, "GET"],
        ["illegal_request_method", 404, "GET, HEAD"],
      ]);
    });

    it("is not recorded because of a catch-all page or a preflight for every path", async () => {
      const { app, calls } = application();
      const everything = version === "5" ? "/{*rest}" : "*";
      app.options(everything, (_req, res) => void res.sendStatus(204));
      app.get(everything, (_req, res) => void res.send("page"));
      await send(await serve(app), "POST", "/unknown");
      expect(calls).toEqual([]);
    });

    it("is recorded for a route of parameters alone, however many it has", async () => {
      const { app, calls } = application();
      app.get("/:owner/:repo/:branch", (_req, res) => void res.send("page"));
      const port = await serve(app);
      for (const path of ["/a/b/c", "/a/b", "/a/b/c/d"]) await send(port, "POST", path);
      expect(calls.map(({ data }) => data["route"])).toEqual(["/:owner/:repo/:branch"]);
    });

    it("is recorded behind a guard for all methods, unless the guard itself refuses", async () => {
      for (const guard of ["app", "router"]) {
        const { app, calls } = application();
        const holder = guard === "app" ? app : express.Router();
        holder.all(version === "5" ? "/api/*rest" : "/api/*", (req, res, next) => {
          if (req.headers.authorization === undefined) res.status(400).send("who are you?");
          else next();
        });
        if (holder !== app) app.use(holder);
        app.get("/api/items", (_req, res) => void res.send("items"));
        const port = await serve(app);
        await send(port, "PUT", "/api/items");
        expect(calls, guard).toEqual([]);
        await send(port, "PUT", "/api/items", { headers: { authorization: "Bearer x" } });
        expect(calls, guard).toMatchObject([{ type: "illegal_request_method", data: { allowedMethods: "GET, HEAD" } }]);
      }
    });

    it("is not recorded where the method is not the reason", async () => {
      const { app, calls } = application();
      app.get("/orders/:id", (_req, res) => void res.sendStatus(404));
      app.options("/preflight", (_req, res) => void res.sendStatus(204));
      app.all("/guarded", (_req, _res, next) => next());
      app.use(express.Router().all("/watched", (_req, _res, next) => next()));
      const invalid = Object.assign(new Error("not valid"), { status: 422 });
      app.use("/checked", (_req, _res, next) => next(invalid));
      app.get("/checked", (_req, res) => void res.send("checked"));
      const mounted = express.Router();
      mounted.get("/ms", (_req, res) => void res.send("never"));
      app.use(/^\/ite/, mounted);
      const port = await serve(app);
      for (const method of ["GET", "HEAD"]) expect((await send(port, method, "/orders/7")).status).toBe(404);
      for (const path of ["/preflight", "/guarded", "/watched", "/items"])
        expect((await send(port, "POST", path)).status).toBe(404);
      expect((await send(port, "POST", "/checked")).status).toBe(422);
      expect(calls).toEqual([]);
    });

    it("is judged by the path as middleware rewrote it", async () => {
      const { app, calls } = application();
      app.use((req, _res, next) => {
        req.url = req.url.replace(/^\/en\//, "/");
        next();
      });
      app.get("/about", (_req, res) => void res.send("about"));
      await send(await serve(app), "POST", "/en/about");
      expect(calls).toMatchObject([{ type: "illegal_request_method", data: { route: "/about" } }]);
    });

    it("is recorded if the application passes on createError(404)", async () => {
      const { app, calls } = application();
      app.get("/page", (_req, res) => void res.send("page"));
      app.use((_req, _res, next) => next(Object.assign(new Error("Not Found"), { status: 404 })));
      await send(await serve(app), "POST", "/page");
      expect(typesOf(calls)).toEqual(["illegal_request_method"]);
    });

    it("is judged by routes added while the application runs", async () => {
      const { app, calls } = application();
      app.get("/early", (_req, res) => void res.send("early"));
      const port = await serve(app);
      await send(port, "GET", "/early");
      app.get("/late", (_req, res) => void res.send("late"));
      app.get("/broken", () => {
        throw Object.assign(new Error("x"), { code: "EBADCSRFTOKEN", status: 403 });
      });
      await send(port, "POST", "/late");
      await send(port, "GET", "/broken");
      expect(typesOf(calls)).toEqual(["illegal_request_method", "malicious_csrf"]);
    });

    it("is recorded from the raw bytes if Node's parser refuses it, with the methods of the path", async () => {
      const { app, calls } = application();
      app.get("/page", (_req, res) => void res.send("page"));
      const port = await serve(app);
      await send(port, "GET", "/page");
      const answer = await sendRaw(port, "FROB /page?x=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: probe\r\n\r\n");
      expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
      expect(calls).toMatchObject([
        {
          type: "illegal_request_method",
          request: { method: "FROB", url: "/page?x=1", headers: { host: "shop.example", "user-agent": "probe" } },
          data: { statusCode: 400, allowedMethods: "GET, HEAD", reason: "HPE_INVALID_METHOD" },
        },
      ]);
    });
  });

  it("records 401 and 403 as one event each, by status", async () => {
    const { app, calls } = application();
    app.get("/private", (_req, res) => void res.set("WWW-Authenticate", 'Bearer realm="shop"').sendStatus(401));
    app.get("/admin", (_req, res) => void res.sendStatus(403));
    const port = await serve(app);
    await send(port, "GET", "/private");
    await send(port, "GET", "/admin");
    expect(calls).toMatchObject([
      { type: "unauthenticated_request", data: { statusCode: 401, scheme: "Bearer" } },
      { type: "authz_fail", data: { statusCode: 403 } },
    ]);
  });

  it("names authentication as the cause of a 401 on a path of other methods", async () => {
    const { app, calls } = application();
    app.use((_req, res) => void res.sendStatus(401));
    app.get("/private", (_req, res) => void res.send("private"));
    await send(await serve(app), "POST", "/private");
    expect(typesOf(calls)).toEqual(["unauthenticated_request"]);
  });

  it("records one event for recordLogin() or checkAccess(), and none for the status that follows", async () => {
    const { app, log, calls } = application();
    app.post("/login", (req, res) => {
      recordLogin(log as OutcomeLog, req, { userid: "ada", success: req.query["ok"] === "1", reason: "password" });
      res.sendStatus(req.query["ok"] === "1" ? 200 : 401);
    });
    app.get("/orders/:id", (req, res) => {
      const granted = checkAccess(log as OutcomeLog, req, false, { userid: "ada", resource: "order/7" });
      res.sendStatus(granted ? 200 : 403);
    });
    const port = await serve(app);
    await send(port, "POST", "/login");
    await send(port, "POST", "/login?ok=1");
    await send(port, "GET", "/orders/7");
    expect(calls.map(({ type, data }) => [type, data])).toEqual([
      ["authn_login_fail", { userid: "ada", reason: "password" }],
      ["authn_login_success", { userid: "ada" }],
      ["authz_fail", { userid: "ada", resource: "order/7" }],
    ]);
  });

  it("records one event for a cause that the application records after it has responded", async () => {
    const { app, log, calls } = application();
    app.use((req, res, next) => {
      res.on("finish", () => {
        const Allow = res.get("Allow");
        if (res.statusCode === 405) log.recordSecurityEvent("illegal_request_method", req, { by: "finish", Allow });
      });
      next();
    });
    app.all("/cart", (_req, res) => void res.set("Allow", "GET").sendStatus(405));
    app.post("/login", (req, res) => {
      res.sendStatus(401);
      recordLogin(log as OutcomeLog, req, { userid: "ada", success: false });
    });
    app.get("/orders", (req, res) => {
      res.sendStatus(403);
      checkAccess(log as OutcomeLog, req, false, { userid: "ada" });
    });
    app.get("/late", (_req, res, next) => {
      res.sendStatus(403);
      next(Object.assign(new Error("after the answer"), { code: "EBADCSRFTOKEN" }));
    });
    const port = await serve(app);
    await send(port, "PUT", "/cart");
    await send(port, "POST", "/login");
    await send(port, "GET", "/orders");
    await send(port, "GET", "/late");
    expect(calls.map(({ type, data }) => [type, data["by"] ?? data["userid"] ?? data["statusCode"]])).toEqual([
      ["illegal_request_method", "finish"],
      ["authn_login_fail", "ada"],
      ["authz_fail", "ada"],
      ["authz_fail", 403],
    ]);
  });

  it("records a refusal after an event that is not a refusal", async () => {
    const { app, log, calls } = application();
    app.get("/file", (req, res) => {
      log.recordSecurityEvent("sensitive_read", req, {});
      res.sendStatus(403);
    });
    await send(await serve(app), "GET", "/file");
    expect(typesOf(calls)).toEqual(["sensitive_read", "authz_fail"]);
  });

  describe.each([
    ["no handler responds to the error", undefined],
    ["the application's error handler responds with 403", 403],
    ["the application's error handler responds with 200", 200],
  ])("csrf-csrf if %s", (_title, status) => {
    it("causes one malicious_csrf, even for the very first request", async () => {
      const { app, calls } = application();
      app.use(cookieParser());
      const { doubleCsrfProtection } = doubleCsrf({
        getSecret: () => "a secret of the test",
        getSessionIdentifier: () => "session",
        cookieName: "csrf",
      });
      const form = express.Router();
      form.post("/transfer", doubleCsrfProtection, (_req, res) => void res.send("done"));
      const bank = express();
      bank.set("env", "test");
      bank.use(form);
      if (status !== undefined) {
        bank.use((_err: unknown, _req: unknown, res: express5.Response, _next: unknown) => void res.sendStatus(status));
      }
      app.use("/bank", bank);
      const answer = await send(await serve(app), "POST", "/bank/transfer");
      expect(answer.status).toBe(status ?? 403);
      expect(calls).toMatchObject([
        { type: "malicious_csrf", data: { reason: "EBADCSRFTOKEN", statusCode: status ?? 403 } },
      ]);
      expect(calls).toHaveLength(1);
    });
  });

  it("observes an error that a route's own error handler responds to", async () => {
    const { app, calls } = application();
    app.get(
      "/route",
      (_req: unknown, _res: unknown, next: express5.NextFunction) =>
        next(Object.assign(new Error("x"), { code: "EBADCSRFTOKEN" })),
      (_err: unknown, _req: unknown, res: express5.Response, _next: unknown) => void res.sendStatus(409),
    );
    await send(await serve(app), "GET", "/route");
    expect(calls).toMatchObject([{ type: "malicious_csrf", data: { statusCode: 409 } }]);
  });

  it("records express-rate-limit's refusal with its maximum, with the usual status and with another", async () => {
    for (const statusCode of [429, 503]) {
      const { app, calls } = application();
      app.use(rateLimit({ windowMs: 60_000, limit: 2, statusCode, validate: false }));
      app.get("/", (_req, res) => void res.send("ok"));
      const port = await serve(app);
      for (let sent = 0; sent < 4; sent++) await send(port, "GET", "/");
      expect(calls.map(({ type, data }) => [type, data])).toEqual(
        Array(2).fill(["excess_rate_limit_exceeded", { max: 2, statusCode }]),
      );
    }
  });

  it("records webhook errors of Standard Webhooks and Stripe once each, although they reach the framework", async () => {
    const { app, log, calls } = application();
    const webhook = new Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    const stripe = new Stripe("sk_test_none");
    app.use(express.raw({ type: "*/*" }));
    app.post("/standard", (req, res) => {
      verified(log, req, () => webhook.verify(req.body as Buffer, req.headers as Record<string, string>), {
        provider: "acme",
      });
      res.sendStatus(204);
    });
    app.post("/stripe", (req, res) => {
      stripe.webhooks.constructEvent(req.body as Buffer, "t=1,v1=00", "whsec_x");
      res.sendStatus(204);
    });
    const port = await serve(app);
    const headers = { "content-type": "application/json" };
    await send(port, "POST", "/standard", { body: "{}", headers });
    await send(port, "POST", "/stripe", { body: "{}", headers });
    expect(calls.map(({ type, data }) => [type, data])).toEqual([
      ["webhook_signature_failure", { provider: "acme", reason: "Missing required headers" }],
      ["webhook_signature_failure", { reason: "StripeSignatureVerificationError", statusCode: 500 }],
    ]);
    const signed = { "webhook-id": "m", "webhook-timestamp": String(Math.floor(Date.now() / 1000)) };
    const signature = webhook.sign("m", new Date(Number(signed["webhook-timestamp"]) * 1000), "{}");
    const good = await send(port, "POST", "/standard", {
      body: "{}",
      headers: { ...signed, "webhook-signature": signature, "content-type": "application/json" },
    });
    expect(good.status).toBe(204);
    expect(calls).toHaveLength(2);
  });

  it("records a body that a parser refuses and a path that cannot be decoded as malformed", async () => {
    const { app, calls } = application();
    app.use(express.json({ limit: 20 }));
    app.post("/json/:name", (_req, res) => void res.send("ok"));
    const port = await serve(app);
    const json = { "content-type": "application/json" };
    await send(port, "POST", "/json/a", { headers: json, body: "{nonsense" });
    await send(port, "POST", "/json/a", { headers: json, body: JSON.stringify({ much: "more than twenty" }) });
    await send(port, "POST", "/json/a", { headers: { ...json, "content-encoding": "rot13" }, body: "{}" });
    await send(port, "POST", "/json/%E0%A4%A");
    expect(calls.map(({ type, data }) => [type, data["statusCode"], data["reason"]])).toEqual([
      ["input_validation_fail", 400, "entity.parse.failed"],
      ["input_validation_fail", 413, "entity.too.large"],
      ["input_validation_fail", 415, "encoding.unsupported"],
      ["input_validation_fail", 400, "URIError"],
    ]);
  });

  it("records a body parser's verify() failure as a wrong signature if our verifier threw it, otherwise as malformed", async () => {
    const { app, calls } = application();
    const github = hmacVerifier({ secret: "s", header: "x-hub-signature-256", prefix: "sha256=" });
    const verify = (req: http.IncomingMessage, _res: unknown, body: Buffer): void => github(body, req.headers);
    app.use("/signed", express.json({ verify }));
    app.use(
      express.json({
        verify() {
          throw new Error("not like this");
        },
      }),
    );
    const port = await serve(app);
    const headers = { "content-type": "application/json" };
    await send(port, "POST", "/signed", { headers, body: "{}" });
    await send(port, "POST", "/", { headers, body: "{}" });
    expect(calls.map(({ type, data }) => [type, data["statusCode"], data["reason"]])).toEqual([
      ["webhook_signature_failure", 403, expect.stringMatching(/x-hub-signature-256 is missing$/)],
      ["input_validation_fail", 403, "entity.verify.failed"],
    ]);
  });

  it("does not record an upload that the client abandons as malformed", async () => {
    const { app, calls } = application();
    let failed = false;
    app.use(express.json());
    app.use((_err: unknown, _req: unknown, res: express5.Response, _next: unknown) => {
      failed = true;
      res.sendStatus(400);
    });
    const port = await serve(app);
    const socket = net.connect(port, "127.0.0.1", () => {
      socket.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{");
      setTimeout(() => socket.destroy(), 20);
    });
    await until(() => failed);
    expect(calls).toEqual([]);
  });

  it("turns off each detector by detect, and then records no other event for its refusals", async () => {
    const { app, calls } = application({
      detect: { wrongMethod: false, csrf: false, unauthenticated: false, forbidden: false, malformed: false },
    });
    app.use(express.json());
    app.get("/csrf", (_req, _res, next) => next(Object.assign(new Error("x"), { code: "EBADCSRFTOKEN", status: 403 })));
    app.get("/401", (_req, res) => void res.sendStatus(401));
    app.get("/403", (_req, res) => void res.sendStatus(403));
    const port = await serve(app);
    for (const path of ["/csrf", "/401", "/403"]) await send(port, "GET", path);
    await send(port, "POST", "/401", { headers: { "content-type": "application/json" }, body: "{" });
    await send(port, "POST", "/401");
    expect(calls).toEqual([]);
  });

  it("records the refusal of a client that hangs up before the response", async () => {
    const { app, calls } = application();
    let arrived = false;
    app.get("/slow", (req, res) => {
      arrived = true;
      req.on("close", () => setTimeout(() => res.sendStatus(403), 10));
    });
    const port = await serve(app);
    const socket = net.connect(port, "127.0.0.1", () => void socket.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"));
    await until(() => arrived);
    socket.resetAndDestroy();
    await until(() => calls.length > 0);
    expect(calls).toMatchObject([{ type: "authz_fail", data: { statusCode: 403 } }]);
  });

  it("leaves the response as it is without capture, whatever error is thrown", async () => {
    const throwing = new Proxy(
      {},
      {
        get() {
          throw new Error("a trap");
        },
      },
    );
    const errors: unknown[] = [
      "text",
      7,
      Symbol("s"),
      Object.freeze(new Error("frozen")),
      Object.create(null),
      () => {},
    ];
    errors.push({ code: { toString: null } }, { name: "WebhookVerificationError", message: 1 }, throwing);
    for (const error of errors) {
      const { app, calls } = application();
      let passed: unknown;
      app.get("/", (_req, _res, next) => next(error));
      app.use((err: unknown, _req: unknown, res: express5.Response, _next: unknown) => {
        passed = err;
        res.status(500).send("mine");
      });
      const answer = await send(await serve(app), "GET", "/");
      expect(answer).toMatchObject({ status: 500, body: "mine" });
      expect(passed).toBe(error);
      expect(calls.length).toBeLessThan(2);
    }
  });

  it("keeps the errors of a log that throws out of the response", async () => {
    const app = express();
    const log: CaptureLog = {
      recordSecurityEvent() {
        throw new Error("the log is broken");
      },
    };
    app.use(securityCapture(log));
    app.get("/", (_req, res) => void res.status(403).send("no"));
    expect(await send(await serve(app), "GET", "/")).toMatchObject({ status: 403, body: "no" });
  });

  it("records one refusal if a route responds and then calls next()", async () => {
    const { app, calls } = application();
    app.get("/", (_req, res, next) => {
      res.sendStatus(401);
      next();
    });
    expect((await send(await serve(app), "GET", "/")).status).toBe(401);
    expect(typesOf(calls)).toEqual(["unauthenticated_request"]);
  });

  it("records one event per request even if installed twice", async () => {
    const { app, log, calls } = application();
    const router = express.Router();
    router.use(securityCapture(log));
    router.get("/", (_req, res) => void res.sendStatus(403));
    app.use("/sub", router);
    await send(await serve(app), "GET", "/sub");
    expect(typesOf(calls)).toEqual(["authz_fail"]);
  });

  it("finds the current request for calls without one, after awaits and body parsing", async () => {
    const { app, calls } = application();
    const seen: unknown[] = [];
    app.use(express.json());
    app.post("/", async (req, res) => {
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(currentRequest() === req);
      res.send("ok");
    });
    await send(await serve(app), "POST", "/", { headers: { "content-type": "application/json" }, body: "{}" });
    expect(seen).toEqual([true]);
    expect(calls).toEqual([]);

    const without = application({ context: false });
    without.app.get("/", (_req, res) => void res.send(String(currentRequest())));
    expect((await send(await serve(without.app), "GET", "/")).body).toBe("undefined");
  });
});

it("securityCapture() - refuses an unknown option by name", () => {
  const { log } = recordedCalls();
  expect(() => securityCapture(log, { detect: { wrongMethods: false } } as object)).toThrow(/wrongMethods/);
  expect(() => securityCapture(log, { detects: {} } as object)).toThrow(/detects/);
  expect(() => securityCapture(log, { detect: { csrf: "no" } } as object)).toThrow(/csrf/);
  expect(() => securityCapture({} as CaptureLog)).toThrow(/createSecurityLog/);
});

it("securityCapture() - accepts any log, whatever its own events", () => {
  const plain = recordedCalls().log as unknown as SecurityLog;
  const typed = plain as unknown as SecurityLog<{ readonly refund: EventDefinition<{ orderId: string }> }>;
  const handlers: express5.RequestHandler[] = [securityCapture(plain), securityCapture(typed)];
  expect(recordLogin.length + handlers.length).toBe(5);
  const outcome: OutcomeLog[] = [plain, typed];
  expect(outcome).toHaveLength(2);
});
