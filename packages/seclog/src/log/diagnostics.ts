import type { Diagnostic } from "../record/security-log.ts";
import { monotonicNow, setImmediate } from "../runtime/timers.ts";

/** The least time between two diagnostics of the same code and handler, in milliseconds. */
const INTERVAL_MS = 1_000;

/**
 * Passes diagnostics to the application's callback or, without one, errors and warnings to `process.emitWarning` once
 * for each code: a log must not fail silently. An exception of the callback is swallowed.
 *
 * The callback runs in a turn of its own, so that nothing it does or throws affects the call that recorded. Limiting
 * repetitions also bounds the queue: for each second of a long turn, one entry per code and handler.
 */
export class Diagnostics {
  readonly #callback: ((diagnostic: Diagnostic) => void) | undefined;
  readonly #due: Diagnostic[] = [];
  readonly #last = new Map<string, { at: number; suppressed: number }>();

  constructor(callback: ((diagnostic: Diagnostic) => void) | undefined) {
    this.#callback = callback;
  }

  /** @param limited `false` for what is reported once in a log's life and must not count as a repetition */
  report(diagnostic: Omit<Diagnostic, "suppressed">, limited: boolean = true): void {
    const key = `${diagnostic.code} ${diagnostic.handler ?? ""}`;
    const now = monotonicNow();
    const last = this.#last.get(key);
    if (limited && last !== undefined && (now - last.at < INTERVAL_MS || this.#callback === undefined)) {
      last.suppressed += 1;
      return;
    }
    this.#last.set(key, { at: now, suppressed: 0 });
    if (this.#callback === undefined) {
      if (diagnostic.level !== "info")
        process.emitWarning(diagnostic.message, { type: "SeclogWarning", code: diagnostic.code });
      return;
    }
    this.#due.push(
      last === undefined || last.suppressed === 0 ? diagnostic : { ...diagnostic, suppressed: last.suppressed },
    );
    if (this.#due.length === 1) setImmediate(this.deliverNow);
  }

  /** Delivers what is queued at once: as the process exits, no further turn comes. */
  readonly deliverNow = (): void => {
    for (const diagnostic of this.#due.splice(0)) {
      try {
        this.#callback?.(diagnostic);
      } catch {
        // The callback is where failures are reported; its own has nowhere to go.
      }
    }
  };
}
