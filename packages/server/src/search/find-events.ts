import type { Query } from "@seclog/api";
import { type RawBuilder, type SqlBool, sql } from "kysely";
import type { Database } from "../database/reader.ts";
import { type EventRow, PAGE_ROWS, type RowKey, readPage } from "./event-rows.ts";
import type { EventFilter } from "./filter.ts";
import { queryOf } from "./filter-query.ts";
import { querySql } from "./query-sql.ts";
import { type SearchPosition, searchEvents } from "./search-events.ts";

/** The order of events, and how many. */
export interface EventPaging {
  readonly order: "newest" | "oldest";
  /** `Infinity` for all. */
  readonly limit: number;
  /** Called about once a second with the time that the search has come to. */
  readonly onReached?: (time: string) => void;
}

/** Events read together. */
export interface EventPage {
  readonly rows: readonly EventRow[];
  /** Whether more events match than `limit` allows: known with the last page, `false` before. */
  readonly more: boolean;
}

/**
 * The matching events in pages, so that a result of any size needs the memory of one page, and no statement takes long.
 * Each page continues after the last row of the one before; an offset would skip or repeat rows while events arrive.
 */
export async function* findEvents(
  database: Database,
  filter: EventFilter,
  { order, limit, onReached }: EventPaging,
  signal?: AbortSignal,
): AsyncGenerator<EventPage> {
  const query = queryOf(filter);
  // One row beyond the limit shows whether more match.
  let left = limit + 1;
  const [first, last] = order === "newest" ? [AFTER_ALL, BEFORE_ALL] : [BEFORE_ALL, AFTER_ALL];
  for await (const found of pages()) {
    const rows = found.slice(0, left - 1);
    if (found.length > 0) yield { rows, more: rows.length < found.length };
    left -= found.length;
    if (left <= 0) return;
  }

  async function* pages(): AsyncGenerator<readonly EventRow[]> {
    yield* oddPages(database, query, first, order, () => left);
    for (let position: SearchPosition | undefined, ended = false; !ended; ) {
      const size = Math.min(left, PAGE_ROWS);
      const found = await searchEvents(database, query, { order, limit: size, position, budgetMs: PAGE_MS, signal });
      yield found.rows;
      if (found.reached !== undefined) onReached?.(found.reached);
      position = found.next;
      ended = position === undefined;
    }
    yield* oddPages(database, query, last, order, () => left);
  }
}

/** How long to collect a page. */
const PAGE_MS = 1_000;

/** The times that no event of Seclog has: rows from before the table refused them, which no slice has. */
const AFTER_ALL = sql<SqlBool>`occurred_at >= '10000-01-01Z'`;
const BEFORE_ALL = sql<SqlBool>`occurred_at < '0001-01-01Z'`;

async function* oddPages(
  database: Database,
  query: Query,
  times: RawBuilder<SqlBool>,
  order: EventPaging["order"],
  left: () => number,
): AsyncGenerator<readonly EventRow[]> {
  const where = sql<SqlBool>`${querySql(query)} AND ${times}`;
  for (let after: RowKey | undefined, ended = false; !ended; ) {
    const limit = Math.min(left(), PAGE_ROWS);
    const direction = order === "newest" ? "desc" : "asc";
    const page = await readPage(database, { where, order: "time", direction, limit, after });
    yield page.rows;
    after = page.last;
    ended = page.complete && page.rows.length < limit;
  }
}
