/**
 * A server for one `fetch(Request) → Response`, such as a Hono application. The limits are those of `service.ts`: each
 * address has its share of the connections, and whom we wait for loses its connection first.
 *
 * The application reads bodies itself, from the request of Node that it finds in `env.incoming`, with
 * {@link readBoundedBody}: a stream of the Fetch API costs several times as much.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Socket } from "node:net";
import { getRequestListener, RequestError } from "@hono/node-server";
import { type ConnectionLimits, ConnectionShares } from "./connection-shares.ts";
import { type HttpService, type ListenAddress, startListening } from "./listening.ts";

/** What the application gets beside the request. */
export interface FetchEnvironment {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface FetchServiceOptions {
  readonly listen: ListenAddress;
  readonly fetch: (request: Request, environment: FetchEnvironment) => Response | Promise<Response>;
  /** Serves HTTPS with it. */
  readonly certificate?: Certificate | undefined;
  readonly connections?: ConnectionLimits | undefined;
  /** How long a request's header may take, in milliseconds. @default 5000 */
  readonly headerTimeoutMs?: number | undefined;
  /** How long a whole request may take, in milliseconds. @default 30000 */
  readonly requestTimeoutMs?: number | undefined;
  /** Wraps the listener, for capture. */
  readonly around?: ((listener: RequestListener) => RequestListener) | undefined;
  /** Receives errors of `fetch`; the response is a bare 500. */
  readonly onError: (error: unknown) => void;
}

/** A running {@link startFetchService}. */
export interface FetchService extends HttpService {
  readonly server: Server;
  /** Takes a renewed certificate for new connections. */
  renew(certificate: Certificate): void;
}

const MOST_REQUESTS = 100_000;
const MOST_HEADER_BYTES = 8_192;
const MOST_HEADERS = 100;

/**
 * Starts the server.
 *
 * @throws SeclogError `SECLOG_CONFIG` when it cannot listen there
 */
export async function startFetchService(options: FetchServiceOptions): Promise<FetchService> {
  const { listen, certificate, headerTimeoutMs = 5_000, requestTimeoutMs = 30_000, onError } = options;
  const answer = getRequestListener((request, environment) => options.fetch(request, environment as FetchEnvironment), {
    overrideGlobalObjects: false,
    errorHandler(error) {
      // Of a client that no browser would write: a backslash in the path, a Host that is not a name.
      if (error instanceof RequestError) return new Response("the request's address is invalid\n", { status: 400 });
      onError(error);
      return new Response("internal error\n", { status: 500 });
    },
  });
  const limits = {
    requestTimeout: requestTimeoutMs,
    headersTimeout: headerTimeoutMs,
    connectionsCheckingInterval: Math.min(1_000, headerTimeoutMs),
    maxHeaderSize: MOST_HEADER_BYTES,
  };
  const shares = new ConnectionShares(options.connections);
  /** Over TLS a request knows its encrypted socket only; the shares count the one below, from before the handshake. */
  const below = new Map<string, Socket>();
  const listener: RequestListener = (request, response) => {
    const socket = below.get(nameOf(request.socket)) ?? request.socket;
    shares.enter(socket, "body");
    request.once("end", () => shares.enter(socket, "response"));
    response.once("finish", () => shares.enter(socket, "sent"));
    response.once("close", () => shares.enter(socket, "idle"));
    void answer(request, response);
  };
  const wrapped = options.around?.(listener) ?? listener;
  const server =
    certificate === undefined
      ? createServer(limits, wrapped)
      : createSecureServer({ ...limits, ...certificate, handshakeTimeout: headerTimeoutMs }, wrapped);
  server.maxRequestsPerSocket = MOST_REQUESTS;
  server.maxHeadersCount = MOST_HEADERS;
  server.on("connection", (socket: Socket) => {
    shares.admit(socket);
    if (certificate === undefined) return;
    const name = nameOf(socket);
    below.set(name, socket);
    socket.once("close", () => below.delete(name));
  });
  const service = await startListening(server, listen, certificate === undefined ? "http" : "https");
  return {
    ...service,
    server,
    renew(renewed) {
      if ("setSecureContext" in server) server.setSecureContext(renewed);
    },
  };
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
