/** Finds events for readers that wait: a page within a time, and where to go on, whatever the query costs. */
import { type Query, timeRange } from "@seclog/api";
import { sql } from "kysely";
import type { Database } from "../database/reader.ts";
import { type EventRow, PAGE_BYTES, type RowKey, readPage } from "./event-rows.ts";
import { querySql } from "./query-sql.ts";
import { microsOf, microsText, storedTime, timesOfLog, walkSlices } from "./slices.ts";

/** A page of a search. */
export interface FoundEvents {
  readonly rows: readonly EventRow[];
  /** Where to go on; `undefined` at the end. */
  readonly next: SearchPosition | undefined;
  /** All events from the start of the search to here have been compared. `undefined` in an empty log. */
  readonly reached: string | undefined;
}

/** A place in a search. */
export interface SearchPosition {
  /** The last row returned. */
  readonly after?: RowKey | undefined;
  /** How far the search has come beyond it. */
  readonly reached: string;
}

export interface SearchOptions {
  readonly order: "newest" | "oldest";
  readonly limit: number;
  readonly position?: SearchPosition | undefined;
  /** Returns after about this time, in milliseconds, with what it has. */
  readonly budgetMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Finds the next events of a query whose times are moments. */
export async function searchEvents(database: Database, query: Query, options: SearchOptions): Promise<FoundEvents> {
  const { order, limit, position, budgetMs, signal } = options;
  const began = performance.now();
  const range = await rangeOf(database, query);
  if (range === undefined) return { rows: [], next: undefined, reached: position?.reached };
  const condition = querySql(query);
  const rows: EventRow[] = [];
  let bytes = 0;
  let after = position?.after;
  const start = position === undefined ? undefined : microsOf(position.reached);
  const { from, to } = {
    from: order === "oldest" && start !== undefined && start > range.from ? start : range.from,
    to: order === "newest" && start !== undefined && start < range.to ? start : range.to,
  };
  let reached = position?.reached ?? microsText(order === "newest" ? to : from);
  for await (const slice of walkSlices({ order, from, to, signal }, (within) =>
    readPage(database, {
      where: sql`${condition} AND ${within}`,
      order: "time",
      direction: order === "newest" ? "desc" : "asc",
      limit: limit - rows.length,
      after,
    }),
  )) {
    const { rows: found, last, complete } = slice.result;
    rows.push(...found);
    bytes += slice.result.bytes;
    if (last !== undefined && (rows.length >= limit || !complete)) {
      const at = microsOf(storedTime(last[0]));
      // Other rows of the same moment may follow, which `after` tells apart.
      const next = { after: last, reached: microsText(order === "newest" ? at + 1n : at) };
      return { rows, next, reached: microsText(at) };
    }
    after = undefined;
    reached = microsText(slice.reached);
    if (slice.done) return { rows, next: undefined, reached };
    if (performance.now() - began > budgetMs || bytes > PAGE_BYTES) return { rows, next: { reached }, reached };
  }
  return { rows, next: undefined, reached };
}

/** The times that a query may find events in; `undefined` if the log has none there. */
export async function rangeOf(
  database: Database,
  query: Query,
): Promise<{ readonly from: bigint; readonly to: bigint } | undefined> {
  const log = await timesOfLog(database);
  if (log === undefined) return undefined;
  const { since, until } = timeRange(query);
  const low = since === undefined ? log.from : BigInt(since.getTime()) * 1000n;
  const high = until === undefined ? log.to : BigInt(until.getTime()) * 1000n;
  const [from, to] = [low > log.from ? low : log.from, high < log.to ? high : log.to];
  return from < to ? { from, to } : undefined;
}
