import type { Diagnostic } from "./security-log.ts";

/** Diagnostics of the same code and handler are given at most so often, in milliseconds. */
const INTERVAL_MS = 1_000;

/**
 * Gives diagnostics to the application's callback, or, without one, errors and warnings to `process.emitWarning`
 * once for each code: a log that fails must not fail unseen. What the callback throws is swallowed.
 */
export class Diagnostics {
  readonly #callback: ((diagnostic: Diagnostic) => void) | undefined;
  readonly #last = new Map<string, { at: number; suppressed: number }>();

  constructor(callback: ((diagnostic: Diagnostic) => void) | undefined) {
    this.#callback = callback;
  }

  tell(diagnostic: Omit<Diagnostic, "suppressed">): void {
    const key = `${diagnostic.code} ${diagnostic.handler ?? ""}`;
    const now = performance.now();
    const last = this.#last.get(key);
    if (last !== undefined && (now - last.at < INTERVAL_MS || this.#callback === undefined)) {
      last.suppressed += 1;
      return;
    }
    this.#last.set(key, { at: now, suppressed: 0 });
    if (this.#callback === undefined) {
      if (diagnostic.level !== "info")
        process.emitWarning(diagnostic.message, { type: "SeclogWarning", code: diagnostic.code });
      return;
    }
    try {
      this.#callback(
        last === undefined || last.suppressed === 0 ? diagnostic : { ...diagnostic, suppressed: last.suppressed },
      );
    } catch {
      // There is nobody left to tell.
    }
  }
}
