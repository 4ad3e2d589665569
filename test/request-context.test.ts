import { EventEmitter, once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { Transform, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createGzip } from "node:zlib";
import express from "express";
import Fastify from "fastify";
import { describe, expect, it, onTestFinished } from "vitest";
import { securityCapture as expressCapture } from "../packages/seclog/src/capture/express/express.ts";
import { securityCapture as fastifyCapture } from "../packages/seclog/src/capture/fastify/fastify.ts";
import { securityCapture as httpCapture } from "../packages/seclog/src/capture/node/http.ts";
import { setActor } from "../packages/seclog/src/record/context.ts";
import { type MemoryLog, memoryLog } from "../packages/seclog/src/testing/memory-log.ts";
import { closeServer, listen, send } from "./support/http-client.ts";

/** How an application reads a request's body to its end, then calls `done`. */
type Reading = (request: http.IncomingMessage, response: http.ServerResponse, done: () => void) => void;

const bus = new EventEmitter();

const READINGS: { readonly [name: string]: Reading } = {
  "its end event": (request, _response, done) => void request.resume().on("end", done),
  "its data event": (request, _response, done) => void request.once("data", done),
  "an awaited end event": (request, _response, done) => void once(request.resume(), "end").then(done),
  "readable and read()": (request, _response, done) => {
    request.on("readable", () => request.read() === null && done());
  },
  iteration: async (request, _response, done) => {
    for await (const _chunk of request);
    done();
  },
  "a pipe": (request, _response, done) =>
    void request.pipe(new Writable({ write: (_chunk, _encoding, next) => next() })).on("finish", done),
  "a pipeline through zlib": (request, _response, done) =>
    void pipeline(request, createGzip(), new Transform({ transform: (_c, _e, next) => next() }), async (source) => {
      for await (const _chunk of source);
    }).then(done),
  "timers and promises after its end event": (request, _response, done) =>
    void request.resume().on("end", () => void sleep(5).then(() => setImmediate(() => queueMicrotask(done)))),
  "the application's own emitter": (request, _response, done) => {
    bus.once("read", done);
    request.resume().on("end", () => bus.emit("read"));
  },
};

type Application = (log: MemoryLog, answer: Reading) => Promise<http.RequestListener> | http.RequestListener;

const APPLICATIONS: readonly (readonly [name: string, application: Application])[] = [
  ["node:http", (log, answer) => httpCapture(log, (request, response) => answer(request, response, () => {}))],
  [
    "Express",
    (log, answer) => {
      const app = express();
      app.use(expressCapture(log));
      app.use((req, res) => answer(req, res, () => {}));
      return app;
    },
  ],
  [
    "Fastify",
    async (log, answer) => {
      const app = Fastify();
      onTestFinished(() => app.close());
      await app.register(fastifyCapture, { log });
      // The application reads the body itself.
      app.removeAllContentTypeParsers();
      app.addContentTypeParser("*", (_request, _payload, done) => done(null));
      app.post("/upload", (request, reply) => {
        reply.hijack();
        answer(request.raw, reply.raw, () => {});
      });
      await app.ready();
      return (request, response) => app.routing(request, response);
    },
  ],
];

describe.each(APPLICATIONS)("the request context of %s", (_name, application) => {
  async function serve(answer: (log: MemoryLog) => Reading) {
    const log = memoryLog();
    onTestFinished(() => log.close());
    const server = http.createServer(await application(log, answer(log)));
    onTestFinished(() => closeServer(server));
    return { log, port: await listen(server) };
  }

  it.each(Object.entries(READINGS))("lasts through %s, and the refusal is recorded once", async (_title, read) => {
    const { log, port } = await serve((log) => (request, response) => {
      read(request, response, () => {
        if (response.writableEnded) return;
        setActor("ada");
        log.recordSecurityEvent("authn_login_fail");
        response.statusCode = 401;
        response.end();
      });
    });
    const headers = { "content-type": "application/octet-stream" };
    const answers = await Promise.all([1, 2].map(() => send(port, "POST", "/upload", { headers, body: "body" })));
    expect(answers.map(({ status }) => status)).toEqual([401, 401]);
    const events = await log.events();
    expect(events).toMatchObject(
      Array(2).fill({ type: "authn_login_fail", path: "/upload", ipAddress: "127.0.0.1", actorId: "ada" }),
    );
    expect(events).toHaveLength(2);
  });

  it.each(["finish", "close"])("lasts into the response's %s event", async (event) => {
    const { log, port } = await serve((log) => (request, response) => {
      request.resume();
      response.on(event, () => log.recordSecurityEvent("sensitive_read", undefined, { resource: "orders" }));
      response.end("ok");
    });
    await send(port, "POST", "/upload", { headers: { "content-type": "text/plain" }, body: "body" });
    expect(await log.expectEvent("sensitive_read")).toMatchObject({ path: "/upload" });
  });

  it("lasts until the client has hung up", async () => {
    const { log, port } = await serve((log) => (request) => {
      request.on("aborted", () => log.recordSecurityEvent("sensitive_read", undefined, { resource: "aborted" }));
      request.on("close", () => log.recordSecurityEvent("sensitive_read", undefined, { resource: "close" }));
      request.resume();
      request.on("error", () => {});
    });
    const socket = net.connect(port, "127.0.0.1");
    socket.write("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\n{");
    setTimeout(() => socket.destroy(), 50);
    for (const resource of ["aborted", "close"]) {
      expect(await log.expectEvent("sensitive_read", { data: { resource } })).toMatchObject({
        path: "/upload",
        ipAddress: "127.0.0.1",
      });
    }
  });

  it("is separate for each request of a connection, and absent outside them", async () => {
    const { log, port } = await serve((log) => (request, response) => {
      request.resume().on("end", () => {
        const delay = request.headers["x-delay"];
        void sleep(Number(delay)).then(() => {
          log.recordSecurityEvent("sensitive_read", undefined, { resource: String(delay) });
          response.end("ok");
        });
      });
    });
    const socket = net.connect(port, "127.0.0.1");
    const request = (delay: number, close = ""): string =>
      `POST /upload HTTP/1.1\r\nHost: a\r\nX-Request-Id: r${delay}\r\nX-Delay: ${delay}\r\nContent-Type: text/plain\r\n` +
      `Content-Length: 4\r\n${close}\r\nbody`;
    socket.write(`${request(30)}${request(1)}${request(15, "Connection: close\r\n")}`);
    socket.resume();
    await once(socket, "close");
    log.recordSecurityEvent("sensitive_read", undefined, { resource: "outside" });
    const events = await log.events();
    expect(events.map(({ data, requestId }) => [data?.["resource"], requestId]).sort()).toEqual([
      ["1", "r1"],
      ["15", "r15"],
      ["30", "r30"],
      ["outside", undefined],
    ]);
  });
});

describe("the request context of node:http2", () => {
  it.each(["request", "stream"])("lasts into the events of the %s", async (emitter) => {
    const log = memoryLog();
    onTestFinished(() => log.close());
    const server = http2.createServer(
      httpCapture(log, (request, response) => {
        const source = emitter === "request" ? request : request.stream;
        source.resume().on("end", () => {
          log.recordSecurityEvent("authn_login_fail");
          response.statusCode = 401;
          response.end();
        });
      }),
    );
    const client = http2.connect(`http://127.0.0.1:${await listen(server)}`);
    onTestFinished(() => void client.close(() => server.close()));
    const stream = client.request({ ":path": "/login", ":method": "POST" });
    stream.resume().end("body");
    await once(stream, "close");
    const events = await log.events();
    expect(events).toMatchObject([{ type: "authn_login_fail", path: "/login", ipAddress: "127.0.0.1" }]);
    expect(events).toHaveLength(1);
  });
});
