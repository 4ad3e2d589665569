import type { Database } from "../database/reader.ts";
import { type EventRow, PAGE_ROWS, type RowKey, readPage } from "./event-rows.ts";
import type { EventFilter } from "./filter.ts";
import { conditionOf } from "./filter-query.ts";

/** The order of events, and how many. */
export interface EventPaging {
  readonly order: "newest" | "oldest";
  /** `Infinity` for all. */
  readonly limit: number;
}

/** Events read together. */
export interface EventPage {
  readonly rows: readonly EventRow[];
  /** Whether more events match than `limit` allows: known with the last page, `false` before. */
  readonly more: boolean;
}

/**
 * The matching events in pages, so that a result of any size needs the memory of one page. Each page continues after the
 * last row of the one before; an offset would skip or repeat rows while events arrive.
 */
export async function* findEvents(
  database: Database,
  filter: EventFilter,
  { order, limit }: EventPaging,
  signal?: AbortSignal,
): AsyncGenerator<EventPage> {
  const direction = order === "newest" ? "desc" : "asc";
  const where = conditionOf(filter);
  let after: RowKey | undefined;
  // One row beyond the limit shows whether more match.
  for (let left = limit + 1; left > 0; ) {
    signal?.throwIfAborted();
    const size = Math.min(left, PAGE_ROWS);
    const page = await readPage(database, { where, order: "time", direction, limit: size, after });
    const rows = page.rows.slice(0, left - 1);
    if (page.rows.length > 0) yield { rows, more: rows.length < page.rows.length };
    if (page.complete && page.rows.length < size) return;
    after = page.last;
    left -= page.rows.length;
  }
}
