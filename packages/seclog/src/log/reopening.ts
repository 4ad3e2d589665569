import { decodeEvent, encodeEvent } from "../event/encode.ts";
import { errorMessage, SeclogError } from "../event/errors.ts";
import type { LeftOver, Pipeline } from "../pipeline/pipeline.ts";
import { nextSeq } from "../record/position.ts";
import { clearTimeout, setTimeout } from "../runtime/timers.ts";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

/** The last life of a log: its source, and the last number that it gave. */
export interface PreviousSource {
  readonly sourceId: string;
  readonly lastSeq: number;
}

/** What a {@link Reopening} tells its log. */
export interface ReopeningObserver {
  /** The spool of this source is lost. */
  lost(previous: PreviousSource): void;
  /** No other spool could be opened: no event is taken until one can. */
  failed(error: SeclogError): void;
  /** Events are taken again, as those of another source. What the lost spool had not taken has been recorded. */
  reopened(previous: PreviousSource): void;
}

/** The lost spool, and the wait for another one. */
interface Between {
  readonly previous: PreviousSource;
  /** What the lost spool had not taken, to be recorded first of all. */
  readonly pending: readonly Uint8Array[];
  /** Why no other can be opened, and how long is waited before the next try, in milliseconds. */
  readonly error: SeclogError;
  readonly pause: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * The pipeline of a log, over the lives of its spools. It is in one of three states:
 *
 * - **open**: `current` takes events. `lose` ends it: another process took the spool over, or the folder is gone. The next
 *   spool is opened at once; if that succeeds the state stays open, with another source, else it is between.
 * - **between**: `current` is the lost pipeline, and `error` says why no event is taken. Another spool is tried after 50 ms at
 *   first and every 5 s at last, and when the log closes. The first one that opens ends it: what the lost one had not taken is
 *   recorded before anything else, under the new source and its numbers.
 * - **ended**: `end` was called. Nothing is tried any more, and what was pending is handed over, once.
 */
export class Reopening {
  readonly #open: () => Pipeline;
  readonly #observer: ReopeningObserver;
  #current: Pipeline;
  #between: Between | undefined;

  /**
   * @param open opens a pipeline with a source of its own
   * @throws SeclogError when the first one cannot be opened
   */
  constructor(open: () => Pipeline, observer: ReopeningObserver) {
    this.#open = open;
    this.#observer = observer;
    this.#current = open();
  }

  /** The pipeline that takes events, or the one that was lost. */
  get current(): Pipeline {
    return this.#current;
  }

  /** Why no event is taken, while there is no spool to write to. */
  get error(): SeclogError | undefined {
    return this.#between?.error;
  }

  /** @param pending what the lost spool had not taken */
  lose(pending: readonly Uint8Array[]): void {
    const { sourceId, lastSeq } = this.#current;
    const previous = { sourceId, lastSeq };
    this.#observer.lost(previous);
    this.#try(previous, pending, FIRST_PAUSE_MS);
  }

  /** Tries now, if it is between two spools. */
  tryNow(): void {
    if (this.#between === undefined) return;
    const { previous, pending, pause } = this.#between;
    this.#try(previous, pending, pause);
  }

  /** The log has ended. What reached no storage, or may not have. */
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
