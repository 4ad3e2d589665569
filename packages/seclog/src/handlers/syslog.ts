/**
 * syslog (RFC 5424): over TLS (RFC 5425), TCP or UDP (RFC 5426).
 *
 * syslog has no acknowledgement. What comes nearest is the end of a connection: a receiver closes its side after it has
 * read everything up to the end of ours. With `confirm: "closed"` each batch has a connection of its own and counts as
 * stored when the receiver has closed it without an error. With `"sent"` one connection stays open, and what is in its
 * buffers when it breaks is lost. A datagram of UDP may be lost any time, and nothing says so.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { errorMessage } from "../event/errors.ts";
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import { SYSLOG_BODIES, type SyslogBody, syslogMessage } from "../formats/syslog.ts";
import { clearTimeout, setTimeout } from "../runtime/timers.ts";
import { HandlerError, type SecurityEventHandler } from "../ship/handler.ts";
import { closedError, decodedEvents } from "./batches.ts";
import type { HttpTlsOptions } from "./http/http-options.ts";

export type { HttpTlsOptions } from "./http/http-options.ts";

/** Options of {@link syslogHandler}. */
export interface SyslogHandlerOptions {
  /** The receiver: `syslog+tls://logs.example:6514`, `syslog+tcp://…`, or `syslog+udp://…`. */
  readonly url: string;
  /**
   * The facility, 0 to 23: 13 is the log audit, 16 to 23 are local.
   * @default 13
   */
  readonly facility?: number | undefined;
  /**
   * What a message's text is.
   * @default "json"
   */
  readonly body?: SyslogBody | undefined;
  /**
   * How messages follow each other on a stream: each with its length before it (RFC 6587, 3.4.1), or each on a line. TLS
   * demands the length.
   * @default "octet-counting"
   */
  readonly framing?: "octet-counting" | "newline" | undefined;
  /**
   * When a batch on a stream counts as stored: when the receiver has read it and closed the connection, or when it was
   * sent.
   * @default "closed"
   */
  readonly confirm?: "closed" | "sent" | undefined;
  /**
   * Milliseconds for a batch, from connecting to its confirmation.
   * @default 10000
   */
  readonly timeout?: number | undefined;
  readonly tls?: HttpTlsOptions | undefined;
  /**
   * The most bytes of a message, of which the rest is cut. Receivers of UDP may take as few as 480, and of TLS 2048.
   * @default 65507 for UDP, which is the most that it can carry; none for streams
   */
  readonly maxBytes?: number | undefined;
  /**
   * The most events in one batch.
   * @default 500
   */
  readonly batchSize?: number | undefined;
  /** @default "syslog" */
  readonly name?: string | undefined;
  /**
   * Whether a receipt's `stored` waits for it.
   * @default true
   */
  readonly required?: boolean | undefined;
}

const WHERE = "syslogHandler";

const OPTIONS = [
  "url",
  "facility",
  "body",
  "framing",
  "confirm",
  "timeout",
  "tls",
  "maxBytes",
  "batchSize",
  "name",
  "required",
];

type Transport = "tls" | "tcp" | "udp";

const PORTS: { readonly [T in Transport]: number } = { tls: 6514, tcp: 601, udp: 514 };

/** The largest datagram of IPv4. */
const MOST_UDP_BYTES = 65_507;

interface Settings {
  readonly transport: Transport;
  readonly host: string;
  readonly port: number;
  readonly timeout: number;
  readonly tls: HttpTlsOptions;
}

/**
 * Sends events to a receiver of syslog. `id` of a message's structured data identifies its event: after a lost connection
 * the receiver may get events that it already has.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function syslogHandler(options: SyslogHandlerOptions): SecurityEventHandler {
  rejectUnknownOptions(WHERE, options, OPTIONS);
  const { body = "json", framing = "octet-counting", confirm = "closed", name = "syslog", required = true } = options;
  const settings = settingsOf(options);
  const { transport } = settings;
  if (!SYSLOG_BODIES.includes(body)) throw wrong("body", SYSLOG_BODIES, body);
  if (framing !== "octet-counting" && framing !== "newline")
    throw wrong("framing", ["octet-counting", "newline"], framing);
  if (transport === "tls" && framing === "newline")
    throw configError(WHERE, "framing", "must be octet-counting with TLS");
  if (confirm !== "closed" && confirm !== "sent") throw wrong("confirm", ["closed", "sent"], confirm);
  const facility = wholeNumber(WHERE, "facility", options.facility, { default: 13, min: 0, max: 23 });
  const most = transport === "udp" ? MOST_UDP_BYTES : Number.MAX_SAFE_INTEGER;
  const maxBytes = wholeNumber(WHERE, "maxBytes", options.maxBytes, { default: most, min: 480, max: most });
  const batchSize = wholeNumber(WHERE, "batchSize", options.batchSize, { default: 500, min: 1, max: 10_000 });
  const stream = new StreamSender(settings, confirm === "closed");
  let closed = false;
  return {
    name,
    required,
    batchSize,
    worker: { module: "seclog:syslog", options },
    async handle(batch, signal) {
      if (closed) throw closedError();
      const messages = decodedEvents(batch).map((event) => cut(syslogMessage(event, { facility, body }), maxBytes));
      if (transport === "udp") return await sendDatagrams(settings, messages, signal);
      await stream.send(Buffer.concat(messages.map((message) => framed(message, framing))), signal);
    },
    async close() {
      closed = true;
      stream.close();
    },
  };
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: SyslogHandlerOptions): SecurityEventHandler {
  return syslogHandler(options);
}

function wrong(option: string, known: readonly string[], value: unknown): Error {
  return configError(WHERE, option, `must be one of "${known.join('", "')}", not ${JSON.stringify(value)}`);
}

function settingsOf({ url, timeout, tls = {} }: SyslogHandlerOptions): Settings {
  const [, transport, host, port] =
    /^syslog\+(tls|tcp|udp):\/\/(\[[\da-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?\/?$/.exec(String(url)) ?? [];
  if (transport === undefined || host === undefined) {
    throw configError(WHERE, "url", "must be syslog+tls://HOST:PORT, syslog+tcp://HOST:PORT or syslog+udp://HOST:PORT");
  }
  const known = transport as Transport;
  return {
    transport: known,
    host: host.replace(/^\[|\]$/g, ""),
    port: port === undefined ? PORTS[known] : Number(port),
    timeout: wholeNumber(WHERE, "timeout", timeout, { default: 10_000, min: 1, max: 100_000 }),
    tls,
  };
}

/** A message as bytes, cut where a character begins. */
function cut(message: string, maxBytes: number): Buffer {
  const bytes = Buffer.from(message);
  if (bytes.length <= maxBytes) return bytes;
  let end = maxBytes;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

function framed(message: Buffer, framing: "octet-counting" | "newline"): Buffer {
  return framing === "newline"
    ? Buffer.concat([message, Buffer.from("\n")])
    : Buffer.concat([Buffer.from(`${message.length} `), message]);
}

/** Sends batches over TCP or TLS, one at a time. */
class StreamSender {
  readonly #settings: Settings;
  readonly #perBatch: boolean;
  readonly #place: string;
  #open: Socket | undefined;
  #sending: Promise<void> = Promise.resolve();

  constructor(settings: Settings, perBatch: boolean) {
    this.#settings = settings;
    this.#perBatch = perBatch;
    this.#place = `${settings.host}:${settings.port}`;
  }

  send(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const sent = this.#sending.then(() => this.#send(bytes, signal));
    this.#sending = sent.catch(() => {});
    return sent;
  }

  close(): void {
    this.#open?.destroy();
  }

  #send(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const { timeout } = this.#settings;
    if (signal.aborted) return Promise.reject(new HandlerError("retry", `${this.#place}: the batch was given up`));
    return new Promise((resolve, reject) => {
      const kept = this.#open;
      const socket = kept?.writable ? kept : this.#connect();
      this.#open = socket;
      const settle = (error?: HandlerError): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        socket.off("error", onError).off("close", onClose);
        socket.on("error", () => {});
        if (error !== undefined || this.#perBatch) {
          this.#open = undefined;
          socket.destroy();
        }
        if (error === undefined) resolve();
        else reject(error);
      };
      const onAbort = (): void => settle(new HandlerError("retry", `${this.#place}: the batch was given up`));
      const onError = (error: unknown): void => settle(this.#failure(error));
      // A receiver that closes before our end has not confirmed: it may not have read the rest.
      const onClose = (): void => {
        const read = this.#perBatch && socket.writableFinished && !socket.errored;
        settle(
          read
            ? undefined
            : new HandlerError("retry", `${this.#place} closed the connection before it had read everything`),
        );
      };
      const timer = setTimeout(() => {
        const what = this.#perBatch
          ? 'did not read the batch and close the connection; if it keeps connections open, set confirm: "sent"'
          : "did not take the batch";
        settle(new HandlerError("retry", `${this.#place} ${what} within ${timeout} ms`));
      }, timeout);
      signal.addEventListener("abort", onAbort, { once: true });
      socket.on("error", onError).on("close", onClose);
      if (this.#perBatch) {
        // Without a reader the end of the receiver's side would never be seen.
        socket.resume();
        socket.end(bytes);
      } else socket.write(bytes, (error) => settle(error == null ? undefined : this.#failure(error)));
    });
  }

  #connect(): Socket {
    const { transport, host, port, tls } = this.#settings;
    if (transport === "tcp") return process.getBuiltinModule("node:net").connect({ host, port });
    const { isIP } = process.getBuiltinModule("node:net");
    const servername = isIP(host) === 0 ? { servername: host } : {};
    return process.getBuiltinModule("node:tls").connect({ host, port, ...servername, ...tls });
  }

  #failure(error: unknown): HandlerError {
    const code = (error as NodeJS.ErrnoException | undefined)?.code ?? "";
    const isTls = /^(?:CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_|EPROTO)/.test(code);
    const advice = isTls ? "; tls.ca names the authorities to trust" : "";
    const message = `${this.#place} cannot be reached: ${errorMessage(error)}${advice}`;
    return new HandlerError(isTls ? "destination" : "retry", message, { cause: error });
  }
}

/** Sends each message as a datagram. That the operating system took it is all that can be known. */
async function sendDatagrams(
  { host, port, timeout }: Settings,
  messages: readonly Buffer[],
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) throw new HandlerError("retry", `${host}:${port}: the batch was given up`);
  const { createSocket } = process.getBuiltinModule("node:dgram");
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  const timer = setTimeout(() => socket.close(), timeout);
  try {
    for (const message of messages) {
      await new Promise<void>((resolve, reject) => {
        socket.once("error", reject);
        socket.once("close", () => reject(new Error(`it did not take the batch within ${timeout} ms`)));
        socket.send(message, port, host, (error) => (error === null ? resolve() : reject(error)));
      });
      socket.removeAllListeners();
      if (signal.aborted) throw new Error("the batch was given up");
    }
  } catch (error) {
    throw new HandlerError("retry", `${host}:${port} cannot be reached: ${errorMessage(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
    try {
      socket.close();
    } catch {
      // The timer closed it.
    }
  }
}
