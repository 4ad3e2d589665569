/** Amazon S3, and what speaks its protocol (Google Cloud Storage, Cloudflare R2, Ceph, Garage, …). */
import { createHash } from "node:crypto";
import type { SecurityEvent } from "../event/event.ts";
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import { ndjsonLine } from "../formats/ndjson.ts";
import { ocsfLine } from "../formats/ocsf.ts";
import { monotonicNow, sleep } from "../runtime/timers.ts";
import { type EventBatch, HandlerError, type SecurityEventHandler } from "../ship/handler.ts";
import { closedError, decodedEvents } from "./batches.ts";
import { type HttpTlsOptions, httpSettings } from "./http/http-options.ts";
import { HttpSender } from "./http/send.ts";

export type { HttpTlsOptions } from "./http/http-options.ts";

/** Options of {@link s3Handler}. */
export interface S3HandlerOptions {
  readonly bucket: string;
  /** @default `AWS_REGION`, or `AWS_DEFAULT_REGION` */
  readonly region?: string | undefined;
  /**
   * The service, if it is not Amazon's: `https://s3.example`. The bucket then is the first part of the path.
   * @default `https://BUCKET.s3.REGION.amazonaws.com`
   */
  readonly endpoint?: string | undefined;
  /** @default `AWS_ACCESS_KEY_ID` */
  readonly accessKeyId?: string | undefined;
  /** @default `AWS_SECRET_ACCESS_KEY` */
  readonly secretAccessKey?: string | undefined;
  /** @default `AWS_SESSION_TOKEN` */
  readonly sessionToken?: string | undefined;
  /**
   * What every name begins with.
   * @default "seclog/"
   */
  readonly prefix?: string | undefined;
  /**
   * How a line is written: with the table's column names, or as OCSF 1.8.
   * @default "ndjson"
   */
  readonly format?: "ndjson" | "ocsf" | undefined;
  /**
   * Milliseconds between two objects of a source, in which events gather for the next. `flush()` and `close()` wait for it.
   * @default 1000
   */
  readonly interval?: number | undefined;
  /**
   * Milliseconds for one upload.
   * @default 30000
   */
  readonly timeout?: number | undefined;
  readonly tls?: HttpTlsOptions | undefined;
  /**
   * The most events in an object.
   * @default 10000
   */
  readonly batchSize?: number | undefined;
  /** @default "s3" */
  readonly name?: string | undefined;
  /**
   * Whether a receipt's `stored` waits for it.
   * @default true
   */
  readonly required?: boolean | undefined;
}

const WHERE = "s3Handler";

const OPTIONS = [
  "bucket",
  "region",
  "endpoint",
  "accessKeyId",
  "secretAccessKey",
  "sessionToken",
  "prefix",
  "format",
  "interval",
  "timeout",
  "tls",
  "batchSize",
  "name",
  "required",
];

const FORMATS: { readonly [format: string]: ((event: SecurityEvent) => string) | undefined } = {
  ndjson: ndjsonLine,
  ocsf: (event) => ocsfLine(event),
};

/**
 * Writes events to S3 as objects of NDJSON, compressed with gzip, under Hive-style names that query engines partition by:
 * `seclog/date=2026-11-22/source=019a…/000000000001-000000000500.ndjson.gz`. An object has consecutive events of one source
 * and one day. Its name follows from them, so a repeated upload replaces an object by itself; after a crash an event may be
 * in two objects of overlapping names, with the same `id`.
 *
 * Needs the optional peer `aws4fetch`, which signs the requests.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option and never quoting a key
 */
export function s3Handler(options: S3HandlerOptions): SecurityEventHandler {
  rejectUnknownOptions(WHERE, options, OPTIONS);
  const { bucket, prefix = "seclog/", format = "ndjson", name = "s3", required = true, timeout = 30_000 } = options;
  if (typeof bucket !== "string" || !/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw configError(WHERE, "bucket", `${JSON.stringify(bucket)} cannot be the name of a bucket`);
  }
  if (typeof prefix !== "string" || !/^[\w!.*'()/=-]{0,200}$/.test(prefix)) {
    throw configError(WHERE, "prefix", "must consist of letters, digits and ! . * ' ( ) / = - _");
  }
  const print = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
  if (print === undefined)
    throw configError(WHERE, "format", `must be "ndjson" or "ocsf", not ${JSON.stringify(format)}`);
  const credentials = credentialsOf(options);
  const { region } = credentials;
  const { endpoint, tls } = options;
  const url =
    endpoint === undefined
      ? `https://${bucket}.s3.${region}.amazonaws.com/`
      : `${endpoint.replace(/\/$/, "")}/${bucket}/`;
  const settings = httpSettings(WHERE, { url, timeout, gzip: false, ...(tls && { tls }) });
  const sender = new HttpSender(settings);
  const batchSize = wholeNumber(WHERE, "batchSize", options.batchSize, { default: 10_000, min: 1, max: 10_000 });
  const interval = wholeNumber(WHERE, "interval", options.interval, { default: 1_000, min: 0, max: 60_000 });
  const lastPut = new Map<string, number>();
  let closed = false;

  async function put(key: string, text: string, signal: AbortSignal): Promise<void> {
    const body = await compressed(text);
    const target = new URL(key, settings.url);
    const headers = {
      "content-type": "application/x-ndjson",
      "content-encoding": "gzip",
      "x-amz-content-sha256": createHash("sha256").update(body).digest("hex"),
    };
    const signed = await signature(target, headers, credentials);
    await sender.deliver(
      { method: "PUT", path: target.href, headers: { ...headers, ...signed }, body, gzip: false },
      signal,
    );
  }

  return {
    name,
    required,
    batchSize,
    worker: { module: "seclog:s3", options: { ...options, ...credentials } },
    async handle(batch, signal) {
      if (closed) throw closedError();
      const events = decodedEvents(batch);
      const { id } = batch.source;
      const wait = (lastPut.get(id) ?? Number.NEGATIVE_INFINITY) + interval - monotonicNow();
      if (wait > 0) await sleep(wait, undefined, { signal }).catch(() => {});
      if (signal.aborted) throw new HandlerError("retry", `${sender.place}: the upload was given up before it began`);
      for (const { key, lines } of objectsOf(batch, events, print))
        await put(`${settings.url.pathname}${prefix}${key}`, lines, signal);
      lastPut.set(id, monotonicNow());
    },
    async close() {
      closed = true;
      sender.close();
    },
  };
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: S3HandlerOptions): SecurityEventHandler {
  return s3Handler(options);
}

/** The objects of a batch: one for each run of events of a day. */
function objectsOf(
  { source, firstSeq }: EventBatch,
  events: readonly SecurityEvent[],
  print: (event: SecurityEvent) => string,
): readonly { readonly key: string; readonly lines: string }[] {
  const objects: { date: string; first: number; last: number; lines: string }[] = [];
  for (const [index, event] of events.entries()) {
    const date = /^\d{4}-\d\d-\d\d/.exec(event.occurredAt)?.[0] ?? "unknown";
    const last = objects.at(-1);
    if (last?.date === date) {
      last.last = firstSeq + index;
      last.lines += print(event);
    } else objects.push({ date, first: firstSeq + index, last: firstSeq + index, lines: print(event) });
  }
  const digits = (seq: number): string => String(seq).padStart(12, "0");
  return objects.map(({ date, first, last, lines }) => ({
    key: `date=${date}/source=${source.id}/${digits(first)}-${digits(last)}.ndjson.gz`,
    lines,
  }));
}

interface Credentials {
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | undefined;
}

/** The variables are those of Amazon's own programs. They are read now: the thread has a copy of the environment. */
function credentialsOf(options: S3HandlerOptions): Credentials {
  const from = (option: string, value: string | undefined, ...variables: readonly string[]): string => {
    const found =
      value ?? variables.map((variable) => process.env[variable]).find((one) => one !== undefined && one !== "");
    if (found !== undefined && /^[!-~]+$/.test(found)) return found;
    throw configError(WHERE, option, `is missing, or not printable: set it, or ${variables.join(" or ")}`);
  };
  return {
    region: from("region", options.region, "AWS_REGION", "AWS_DEFAULT_REGION"),
    accessKeyId: from("accessKeyId", options.accessKeyId, "AWS_ACCESS_KEY_ID"),
    secretAccessKey: from("secretAccessKey", options.secretAccessKey, "AWS_SECRET_ACCESS_KEY"),
    sessionToken:
      options.sessionToken ?? (options.accessKeyId === undefined ? process.env["AWS_SESSION_TOKEN"] : undefined),
  };
}

/** The headers of AWS Signature Version 4. */
async function signature(
  url: URL,
  headers: { readonly [name: string]: string },
  { region, accessKeyId, secretAccessKey, sessionToken }: Credentials,
): Promise<{ readonly [name: string]: string }> {
  const { AwsClient } = await import("aws4fetch").catch((cause: unknown) => {
    throw new HandlerError("destination", "the handler needs the package aws4fetch: npm install aws4fetch", { cause });
  });
  const client = new AwsClient({
    accessKeyId,
    secretAccessKey,
    region,
    service: "s3",
    ...(sessionToken === undefined ? {} : { sessionToken }),
  });
  const request = await client.sign(url.href, { method: "PUT", headers });
  return Object.fromEntries([...request.headers.entries()].filter(([name]) => !Object.hasOwn(headers, name)));
}

function compressed(text: string): Promise<Uint8Array> {
  const { gzip } = process.getBuiltinModule("node:zlib");
  return new Promise((resolve, reject) => {
    gzip(text, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}
