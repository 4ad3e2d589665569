/**
 * A small HTTP server for what is read or posted by programs: strict in methods and paths, with limits on everything that
 * a stranger can send. Plain `node:http`: two or three fixed paths and raw bytes need neither a router, which would decode
 * paths, nor body parsers, which would have to be turned off.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, isIPv4 } from "node:net";
import { errorMessage, SeclogError } from "seclog";
import { type ConnectionLimits, ConnectionShares } from "./connection-shares.ts";

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
}

/** What is asked. */
export interface HttpQuestion {
  readonly method: string;
  /** The path as it was sent, with any query. */
  readonly path: string;
  /** Empty where none was sent. */
  readonly body: Buffer;
}

/** What is answered. Text is sent as such, bytes as they are. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers?: { readonly [name: string]: string };
  readonly body: string | Uint8Array;
}

export interface HttpServiceOptions {
  readonly listen: ListenAddress;
  /** May throw: the answer is 500 then, without a word of why. */
  readonly answer: (question: HttpQuestion) => HttpAnswer | Promise<HttpAnswer>;
  /** The largest body that is read, in bytes. @default 0 */
  readonly mostBytes?: number;
  /**
   * Answer only requests to this machine itself when it listens on loopback, so that no web page can read it through a
   * name that leads there (DNS rebinding).
   * @default false
   */
  readonly ownHostOnly?: boolean;
  /** How many connections there may be. */
  readonly connections?: ConnectionLimits;
  /** How long a request's header may take, in milliseconds; all of the request has three times that. @default 5000 */
  readonly headerTimeoutMs?: number;
  /** Told what `answer` threw. */
  readonly onError: (error: unknown) => void;
}

/** A server that runs. */
export interface HttpService {
  /** `http://host:port`. */
  readonly url: string;
  /** Takes no more requests, and resolves when those under way are answered, or cut after `graceMs`. */
  close(graceMs?: number): Promise<void>;
}

const HEADER_TIMEOUT_MS = 5_000;
/** A connection that is asked for ever is closed now and then, so that its address does not keep it from others. */
const MOST_REQUESTS = 1_000;
const CLOSE_GRACE_MS = 2_000;

/** Whether only this machine itself gets there. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return name === "localhost" || name === "::1" || (isIPv4(name) && name.startsWith("127."));
}

/** An answer in words. */
export function textAnswer(
  status: number,
  text: string,
  headers: { readonly [name: string]: string } = {},
): HttpAnswer {
  return { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers }, body: `${text}\n` };
}

/**
 * Starts a server.
 *
 * @throws SeclogError `SECLOG_CONFIG` when it cannot listen there
 */
export async function startHttpService(options: HttpServiceOptions): Promise<HttpService> {
  const { listen, mostBytes = 0, onError, headerTimeoutMs = HEADER_TIMEOUT_MS } = options;
  const guarded = options.ownHostOnly === true && isLoopback(listen.host);
  const server = createServer(
    {
      requestTimeout: headerTimeoutMs * 3,
      headersTimeout: headerTimeoutMs,
      connectionsCheckingInterval: Math.min(1_000, headerTimeoutMs),
      maxHeaderSize: 8_192,
    },
    (request, response) => {
      respond(request, response).catch((error: unknown) => {
        onError(error);
        // Nothing was sent yet: an answer is written in one piece.
        send(request, response, textAnswer(500, "internal error"));
      });
    },
  );
  const shares = new ConnectionShares(options.connections);
  server.maxRequestsPerSocket = MOST_REQUESTS;
  server.on("connection", (socket) => shares.admit(socket));

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    shares.enter(socket, "body");
    response.once("close", () => shares.enter(socket, "idle"));
    if (guarded && !isLoopback((request.headers.host ?? "").replace(/:\d+$/, ""))) {
      send(
        request,
        response,
        textAnswer(421, "this server answers only to localhost; a proxy must send Host: localhost"),
      );
      return;
    }
    const body = await readBody(request, mostBytes);
    if (body === undefined) {
      const headers = { connection: "close" };
      send(request, response, textAnswer(413, `a request's body has at most ${mostBytes} bytes`, headers));
      return;
    }
    shares.enter(socket, "answer");
    const { method = "", url: path = "" } = request;
    send(request, response, await options.answer({ method, path, body }));
    shares.enter(socket, "sent");
  }

  server.listen(listen.port, listen.host);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new SeclogError("SECLOG_CONFIG", `--listen ${listen.host}:${listen.port}: ${errorMessage(cause)}`, { cause });
  }
  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    async close(graceMs = CLOSE_GRACE_MS) {
      const closed = once(server, "close");
      server.close();
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

/** The body; `undefined` when it is larger than allowed. */
async function readBody(request: IncomingMessage, mostBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // What is announced too large is not waited for.
  if (Number(request.headers["content-length"] ?? 0) > mostBytes) return undefined;
  // The stream is left open when too much came: the answer still has to go out on it.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes > mostBytes) return undefined;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function send(request: IncomingMessage, response: ServerResponse, { status, headers, body }: HttpAnswer): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  response.writeHead(status, { ...headers, "content-length": bytes.length, "x-content-type-options": "nosniff" });
  response.end(request.method === "HEAD" ? undefined : bytes);
}
