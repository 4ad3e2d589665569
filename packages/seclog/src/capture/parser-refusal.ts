/** What Node's parser refused: the request as far as it could be read, why, and what it was answered. */
import type { Socket } from "node:net";
import { peerOfSocket } from "../record/peer.ts";

/** The request as far as it could be read, in the shape of an `IncomingMessage`. */
export interface RefusedRequest {
  readonly method?: string;
  readonly url?: string;
  readonly headers: { readonly [name: string]: string };
  readonly socket: { readonly remoteAddress: string | undefined };
}

interface ParserError {
  readonly code?: unknown;
  readonly rawPacket?: unknown;
  readonly bytesParsed?: unknown;
}

/** A refusal while it is answered. */
export interface ParserRefusal {
  /** The answer was given, as far as it is given at once. Must be called. */
  end(): { readonly code: string; readonly request: RefusedRequest; readonly statusCode: number | undefined };
}

/**
 * The refusal that a server's `clientError` stands for, `undefined` for an error that is none. Until its end it looks at
 * what is written to the connection: the listener of an application or of a framework answers in its own words.
 * Never throws.
 */
export function parserRefusal(
  server: { listenerCount(event: string): number },
  error: unknown,
  connection: unknown,
): ParserRefusal | undefined {
  try {
    const { code, rawPacket, bytesParsed } = error as ParserError;
    const socket = connection as Socket;
    if (typeof code !== "string" || !isRefusal(code, socket)) return undefined;
    const head = Buffer.isBuffer(rawPacket) ? requestHead(rawPacket, Number(bytesParsed)) : undefined;
    // Asked for now: who answers may destroy the connection.
    const request: RefusedRequest = { headers: {}, ...head, socket: { remoteAddress: peerOfSocket(socket) } };
    if (server.listenerCount("clientError") === 0) {
      const statusCode = answerOfNode(code, socket);
      return { end: () => ({ code, request, statusCode }) };
    }
    const answered = observeAnswer(socket);
    return { end: () => ({ code, request, statusCode: answered() }) };
  } catch {
    // An error or a socket that is not Node's own.
    return undefined;
  }
}

/** Looks at what is written to a connection until it is asked for the status of it; `undefined` where that was not one. */
function observeAnswer(socket: Socket): () => number | undefined {
  let first: unknown;
  const restore = (["write", "end"] as const).map((name) => {
    const own = Object.getOwnPropertyDescriptor(socket, name);
    const original = socket[name] as (...values: unknown[]) => unknown;
    const observed = (...values: unknown[]): unknown => {
      first ??= values[0];
      return Reflect.apply(original, socket, values);
    };
    Object.defineProperty(socket, name, { value: observed, configurable: true, writable: true });
    return () => {
      if (own === undefined) Reflect.deleteProperty(socket, name);
      else Object.defineProperty(socket, name, own);
    };
  });
  return () => {
    for (const end of restore) end();
    const text = typeof first === "string" || Buffer.isBuffer(first) ? first.toString("latin1", 0, 16) : "";
    const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(text) ?? [];
    return status === undefined ? undefined : Number(status);
  };
}

/**
 * A connection that broke (`ECONNRESET`) or that was closed in the middle of a request (`HPE_INVALID_EOF_STATE`) is
 * nobody's attack, and a browser opens connections ahead that time out without a byte.
 */
function isRefusal(code: string, socket: Socket): boolean {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return socket.bytesRead > 0;
  return code.startsWith("HPE_") && code !== "HPE_INVALID_EOF_STATE";
}

/** The status with which Node answers by itself, where nobody listens; unknown when an answer was under way. */
function answerOfNode(code: string, socket: Socket): number | undefined {
  const { _httpMessage: response } = socket as { readonly _httpMessage?: { readonly _headerSent?: boolean } | null };
  if (!socket.writable || response?._headerSent) return undefined;
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
