import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { describe, expect, it, onTestFinished } from "vitest";
import { recordedCalls } from "#test/support/recorded-calls.ts";
import { currentRequest } from "../../record/context.ts";
import { memoryLog } from "../../testing/memory-log.ts";
import type { OutcomeLog } from "../outcomes.ts";
import { type CaptureLog, checkAccess, securityCapture } from "./hono.ts";

/** How requests reach the application: over a connection, or by a call as on other runtimes. */
const WAYS = ["node", "fetch"] as const;

type Ask = (method: string, path: string, init?: RequestInit) => Promise<number>;

async function application(
  way: (typeof WAYS)[number],
  build: (app: Hono, log: ReturnType<typeof recordedCalls>["log"]) => void,
  given?: CaptureLog,
) {
  const { log, calls } = recordedCalls();
  const app = new Hono();
  app.use(securityCapture(given ?? log, { app }));
  build(app, log);
  let ask: Ask = async (method, path, init) => (await app.request(path, { method, ...init })).status;
  if (way === "node") {
    const port = await new Promise<number>((resolve) => {
      const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) => resolve(port));
      onTestFinished(() => void server.close());
    });
    ask = async (method, path, init) => (await fetch(`http://127.0.0.1:${port}${path}`, { method, ...init })).status;
  }
  return { app, ask, calls };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe.each(WAYS)("Hono's capture, by %s", (way) => {
  it("records one event for a refusal, and none for what is served", async () => {
    const { ask, calls } = await application(way, (app) => {
      app.get("/:status", (c) => c.body(null, Number(c.req.param("status")) as 200));
    });
    for (const status of [200, 204, 401, 403]) expect(await ask("GET", `/${status}`)).toBe(status);
    await settled();
    expect(calls.map(({ type, data }) => [type, data["statusCode"]])).toEqual([
      ["unauthenticated_request", 401],
      ["authz_fail", 403],
    ]);
  });

  it("knows the methods of a path, not those of middleware, of a catch-all, or of a route for all methods", async () => {
    const { ask, calls } = await application(way, (app) => {
      app.use("/orders/*", async (_c, next) => next());
      app.get("/orders/:id", (c) => c.text("order"));
      app.put("/orders/:id", (c) => c.text("order"));
      app.all("/any", (c) => c.notFound());
      app.get("*", (c) => c.text("page"));
    });
    for (const path of ["/orders/7", "/any", "/other"]) expect(await ask("POST", path)).toBe(404);
    await settled();
    expect(calls).toMatchObject([
      { type: "illegal_request_method", data: { allowedMethods: "GET, HEAD, PUT", route: "/orders/:id" } },
    ]);
    expect(calls).toHaveLength(1);
  });

  it("sees errors that a part of the application answers itself", async () => {
    const { ask, calls } = await application(way, (app) => {
      const part = new Hono();
      part.get("/", () => {
        throw Object.assign(new Error("expired"), { code: "ERR_JWT_EXPIRED" });
      });
      part.onError((_error, c) => c.text("go to the login", 401));
      app.route("/part", part);
      app.get("/failed", () => {
        throw new RangeError("secret text");
      });
      app.onError((error, c) => (error instanceof HTTPException ? error.getResponse() : c.text("no", 500)));
    });
    await ask("GET", "/part");
    await ask("GET", "/failed");
    await settled();
    expect(calls).toMatchObject([
      { type: "unauthenticated_request", data: { reason: "ERR_JWT_EXPIRED", statusCode: 401 } },
      { type: "sys_error", data: { reason: "RangeError", statusCode: 500 } },
    ]);
  });

  it("leaves the body of a refusal to the client", async () => {
    const answer = { success: false, error: { name: "ZodError", message: '[{"path":["user","email"]}]' } };
    const { app, calls } = await application("fetch", (app) => {
      app.post("/", (c) => c.json(answer, 400));
    });
    const response = await app.request("/", { method: "POST" });
    expect(await response.json()).toEqual(answer);
    await settled();
    expect(calls).toMatchObject([{ type: "input_validation_fail", data: { fields: ["user.email"] } }]);
  });

  it("runs the request in its context, and takes what the application records as the cause", async () => {
    const { ask, calls } = await application(way, (app, log) => {
      app.get("/:how", async (c) => {
        await Promise.resolve();
        expect(currentRequest()).toBe(c);
        const request = { context: c, req: c.req, raw: c.req.raw, none: undefined }[c.req.param("how")];
        return c.body(null, checkAccess(log as OutcomeLog, request, false, { resource: "orders" }) ? 200 : 403);
      });
    });
    for (const how of ["context", "req", "raw", "none"]) expect(await ask("GET", `/${how}`)).toBe(403);
    await settled();
    expect(calls.map(({ type, data }) => [type, data["resource"]])).toEqual(Array(4).fill(["authz_fail", "orders"]));
  });

  it("gives the log the route, the actor and the target", async () => {
    await using log = memoryLog();
    const { ask } = await application(
      way,
      (app) => {
        app.use(async (c, next) => {
          c.set("user" as never, { id: "ada" } as never);
          await next();
        });
        app.get("/orders/:id", (c) => c.body(null, 403));
      },
      log,
    );
    await ask("GET", "/orders/7?token=secret");
    expect(await log.events()).toMatchObject([
      {
        type: "authz_fail",
        level: "critical",
        route: "/orders/:id",
        path: "/orders/7",
        actorId: "ada",
        statusCode: 403,
      },
    ]);
  });
});

it("Hono's capture - refuses to start without the application's router", () => {
  expect(() => securityCapture(recordedCalls().log, {} as never)).toThrow(
    expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.stringMatching(/app/) }),
  );
});
