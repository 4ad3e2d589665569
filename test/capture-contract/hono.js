/** The contract's application in Hono 4 on Node. */
import { serve as listen } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { zValidator } from "@hono/zod-validator";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { csrf } from "hono/csrf";
import { HTTPException } from "hono/http-exception";
import { jwt } from "hono/jwt";
import { validator } from "hono/validator";
import { rateLimiter } from "hono-rate-limiter";
import { checkAccess, recordLogin, securityCapture } from "seclog/hono";
import { watchServer } from "seclog/http";
import { CONTRACT } from "seclog/testing";
import { accepts, Person, publicFolder, refuseUpgrades, stripe, webhook, whenGone } from "./shared.js";

export const honoFramework = {
  name: "Hono 4",
  open,
  // Hono has no setting for proxies.
  log: { clientIp: { trust: ["loopback"] } },
  skip: {
    "a path that cannot be decoded": "Hono leaves such a parameter as it is and routes the request",
    "a file that the usual upload library refuses":
      "Hono's own limit covers the whole body: see the 413 of a body that is too large",
    "CORS: an origin that the usual library refuses with an error":
      "hono/cors refuses nothing: it leaves out the header, and the browser refuses",
  },
};

async function open(log, options) {
  const app = new Hono();
  app.use(securityCapture(log, { app, ...options }));
  app.use(async (c, next) => {
    const id = c.req.header("x-user");
    if (id !== undefined) c.set("user", { id });
    await next();
  });

  const api = new Hono();
  api.get("/orders/:id", (c) => c.text("order"));
  api.delete("/orders/:id", (c) => c.body(null, 204));
  app.route("/api", api);
  app.post(
    "/orders",
    async (c, next) => {
      if (!/^application\/json\b/.test(c.req.header("content-type") ?? "")) return c.body(null, 415);
      await next();
    },
    bodyLimit({ maxSize: CONTRACT.limit }),
    validator("json", (value) => value),
    (c) => c.body(null, 201),
  );

  app.get("/private", (c) => c.body(null, 401, { "WWW-Authenticate": 'Bearer realm="shop"' }));
  app.get("/token", jwt({ secret: CONTRACT.tokenSecret, alg: "HS256" }), (c) => c.text("in"));
  app.post("/login", async (c) => {
    const body = await c.req.json();
    const success = accepts(body);
    if (c.req.query("silent") === undefined) recordLogin(log, c, { success, userid: body.username });
    if (c.req.query("redirect") !== undefined) return c.redirect(success ? "/" : "/login?failed");
    return c.body(null, success ? 200 : 401);
  });
  app.get("/admin", (c) => c.body(null, 403));
  app.get("/forbidden", () => {
    throw new HTTPException(403);
  });
  app.get("/orders-of/:user", (c) => {
    const user = c.req.param("user");
    const granted = checkAccess(log, c, c.var.user.id === user, { resource: `orders/${user}` });
    return c.body(null, granted ? 200 : 404);
  });
  app.get("/slow", async (c) => {
    await new Promise((resolve) => whenGone(c.env.incoming, c.env.outgoing, resolve));
    return c.body(null, 403);
  });

  app.post("/validated", zValidator("json", Person), (c) => c.json(c.req.valid("json")));
  app.post("/bare/:status", (c) => c.json({ error: "no" }, Number(c.req.param("status"))));
  app.post("/form", csrf(), (c) => c.text("sent"));
  app.get("/limited", rateLimiter({ windowMs: 60_000, limit: 1, keyGenerator: () => "all" }), (c) => c.text("ok"));
  app.post("/origin", (c) => c.body(null, c.req.header("origin") === CONTRACT.origin ? 200 : 403));
  app.get("/host", (c) => c.body(null, c.req.header("host") === "evil.example" ? 421 : 200));
  app.get("/broken", () => {
    throw new TypeError("a mistake in the application");
  });
  const { folder, remove } = publicFolder();
  app.use("/files/*", serveStatic({ root: folder, rewriteRequestPath: (path) => path.slice("/files".length) }));

  app.post("/stripe", async (c) => {
    try {
      stripe.constructEvent(await c.req.text(), c.req.header("stripe-signature"), CONTRACT.webhookSecret);
    } catch (error) {
      return c.text(`Webhook Error: ${error.message}`, 400);
    }
  });
  app.post("/webhook", async (c) => c.json(webhook.verify(await c.req.text(), c.req.header())));
  app.onError((error, c) => (error instanceof HTTPException ? error.getResponse() : c.text("no", 500)));

  const server = await new Promise((resolve) => {
    const made = listen({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, () => resolve(made));
  });
  watchServer(log, server, options);
  refuseUpgrades(server);
  return {
    port: server.address().port,
    async close() {
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
      remove();
    },
  };
}
