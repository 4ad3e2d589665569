/**
 * A response as capture reads it: status and headers, wherever the application put them, and when it ended. Node's two
 * kinds differ: HTTP/1.1 says `prefinish` within `response.end()`, also when the client is gone by then. HTTP/2 says
 * nothing of the kind, forgets what a stream that was reset is answered with, and lets the stream answer by itself.
 */
import type { ServerResponse } from "node:http";

/** What only a response of HTTP/2 has. */
interface Http2Part {
  readonly stream?: { readonly sentHeaders?: { readonly ":status"?: unknown } };
}

export class ObservedResponse {
  readonly #response: ServerResponse & Http2Part;
  /** What `writeHead` was given: Node composes the head of it and forgets it. Fastify gives it all headers. */
  #head: { readonly statusCode: unknown; readonly headers: unknown } | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
    const writeHead = response.writeHead as (...values: unknown[]) => ServerResponse;
    response.writeHead = (...values: unknown[]) => {
      const result = Reflect.apply(writeHead, response, values);
      // The headers come last, behind the status and perhaps its text.
      this.#head = { statusCode: values[0], headers: values.length > 1 ? values.at(-1) : undefined };
      return result;
    };
  }

  get statusCode(): number {
    const { stream, headersSent, statusCode } = this.#response;
    const status = stream?.sentHeaders?.[":status"] ?? (headersSent ? statusCode : this.#head?.statusCode);
    return typeof status === "number" ? status : statusCode;
  }

  /** Whether the application has given an answer, or began to. */
  get answered(): boolean {
    return this.#response.headersSent || this.#response.writableEnded;
  }

  /** Whether nothing more will come of it. */
  get over(): boolean {
    return this.#response.writableFinished || this.#response.destroyed;
  }

  /** A header, wherever it was set. `getHeader` does not know what was only given to `writeHead`. */
  header(name: string): unknown {
    return this.#response.getHeader(name) ?? headerIn(this.#head?.headers, name);
  }

  /**
   * Calls back when the application ends the response, and when the connection closes.
   *
   * @param closed whether the connection did
   * @param answered whether the application has given an answer, or began to
   */
  onEnd(ended: (closed: boolean, answered: boolean) => void): void {
    const response = this.#response;
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

  /** Calls back when the answer was handed to the operating system, or will not be. */
  onSent(sent: () => void): void {
    this.#response.once("finish", sent);
    this.#response.once("close", sent);
  }
}

/**
 * One header of what `writeHead` takes: an object, a list of pairs, or a list where names and values take turns. The
 * last one of a name.
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
