/**
 * What the operations of this folder accept. They check it themselves, for every caller: what is removed cannot be
 * restored, and a refusal by the database names a constraint, not the value at fault.
 */
import { InputError } from "../text/input-error.ts";

/** Keeps the event that records the reason within its limits. */
const LONGEST_REASON = 1_000;

/** Returns the reason. @throws SeclogError `SECLOG_CONFIG` if it is blank, too long or not text */
export function requireReason(reason: unknown): string {
  if (typeof reason !== "string" || reason.trim() === "") {
    throw new InputError((named) => `${named("reason")} is empty: say why, for later readers of the record`);
  }
  if (reason.includes("\0")) {
    throw new InputError((named) => `${named("reason")} contains a NUL, which PostgreSQL cannot store: leave it out`);
  }
  if (reason.length <= LONGEST_REASON) return reason;
  throw new InputError(
    (named) => `${named("reason")} has ${reason.length} characters, more than ${LONGEST_REASON}: shorten it`,
  );
}

/** @throws SeclogError `SECLOG_CONFIG` if a time does not exist, or the first is not before the second */
export function requireSpan(since: Date | undefined, until: Date | undefined): void {
  for (const [name, time] of [
    ["since", since],
    ["until", until],
  ] as const) {
    if (time !== undefined && Number.isNaN(time.getTime())) {
      throw new InputError((named) => `${named(name)} is not a time: pass a date that exists`);
    }
  }
  if (since === undefined || until === undefined || since < until) return;
  throw new InputError(
    (named) =>
      `${named("since")} ${since.toISOString()} is not before ${named("until")} ${until.toISOString()}: no event could match`,
  );
}
