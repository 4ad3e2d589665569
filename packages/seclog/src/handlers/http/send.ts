/**
 * The one sender of the handlers that speak HTTP. It keeps connections, compresses, limits the time and what it reads of
 * an answer, waits as long as a server asks, and turns each failure into one of the three kinds that the shipper knows.
 *
 * No message quotes a credential, a header or a URL beyond its origin: the path of a webhook is often its secret.
 */
import { Buffer } from "node:buffer";
import type { Agent, ClientRequest, IncomingMessage } from "node:http";
import { errorMessage } from "../../event/errors.ts";
import { visibleText } from "../../event/visible.ts";
import { clearTimeout, monotonicNow, setTimeout, wallNow } from "../../runtime/timers.ts";
import { HandlerError } from "../../ship/handler.ts";
import type { HttpSettings } from "./http-options.ts";

/** A request. */
export interface HttpRequest {
  /** @default "POST" */
  readonly method?: "POST" | "PUT" | "GET";
  /** Resolved against the sender's URL, whose own path applies without it. */
  readonly path?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly body: string | Uint8Array;
  /** Whether the body may be compressed. @default true */
  readonly gzip?: boolean;
}

/** A server's answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined };
  readonly body: Uint8Array;
}

/** Below this, compressing costs more than it saves. */
const LEAST_GZIP_BYTES = 1_024;

/** The most to read of an answer. Elastic's names every event of a batch. */
const MOST_ANSWER_BYTES = 4 * 1024 * 1024;

/** The longest wait that a server may ask for, in milliseconds. */
const LONGEST_WAIT_MS = 15 * 60_000;

/** The characters of an answer that an error quotes. */
const MOST_QUOTED = 200;

/** Codes of TLS that only an operator can fix: a certificate that is not trusted, or no TLS at all. */
const TLS_CODE = /^(?:CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_|EPROTO)/;

/** Sends requests to one server. */
export class HttpSender {
  /** The server, as messages name it. */
  readonly place: string;
  readonly #settings: HttpSettings;
  readonly #basic: string | undefined;
  #agent: Agent | undefined;
  /** Not before this time of the monotonic clock: the server said so. */
  #notBefore = 0;
  /** Whether the server has ever accepted a request. */
  #accepted = false;
  #closed = false;

  constructor(settings: HttpSettings) {
    this.#settings = settings;
    const { url } = settings;
    this.place = url.origin;
    const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    this.#basic = user === ":" ? undefined : `Basic ${Buffer.from(user).toString("base64")}`;
  }

  /**
   * Sends a request and returns the answer, whatever its status.
   *
   * @throws HandlerError `"retry"` without an answer, or while the server has asked to wait; `"destination"` if its
   *   certificate is not trusted
   */
  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    if (this.#closed) throw new HandlerError("destination", "the handler is closed", { code: "SECLOG_CLOSED" });
    const wait = this.#notBefore - monotonicNow();
    if (wait > 0) {
      throw new HandlerError("retry", `${this.place} asked to wait: ${Math.ceil(wait / 1000)} s are left`);
    }
    if (signal.aborted) throw new HandlerError("retry", `${this.place}: the request was given up before it began`);
    const { body, headers } = await this.#encoded(request);
    const answer = await this.#exchange(request, headers, body, signal);
    this.#heed(answer);
    if (isSuccess(answer)) this.#accepted = true;
    return answer;
  }

  /**
   * The same, for a status of 2xx.
   *
   * @throws HandlerError for any other, by {@link refusal}
   */
  async deliver(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const answer = await this.send(request, signal);
    if (!isSuccess(answer)) throw this.refusal(answer);
    return answer;
  }

  /**
   * What a status means. A server that refuses a body may mean the events or its configuration: only one that has accepted
   * others can mean the events. Otherwise a wrong URL would put every event into quarantine.
   */
  refusal({ status, headers, body }: HttpAnswer): HandlerError {
    const quoted = this.#quoted(body);
    const said = `${this.place} answered ${status}${quoted === "" ? "" : `: ${quoted}`}`;
    if (status === 408 || status === 425 || status === 429 || (status >= 500 && status !== 501 && status !== 505)) {
      return new HandlerError("retry", said);
    }
    if (status === 413) return new HandlerError("event", `${said}; the batch is sent in smaller parts`);
    if (status === 415 && this.#settings.gzip) {
      return new HandlerError("destination", `${said}; if it does not read gzip, set gzip: false`);
    }
    if ((status === 400 || status === 422) && this.#accepted) return new HandlerError("event", said);
    if (status === 401 || status === 403) return new HandlerError("destination", `${said}; check the credentials`);
    if (status >= 300 && status < 400) {
      const target = headers["location"] === undefined ? "" : ", which is not followed";
      return new HandlerError("destination", `${said}, a redirect${target}: name the final URL`);
    }
    return new HandlerError("destination", `${said}; check the url`);
  }

  /** Ends the connections. Requests that are under way fail. */
  close(): void {
    this.#closed = true;
    this.#agent?.destroy();
  }

  async #encoded(request: HttpRequest): Promise<{ body: Uint8Array; headers: { [name: string]: string } }> {
    const plain = typeof request.body === "string" ? Buffer.from(request.body) : request.body;
    const headers: { [name: string]: string } = {
      "user-agent": "seclog",
      ...(this.#basic === undefined ? {} : { authorization: this.#basic }),
      ...this.#settings.headers,
      ...request.headers,
    };
    const compress = this.#settings.gzip && request.gzip !== false && plain.length >= LEAST_GZIP_BYTES;
    if (!compress) return { body: plain, headers: { ...headers, "content-length": String(plain.length) } };
    const body = await gzipped(plain);
    return { body, headers: { ...headers, "content-encoding": "gzip", "content-length": String(body.length) } };
  }

  #exchange(
    { method = "POST", path }: HttpRequest,
    headers: { readonly [name: string]: string },
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const { url, timeout, tls } = this.#settings;
    const { http, https } = modules();
    const target = path === undefined ? url : new URL(path, url);
    const secure = target.protocol === "https:";
    // Node's own agent would share its sockets with the application.
    this.#agent ??= secure
      ? new https.Agent({ keepAlive: true, maxSockets: 8, ...tls })
      : new http.Agent({ keepAlive: true, maxSockets: 8 });
    const agent = this.#agent;
    return new Promise((resolve, reject) => {
      let request: ClientRequest | undefined;
      const settle = (finish: () => void): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        finish();
      };
      const fail = (error: HandlerError): void => {
        settle(() => reject(error));
        request?.destroy();
      };
      const onAbort = (): void => fail(new HandlerError("retry", `${this.place}: the request was given up`));
      const timer = setTimeout(() => {
        fail(new HandlerError("retry", `${this.place} did not answer within ${timeout} ms`));
      }, timeout);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        request = (secure ? https : http).request(target, { method, headers, agent, auth: "" }, (response) => {
          this.#read(response).then((answer) => settle(() => resolve(answer)), fail);
        });
        request.on("error", (error) => fail(this.#networkFailure(error)));
        request.end(body);
      } catch (error) {
        fail(new HandlerError("destination", `${this.place}: ${errorMessage(error)}`, { cause: error }));
      }
    });
  }

  async #read(response: IncomingMessage): Promise<HttpAnswer> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) {
        bytes += chunk.length;
        if (bytes > MOST_ANSWER_BYTES) break;
        chunks.push(chunk);
      }
    } catch (error) {
      throw this.#networkFailure(error);
    }
    if (bytes > MOST_ANSWER_BYTES) {
      throw new HandlerError(
        "destination",
        `${this.place} answered more than ${MOST_ANSWER_BYTES} bytes; check the url`,
      );
    }
    return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
  }

  #networkFailure(error: unknown): HandlerError {
    const code = (error as NodeJS.ErrnoException | undefined)?.code ?? "";
    const message = `${this.place} cannot be reached: ${errorMessage(error)}`;
    return TLS_CODE.test(code)
      ? new HandlerError("destination", `${message}; tls.ca names the authorities to trust`, { cause: error })
      : new HandlerError("retry", message, { cause: error });
  }

  /** Keeps the server's `retry-after`: seconds, or a date. */
  #heed({ status, headers }: HttpAnswer): void {
    const asked = headers["retry-after"];
    if (typeof asked !== "string" || (status !== 429 && status !== 503)) return;
    const milliseconds = /^\d{1,9}$/.test(asked) ? Number(asked) * 1000 : Date.parse(asked) - wallNow();
    if (milliseconds > 0) this.#notBefore = monotonicNow() + Math.min(milliseconds, LONGEST_WAIT_MS);
  }

  /** The beginning of an answer without what we sent to be let in, which some servers repeat. */
  #quoted(body: Uint8Array): string {
    let text = Buffer.from(body.subarray(0, 4 * MOST_QUOTED))
      .toString()
      .trim();
    const { headers, url } = this.#settings;
    const secrets = [...Object.values(headers), this.#basic ?? "", url.password, url.pathname + url.search]
      .flatMap((value) => [value, value.replace(/^\w+ /, "")])
      .filter((value) => value.length > 3);
    for (const secret of secrets) text = text.replaceAll(secret, "…");
    return visibleText(text).slice(0, MOST_QUOTED);
  }
}

/** Whether a status is 2xx. */
export function isSuccess({ status }: HttpAnswer): boolean {
  return status >= 200 && status <= 299;
}

/** Loaded with the first request, since they are slow to load. */
function modules() {
  return { http: process.getBuiltinModule("node:http"), https: process.getBuiltinModule("node:https") };
}

function gzipped(bytes: Uint8Array): Promise<Uint8Array> {
  const { gzip } = process.getBuiltinModule("node:zlib");
  return new Promise((resolve, reject) => {
    gzip(bytes, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}
