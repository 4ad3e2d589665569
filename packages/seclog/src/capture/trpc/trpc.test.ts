import { createServer } from "node:http";
import { initTRPC, TRPCError } from "@trpc/server";
import { createExpressMiddleware } from "@trpc/server/adapters/express";
import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import express from "express";
import { describe, expect, it, onTestFinished } from "vitest";
import * as z from "zod";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import { type MemoryLog, memoryLog } from "../../testing/memory-log.ts";
import { securityCapture } from "../express/express.ts";
import { checkAccess, trpcSecurityLog } from "./trpc.ts";

interface Context {
  readonly user?: { readonly id: string } | undefined;
}

function build(log: MemoryLog) {
  const { onError, middleware } = trpcSecurityLog(log);
  const t = initTRPC.context<Context>().create();
  const refuse = (code: TRPCError["code"]) => () => {
    throw new TRPCError({ code });
  };
  const { procedure } = t;
  const router = t.router({
    me: procedure.query(refuse("UNAUTHORIZED")),
    limited: procedure.query(refuse("TOO_MANY_REQUESTS")),
    missing: procedure.query(refuse("NOT_FOUND")),
    own: procedure.query(refuse("BAD_REQUEST")),
    orders: t.router({
      remove: procedure.mutation(refuse("FORBIDDEN")),
      add: procedure.input(z.object({ email: z.email(), age: z.number() })).mutation(() => "added"),
      hidden: procedure.query(() => {
        checkAccess(log, undefined, false, { resource: "orders/7" });
        throw new TRPCError({ code: "FORBIDDEN" });
      }),
    }),
    expired: procedure.query(() => {
      throw new TRPCError({
        code: "UNAUTHORIZED",
        cause: Object.assign(new Error("expired"), { code: "ERR_JWT_EXPIRED" }),
      });
    }),
    broken: procedure.query(() => {
      throw new RangeError("secret text");
    }),
    watched: procedure.use(middleware).query(refuse("FORBIDDEN")),
    served: procedure.use(middleware).query(() => "served"),
  });
  return { router, onError, t };
}

async function serve() {
  const log = memoryLog();
  onTestFinished(() => log.close());
  const { router, onError } = build(log);
  const app = express().set("env", "test");
  app.use(securityCapture(log));
  const createContext = ({ req }: { req: express.Request }): Context => {
    const id = req.get("x-user");
    return id === undefined ? {} : { user: { id } };
  };
  app.use("/trpc", createExpressMiddleware({ router, createContext, onError }));
  const server = createServer(app);
  onTestFinished(() => closeServer(server));
  const port = await listen(server);
  const ask = async (method: string, path: string, body?: unknown, user?: string): Promise<number> => {
    const headers = { "content-type": "application/json", ...(user !== undefined && { "x-user": user }) };
    const sent = body === undefined ? { headers } : { headers, body: JSON.stringify(body) };
    return (await send(port, method, `/trpc/${path}`, sent)).status;
  };
  const events = async () =>
    (await log.events()).map(({ type, level, route, actorId, statusCode, data, ipAddress }) => {
      expect(ipAddress).toBe("127.0.0.1");
      return [type, level, route, actorId, statusCode, data?.["reason"], data?.["fields"]].map((fact) => fact ?? "");
    });
  return { ask, events, log };
}

describe("trpcSecurityLog()", () => {
  it("records a procedure's refusal by its code, with the procedure as the route", async () => {
    const { ask, events } = await serve();
    expect(await ask("GET", "me")).toBe(401);
    await ask("POST", "orders.remove", {}, "ada");
    await ask("POST", "orders.remove", {});
    await ask("GET", "limited");
    await ask("POST", "orders.add", { email: "planted-value", age: "planted-value" });
    await ask("GET", "orders.add");
    await ask("GET", "expired");
    await ask("GET", "broken");
    expect(await events()).toEqual([
      ["unauthenticated_request", "warning", "query me", "", 401, "UNAUTHORIZED", ""],
      ["authz_fail", "critical", "mutation orders.remove", "ada", 403, "FORBIDDEN", ""],
      ["authz_fail", "warning", "mutation orders.remove", "", 403, "FORBIDDEN", ""],
      ["excess_rate_limit_exceeded", "warning", "query limited", "", 429, "TOO_MANY_REQUESTS", ""],
      ["input_validation_fail", "warning", "mutation orders.add", "", 400, "ZodError", ["email", "age"]],
      ["illegal_request_method", "warning", "mutation orders.add", "", 405, "METHOD_NOT_SUPPORTED", ""],
      ["unauthenticated_request", "warning", "query expired", "", 401, "ERR_JWT_EXPIRED", ""],
      ["sys_error", "error", "query broken", "", 500, "RangeError", ""],
    ]);
  });

  it("records each call of a batch", async () => {
    const { ask, events } = await serve();
    expect(await ask("GET", "me,limited,served?batch=1")).toBe(207);
    expect((await events()).map(([type, , route]) => [type, route])).toEqual([
      ["unauthenticated_request", "query me"],
      ["excess_rate_limit_exceeded", "query limited"],
    ]);
  });

  it("leaves ordinary errors alone, and takes what the application recorded as the cause", async () => {
    const { ask, events, log } = await serve();
    for (const path of ["missing", "own", "no.such.procedure", "served"]) await ask("GET", path);
    expect(await events()).toEqual([]);
    await ask("GET", "orders.hidden");
    expect((await log.events()).map(({ type, data }) => [type, data?.["resource"]])).toEqual([
      ["authz_fail", "orders/7"],
    ]);
  });

  it("records an error once that passes the middleware and the adapter, and one without an adapter", async () => {
    const { ask, events } = await serve();
    await ask("GET", "watched");
    expect(await events()).toHaveLength(1);
    await using log = memoryLog();
    const { router, t } = build(log);
    const caller = t.createCallerFactory(router)({ user: { id: "ada" } });
    await expect(caller.watched()).rejects.toThrow();
    expect(await caller.served()).toBe("served");
    expect(await log.events()).toMatchObject([{ type: "authz_fail", actorId: "ada", route: "query watched" }]);
  });

  it("records with what the Fetch request has where no capture sees it", async () => {
    await using log = memoryLog();
    const { router, onError } = build(log);
    const req = new Request("http://shop.example/trpc/me");
    await fetchRequestHandler({ endpoint: "/trpc", req, router, createContext: () => ({}), onError });
    expect(await log.events()).toMatchObject([{ type: "unauthenticated_request", path: "/trpc/me", method: "GET" }]);
  });

  it("throws for an unknown option", () => {
    expect(() => trpcSecurityLog(memoryLog(), { context: false } as object)).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG" }),
    );
  });
});
