import { EVENT_COLUMNS } from "../event/columns.ts";
import type { NoteTaker } from "../event/text.ts";
import { REDACTED, type Redactor } from "./redact.ts";
import { keptText, type TextColumn } from "./stored-text.ts";

/** How far a secret is looked for behind the place where a text is cut. */
const LOOK_BEHIND_CUT = 1024;

/**
 * A stranger's text that has a column of its own: redacted, cut and escaped, with notes.
 *
 * @param repeats whether the same text comes again and again
 */
export function clean(
  text: string,
  column: TextColumn,
  redactor: Redactor,
  notes: NoteTaker,
  repeats: boolean = false,
): string {
  if (redactor.secretColumn(column)) {
    notes.redacted(column);
    return REDACTED;
  }
  const { limit } = EVENT_COLUMNS[column];
  if (repeats && text.length <= limit && redactor.isKnownPlain(text)) return text;
  if (text.length > limit) notes.truncated(column, text.length);
  // Redacted first, and somewhat beyond the cut, so that no half of a secret is kept.
  const seen = text.length > limit + LOOK_BEHIND_CUT ? text.slice(0, limit + LOOK_BEHIND_CUT) : text;
  const safe = redactor.id(seen);
  if (safe !== seen) notes.redacted(column);
  const kept = keptText(safe, column, notes, safe === seen ? text : undefined);
  if (repeats && kept === text) redactor.rememberPlain(text);
  return kept;
}
