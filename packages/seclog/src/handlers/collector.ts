/** Seclog's own collector, for applications that do not reach the database. */
import { Buffer } from "node:buffer";
import { isErrorCode, SeclogError } from "../event/errors.ts";
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import { encodeEnvelopes, encodeQuarantined } from "../queues/envelope.ts";
import { type BatchSource, HandlerError, type SecurityEventHandler } from "../ship/handler.ts";
import { readConfiguredFile } from "../spool/files.ts";
import { closedError } from "./batches.ts";
import { HTTP_OPTIONS, type HttpHandlerOptions, httpSettings } from "./http/http-options.ts";
import { type HttpAnswer, HttpSender } from "./http/send.ts";

export type { HttpHandlerOptions, HttpTlsOptions } from "./http/http-options.ts";

/** Options of {@link collectorHandler}. `url` is the collector's, such as `https://collect.internal:7390`. */
export interface CollectorHandlerOptions extends Omit<HttpHandlerOptions, "gzip"> {
  /**
   * What `seclog tokens create` printed. Its services must include the log's `service`.
   * @default `SECLOG_COLLECTOR_TOKEN`, or the file that `SECLOG_COLLECTOR_TOKEN_FILE` names
   */
  readonly token?: string | undefined;
}

const WHERE = "collectorHandler";
const VARIABLE = "SECLOG_COLLECTOR_TOKEN";

/** Below the 8 MiB that a collector reads of a body. */
const MAX_BYTES = 7 * 1024 * 1024;

/**
 * Sends events to `seclog collect`, which stores them in PostgreSQL. It resolves when they are committed, and an event
 * keeps its source and number: what is sent twice is stored once.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function collectorHandler(options: CollectorHandlerOptions): SecurityEventHandler {
  rejectUnknownOptions(WHERE, options, [...HTTP_OPTIONS.filter((name) => name !== "gzip"), "token"]);
  const { name = "collector", required = true } = options;
  const batchSize = wholeNumber(WHERE, "batchSize", options.batchSize, { default: 2_000, min: 1, max: 10_000 });
  const token = options.token ?? configuredToken();
  if (typeof token !== "string" || !/^seclog_[0-9a-f]{8}_[\w-]{43}$/.test(token)) {
    throw configError(WHERE, "token", `must be one that seclog tokens create printed; set it, or ${VARIABLE}`);
  }
  // An envelope is compressed already.
  const settings = httpSettings(WHERE, { ...options, gzip: false });
  const sender = new HttpSender({ ...settings, headers: { ...settings.headers, authorization: `Bearer ${token}` } });
  const base = settings.url.pathname.replace(/\/$/, "");
  let closed = false;

  const post = async (source: BatchSource, body: Uint8Array, signal: AbortSignal): Promise<number> => {
    const headers = { "content-type": "application/vnd.seclog.envelope" };
    return storedOf(sender, source, await sender.send({ path: `${base}/v1/events`, headers, body }, signal));
  };
  return {
    name,
    required,
    batchSize,
    worker: { module: "seclog:collector", options: { ...options, token } },
    async handle(batch, signal) {
      if (closed) throw closedError();
      for (const { bytes } of encodeEnvelopes(batch, { maxBytes: MAX_BYTES })) await post(batch.source, bytes, signal);
    },
    async quarantine(record, signal) {
      await post(record.source, encodeQuarantined(record, { maxBytes: MAX_BYTES }).bytes, signal);
    },
    async confirm(source, signal) {
      const path = `${base}/v1/sources/${source.id}`;
      const stored = storedOf(sender, source, await sender.send({ method: "GET", path, body: "" }, signal));
      if (stored < source.acknowledged) throw behind(sender, source, stored);
    },
    async close() {
      closed = true;
      sender.close();
    },
  };
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: CollectorHandlerOptions): SecurityEventHandler {
  return collectorHandler(options);
}

/** How far the source is stored, as the collector says. @throws HandlerError */
function storedOf(sender: HttpSender, source: BatchSource, answer: HttpAnswer): number {
  const { stored, code, error } = said(answer);
  if (answer.status === 200 && stored !== undefined) return stored;
  if (code === undefined || answer.status === 503) throw sender.refusal(answer);
  if (code === "SECLOG_BATCH_EARLY" && stored !== undefined && stored < source.acknowledged) {
    throw behind(sender, source, stored);
  }
  const kind = code === "SECLOG_EVENT_REJECTED" ? "event" : code === "SECLOG_BATCH_EARLY" ? "retry" : "destination";
  const failure = new HandlerError(kind, `${sender.place}: ${error}`, isErrorCode(code) ? { code } : {});
  failure.stored = stored;
  throw failure;
}

function behind(sender: HttpSender, source: BatchSource, stored: number): HandlerError {
  const message = `${sender.place} has stored ${stored} events of source ${source.id}, and had acknowledged ${source.acknowledged}: its database was rolled back`;
  const failure = new HandlerError("destination", message, { code: "SECLOG_STORE_BEHIND" });
  failure.stored = stored;
  return failure;
}

interface Said {
  readonly stored?: number | undefined;
  readonly code?: string | undefined;
  readonly error?: string | undefined;
}

/** What the answer's JSON says. Anything may answer at a wrong URL. */
function said({ body }: HttpAnswer): Said {
  try {
    const { stored, code, error } = Object(JSON.parse(Buffer.from(body).toString())) as {
      readonly [member in keyof Said]?: unknown;
    };
    return {
      stored: typeof stored === "number" && Number.isSafeInteger(stored) ? stored : undefined,
      code: typeof code === "string" && typeof error === "string" ? code : undefined,
      error: typeof error === "string" ? error.slice(0, 1_000) : undefined,
    };
  } catch {
    return {};
  }
}

function configuredToken(): string | undefined {
  const value = process.env[VARIABLE] || undefined;
  const file = process.env[`${VARIABLE}_FILE`] || undefined;
  if (value !== undefined && file !== undefined) {
    throw configError(WHERE, VARIABLE, `and ${VARIABLE}_FILE are both set; keep one`);
  }
  if (file === undefined) return value;
  try {
    return readConfiguredFile(file).trim();
  } catch (cause) {
    throw new SeclogError("SECLOG_CONFIG", `${WHERE}: ${VARIABLE}_FILE names a file that cannot be read`, { cause });
  }
}
