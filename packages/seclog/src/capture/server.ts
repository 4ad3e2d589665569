/**
 * Watches a server for requests that no application code ever sees, because Node's parser refuses them: an unknown
 * method, a header that is too large, bytes that are no HTTP, HTTP/1.1 without `Host`.
 *
 * It looks at what the server emits instead of listening for `clientError`: Node answers such a request itself only
 * while nobody listens, and an own listener would have to answer in its place, in the words of every Node version.
 * A request without `Host` is not emitted: of that one, Node's diagnostics channel tells.
 */
import { subscribe } from "node:diagnostics_channel";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Capture, CaptureFacts, RouteKnowledge } from "./observe.ts";

/** The part of `http.Server` (and of the servers of `https` and `http2`) that is used. */
export interface WatchedServer {
  emit(event: string | symbol, ...values: never[]): boolean;
  listenerCount(event: string | symbol): number;
}

/** What an adapter adds to the watching. */
export interface WatchOptions {
  /** Which methods a path has. */
  readonly routes?: RouteKnowledge | undefined;
  /** Called with every request before the application is; must not throw. */
  readonly onRequest?: ((request: unknown, response: unknown) => void) | undefined;
}

/** The logs of every watched server, each with the capture that records to it. */
const watched = new WeakMap<object, Map<object, Capture>>();
let subscribed = false;

/** Starts watching, once per server and log. Gives the function that ends it. */
export function watch(capture: Capture, server: WatchedServer, options: WatchOptions = {}): () => void {
  const logs = watched.get(server) ?? new Map<object, Capture>();
  watched.set(server, logs);
  if (logs.has(capture.log)) return () => {};
  logs.set(capture.log, capture);
  // Once for all servers, of which the subscription holds none.
  if (!subscribed) subscribe("http.server.request.start", recordMissingHost);
  subscribed = true;
  let active = true;
  const { onRequest } = options;
  const emit = server.emit as (event: string | symbol, ...values: unknown[]) => boolean;
  function emitWatched(this: unknown, event: string | symbol, ...values: unknown[]): boolean {
    if (active) {
      if (event === "clientError") recordClientError(capture, server, values[0], values[1], options.routes);
      else if (event === "request" && onRequest !== undefined) onRequest(values[0], values[1]);
    }
    return Reflect.apply(emit, this, [event, ...values]) as boolean;
  }
  server.emit = emitWatched;
  return () => {
    active = false;
    logs.delete(capture.log);
    // Somebody who wrapped `emit` after us still calls ours, which then only passes on.
    if (server.emit === emitWatched) server.emit = emit;
  };
}

interface StartedRequest {
  readonly request: IncomingMessage;
  readonly server: object & { readonly requireHostHeader?: boolean };
}

/** RFC 9112, section 3.2. Node tells of the request, and then answers 400 before anybody else hears of it. */
function recordMissingHost(message: unknown): void {
  try {
    const { request, server } = message as StartedRequest;
    if (request.headers.host !== undefined || request.httpVersion !== "1.1" || !server.requireHostHeader) return;
    for (const capture of watched.get(server)?.values() ?? []) {
      capture.record("malformed", request, { reason: "MISSING_HOST", statusCode: 400 });
    }
  } catch {
    // Not what Node tells.
  }
}

/** The request as far as it could be read, in the shape of an `IncomingMessage`. */
interface RefusedRequest {
  readonly method?: string;
  readonly url?: string;
  readonly headers: { readonly [name: string]: string };
  readonly socket: Socket;
}

interface ParserError {
  readonly code?: unknown;
  readonly rawPacket?: unknown;
  readonly bytesParsed?: unknown;
}

function recordClientError(
  capture: Capture,
  server: WatchedServer,
  thrown: unknown,
  socket: unknown,
  routes: RouteKnowledge | undefined,
): void {
  try {
    const { code, rawPacket, bytesParsed } = thrown as ParserError;
    if (typeof code !== "string" || !isRefusal(code, socket as Socket)) return;
    const head = Buffer.isBuffer(rawPacket) ? requestHead(rawPacket, Number(bytesParsed)) : undefined;
    const request: RefusedRequest = { headers: {}, ...head, socket: socket as Socket };
    const facts: CaptureFacts = { reason: code, statusCode: answerOf(code, server, socket as Socket) };
    if (code === "HPE_INVALID_METHOD" && request.method !== undefined) {
      const other = routes?.otherMethods(request, 400);
      capture.record("wrongMethod", request, {
        ...facts,
        ...(other !== undefined && { allowedMethods: other.allowed.join(", "), route: other.route }),
      });
    } else {
      capture.record("malformed", request, facts);
    }
  } catch {
    // An error or a socket that is not Node's own.
  }
}

/**
 * A connection that broke (`ECONNRESET`) or that was closed in the middle of a request (`HPE_INVALID_EOF_STATE`) is
 * nobody's attack, and a browser opens connections ahead that time out without a byte.
 */
function isRefusal(code: string, socket: Socket): boolean {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return socket.bytesRead > 0;
  return code.startsWith("HPE_") && code !== "HPE_INVALID_EOF_STATE";
}

/** The status with which Node answers by itself; unknown when a listener does, and when an answer was under way. */
function answerOf(code: string, server: WatchedServer, socket: Socket): number | undefined {
  const { _httpMessage: response } = socket as { readonly _httpMessage?: { readonly _headerSent?: boolean } | null };
  if (server.listenerCount("clientError") > 0 || !socket.writable || response?._headerSent) return undefined;
  if (code === "HPE_HEADER_OVERFLOW") return 431;
  if (code === "HPE_CHUNK_EXTENSIONS_OVERFLOW") return 413;
  return code === "ERR_HTTP_REQUEST_TIMEOUT" ? 408 : 400;
}

/** RFC 9112, section 3: method, target, version. The version may be missing where the line was cut. */
const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) ([\x21-\x7e\x80-\xff]+)(?: HTTP\/\d\.\d)?$/;
const MAXIMUM_HEAD = 16_384;
const MAXIMUM_LINES = 100;

/** Reads what it can of the request that ends at, or around, `parsed`; a packet may hold others before it. */
function requestHead(packet: Buffer, parsed: number): Omit<RefusedRequest, "socket"> | undefined {
  const before = packet.lastIndexOf("\r\n\r\n", Math.max(0, parsed - 1), "latin1");
  const start = before === -1 || before + 4 > parsed ? 0 : before + 4;
  const text = packet.toString("latin1", start, start + MAXIMUM_HEAD);
  const [first = "", ...lines] = text.replace(/^[\r\n]+/, "").split(/\r?\n/, MAXIMUM_LINES);
  const line = REQUEST_LINE.exec(first);
  if (line === null) return undefined;
  const [, method = "", url = ""] = line;
  const headers: { [name: string]: string } = Object.create(null);
  for (const field of lines) {
    const colon = field.indexOf(":");
    if (colon <= 0) break;
    const name = field.slice(0, colon).toLowerCase();
    const value = field.slice(colon + 1).trim();
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  return { method, url, headers };
}
