import { EventEmitter, once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net, { type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { closeServer, listen, send, sendRaw } from "#test/support/http-client.ts";
import { recordedCalls } from "#test/support/recorded-calls.ts";
import { hasOpenssl, makeCertificates } from "#test/support/tls-postgres.ts";
import { currentRequest } from "../../record/context.ts";
import { securityCapture, watchServer } from "./http.ts";

const servers: http.Server[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map(closeServer));
});

function serverOf(listener: http.RequestListener, options: http.ServerOptions = {}): http.Server {
  const server = http.createServer(options, listener);
  servers.push(server);
  return server;
}

/** A certificate for 127.0.0.1 and its key. */
function tlsPair(): { readonly cert: Buffer; readonly key: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), "seclog-h2-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { cert, key } = makeCertificates(folder).server("good");
  return { cert: readFileSync(cert), key: readFileSync(key) };
}

const statusListener: http.RequestListener = (request, response) => {
  response.statusCode = Number(request.url?.slice(1)) || 200;
  if (response.statusCode === 405) response.setHeader("Allow", "GET, HEAD");
  response.end();
};

describe("securityCapture()", () => {
  it("records by status, with the Allow header of the listener", async () => {
    const { log, calls } = recordedCalls();
    const port = await listen(serverOf(securityCapture(log, statusListener)));
    for (const status of [200, 302, 400, 401, 403, 404, 405, 413, 414, 415, 429, 431, 500, 501]) {
      expect((await send(port, "POST", `/${status}`)).status).toBe(status);
    }
    expect(calls.map(({ type, data }) => [type, data["statusCode"], data["allowedMethods"]])).toEqual([
      ["unauthenticated_request", 401, undefined],
      ["authz_fail", 403, undefined],
      ["illegal_request_method", 405, "GET, HEAD"],
      ["input_validation_fail", 413, undefined],
      ["input_validation_fail", 414, undefined],
      ["input_validation_fail", 415, undefined],
      ["excess_rate_limit_exceeded", 429, undefined],
      ["input_validation_fail", 431, undefined],
      ["sys_error", 500, undefined],
      ["illegal_request_method", 501, undefined],
    ]);
  });

  it("reads the headers passed to writeHead, in each form that it accepts", async () => {
    const { log, calls } = recordedCalls();
    const heads: readonly ((response: http.ServerResponse) => unknown)[] = [
      (response) => response.writeHead(405, { Allow: "GET" }),
      (response) => response.writeHead(405, "No", { ALLOW: "GET" }),
      (response) => response.writeHead(405, ["X-One", "1", "allow", "GET"]),
      (response) => response.writeHead(405, [["Allow", "GET"]] as unknown as http.OutgoingHttpHeader[]),
      (response) => response.setHeader("X-One", "1").writeHead(405, { Allow: "GET" }),
      (response) => response.setHeader("Allow", "GET").writeHead(405),
      (response) => response.writeHead(401, { "WWW-Authenticate": 'Bearer realm="a"' }),
    ];
    const listener: http.RequestListener = (request, response) => {
      heads[Number(request.url?.slice(1))]?.(response);
      response.end();
    };
    const port = await listen(serverOf(securityCapture(log, listener)));
    for (const index of heads.keys()) await send(port, "POST", `/${index}`);
    expect(calls.map(({ data }) => data["allowedMethods"] ?? data["scheme"])).toEqual([
      ...Array(6).fill("GET"),
      "Bearer",
    ]);
  });

  it("returns what the listener returns, throws what it throws, and keeps its receiver", () => {
    const { log } = recordedCalls();
    const receiver = {};
    const listener = function (this: unknown, request: object): unknown {
      if (this !== receiver) throw new Error("another receiver");
      return [request, currentRequest()];
    };
    for (const context of [true, false]) {
      const wrapped = securityCapture<object, object, unknown>(log, listener, { context });
      const request = {};
      expect(Reflect.apply(wrapped, receiver, [request, {}])).toEqual([request, context ? request : undefined]);
      expect(() => wrapped({}, {})).toThrow("another receiver");
    }
  });

  it("still calls the listener for requests without a socket and values that are not responses", () => {
    const { log } = recordedCalls();
    let called = 0;
    const wrapped = securityCapture<object, object, void>(log, () => {
      called += 1;
    });
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error("a trap");
        },
      },
    );
    for (const request of [{}, Object.freeze({}), { socket: null }, hostile]) wrapped(request, {});
    expect(called).toBe(4);
  });

  describe.each(hasOpenssl ? ["h2c", "h2 over TLS"] : ["h2c"])("http2, %s", (kind) => {
    /** Serves a listener and returns a client, and what ends both. */
    async function serve(listener: (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void) {
      const { log, calls } = recordedCalls();
      const captured = securityCapture(log, listener);
      const server =
        kind === "h2c"
          ? http2.createServer(captured)
          : http2.createSecureServer({ ...tlsPair(), allowHTTP1: true }, captured);
      const port = await listen(server);
      const client = http2.connect(`${kind === "h2c" ? "http" : "https"}://127.0.0.1:${port}`, {
        rejectUnauthorized: false,
      });
      onTestFinished(() => void client.close(() => server.close()));
      return { calls, client, port };
    }

    async function statusOf(client: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders): Promise<unknown> {
      const stream = client.request(headers).resume();
      stream.end();
      const [[answer]] = await Promise.all([once(stream, "response"), once(stream, "close")]);
      return (answer as http2.IncomingHttpHeaders)[":status"];
    }

    it("records one event for a response that is read", async () => {
      const { calls, client } = await serve((_request, response) => {
        response.statusCode = 403;
        response.end("no");
      });
      expect(await statusOf(client, { ":path": "/" })).toBe(403);
      await expect.poll(() => calls).toMatchObject([{ type: "authz_fail", data: { statusCode: 403 } }]);
      expect(calls).toHaveLength(1);
    });

    it.each<[title: string, answer: (response: http2.Http2ServerResponse) => void]>([
      [
        "statusCode and end()",
        (response) => {
          response.statusCode = 403;
          response.end("no");
        },
      ],
      ["writeHead() and end()", (response) => void response.writeHead(403, { "x-a": "b" }).end()],
    ])("a stream that is reset before a slow refusal is still recorded: %s", async (_title, answer) => {
      for (const code of [http2.constants.NGHTTP2_CANCEL, http2.constants.NGHTTP2_NO_ERROR]) {
        const arrived = new EventEmitter();
        const { calls, client } = await serve((request, response) => {
          request.stream.on("close", () => setTimeout(answer, 10, response));
          request.stream.on("error", () => {});
          arrived.emit("arrived");
        });
        const stream = client.request({ ":path": "/slow" });
        stream.on("error", () => {});
        await once(arrived, "arrived");
        stream.close(code);
        await expect.poll(() => calls).toMatchObject([{ type: "authz_fail", data: { statusCode: 403 } }]);
        expect(calls).toHaveLength(1);
      }
    });

    it("a connection that breaks before a slow refusal is still recorded", async () => {
      const arrived = new EventEmitter();
      const { calls, client } = await serve((request, response) => {
        request.stream.on("error", () => {});
        request.stream.on("close", () => setTimeout(() => response.writeHead(401).end(), 10));
        arrived.emit("arrived");
      });
      client.on("error", () => {});
      client.request({ ":path": "/slow" }).on("error", () => {});
      await once(arrived, "arrived");
      client.destroy();
      await expect.poll(() => calls).toMatchObject([{ type: "unauthenticated_request", data: { statusCode: 401 } }]);
    });

    it("a response that the stream sends by itself, and one that is never sent", async () => {
      const { calls, client } = await serve((request, response) => {
        if (request.url === "/stream") {
          response.stream.respond({ ":status": 403 });
          response.stream.end("no");
        } else response.stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
      });
      expect(await statusOf(client, { ":path": "/stream" })).toBe(403);
      const refused = client.request({ ":path": "/refused" });
      await new Promise((resolve) => refused.on("error", resolve));
      await expect.poll(() => calls).toMatchObject([{ type: "authz_fail", data: { statusCode: 403 } }]);
      expect(calls).toHaveLength(1);
    });

    it("a method that HTTP/1.1's parser would refuse is recorded when the application refuses it", async () => {
      const { calls, client } = await serve((request, response) => {
        response.statusCode = Number(request.url.slice(1));
        response.end();
      });
      for (const method of ["FROB", "get", "X"]) {
        for (const status of [200, 400, 404, 401]) {
          expect(await statusOf(client, { ":method": method, ":path": `/${status}` })).toBe(status);
        }
      }
      await statusOf(client, { ":method": "DELETE", ":path": "/404" });
      const expected = [
        ["illegal_request_method", 400],
        ["illegal_request_method", 404],
        ["unauthenticated_request", 401],
      ];
      await expect
        .poll(() => calls.map(({ type, data }) => [type, data["statusCode"]]))
        .toEqual([...expected, ...expected, ...expected]);
    });

    it.runIf(kind === "h2 over TLS")("a client of HTTP/1.1 on the same port", async () => {
      const { calls, port } = await serve((_request, response) => {
        response.statusCode = 403;
        response.end();
      });
      const request = https.get({ port, host: "127.0.0.1", rejectUnauthorized: false, agent: false });
      const [answer] = (await once(request, "response")) as [http.IncomingMessage];
      answer.resume();
      expect(answer.statusCode).toBe(403);
      await expect.poll(() => calls).toMatchObject([{ type: "authz_fail" }]);
      request.destroy();
    });
  });

  it("a client that does not read its response does not delay the event for long", async () => {
    const { log, calls } = recordedCalls();
    const port = await listen(
      serverOf(
        securityCapture(log, (_request: http.IncomingMessage, response: http.ServerResponse) => {
          response.statusCode = 403;
          response.end("x".repeat(50_000_000));
        }),
      ),
    );
    const socket = net.connect(port, "127.0.0.1", () => void socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    socket.pause();
    await expect.poll(() => calls.length, { timeout: 10_000 }).toBe(1);
    expect(socket.bytesRead).toBeLessThan(50_000_000);
    socket.destroy();
  });

  it("a response that is torn down halfway", async () => {
    const { log, calls } = recordedCalls();
    const server = serverOf(
      securityCapture(log, (_request: http.IncomingMessage, response: http.ServerResponse) => {
        response.writeHead(403);
        response.write("half");
        response.destroy();
      }),
    );
    await expect(send(await listen(server), "GET", "/")).rejects.toThrow();
    await expect.poll(() => calls.length).toBe(1);
    expect(calls).toMatchObject([{ type: "authz_fail", data: { statusCode: 403 } }]);
  });
});

describe("watchServer()", () => {
  const overflow = `GET / HTTP/1.1\r\nHost: a\r\nX-Much: ${"x".repeat(20_000)}\r\n\r\n`;
  const hostile: [title: string, bytes: string, type: string, status: number, reason: string][] = [
    ["an unknown method", "FROB / HTTP/1.1\r\n\r\n", "illegal_request_method", 400, "HPE_INVALID_METHOD"],
    ["a method in lower case", "get / HTTP/1.1\r\n\r\n", "illegal_request_method", 400, "HPE_INVALID_METHOD"],
    ["the greeting of TLS", "\x16\x03\x01\x02\x00\x01\x00", "input_validation_fail", 400, "HPE_INVALID_METHOD"],
    ["headers that are too large", overflow, "input_validation_fail", 431, "HPE_HEADER_OVERFLOW"],
    [
      "a line that is not a header",
      "GET / HTTP/1.1\r\nno header\r\n\r\n",
      "input_validation_fail",
      400,
      "HPE_INVALID_HEADER_TOKEN",
    ],
    [
      "two lengths",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "input_validation_fail",
      400,
      "HPE_UNEXPECTED_CONTENT_LENGTH",
    ],
    [
      "a length and chunks",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "input_validation_fail",
      400,
      "HPE_INVALID_TRANSFER_ENCODING",
    ],
  ];

  it.each(hostile)(
    "%s - is recorded, and answered as by an unwatched server",
    async (_title, bytes, type, status, reason) => {
      const { log, calls } = recordedCalls();
      const server = serverOf(statusListener);
      watchServer(log, server);
      watchServer(log, server);
      const [watched, plain] = [await listen(server), await listen(serverOf(statusListener))];
      const answer = await sendRaw(watched, Buffer.from(bytes, "latin1"));
      expect(answer).toBe(await sendRaw(plain, Buffer.from(bytes, "latin1")));
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      // Node's parser decides the exact code for a line that is not a header.
      const expected = reason.startsWith("HPE_INVALID_M") ? reason : expect.stringMatching(/^HPE_/);
      expect(calls).toMatchObject([{ type, data: { statusCode: status, reason: expected } }]);
      expect(calls).toHaveLength(1);
    },
  );

  it("a request without Host - is recorded where Node refuses it, and nowhere else", async () => {
    const { log, calls } = recordedCalls();
    const strict = serverOf(statusListener);
    const lax = serverOf(statusListener, { requireHostHeader: false });
    const ends = [strict, lax].map((server) => watchServer(log, server));
    watchServer(log, strict);
    const port = await listen(strict);
    const bytes = "GET /200?x=1 HTTP/1.1\r\nUser-Agent: probe\r\nConnection: close\r\n\r\n";
    expect(await sendRaw(port, bytes)).toMatch(/^HTTP\/1\.1 400 /);
    expect(calls).toMatchObject([
      {
        type: "input_validation_fail",
        request: { method: "GET", url: "/200?x=1", headers: { "user-agent": "probe" } },
        data: { statusCode: 400, reason: "MISSING_HOST" },
      },
    ]);
    expect(calls).toHaveLength(1);
    calls.length = 0;
    expect(await sendRaw(await listen(lax), bytes)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await sendRaw(port, bytes.replace("1.1", "1.0"))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await sendRaw(port, bytes.replace("User-Agent", "Host"))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await sendRaw(await listen(serverOf(statusListener)), bytes)).toMatch(/^HTTP\/1\.1 400 /);
    for (const end of ends) end();
    expect(await sendRaw(port, bytes)).toMatch(/^HTTP\/1\.1 400 /);
    expect(calls).toEqual([]);
  });

  it("method, target and headers of the refused request line, after another request in the same packet", async () => {
    const { log, calls } = recordedCalls();
    const server = serverOf(statusListener);
    watchServer(log, server);
    const first = "GET /200 HTTP/1.1\r\nHost: first.example\r\n\r\n";
    await sendRaw(
      await listen(server),
      `${first}HACK /admin?token=x HTTP/1.1\r\nHost: second.example\r\nX-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8\r\n\r\n`,
    );
    expect(calls).toMatchObject([
      {
        type: "illegal_request_method",
        request: {
          method: "HACK",
          url: "/admin?token=x",
          headers: { host: "second.example", "x-forwarded-for": "1.2.3.4, 5.6.7.8" },
        },
      },
    ]);
  });

  it("a listener of the application answers in its own words, and its status is recorded", async () => {
    const { log, calls } = recordedCalls();
    const server = serverOf(statusListener);
    server.on("clientError", (_error, socket) => socket.end("HTTP/1.1 418 Mine\r\n\r\n"));
    watchServer(log, server);
    expect(await sendRaw(await listen(server), "FROB / HTTP/1.1\r\n\r\n")).toBe("HTTP/1.1 418 Mine\r\n\r\n");
    expect(calls).toMatchObject([{ type: "illegal_request_method", data: { statusCode: 418 } }]);
  });

  it("a request that never ends is recorded, a connection without a byte is not", async () => {
    const { log, calls } = recordedCalls();
    const options = { headersTimeout: 100, requestTimeout: 100, connectionsCheckingInterval: 20 };
    const server = serverOf(statusListener, options);
    watchServer(log, server);
    const port = await listen(server);
    const [slow] = await Promise.all([sendRaw(port, "GET / HTTP/1.1\r\nHost:"), sendRaw(port, "")]);
    expect(slow).toMatch(/^HTTP\/1\.1 408 /);
    expect(calls).toMatchObject([
      { type: "input_validation_fail", data: { statusCode: 408, reason: "ERR_HTTP_REQUEST_TIMEOUT" } },
    ]);
    expect(calls).toHaveLength(1);
  });

  it("connections that break or are closed in the middle of a request are not attacks", async () => {
    const { log, calls } = recordedCalls();
    let errors = 0;
    const server = serverOf(statusListener);
    server.on("clientError", (_error, socket) => {
      errors += 1;
      socket.destroy();
    });
    watchServer(log, server);
    const port = await listen(server);
    const partial = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";
    for (const end of [(socket: Socket) => socket.end(), (socket: Socket) => socket.resetAndDestroy()]) {
      const socket = net.connect(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.resume();
      socket.write(partial, () => setTimeout(end, 20, socket));
      await once(socket, "close");
    }
    await expect.poll(() => errors).toBeGreaterThan(0);
    expect(calls).toEqual([]);
  });

  it("stops on request, and leaves the server as it was", async () => {
    const { log, calls } = recordedCalls();
    const server = serverOf(statusListener);
    const emit = server.emit;
    const end = watchServer(log, server);
    expect(server.emit).not.toBe(emit);
    end();
    expect(server.emit).toBe(emit);
    await sendRaw(await listen(server), "FROB / HTTP/1.1\r\n\r\n");
    expect(calls).toEqual([]);
    watchServer(log, server);
    await sendRaw((server.address() as net.AddressInfo).port, "FROB / HTTP/1.1\r\n\r\n");
    expect(calls).toHaveLength(1);
  });

  it("values that are not errors or sockets change nothing", () => {
    const { log, calls } = recordedCalls();
    const server = serverOf(statusListener);
    server.on("clientError", () => {});
    watchServer(log, server);
    const errors: unknown[] = [undefined, null, "text", {}, { code: 7 }, { code: "HPE_X", rawPacket: "text" }];
    for (const error of errors) {
      for (const socket of [undefined, null, {}])
        server.emit("clientError", error as Error, socket as unknown as Socket);
    }
    for (const { type } of calls) expect(type).toBe("input_validation_fail");
  });
});
