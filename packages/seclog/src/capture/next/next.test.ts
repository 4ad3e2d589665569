/** What needs no Next; test/next.test.ts runs it in a real application. */
import { createServer } from "node:http";
import { describe, expect, it, onTestFinished } from "vitest";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import { recordedCalls } from "#test/support/recorded-calls.ts";
import { currentRequest } from "../../record/context.ts";
import { memoryLog } from "../../testing/memory-log.ts";
import { type CaptureLog, onRequestError, register, securityCapture, withSeclog, withSecurityLog } from "./next.ts";

const REGISTERED = Symbol.for("seclog.next.log");

/** A server whose requests are captured as in Next, answered by `answer`. */
async function serve(log: CaptureLog, answer: () => Promise<number> | number): Promise<number> {
  onTestFinished(securityCapture(log));
  const server = createServer(async (_request, response) => {
    response.statusCode = await answer();
    response.end();
  });
  onTestFinished(() => closeServer(server));
  return await listen(server);
}

const failing = (error: unknown) =>
  withSecurityLog((): number => {
    throw error;
  });

describe("withSecurityLog()", () => {
  it("passes what the handler is called with, returns, throws and rejects with", async () => {
    const result = Promise.resolve(1);
    expect(withSecurityLog((...values: number[]) => values)(1, 2)).toEqual([1, 2]);
    expect(withSecurityLog(() => result)()).toBe(result);
    const error = new Error("thrown");
    expect(failing(error)).toThrow(error);
    await expect(withSecurityLog(() => Promise.reject(error))()).rejects.toBe(error);
  });

  it("gives events of a Fetch request the facts of Node's", async () => {
    await using log = memoryLog();
    const port = await serve(log, () =>
      withSecurityLog((request: Request) => {
        log.recordSecurityEvent("sensitive_read", request, { resource: "orders" });
        return 200;
      })(new Request("http://shop.example/orders")),
    );
    await send(port, "GET", "/orders/7");
    expect(await log.events()).toMatchObject([{ path: "/orders/7", ipAddress: "127.0.0.1" }]);
  });

  it("sees errors, and none in what Next throws to redirect or to answer 404", async () => {
    const { log, calls } = recordedCalls();
    const errors = [
      Object.assign(new Error("redirect"), { digest: "NEXT_REDIRECT;replace;/login;307;" }),
      Object.assign(new Error("404"), { digest: "NEXT_HTTP_ERROR_FALLBACK;404" }),
      new RangeError("secret text"),
    ];
    const port = await serve(log, () => {
      try {
        return failing(errors.shift())();
      } catch {
        return 500;
      }
    });
    for (let left = errors.length; left > 0; left--) await send(port, "GET", "/");
    expect(calls.map(({ type, data }) => [type, data["reason"]])).toEqual([
      ["sys_error", undefined],
      ["sys_error", undefined],
      ["sys_error", "RangeError"],
    ]);
  });

  it("sees that a body could not be read, if the handler refuses the request for it", async () => {
    const { log, calls } = recordedCalls();
    let status = 400;
    const read = withSecurityLog(async (request: Request) => {
      await request.json().catch(() => {});
      return status;
    });
    const port = await serve(log, () => read(new Request("http://a/", { method: "POST", body: "{" })));
    await send(port, "POST", "/");
    status = 200;
    await send(port, "POST", "/");
    expect(calls).toMatchObject([{ type: "input_validation_fail", data: { reason: "JSON", statusCode: 400 } }]);
    expect(calls).toHaveLength(1);
  });
});

describe("onRequestError()", () => {
  it("names the route of the error, and takes a refused Server Action for what it is", async () => {
    await using log = memoryLog();
    const port = await serve(log, () => {
      onRequestError(new Error("Invalid Server Actions request."), {}, { routePath: "/transfer" });
      return 500;
    });
    await send(port, "POST", "/transfer");
    expect(await log.events()).toMatchObject([{ type: "malicious_csrf", route: "/transfer", statusCode: 500 }]);
  });

  it("does nothing outside a request, or with a value that throws", async () => {
    const { log, calls } = recordedCalls();
    onRequestError(new Error("at start"));
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error("trap");
        },
      },
    );
    const port = await serve(log, () => {
      onRequestError(hostile);
      return currentRequest() === undefined ? 500 : 200;
    });
    expect((await send(port, "GET", "/")).status).toBe(200);
    expect(calls).toEqual([]);
  });
});

describe("register()", () => {
  it("opens one log for the process, whichever bundle asks", () => {
    onTestFinished(() => void Reflect.deleteProperty(globalThis, REGISTERED));
    const first = register(() => recordedCalls().log);
    expect(register(() => recordedCalls().log)).toBe(first);
  });

  it.each([
    ["next build", process.env, "NEXT_PHASE", "phase-production-build"],
    ["a worker of next dev", process.argv, "1", "/shop/node_modules/next/dist/compiled/jest-worker/processChild.js"],
  ])("opens nothing while %s evaluates modules, unless something records", (_, holder, name, value) => {
    const before: unknown = Reflect.get(holder, name);
    Reflect.set(holder, name, value);
    onTestFinished(() => {
      if (before === undefined) Reflect.deleteProperty(holder, name);
      else Reflect.set(holder, name, before);
    });
    let opened = 0;
    const { log, calls } = recordedCalls();
    const built = register(() => {
      opened += 1;
      return log;
    });
    expect(opened).toBe(0);
    for (const type of ["sys_startup", "sys_shutdown"] as const) built.recordSecurityEvent(type, undefined, {});
    expect([opened, calls.length]).toEqual([1, 2]);
  });
});

describe("withSeclog()", () => {
  it("adds seclog to the packages that are not bundled, in a configuration and in a function's", async () => {
    expect(withSeclog()).toEqual({ serverExternalPackages: ["seclog"] });
    const config = { output: "standalone", serverExternalPackages: ["sharp"] };
    expect(withSeclog(config)).toEqual({ output: "standalone", serverExternalPackages: ["sharp", "seclog"] });
    const made = withSeclog(async (phase: string) => ({ env: { phase } }));
    expect(await (made as (phase: string) => unknown)("build")).toEqual({
      env: { phase: "build" },
      serverExternalPackages: ["seclog"],
    });
  });
});
