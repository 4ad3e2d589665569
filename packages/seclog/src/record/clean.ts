import { EVENT_COLUMNS } from "../event/columns.ts";
import type { NoteTaker } from "../event/text.ts";
import { REDACTED, type Redactor } from "./redact.ts";
import { keptText, type TextColumn } from "./stored-text.ts";

/** How far past the cut of a text to look for secrets. */
const LOOK_BEHIND_CUT = 1024;

/**
 * Prepares an untrusted text for its column: redacted, cut and escaped, with notes.
 *
 * @param repeats whether the same text is likely to recur
 */
export function clean(
  text: string,
  column: TextColumn,
  redactor: Redactor,
  notes: NoteTaker,
  repeats: boolean = false,
): string {
  const privacy = redactor.columnClass(column);
  if (privacy === "never") {
    notes.redacted(column);
    return REDACTED;
  }
  if (privacy === "hash") {
    notes.converted(column, "hmac-sha256");
    return redactor.hash(text);
  }
  if (privacy === "mask") {
    notes.redacted(column);
    return keptText(redactor.mask(redactor.id(text)), column, notes);
  }
  const { limit } = EVENT_COLUMNS[column];
  if (repeats && text.length <= limit && redactor.isKnownPlain(text)) return text;
  if (text.length > limit) notes.truncated(column, text.length);
  // Redact first, and somewhat past the cut, so that half of a secret is not stored.
  const seen = text.length > limit + LOOK_BEHIND_CUT ? text.slice(0, limit + LOOK_BEHIND_CUT) : text;
  const safe = redactor.id(seen);
  if (safe !== seen) notes.redacted(column);
  const kept = keptText(safe, column, notes, safe === seen ? text : undefined);
  if (repeats && kept === text) redactor.rememberPlain(text);
  return kept;
}
