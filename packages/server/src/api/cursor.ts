/** The cursor of a search: where the next page begins, and which search it belongs to. */
import { createHash } from "node:crypto";
import { SeclogError } from "seclog";
import type { RowKey } from "../search/event-rows.ts";
import type { SearchPosition } from "../search/search-events.ts";

/** A search's place, and the time that its ages are relative to: `since:1d` must not move between pages. */
export interface Cursor {
  readonly now: Date;
  readonly position: SearchPosition;
}

/** @param search what the cursor belongs to: the query, its times and the order */
export function writeCursor({ now, position }: Cursor, search: string): string {
  return Buffer.from(
    JSON.stringify([1, now.getTime(), position.reached, position.after ?? [], nameOf(search)]),
  ).toString("base64url");
}

/** @throws SeclogError `SECLOG_CONFIG` */
export function readCursor(text: string, search: string): Cursor {
  const wrong = (why: string): SeclogError =>
    new SeclogError("SECLOG_CONFIG", `cursor ${why}: start without one, and pass each as it was returned`);
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(text, "base64url").toString());
  } catch {
    throw wrong("cannot be read");
  }
  if (!Array.isArray(parts)) throw wrong("cannot be read");
  const [version, now, reached, after, name] = parts as readonly unknown[];
  const isKey =
    Array.isArray(after) &&
    (after.length === 0 || (after.length === 4 && isTime(after[0]) && after.every((part) => typeof part === "string")));
  if (version !== 1 || typeof now !== "number" || typeof reached !== "string" || !isTime(reached) || !isKey)
    throw wrong("cannot be read");
  if (name !== nameOf(search)) throw wrong("belongs to another query or order");
  const key = after.length === 0 ? undefined : (after as unknown as RowKey);
  return { now: new Date(now), position: { reached, after: key } };
}

function isTime(text: unknown): boolean {
  return typeof text === "string" && /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00)$/.test(text);
}

function nameOf(search: string): string {
  return createHash("sha256").update(search).digest("hex").slice(0, 16);
}
