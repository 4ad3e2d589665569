/**
 * What the deeds of this folder accept. They check it themselves, whoever calls them: what is removed cannot be brought
 * back, and a refusal by the database names a constraint, not the value at fault.
 */
import { SeclogError } from "seclog";

/** Keeps the event that records the reason within its limits. */
const LONGEST_REASON = 1_000;

function refuse(what: string): SeclogError {
  return new SeclogError("SECLOG_CONFIG", what);
}

/** Returns the reason. @throws SeclogError `SECLOG_CONFIG` if it is blank, too long or not text */
export function requireReason(reason: unknown): string {
  if (typeof reason !== "string" || reason.trim() === "") {
    throw refuse("the reason is empty: say why, for later readers of the record");
  }
  if (reason.includes("\0")) throw refuse("the reason contains a NUL, which PostgreSQL cannot store: leave it out");
  if (reason.length <= LONGEST_REASON) return reason;
  throw refuse(`the reason has ${reason.length} characters; the limit is ${LONGEST_REASON}`);
}

/** @throws SeclogError `SECLOG_CONFIG` if a time does not exist, or the first is not before the second */
export function requireSpan(since: Date | undefined, until: Date | undefined): void {
  for (const [name, time] of [
    ["since", since],
    ["until", until],
  ] as const) {
    if (time !== undefined && Number.isNaN(time.getTime())) throw refuse(`${name} is not a time`);
  }
  if (since === undefined || until === undefined || since < until) return;
  throw refuse(`since ${since.toISOString()} is not before until ${until.toISOString()}: no event could match`);
}
