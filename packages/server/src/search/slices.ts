/**
 * Walks a time range in slices, newest or oldest first, so that no search is one long statement: each slice is a short
 * one, which says how far the search has come and after which the reader may leave.
 *
 * A slice is as long as the last ones suggest: one that took longer than planned is followed by a shorter one, so a
 * search without an index reads about as many rows in each, and one with an index soon reads years at once.
 */
import { type RawBuilder, type SqlBool, sql } from "kysely";
import { isCode } from "../database/failure.ts";
import type { Database } from "../database/reader.ts";

/** The times to walk. */
export interface SliceOptions {
  readonly order: "newest" | "oldest";
  /** The range's start, and its end, which it excludes. Microseconds since 1970. */
  readonly from: bigint;
  readonly to: bigint;
  /** Ends the walk before the next slice. */
  readonly signal?: AbortSignal | undefined;
}

/** A slice that was read. */
export interface Slice<T> {
  readonly result: T;
  /** How far the walk has come: everything between here and where it began has been read. */
  readonly reached: bigint;
  /** Whether this was the last one. */
  readonly done: boolean;
}

/** How long a slice should take, in milliseconds. */
const PLANNED_MS = 200;

/** The first slice. An hour of a busy log has some hundred thousand rows. */
const FIRST_US: bigint = 3_600_000_000n;

/** How much longer than the last slice the next one may be. */
const MOST_GROWTH = 16;

const CANCELLED = "57014";

/** Reads each slice with `read`, which gets the slice's condition. */
export async function* walkSlices<T>(
  { order, from, to, signal }: SliceOptions,
  read: (within: RawBuilder<SqlBool>) => Promise<T>,
): AsyncGenerator<Slice<T>> {
  let width = FIRST_US;
  let growth = MOST_GROWTH;
  for (let [low, high] = [from, to]; low < high; ) {
    signal?.throwIfAborted();
    const [start, end] =
      order === "newest"
        ? [high - width > low ? high - width : low, high]
        : [low, low + width < high ? low + width : high];
    const began = performance.now();
    let result: T;
    try {
      result = await read(
        sql<SqlBool>`occurred_at >= ${microsText(start)}::timestamptz AND occurred_at < ${microsText(end)}::timestamptz`,
      );
    } catch (error) {
      // The statement's time limit: this slice has more rows than expected.
      if (!isCode(error, CANCELLED) || end - start <= 1n) throw error;
      width = (end - start) / 16n > 0n ? (end - start) / 16n : 1n;
      // A log is dense in places: carefully from here.
      growth = 1.5;
      continue;
    }
    if (order === "newest") high = start;
    else low = end;
    yield { result, reached: order === "newest" ? start : end, done: low >= high };
    const factor = Math.min(growth, Math.max(0.125, PLANNED_MS / Math.max(1, performance.now() - began)));
    width = BigInt(Math.max(1, Math.round(Number(end - start) * factor)));
    growth = Math.min(MOST_GROWTH, growth * 1.5);
  }
}

/**
 * The times of the log's oldest and newest event, in microseconds; `undefined` while it is empty. By an index: a condition
 * would cost more in planning than the rest.
 */
export async function timesOfLog(
  database: Database,
): Promise<{ readonly from: bigint; readonly to: bigint } | undefined> {
  const { rows } = await sql<{ from: string | null; to: string | null }>`
    SELECT min(occurred_at)::text AS "from", max(occurred_at)::text AS "to" FROM security_event_log`.execute(database);
  const [{ from, to } = { from: null, to: null }] = rows;
  return from === null || to === null ? undefined : { from: clamped(from), to: clamped(to) + 1n };
}

/** A time as PostgreSQL prints it, within the years 1 to 9999: older logs have others. */
function clamped(text: string): bigint {
  if (/^\d{4}-/.test(text) && !text.endsWith("BC")) return microsOf(storedTime(text));
  return microsOf(/^-|BC$/.test(text) ? "0001-01-01T00:00:00Z" : "9999-12-31T23:59:59.999999Z");
}

/** A time of microseconds since 1970, as events have it; the end of the year 9999, which a range excludes, has five digits. */
export function microsText(micros: bigint): string {
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const seconds = Number((micros - fraction) / 1_000_000n);
  const text = new Date(seconds * 1000)
    .toISOString()
    .replace(/^\+0/, "")
    .replace(/\.\d+Z$/, "");
  return `${text}.${String(fraction).padStart(6, "0")}Z`;
}

/** The microseconds since 1970 of a time with up to six digits of a second. */
export function microsOf(time: string): bigint {
  const [, whole = "", fraction = ""] = /^(.*?)(?:\.(\d{1,6}))?Z$/.exec(time) ?? [];
  return BigInt(Date.parse(`${whole}Z`)) * 1000n + BigInt(fraction.padEnd(6, "0"));
}

/** A time as PostgreSQL prints it in UTC, in the form of events. */
export function storedTime(text: string | null): string {
  return (text ?? "").replace(" ", "T").replace(/\+00$/, "Z");
}
