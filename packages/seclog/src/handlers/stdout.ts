import type { Writable } from "node:stream";
import { errorMessage } from "../event/errors.ts";
import type { SecurityEvent } from "../event/event.ts";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { readableLine } from "../formats/line.ts";
import { ndjsonLine } from "../formats/ndjson.ts";
import { setImmediate } from "../runtime/timers.ts";
import { HandlerError, type SecurityEventHandler } from "../ship/handler.ts";
import { closedError, decodedEvents } from "./batches.ts";

/** Options of {@link stdoutHandler}. */
export interface StdoutHandlerOptions {
  /**
   * `"line"` for people, `"ndjson"` for programs: one JSON object a line with the table's column names. An event is one
   * line in both: control characters, ANSI sequences and bidirectional overrides are escaped.
   * @default "line"
   */
  readonly format?: "line" | "ndjson" | undefined;
  /**
   * Where to.
   * @default "stdout"
   */
  readonly stream?: "stdout" | "stderr" | Writable | undefined;
  /**
   * Whether levels have colours in `"line"`.
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
 * Prints events to standard output, or to another stream, on the application's thread: what a worker prints passes through that
 * thread's streams anyway, and a reader that has gone (`| head`) would end the process there. Here it stops the handler.
 *
 * A batch counts as stored when the stream has taken it; what a reader of the stream does with it is out of sight. Within a
 * process no event is printed twice; after a restart, those printed and not yet acknowledged are printed again, since a stream
 * cannot say what it has had.
 */
export function stdoutHandler(options: StdoutHandlerOptions = {}): SecurityEventHandler {
  rejectUnknownOptions("stdoutHandler", options, ["format", "stream", "colour", "name", "required"]);
  const { format = "line", stream = "stdout", name = "stdout", required = true } = options;
  if (format !== "line" && format !== "ndjson") {
    throw configError("stdoutHandler", "format", `must be "line" or "ndjson", not ${JSON.stringify(format)}`);
  }
  if (stream !== "stdout" && stream !== "stderr" && typeof stream?.write !== "function") {
    throw configError("stdoutHandler", "stream", 'must be "stdout", "stderr" or a writable stream');
  }
  const colour = options.colour ?? (isTerminal(stream) && !process.env["NO_COLOR"]);
  const print = format === "ndjson" ? ndjsonLine : (event: SecurityEvent) => readableLine(event, colour);
  const printed = new Map<string, number>();
  // One write at a time. One that was given up is still the stream's: nothing is written behind its back.
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

function open(stream: "stdout" | "stderr" | Writable): Writable {
  return typeof stream === "string" ? process[stream] : stream;
}

function isTerminal(stream: "stdout" | "stderr" | Writable): boolean {
  return (open(stream) as { readonly isTTY?: boolean }).isTTY === true;
}

/** The same outcome, or a failure when the signal aborts first. */
function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(new HandlerError("retry", "printing was given up: the stream takes nothing"));
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", giveUp));
  });
}

/** Resolves when the stream has handed the text on. */
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

/** How many writes each stream is guarded for. */
const guarded = new WeakMap<Writable, number>();

/**
 * A failed write emits "error" after its callback, which without a listener would end the application. There is one
 * only while something is written: what the application does to its streams otherwise is its own affair.
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

/** A stream that has ended stays ended: somebody must act. */
function streamFailure(error: unknown): HandlerError {
  return new HandlerError("destination", `the stream cannot be written: ${errorMessage(error)}`, { cause: error });
}

function ignore(): void {}
