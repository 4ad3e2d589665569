import { createServer } from "node:http";
import { Router } from "@koa/router";
import Koa from "koa";
import { describe, expect, it, onTestFinished } from "vitest";
import { closeServer, listen, send, sendRaw } from "#test/support/http-client.ts";
import { recordedCalls } from "#test/support/recorded-calls.ts";
import { currentRequest } from "../../record/context.ts";
import type { OutcomeLog } from "../outcomes.ts";
import { checkAccess, securityCapture } from "./koa.ts";

/** Its router has no types that fit Koa's here. */
const routerOf = (): InstanceType<typeof Router> => new Router();

function application(given: "app" | "nothing", options: Parameters<typeof securityCapture>[1] = {}) {
  const { log, calls } = recordedCalls();
  const app = new Koa();
  app.silent = true;
  app.use(securityCapture(log, given === "app" ? { app, ...options } : options));
  return { app, log, calls };
}

async function serve(app: Koa): Promise<number> {
  const server = createServer(app.callback());
  onTestFinished(() => closeServer(server));
  return await listen(server);
}

describe.each(["app", "nothing"] as const)("Koa's capture, given %s", (given) => {
  it("records one event for a refusal, and none for what is served", async () => {
    const { app, calls } = application(given);
    app.use((ctx) => {
      ctx.status = Number(ctx.path.slice(1));
    });
    const port = await serve(app);
    for (const status of [200, 204, 302, 401, 403]) await send(port, "GET", `/${status}`);
    expect(calls.map(({ type, data }) => [type, data["statusCode"]])).toEqual([
      ["unauthenticated_request", 401],
      ["authz_fail", 403],
    ]);
  });

  it("sees an error that reaches Koa, and one that the application emits when it has answered", async () => {
    const { app, calls } = application(given);
    const malformed = Object.assign(new Error("secret text"), { status: 400, type: "entity.parse.failed" });
    app.use(async (ctx, next) => {
      try {
        await next();
      } catch (error) {
        if (ctx.path === "/thrown") throw error;
        ctx.status = 422;
        ctx.app.emit("error", error, ctx);
      }
    });
    app.use(() => {
      throw malformed;
    });
    const port = await serve(app);
    await send(port, "GET", "/thrown");
    await send(port, "GET", "/emitted");
    const data = { reason: "entity.parse.failed" };
    expect(calls).toMatchObject([
      { type: "input_validation_fail", data: { ...data, statusCode: 400 } },
      { type: "input_validation_fail", data: { ...data, statusCode: 422 } },
    ]);
  });

  it("knows the methods of a path, not those of a catch-all or of a route for all methods", async () => {
    const { app, calls } = application(given);
    const router = routerOf();
    router.get("/orders/:id", (ctx) => {
      ctx.body = "order";
    });
    router.all("/any", () => {});
    router.get("/{*rest}", (ctx) => {
      ctx.body = "page";
    });
    app.use(router.routes() as never);
    const port = await serve(app);
    for (const path of ["/orders/7", "/any", "/other"]) await send(port, "POST", path);
    expect(calls).toMatchObject([
      { type: "illegal_request_method", data: { allowedMethods: "HEAD, GET", route: "/orders/:id" } },
    ]);
    expect(calls).toHaveLength(1);
  });

  it("runs the request in its context, and takes what the application records as the cause", async () => {
    const { app, log, calls } = application(given);
    app.use(async (ctx) => {
      await Promise.resolve();
      expect(currentRequest()).toBe(ctx);
      ctx.status = checkAccess(log as OutcomeLog, undefined, false, { resource: "orders" }) ? 200 : 403;
    });
    const port = await serve(app);
    expect((await send(port, "GET", "/")).status).toBe(403);
    expect(calls).toMatchObject([{ type: "authz_fail", data: { resource: "orders" } }]);
    expect(calls).toHaveLength(1);
  });

  it("leaves Koa's own logging of errors as it is", async () => {
    const { app } = application(given);
    const logged: unknown[] = [];
    app.onerror = (error) => void logged.push(error);
    const error = new Error("broken");
    app.use(() => {
      throw error;
    });
    expect((await send(await serve(app), "GET", "/")).status).toBe(500);
    expect(logged).toEqual([error]);
  });
});

it("Koa's capture - with the application, it sees what Node refuses before the first request", async () => {
  const { app, calls } = application("app");
  const port = await serve(app);
  await sendRaw(port, "HACK / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(calls.map(({ type }) => type)).toEqual(["illegal_request_method"]);
});

it("Koa's capture - sees an error that the application's middleware swallows", async () => {
  const { app, calls } = application("app");
  app.use(async (ctx, next) => {
    await next().catch(() => {
      ctx.status = 401;
    });
  });
  app.use(() => Promise.reject(Object.assign(new Error("jwt expired"), { name: "TokenExpiredError" })));
  await send(await serve(app), "GET", "/");
  expect(calls).toMatchObject([{ type: "unauthenticated_request", data: { reason: "TokenExpiredError" } }]);
});

it("Koa's capture - refuses an unknown option by name", () => {
  expect(() => securityCapture(recordedCalls().log, { detects: {} } as never)).toThrow(/detects/);
});
