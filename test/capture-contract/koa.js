/** The contract's application in Koa 3, with `@koa/router`. */
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { bodyParser } from "@koa/bodyparser";
import cors from "@koa/cors";
import multer from "@koa/multer";
import Router from "@koa/router";
import Koa from "koa";
import Csrf from "koa-csrf";
import jwt from "koa-jwt";
import ratelimit from "koa-ratelimit";
import statics from "koa-static";
import { checkAccess, recordLogin, securityCapture } from "seclog/koa";
import { CONTRACT } from "seclog/testing";
import { accepts, Person, publicFolder, refuseUpgrades, serve, stripe, userOf, webhook, whenGone } from "./shared.js";

export const koaFramework = {
  name: "Koa 3",
  open,
  skip: {
    "a path that cannot be decoded": "@koa/router leaves such a parameter as it is and routes the request",
  },
};

async function open(log, options) {
  const app = new Koa({ proxy: true, maxIpsCount: 1 });
  app.silent = true;
  app.use(securityCapture(log, { app, ...options }));
  // As Koa's manual has it: the application answers its errors itself.
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      ctx.status = error.name === "ZodError" ? 400 : (error.status ?? 500);
      ctx.body = { error: "no" };
    }
  });
  app.use(async (ctx, next) => {
    const user = userOf(ctx.headers);
    if (user !== undefined) ctx.state.user = user;
    await next();
  });

  const hooks = new Router();
  // A webhook's signature covers the bytes, so these routes come before the parser.
  hooks.post("/stripe", async (ctx) => {
    try {
      stripe.constructEvent(await buffer(ctx.req), ctx.get("stripe-signature"), CONTRACT.webhookSecret);
    } catch (error) {
      ctx.status = 400;
      ctx.body = `Webhook Error: ${error.message}`;
    }
  });
  hooks.post("/webhook", async (ctx) => {
    ctx.body = webhook.verify(await buffer(ctx.req), ctx.headers);
  });
  app.use(hooks.routes());
  app.use(bodyParser({ jsonLimit: CONTRACT.limit }));

  const api = new Router({ prefix: "/api" });
  api.get("/orders/:id", (ctx) => {
    ctx.body = "order";
  });
  api.delete("/orders/:id", (ctx) => {
    ctx.status = 204;
  });

  const router = new Router();
  router.use(api.routes());
  router.post("/orders", (ctx) => {
    ctx.status = ctx.is("json") ? 201 : 415;
  });
  router.get("/private", (ctx) => {
    ctx.set("WWW-Authenticate", 'Bearer realm="shop"');
    ctx.status = 401;
  });
  router.get("/token", jwt({ secret: CONTRACT.tokenSecret }), (ctx) => {
    ctx.body = "in";
  });
  router.post("/login", (ctx) => {
    const { body } = ctx.request;
    const success = accepts(body);
    if (ctx.query.silent === undefined) recordLogin(log, ctx, { success, userid: body.username });
    if (ctx.query.redirect !== undefined) ctx.redirect(success ? "/" : "/login?failed");
    else ctx.status = success ? 200 : 401;
  });
  const refuse = (ctx) => {
    ctx.status = 403;
  };
  router.get("/admin", refuse);
  router.get("/forbidden", refuse);
  router.get("/orders-of/:user", (ctx) => {
    const { user } = ctx.params;
    ctx.status = checkAccess(log, ctx, ctx.state.user.id === user, { resource: `orders/${user}` }) ? 200 : 404;
  });
  router.get("/slow", async (ctx) => {
    await new Promise((resolve) => whenGone(ctx.req, ctx.res, resolve));
    ctx.status = 403;
  });

  router.post("/validated", (ctx) => {
    ctx.body = Person.parse(ctx.request.body);
  });
  router.post("/bare/:status", (ctx) => {
    ctx.status = Number(ctx.params.status);
    ctx.body = { error: "no" };
  });
  router.post("/upload", multer({ limits: { fileSize: CONTRACT.limit } }).single("avatar"), (ctx) => {
    ctx.body = "up";
  });

  const withSession = async (ctx, next) => {
    ctx.session = {};
    await next();
  };
  router.post("/form", withSession, new Csrf(), (ctx) => {
    ctx.body = "sent";
  });
  const limiter = ratelimit({ driver: "memory", db: new Map(), duration: 60_000, max: 1, id: (ctx) => ctx.ip });
  router.get("/limited", limiter, (ctx) => {
    ctx.body = "ok";
  });
  const origin = (ctx) => {
    if (ctx.get("origin") !== CONTRACT.origin) throw new Error("Not allowed by CORS");
    return CONTRACT.origin;
  };
  router.get("/cors", cors({ origin }), (ctx) => {
    ctx.body = "shared";
  });
  router.post("/origin", (ctx) => {
    ctx.status = ctx.get("origin") === CONTRACT.origin ? 200 : 403;
  });
  router.get("/host", (ctx) => {
    ctx.status = ctx.req.headers.host === "evil.example" ? 421 : 200;
  });
  router.get("/broken", () => {
    throw new TypeError("a mistake in the application");
  });
  const { folder, remove } = publicFolder();
  const files = statics(folder);
  router.get("/files/{*path}", async (ctx, next) => {
    ctx.path = ctx.path.slice("/files".length);
    await files(ctx, next);
  });
  app.use(router.routes());

  const server = createServer(app.callback());
  refuseUpgrades(server);
  return await serve(server, remove);
}
