/**
 * Records what another logger has written, a line of JSON for each record, as the library's bridges do in an
 * application: for programs whose code cannot be changed, and for files of the past.
 */
import { createSecurityLog, SeclogError } from "seclog";
import { seclogStream } from "seclog/pino";
import { postgresHandler } from "seclog/postgres";
import { SeclogTransport } from "seclog/winston";
import { InputError } from "../text/input-error.ts";
import { quoted } from "../text/words.ts";

/** The loggers whose lines are understood. */
export const LINE_FORMATS = ["pino", "winston"] as const;

export type LineFormat = (typeof LINE_FORMATS)[number];

export interface IngestOptions {
  readonly format: string;
  readonly lines: AsyncIterable<Buffer | string>;
  /** Where the events wait until the database has them. */
  readonly directory: string;
  /** The writer's connection URL. */
  readonly url: string;
  readonly service?: string | undefined;
  /** The loggers whose records become events, by name, or `"all"`. @default ["security"] */
  readonly loggers?: readonly string[] | "all" | undefined;
  /** Receives the number of events so far. */
  readonly onProgress?: (recorded: number) => void;
  /** Receives lines that are not a record, and why. */
  readonly onUnknown?: (line: string, reason: unknown) => void;
  /** Receives failures of the log: the database that is away, a full disk. */
  readonly onFailure?: (message: string) => void;
  readonly signal?: AbortSignal;
  /** The most milliseconds to wait, at the end, for the database. @default 10000 */
  readonly deadline?: number;
}

export interface IngestResult {
  readonly recorded: number;
  readonly unknown: number;
  /** Whether the database has every event. Otherwise they wait in the directory, for `seclog ship`. */
  readonly stored: boolean;
}

/** So many events are on disk before the next ones are read: a full disk must not turn into dropped events. */
const AT_ONCE = 1_000;

/** @throws InputError for a format that is not one of {@link LINE_FORMATS} */
function requireFormat(name: string): LineFormat {
  const known = LINE_FORMATS.find((format) => format === name);
  if (known !== undefined) return known;
  throw new InputError((named) => `${named("format")} ${quoted(name)} is not one of ${LINE_FORMATS.join(", ")}`);
}

/**
 * Records lines until they end or the signal aborts. What it has read is on disk then.
 *
 * @throws SeclogError `SECLOG_CONFIG`, and of the spool: what was read before is recorded
 */
export async function ingestLines(options: IngestOptions): Promise<IngestResult> {
  const format = requireFormat(options.format);
  const { directory, url, service, loggers, onProgress, onUnknown, onFailure, signal } = options;
  const log = createSecurityLog({
    ...(service !== undefined && { service }),
    spool: { directory },
    heartbeat: false,
    handlers: [postgresHandler({ url })],
    diagnostics: ({ level, message }) => {
      if (level !== "info") onFailure?.(message);
    },
  });
  const result = { recorded: 0, unknown: 0 };
  let safe: Promise<void> = Promise.resolve();
  const recording = {
    recordSecurityEvent(...call: Parameters<typeof log.recordSecurityEvent>) {
      const receipt = log.recordSecurityEvent(...call);
      result.recorded += receipt.id === null ? 0 : 1;
      // Reading it holds the process until it settles: only the newest counts, since the spool keeps their order.
      safe = receipt.durable;
      safe.catch(() => {});
      return receipt;
    },
  };
  const unknown = (line: string, reason: unknown): void => {
    result.unknown += 1;
    onUnknown?.(line, reason);
  };
  const take = takerOf(format, recording, loggers, unknown);
  let stored = false;
  try {
    let since = 0;
    for await (const line of eachLine(options.lines)) {
      if (signal?.aborted) break;
      take(line);
      if (result.recorded - since < AT_ONCE) continue;
      await safe;
      since = result.recorded;
      onProgress?.(since);
    }
    await safe;
    stored = await log.flush({ deadline: options.deadline ?? 10_000 }).then(
      () => true,
      (error: unknown) => {
        if (error instanceof SeclogError && error.code === "SECLOG_DEADLINE") return false;
        throw error;
      },
    );
  } finally {
    await log.close({ deadline: stored ? 5_000 : 0 });
  }
  return { ...result, stored };
}

type Recording = ConstructorParameters<typeof SeclogTransport>[0];

/** The bridge of a format, which takes a line at a time. */
function takerOf(
  format: LineFormat,
  log: Recording,
  loggers: IngestOptions["loggers"],
  unknown: (line: string, reason: unknown) => void,
): (line: string) => void {
  if (format === "pino") {
    const stream = seclogStream(log, { loggers });
    stream.on("unknown", unknown);
    return (line) => void stream.write(`${line}\n`);
  }
  const transport = new SeclogTransport(log, { loggers });
  return (line) => {
    if (line.trim() === "") return;
    let record: unknown;
    try {
      record = JSON.parse(line);
    } catch (error) {
      unknown(line, error);
      return;
    }
    if (typeof record !== "object" || record === null || Array.isArray(record)) unknown(line, "it is not an object");
    else transport.log(record as { readonly [name: string]: unknown }, () => {});
  };
}

/** The longest line to read: a stream without line ends must not fill the memory. */
const LONGEST_LINE = 16 * 1024 * 1024;

/** Lines without their ends. What is longer than 16 MiB is cut into several, which are not JSON. */
async function* eachLine(chunks: AsyncIterable<Buffer | string>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + (typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true }))).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
    if (rest.length <= LONGEST_LINE) continue;
    yield rest;
    rest = "";
  }
  yield rest + decoder.decode();
}
