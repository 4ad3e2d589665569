/** The contract's application on `node:http` and `node:http2`: a router and parsers of its own, as such programs have. */
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import jsonwebtoken from "jsonwebtoken";
import { captureProcess, checkAccess, noteError, recordLogin, securityCapture, watchServer } from "seclog/http";
import { CONTRACT } from "seclog/testing";
import { accepts, Person, publicFolder, refuseUpgrades, serve, stripe, userOf, webhook, whenGone } from "./shared.js";

const OWN_CHECK = "a program without a framework compares the origin itself: see the 403";
const skip = {
  "a file that the usual upload library refuses":
    "a program without a framework has no usual library for it: see the 413 of a body that is too large",
  "CSRF, by the usual library": OWN_CHECK,
  "CORS: an origin that the usual library refuses with an error": OWN_CHECK,
};
const log = { clientIp: { trust: ["loopback"] } };

export const httpFramework = {
  name: "node:http",
  log,
  skip,
  async open(log, options) {
    const { listener, remove } = application(log);
    const server = createServer(securityCapture(log, listener, options));
    watchServer(log, server, options);
    refuseUpgrades(server);
    return await serve(server, remove);
  },
};

export const processFramework = {
  name: "any server, by captureProcess()",
  log,
  skip,
  async open(log, options) {
    const { listener, remove } = application(log);
    const server = createServer(listener);
    const stop = captureProcess(log, options);
    refuseUpgrades(server);
    return await serve(server, () => {
      stop();
      remove();
    });
  },
};

export const http2Framework = {
  name: "node:http2",
  protocol: "http2",
  log,
  skip,
  async open(log, options) {
    const { listener, remove } = application(log);
    const server = createHttp2Server(securityCapture(log, listener, options));
    watchServer(log, server, options);
    const sessions = new Set();
    server.on("session", (session) => sessions.add(session));
    const fixture = await serve(server, remove);
    return {
      ...fixture,
      close: async () => {
        for (const session of sessions) session.destroy();
        await fixture.close();
      },
    };
  },
};

/** What the program answers to the errors that it expects. */
const STATUSES = {
  JsonWebTokenError: 401,
  TokenExpiredError: 401,
  WebhookVerificationError: 401,
  SyntaxError: 400,
  URIError: 400,
  ZodError: 400,
};

function application(log) {
  const { folder, remove } = publicFolder();
  let limited = 0;

  const routes = [
    ["GET", "/api/orders/:id", (_req, res) => end(res, 200)],
    ["DELETE", "/api/orders/:id", (_req, res) => end(res, 204)],
    [
      "POST",
      "/orders",
      async (req, res) => {
        if (req.headers["content-type"] !== "application/json") return end(res, 415);
        const body = await buffer(req);
        if (body.length > CONTRACT.limit) return end(res, 413);
        JSON.parse(body);
        end(res, 201);
      },
    ],
    ["GET", "/private", (_req, res) => end(res, 401, { "www-authenticate": 'Bearer realm="shop"' })],
    [
      "GET",
      "/token",
      (req, res) => {
        jsonwebtoken.verify(req.headers.authorization.slice(7), CONTRACT.tokenSecret);
        end(res, 200);
      },
    ],
    [
      "POST",
      "/login",
      async (req, res, url) => {
        const body = JSON.parse(await buffer(req));
        const success = accepts(body);
        if (!url.searchParams.has("silent")) recordLogin(log, req, { success, userid: body.username, route: "/login" });
        if (url.searchParams.has("redirect")) return end(res, 302, { location: "/login?failed" });
        end(res, success ? 200 : 401);
      },
    ],
    ["GET", "/admin", (_req, res) => end(res, 403)],
    ["GET", "/forbidden", (_req, res) => end(res, 403)],
    [
      "GET",
      "/orders-of/:user",
      (req, res) => end(res, checkAccess(log, req, false, { resource: "orders/bob" }) ? 200 : 404),
    ],
    ["GET", "/slow", (req, res) => whenGone(req, res, () => end(res, 403))],
    ["POST", "/bare/:status", (_req, res, url) => end(res, Number(url.pathname.slice("/bare/".length)))],
    [
      "GET",
      "/limited",
      (_req, res) => end(res, limited++ === 0 ? 200 : 429, { "ratelimit-limit": 1, "retry-after": 60 }),
    ],
    ["POST", "/origin", (req, res) => end(res, req.headers.origin === CONTRACT.origin ? 200 : 403)],
    ["GET", "/host", (req, res) => end(res, (req.headers.host ?? req.authority) === "evil.example" ? 421 : 200)],
    [
      "GET",
      "/files/:name",
      (_req, res, url) => {
        const path = join(folder, decodeURIComponent(url.pathname.slice("/files/".length)));
        if (!path.startsWith(folder)) return end(res, 403);
        createReadStream(path)
          .on("error", () => end(res, 404))
          .pipe(res);
      },
    ],
    [
      "POST",
      "/stripe",
      async (req, res) => {
        try {
          stripe.constructEvent(await buffer(req), req.headers["stripe-signature"], CONTRACT.webhookSecret);
        } catch (error) {
          return end(res, 400, {}, `Webhook Error: ${error.message}`);
        }
        end(res, 200);
      },
    ],
    [
      "POST",
      "/webhook",
      async (req, res) => {
        webhook.verify(await buffer(req), req.headers);
        end(res, 200);
      },
    ],
    [
      "GET",
      "/broken",
      () => {
        throw new TypeError("a mistake in the application");
      },
    ],
    ["POST", "/validated", async (req, res) => end(res, 200, {}, Person.parse(JSON.parse(await buffer(req))))],
  ];

  async function listener(req, res) {
    const url = new URL(req.url, "http://shop.example");
    req.user = userOf(req.headers);
    const here = routes.filter(([, template]) => matches(template, url.pathname));
    const route = here.find(([method]) => method === req.method || (method === "GET" && req.method === "HEAD"));
    if (here.length === 0) return end(res, 404);
    req.route = { path: here[0][1] };
    if (route === undefined) {
      const allow = here.flatMap(([method]) => (method === "GET" ? ["GET", "HEAD"] : [method])).join(", ");
      return end(res, req.method === "OPTIONS" ? 204 : 405, { allow });
    }
    try {
      decodeURIComponent(url.pathname);
      await route[2](req, res, url);
    } catch (error) {
      noteError(error, req);
      end(res, STATUSES[error.name] ?? 500);
    }
  }
  return { listener, remove };
}

function matches(template, path) {
  const steps = path.split("/");
  const parts = template.split("/");
  return steps.length === parts.length && parts.every((part, at) => part.startsWith(":") || part === steps[at]);
}

function end(res, status, headers = {}, body = "") {
  res.writeHead(status, headers);
  res.end(body);
}
