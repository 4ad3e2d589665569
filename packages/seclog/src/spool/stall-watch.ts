import { clearTimeout, setImmediate, setTimeout } from "../runtime/timers.ts";

/** A longer sync means a stalling disk: events are then dropped rather than the process blocked. */
const STALL_MS = 1_000;

/**
 * Notices a sync that has not ended although the event loop turned for a second.
 *
 * A busy event loop must not look like a stalling disk: there the sync is long done, and only its callback could not
 * run. So the timer checks again after the pending callbacks.
 */
export class StallWatch {
  readonly #isSyncing: () => boolean;
  #timer: NodeJS.Timeout | undefined;
  #stalled = false;

  constructor(isSyncing: () => boolean) {
    this.#isSyncing = isSyncing;
  }

  get stalled(): boolean {
    return this.#stalled;
  }

  /** A sync begins. */
  begin(): void {
    this.#timer = setTimeout(() => {
      setImmediate((timer) => {
        this.#stalled = this.#isSyncing() && this.#timer === timer;
      }, this.#timer);
    }, STALL_MS);
    this.#timer.unref();
  }

  /** The sync has ended, or no longer matters. */
  end(): void {
    this.#stalled = false;
    clearTimeout(this.#timer);
  }
}
