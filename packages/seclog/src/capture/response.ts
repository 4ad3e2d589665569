/**
 * A response as capture reads it: status and headers, wherever the application put them, and when it ended. Node's two
 * kinds differ: HTTP/1.1 emits `prefinish` within `response.end()`, even when the client has gone. HTTP/2 emits nothing
 * of the kind, forgets the response to a stream that was reset, and lets the stream respond by itself.
 */
import { ServerResponse } from "node:http";

/** The parts that only an HTTP/2 response has. */
interface Http2Part {
  readonly stream?: { readonly sentHeaders?: { readonly ":status"?: unknown } };
}

export class ObservedResponse {
  readonly #response: ServerResponse & Http2Part;
  /** The arguments of `writeHead`: Node turns them into the head and forgets them. Fastify passes all headers there. */
  #head: { readonly statusCode: unknown; readonly headers: unknown } | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
    if (isNodes(response)) return;
    const writeHead = response.writeHead as (...values: unknown[]) => ServerResponse;
    response.writeHead = (...values: unknown[]) => {
      const result = Reflect.apply(writeHead, response, values);
      this.headWritten(values);
      return result;
    };
  }

  /** The arguments of `writeHead`: the headers come last, after the status and perhaps its text. */
  headWritten(values: readonly unknown[]): void {
    this.#head = { statusCode: values[0], headers: values.length > 1 ? values.at(-1) : undefined };
  }

  get statusCode(): number {
    const { stream, headersSent, statusCode } = this.#response;
    const status = stream?.sentHeaders?.[":status"] ?? (headersSent ? statusCode : this.#head?.statusCode);
    return typeof status === "number" ? status : statusCode;
  }

  /** Whether the application has responded, or begun to. */
  get answered(): boolean {
    return this.#response.headersSent || this.#response.writableEnded;
  }

  /** Whether nothing more will be sent. */
  get over(): boolean {
    return this.#response.writableFinished || this.#response.destroyed;
  }

  /** A header, wherever it was set. `getHeader` misses those passed to `writeHead`. */
  header(name: string): unknown {
    return this.#response.getHeader(name) ?? headerIn(this.#head?.headers, name);
  }

  /**
   * Calls back when the application ends the response, and when the connection closes. Not for a response of HTTP/1.1:
   * `prototypes.ts` tells what those emit.
   *
   * @param closed whether the connection did
   * @param answered whether the application has responded, or begun to
   */
  onEnd(ended: (closed: boolean, answered: boolean) => void): void {
    const response = this.#response;
    if (isNodes(response)) return;
    response.on("prefinish", () => ended(false, true));
    response.on("close", () => ended(true, this.answered));
    if (response.stream === undefined) return;
    const end = response.end as (...values: unknown[]) => ServerResponse;
    response.end = (...values: unknown[]) => {
      const result = Reflect.apply(end, response, values);
      ended(false, true);
      return result;
    };
  }

  /** Calls back when the response was handed to the operating system, or will not be. Not for a response of HTTP/1.1. */
  onSent(sent: () => void): void {
    if (isNodes(this.#response)) return;
    this.#response.once("finish", sent);
    this.#response.once("close", sent);
  }
}

/** Whether `prototypes.ts` observes it. */
export function isNodes(response: object): boolean {
  return response instanceof ServerResponse;
}

/**
 * One header from the arguments of `writeHead`: an object, a list of pairs, or a list of alternating names and values.
 * The last one of a name.
 */
function headerIn(head: unknown, name: string): unknown {
  if (typeof head !== "object" || head === null) return undefined;
  let found: unknown;
  const take = (key: unknown, value: unknown): void => {
    if (String(key).toLowerCase() === name) found = value;
  };
  if (!Array.isArray(head)) for (const [key, value] of Object.entries(head)) take(key, value);
  else if (Array.isArray(head[0])) for (const [key, value] of head as unknown[][]) take(key, value);
  else for (let at = 0; at < head.length; at += 2) take(head[at], head[at + 1]);
  return found;
}
