import { once } from "node:events";
import http from "node:http";
import express from "express";
import { expect, it, onTestFinished } from "vitest";
import { closeServer, listen, send } from "#test/support/http-client.ts";
import { recordedCalls } from "#test/support/recorded-calls.ts";
import { currentRequest } from "../../record/context.ts";
import { securityCapture } from "../express/express.ts";
import { captureProcess } from "./process.ts";

async function serve(listener: http.RequestListener): Promise<number> {
  const server = http.createServer(listener);
  onTestFinished(() => closeServer(server));
  return await listen(server);
}

function capturing(...options: Parameters<typeof captureProcess> extends [unknown, ...infer Rest] ? Rest : never) {
  const { log, calls } = recordedCalls();
  const stop = captureProcess(log, ...options);
  onTestFinished(stop);
  return { calls, stop };
}

const unauthorized: http.RequestListener = (_request, response) => {
  response.statusCode = 401;
  response.end();
};

it("captureProcess() - captures servers that were open before, and runs their requests in context", async () => {
  let inContext: unknown;
  const port = await serve((request, response) => {
    inContext = currentRequest() === request;
    unauthorized(request, response as never);
  });
  await send(port, "GET", "/");
  const { calls } = capturing();
  await send(port, "GET", "/");
  expect(calls).toMatchObject([{ type: "unauthenticated_request", data: { statusCode: 401 } }]);
  expect(inContext).toBe(true);
});

it("captureProcess() - stops when asked, and keeps to its options until then", async () => {
  const { calls, stop } = capturing({ detect: { unauthenticated: false } });
  const port = await serve((request, response) => {
    response.statusCode = Number(request.url?.slice(1));
    response.end();
  });
  await send(port, "GET", "/401");
  await send(port, "GET", "/403");
  stop();
  await send(port, "GET", "/403");
  expect(calls.map(({ type }) => type)).toEqual(["authz_fail"]);
});

it("captureProcess() - leaves a request to the capture of its framework, which knows more", async () => {
  const { calls } = capturing();
  const own = recordedCalls();
  const app = express();
  app.use(securityCapture(own.log));
  app.get("/orders/:id", (_req, res) => void res.sendStatus(403));
  const port = await serve(app);
  await send(port, "GET", "/orders/7");
  await send(port, "POST", "/orders/7");
  expect(calls).toEqual([]);
  expect(own.calls).toMatchObject([
    { type: "authz_fail" },
    { type: "illegal_request_method", data: { route: "/orders/:id" } },
  ]);
});

it("captureProcess() - sees the requests of a connection that was there before it", async () => {
  const { log, calls } = recordedCalls();
  const server = http.createServer((_request, response) => void response.writeHead(403).end());
  onTestFinished(() => closeServer(server));
  const port = await listen(server);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const ask = async (): Promise<void> => {
    const [response] = await once(http.request({ port, host: "127.0.0.1", agent }).end(), "response");
    await once(response.resume(), "end");
  };
  await ask();
  const stop = captureProcess(log);
  onTestFinished(stop);
  await ask();
  expect(calls).toMatchObject([{ type: "authz_fail" }]);
});
