/**
 * A small HTTP server for programs: strict about methods and paths, with limits on everything that a client can send.
 * Plain `node:http`: two or three fixed paths and raw bytes need neither a router, which would decode paths, nor body
 * parsers, which we would have to turn off.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { isIPv4 } from "node:net";
import { type ConnectionLimits, ConnectionShares } from "./connection-shares.ts";
import { type HttpService, type ListenAddress, startListening } from "./listening.ts";

export type { HttpService, ListenAddress } from "./listening.ts";

/** A request with its whole body. */
export interface HttpRequest {
  readonly method: string;
  /** The path as sent, with any query. */
  readonly path: string;
  /** Empty if none was sent. */
  readonly body: Buffer;
}

/** A response. Text is sent as UTF-8, bytes unchanged. */
export interface HttpResponse {
  readonly status: number;
  readonly headers?: { readonly [name: string]: string };
  readonly body: string | Uint8Array;
}

export interface HttpServiceOptions {
  readonly listen: ListenAddress;
  /** If it throws, the response is a bare 500. */
  readonly respond: (request: HttpRequest) => HttpResponse | Promise<HttpResponse>;
  /** The largest body to read, in bytes. @default 0 */
  readonly mostBytes?: number;
  /**
   * When listening on loopback, accept only requests whose Host is this machine, so that no web page can read the service
   * through a name that resolves to it (DNS rebinding).
   * @default false
   */
  readonly ownHostOnly?: boolean;
  /** Limits on open connections. */
  readonly connections?: ConnectionLimits;
  /** How long a request's header may take, in milliseconds; the whole request has three times that. @default 5000 */
  readonly headerTimeoutMs?: number;
  /** Receives errors of `respond`. */
  readonly onError: (error: unknown) => void;
}

const HEADER_TIMEOUT_MS = 5_000;
/** A busy connection closes after so many requests, so that its address does not hold it for ever. */
const MOST_REQUESTS = 1_000;

/** Whether a host can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return name === "localhost" || name === "::1" || (isIPv4(name) && name.startsWith("127."));
}

/** A plain-text response. */
export function textResponse(
  status: number,
  text: string,
  headers: { readonly [name: string]: string } = {},
): HttpResponse {
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
      handle(request, response).catch((error: unknown) => {
        onError(error);
        // Nothing was sent yet: a response is written in one piece.
        send(request, response, textResponse(500, "internal error"));
      });
    },
  );
  const shares = new ConnectionShares(options.connections);
  server.maxRequestsPerSocket = MOST_REQUESTS;
  server.on("connection", (socket) => shares.admit(socket));

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    shares.enter(socket, "body");
    response.once("close", () => shares.enter(socket, "idle"));
    if (guarded && !isLoopback((request.headers.host ?? "").replace(/:\d+$/, ""))) {
      send(
        request,
        response,
        textResponse(421, "this server responds only to localhost; a proxy must send Host: localhost"),
      );
      return;
    }
    const body = await readBody(request, mostBytes);
    if (body === undefined) {
      const headers = { connection: "close" };
      send(request, response, textResponse(413, `a request's body has at most ${mostBytes} bytes`, headers));
      return;
    }
    shares.enter(socket, "response");
    const { method = "", url: path = "" } = request;
    send(request, response, await options.respond({ method, path, body }));
    shares.enter(socket, "sent");
  }

  return await startListening(server, listen);
}

/** The body; `undefined` if it exceeds `mostBytes`. */
async function readBody(request: IncomingMessage, mostBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Do not wait for a body whose announced length is too large.
  if (Number(request.headers["content-length"] ?? 0) > mostBytes) return undefined;
  // A body that is too large leaves the socket open: the response still has to go out.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes > mostBytes) return undefined;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function send(request: IncomingMessage, response: ServerResponse, { status, headers, body }: HttpResponse): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  response.writeHead(status, { ...headers, "content-length": bytes.length, "x-content-type-options": "nosniff" });
  response.end(request.method === "HEAD" ? undefined : bytes);
}
