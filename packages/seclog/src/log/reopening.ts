import { decodeEvent, encodeEvent } from "../event/encode.ts";
import { errorMessage, SeclogError } from "../event/errors.ts";
import type { LeftOver, Pipeline } from "../pipeline/pipeline.ts";
import { nextSeq } from "../record/position.ts";
import { clearTimeout, setTimeout } from "../runtime/timers.ts";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

/** The source that a log had before, and the last number in it. */
export interface PreviousSource {
  readonly sourceId: string;
  readonly lastSeq: number;
}

/** What a {@link Reopening} reports to its log. */
export interface ReopeningObserver {
  /** The spool of this source is lost. */
  lost(previous: PreviousSource): void;
  /** A new spool could not be opened: events are refused until one can. */
  failed(error: SeclogError): void;
  /** Events are accepted again, under a new source. What the lost spool had not written has been recorded there. */
  reopened(previous: PreviousSource): void;
}

/** The lost spool, and the wait for a new one. */
interface Between {
  readonly previous: PreviousSource;
  /** What the lost spool had not written, to be recorded before anything else. */
  readonly pending: readonly Uint8Array[];
  /** Why the last attempt failed, and the pause before the next one, in milliseconds. */
  readonly error: SeclogError;
  readonly pause: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * The pipeline of a log, which outlives its spools. It is in one of three states:
 *
 * - **open**: `current` accepts events. `lose` leaves this state: another process took over the spool, or the folder is
 *   gone. A new spool is opened at once. If that succeeds, the state stays open under a new source; if not, it becomes
 *   between.
 * - **between**: `current` is the lost pipeline, and `error` says why events are refused. A new spool is tried after 50
 *   ms, then at growing intervals of up to 5 s, and when the log closes. Once one opens, what the lost spool had not
 *   written is recorded before anything else, under the new source and its numbers.
 * - **ended**: `end` was called. Nothing is retried, and what was pending is handed over, once.
 */
export class Reopening {
  readonly #open: () => Pipeline;
  readonly #observer: ReopeningObserver;
  #current: Pipeline;
  #between: Between | undefined;

  /**
   * @param open opens a pipeline with a source of its own
   * @throws SeclogError if the first one cannot be opened
   */
  constructor(open: () => Pipeline, observer: ReopeningObserver) {
    this.#open = open;
    this.#observer = observer;
    this.#current = open();
  }

  /** The pipeline that accepts events or, between two spools, the lost one. */
  get current(): Pipeline {
    return this.#current;
  }

  /** Why events are refused, between two spools. */
  get error(): SeclogError | undefined {
    return this.#between?.error;
  }

  /** @param pending what the lost spool had not written */
  lose(pending: readonly Uint8Array[]): void {
    const { sourceId, lastSeq } = this.#current;
    const previous = { sourceId, lastSeq };
    this.#observer.lost(previous);
    this.#try(previous, pending, FIRST_PAUSE_MS);
  }

  /** Between two spools, tries to open one now. */
  tryNow(): void {
    if (this.#between === undefined) return;
    const { previous, pending, pause } = this.#between;
    this.#try(previous, pending, pause);
  }

  /** The log has ended. Returns what reached no storage, or may not have. */
  end(): LeftOver {
    const between = this.#between;
    if (between === undefined) return this.#current.left();
    clearTimeout(between.timer);
    this.#between = { ...between, pending: [] };
    return { unwritten: between.pending, doubtful: 0, error: between.error };
  }

  #try(previous: PreviousSource, pending: readonly Uint8Array[], pause: number): void {
    clearTimeout(this.#between?.timer);
    try {
      this.#current = this.#open();
    } catch (thrown) {
      const error =
        thrown instanceof SeclogError ? thrown : new SeclogError("SECLOG_SPOOL_DIRECTORY", errorMessage(thrown));
      this.#observer.failed(error);
      const nextPause = Math.min(LONGEST_PAUSE_MS, 2 * pause);
      const timer = setTimeout(() => this.#try(previous, pending, nextPause), pause).unref();
      this.#between = { previous, pending, error, pause: nextPause, timer };
      return;
    }
    this.#between = undefined;
    for (const record of pending) {
      const { sourceId, epoch } = this.#current;
      const seq = nextSeq(this.#current);
      this.#current.append(seq, encodeEvent({ ...decodeEvent(record), sourceId, epoch, seq }));
    }
    this.#observer.reopened(previous);
  }
}
