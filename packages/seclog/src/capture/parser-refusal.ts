/** A request that Node's parser refused: the request as far as it could be read, the reason, and the response. */
import type { Socket } from "node:net";
import { peerOfSocket } from "../record/peer.ts";
import { observeWrites, statusOfHead } from "./socket-answer.ts";

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

/** A refusal while it is being answered. */
export interface ParserRefusal {
  /** Ends the observation, once the response was given as far as it is given at once. Must be called. */
  end(): { readonly code: string; readonly request: RefusedRequest; readonly statusCode: number | undefined };
}

/**
 * The refusal behind a server's `clientError`; `undefined` for any other error. Until `end` it observes what is written
 * to the connection, since a listener of the application or the framework responds in its own words. Never throws.
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
    // Read now: a listener may destroy the connection.
    const request: RefusedRequest = { headers: {}, ...head, socket: { remoteAddress: peerOfSocket(socket) } };
    if (server.listenerCount("clientError") === 0) {
      const statusCode = answerOfNode(code, socket);
      return { end: () => ({ code, request, statusCode }) };
    }
    const answer = observeWrites(socket);
    return { end: () => ({ code, request, statusCode: statusOfHead(answer.stop()) }) };
  } catch {
    // An error or a socket that is not Node's own.
    return undefined;
  }
}

/**
 * A connection that broke (`ECONNRESET`) or was closed in the middle of a request (`HPE_INVALID_EOF_STATE`) is not an
 * attack, and browsers open spare connections that time out without a byte.
 */
function isRefusal(code: string, socket: Socket): boolean {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return socket.bytesRead > 0;
  return code.startsWith("HPE_") && code !== "HPE_INVALID_EOF_STATE";
}

/** The status that Node responds with itself, without a listener; unknown when a response was under way. */
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
