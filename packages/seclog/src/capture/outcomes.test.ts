import { createServer } from "node:http";
import { Hono } from "hono";
import { describe, expect, it, onTestFinished } from "vitest";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import { recordedCalls } from "#test/support/recorded-calls.ts";
import { securityCapture as honoCapture } from "./hono/hono.ts";
import { securityCapture as httpCapture } from "./node/http.ts";
import { noteError } from "./outcomes.ts";

const expired = (): Error => Object.assign(new Error("expired"), { code: "ERR_JWT_EXPIRED" });
const notJson = (): unknown => {
  try {
    return JSON.parse("{");
  } catch (error) {
    return error;
  }
};

describe("noteError()", () => {
  it("gives the refusal its reason, and leaves nothing where the request is not refused", async () => {
    const { log, calls } = recordedCalls();
    const answers: [error: unknown, status: number][] = [
      [expired(), 401],
      [expired(), 200],
      [notJson(), 400],
      [notJson(), 200],
      [new RangeError("secret text"), 500],
      [undefined, 200],
    ];
    const listener = httpCapture(log, (_request, response) => {
      const [error, status] = answers.shift() ?? [];
      noteError(error);
      response.statusCode = status ?? 500;
      response.end();
    });
    const server = createServer(listener);
    onTestFinished(() => closeServer(server));
    const port = await listen(server);
    for (let left = answers.length; left > 0; left--) await send(port, "GET", "/");
    expect(calls.map(({ type, data }) => [type, data["reason"], data["statusCode"]])).toEqual([
      ["unauthenticated_request", "ERR_JWT_EXPIRED", 401],
      ["input_validation_fail", "SyntaxError", 400],
      ["sys_error", "RangeError", 500],
    ]);
  });

  it("finds a Fetch request, and does nothing outside a request", async () => {
    noteError(expired());
    noteError(expired(), new Request("http://a/"));
    const { log, calls } = recordedCalls();
    const app = new Hono();
    app.use(honoCapture(log, { app }));
    app.get("/", (c) => {
      noteError(expired(), c);
      return c.body(null, 401);
    });
    await app.request("/");
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toMatchObject([{ type: "unauthenticated_request", data: { reason: "ERR_JWT_EXPIRED" } }]);
  });
});
