import type { Writable } from "node:stream";
import { errorMessage } from "../event/errors.ts";
import type { SecurityEvent } from "../event/event.ts";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { readableLine } from "../formats/line.ts";
import { ndjsonLine } from "../formats/ndjson.ts";
import { type PrettyOptions, prettyEvent } from "../formats/pretty.ts";
import { setImmediate } from "../runtime/timers.ts";
import { HandlerError, type SecurityEventHandler } from "../ship/handler.ts";
import { closedError, decodedEvents } from "./batches.ts";

/** Options of {@link stdoutHandler}. */
export interface StdoutHandlerOptions {
  /**
   * `"pretty"` for a developer: the time of day here, aligned, cut to the terminal's width. `"line"` for log files that
   * people read, `"ndjson"` for programs: a JSON object with the table's column names. All print one line per event:
   * control characters, ANSI sequences and bidirectional overrides are escaped.
   * @default "pretty" when the stream is a terminal, else "line"
   */
  readonly format?: "pretty" | "line" | "ndjson" | undefined;
  /**
   * Whether `"pretty"` lists every fact below the line, so that one event takes several lines.
   * @default false
   */
  readonly facts?: boolean | undefined;
  /** @default "stdout" */
  readonly stream?: "stdout" | "stderr" | Writable | undefined;
  /**
   * Whether `"pretty"` and `"line"` use colours.
   * @default true when the stream is a terminal and the environment has no `NO_COLOR` (no-color.org)
   */
  readonly colour?: boolean | undefined;
  /** @default "stdout" */
  readonly name?: string | undefined;
  /**
   * Whether a receipt's `stored` waits for it.
   * @default true
   */
  readonly required?: boolean | undefined;
}

/**
 * Prints events to standard output, or to another stream, on the application's thread. A worker's output passes through
 * that thread anyway, and a reader that has gone (`| head`) would end the process there; here it stops the handler.
 *
 * A batch counts as stored when the stream has accepted it, whatever the stream's reader does with it. Within a process
 * no event is printed twice. After a restart, events that were printed and not yet acknowledged are printed again,
 * since a stream cannot be read back.
 */
export function stdoutHandler(options: StdoutHandlerOptions = {}): SecurityEventHandler {
  rejectUnknownOptions("stdoutHandler", options, ["format", "facts", "stream", "colour", "name", "required"]);
  const { stream = "stdout", facts = false, name = "stdout", required = true } = options;
  if (stream !== "stdout" && stream !== "stderr" && typeof stream?.write !== "function") {
    throw configError("stdoutHandler", "stream", 'must be "stdout", "stderr" or a writable stream');
  }
  const terminal = isTerminal(stream);
  const { format = terminal ? "pretty" : "line", colour = terminal && !process.env["NO_COLOR"] } = options;
  if (!Object.hasOwn(PRINTERS, format)) {
    const known = Object.keys(PRINTERS).join('", "');
    throw configError("stdoutHandler", "format", `must be one of "${known}", not ${JSON.stringify(format)}`);
  }
  const print = (event: SecurityEvent): string =>
    PRINTERS[format](event, { colour, facts, width: (open(stream) as { readonly columns?: number }).columns });
  const printed = new Map<string, number>();
  // One write at a time. An abandoned write is still in the stream's buffer: the next one waits for it.
  let writing: Promise<void> = Promise.resolve();
  let closed = false;

  return {
    name,
    required,
    async handle(batch, signal) {
      if (closed) throw closedError();
      const work = writing.then(async () => {
        const last = printed.get(batch.source.id) ?? 0;
        if (batch.lastSeq <= last || signal.aborted) return;
        const events = decodedEvents(batch).slice(Math.max(0, last - batch.firstSeq + 1));
        await write(open(stream), events.map(print).join(""));
        printed.set(batch.source.id, batch.lastSeq);
      });
      writing = work.catch(() => {});
      await unlessAborted(work, signal);
    },
    async close() {
      closed = true;
    },
  };
}

const PRINTERS: {
  readonly [format in NonNullable<StdoutHandlerOptions["format"]>]: (
    event: SecurityEvent,
    options: PrettyOptions,
  ) => string;
} = {
  pretty: prettyEvent,
  line: (event, { colour }) => readableLine(event, colour),
  ndjson: (event) => ndjsonLine(event),
};

function open(stream: "stdout" | "stderr" | Writable): Writable {
  return typeof stream === "string" ? process[stream] : stream;
}

function isTerminal(stream: "stdout" | "stderr" | Writable): boolean {
  return (open(stream) as { readonly isTTY?: boolean }).isTTY === true;
}

/** The same outcome, or a failure when the signal aborts first. */
function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(new HandlerError("retry", "gave up printing: the stream accepts nothing more"));
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", giveUp));
  });
}

/** Resolves when the stream has flushed the text. */
function write(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const release = guard(stream);
    const settle = (error?: unknown): void => {
      release();
      if (error) reject(streamFailure(error));
      else resolve();
    };
    try {
      stream.write(text, settle);
    } catch (error) {
      settle(error);
    }
  });
}

/** The pending writes of each guarded stream. */
const guarded = new WeakMap<Writable, number>();

/**
 * A failed write emits "error" after its callback, which without a listener would end the application. The listener
 * stays only during a write: the application's own use of its streams must fail as usual.
 */
function guard(stream: Writable): () => void {
  const count = guarded.get(stream) ?? 0;
  guarded.set(stream, count + 1);
  if (count === 0) stream.on("error", ignore);
  return () => {
    setImmediate(() => {
      const left = (guarded.get(stream) ?? 1) - 1;
      guarded.set(stream, left);
      if (left === 0) stream.off("error", ignore);
    });
  };
}

/** An ended stream does not recover: an operator must act. */
function streamFailure(error: unknown): HandlerError {
  return new HandlerError("destination", `cannot write to the stream: ${errorMessage(error)}`, { cause: error });
}

function ignore(): void {}
