import type { Diagnostic } from "../record/security-log.ts";
import { monotonicNow, setImmediate } from "../runtime/timers.ts";

/** Diagnostics of the same code and handler are given at most so often, in milliseconds. */
const INTERVAL_MS = 1_000;

/**
 * Gives diagnostics to the application's callback, or, without one, errors and warnings to `process.emitWarning`
 * once for each code: a log that fails must not fail unseen. What the callback throws is swallowed.
 *
 * The callback runs in a turn of its own: what it does, or throws, is no part of the call that recorded. No more can wait
 * for that turn than there are codes and handlers, for each second that the turn before takes.
 */
export class Diagnostics {
  readonly #callback: ((diagnostic: Diagnostic) => void) | undefined;
  readonly #due: Diagnostic[] = [];
  readonly #last = new Map<string, { at: number; suppressed: number }>();

  constructor(callback: ((diagnostic: Diagnostic) => void) | undefined) {
    this.#callback = callback;
  }

  /** @param limited `false` for what is told once in a log's life, and must not be taken for a repetition */
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

  /** Gives what waits, for the end of the process, which has no further turn. */
  readonly deliverNow = (): void => {
    for (const diagnostic of this.#due.splice(0)) {
      try {
        this.#callback?.(diagnostic);
      } catch {
        // There is nobody left to tell.
      }
    }
  };
}
