/** The client of the capture contract: requests that ordinary clients cannot send, over HTTP/1.1 and HTTP/2. */
import { once } from "node:events";
import { request as httpRequest, type OutgoingHttpHeaders } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { CONTRACT } from "./values.ts";

/** Parts of a request other than method and path. */
export interface ContractRequest {
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
}

/** A response; the status 0 means that the connection was closed without one. */
export interface ContractAnswer {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined };
  readonly body: string;
}

/** What the requests of the contract go through. */
export interface ContractClient {
  /** Sends one request and reads its response. */
  send(method: string, path: string, request?: ContractRequest): Promise<ContractAnswer>;
  /** Writes bytes to a connection of their own, and reads until the server closes it. HTTP/1.1 only. */
  raw(bytes: string): Promise<ContractAnswer>;
  /** Sends a request and gives it up before the response: by closing the connection, or by resetting the stream. */
  giveUp(method: string, path: string): Promise<void>;
}

/** A client of a server on 127.0.0.1 that acts as the application's proxy. */
export function contractClient(port: number, protocol: "http1" | "http2"): ContractClient {
  return protocol === "http2" ? http2Client(port) : http1Client(port);
}

function withProxy(headers: OutgoingHttpHeaders = {}): OutgoingHttpHeaders {
  return { "x-forwarded-for": CONTRACT.clientAddress, ...headers };
}

function http1Client(port: number): ContractClient {
  return {
    async send(method, path, { headers, body } = {}) {
      const request = httpRequest({
        host: "127.0.0.1",
        port,
        method,
        path,
        agent: false,
        headers: withProxy({ ...(body !== undefined && { "content-length": Buffer.byteLength(body) }), ...headers }),
      });
      request.end(body);
      const [response] = await once(request, "response");
      return { status: response.statusCode, headers: response.headers, body: await text(response) };
    },
    async raw(bytes) {
      const socket = connect(port, "127.0.0.1");
      // A server that refuses the bytes may reset the connection.
      socket.on("error", () => {});
      socket.write(bytes);
      let received = "";
      socket.setEncoding("latin1").on("data", (part: string) => {
        received += part;
        if (/^HTTP\/1\.1 101 /.test(received)) socket.end();
      });
      await once(socket, "close");
      const [, status = "0"] = /^HTTP\/1\.[01] (\d{3})/.exec(received) ?? [];
      return { status: Number(status), headers: {}, body: received };
    },
    async giveUp(method, path) {
      const headers = withProxy({ expect: "100-continue" });
      const request = httpRequest({ host: "127.0.0.1", port, method, path, agent: false, headers });
      request.on("error", () => {});
      // Node sends it just before it hands the request to the application.
      await Promise.all([once(request, "continue"), request.flushHeaders()]);
      request.destroy();
    },
  };
}

function http2Client(port: number): ContractClient {
  const withSession = async <Result>(use: (session: ClientHttp2Session) => Promise<Result>): Promise<Result> => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    try {
      return await use(session);
    } finally {
      session.destroy();
    }
  };
  return {
    send: (method, path, { headers, body } = {}) =>
      withSession(async (session) => {
        const { host, ...others } = headers ?? {};
        const stream = session.request({
          ...withProxy(others),
          ":method": method,
          ":path": path,
          ...(host !== undefined && { ":authority": String(host) }),
        });
        stream.end(body);
        const [received] = await once(stream, "response");
        return { status: Number(received[":status"]), headers: received, body: await text(stream) };
      }),
    raw: () => Promise.reject(new Error("HTTP/2 has frames, not lines")),
    giveUp: (method, path) =>
      withSession(async (session) => {
        const stream = session.request({ ...withProxy({ expect: "100-continue" }), ":method": method, ":path": path });
        stream.on("error", () => {});
        await once(stream, "continue");
        stream.close(constants.NGHTTP2_CANCEL);
        await once(stream, "close");
      }),
  };
}
