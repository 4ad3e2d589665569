import { type RawBuilder, type SqlBool, sql } from "kysely";
import type { Database } from "../database/reader.ts";
import {
  beyond,
  type EventRow,
  NUMBER_ORDER,
  numberAfter,
  PAGE_ROWS,
  type RowKey,
  readPage,
  timeText,
} from "./event-rows.ts";
import type { EventFilter } from "./filter.ts";
import { conditionOf } from "./filter-query.ts";
import { findEvents } from "./find-events.ts";

/** A source's position: the number of its last event. */
interface Position {
  readonly id: string;
  readonly last_seq: number;
  readonly updated_at: string;
}

/** How much later than its timestamp a position may become visible, while its commit waits for a standby. */
const LATE_SECONDS = 60;

/** Every so many looks, look at all sources, not only at those that moved recently. */
const LOOK_AT_ALL = 60;

/**
 * Follows the log without missing or repeating an event.
 *
 * Times cannot do that: rows become visible in commit order, which is neither that of `created_at` nor of `occurred_at`.
 * But a source commits its position together with its events, and numbers them without gaps. So we note each source's
 * position at the start and then read everything beyond it.
 */
export class EventFollower {
  readonly #database: Database;
  readonly #filter: EventFilter;
  readonly #positions: Map<string, number> = new Map();
  #newest: string | undefined;
  #looks = 0;

  constructor(database: Database, filter: EventFilter) {
    this.#database = database;
    this.#filter = filter;
  }

  /** Notes every source's position, and returns the last `count` events before it, or as many as fit in memory, oldest first. */
  async begin(count: number): Promise<readonly EventRow[]> {
    return await this.#database
      .transaction()
      .setIsolationLevel("repeatable read")
      .execute(async (snapshot) => {
        for await (const page of this.#sources(snapshot)) for (const position of page) this.#moved(position);
        if (count === 0) return [];
        const rows: EventRow[] = [];
        let pages = 0;
        for await (const { rows: page } of findEvents(snapshot, this.#filter, { order: "newest", limit: count })) {
          rows.push(...page);
          if (++pages === MOST_PAGES) break;
        }
        return rows.reverse();
      });
  }

  /** The events since the last look, in pages: one source after the other, each in the order of its numbers. */
  async *look(): AsyncGenerator<readonly EventRow[]> {
    const all = this.#looks++ % LOOK_AT_ALL === 0;
    for await (const sources of this.#sources(this.#database, all ? undefined : this.#newest)) {
      for (const source of sources) {
        yield* this.#follow(source);
        this.#moved(source);
      }
    }
  }

  /** A source's events beyond its noted position. Walks a bounded number of rows at a time, however few match and whatever numbers have no row. */
  async *#follow({ id, last_seq }: Position): AsyncGenerator<readonly EventRow[]> {
    const seen = this.#positions.get(id) ?? 0;
    if (seen >= last_seq) return;
    const numbers = sql<SqlBool>`log.source_id = ${id}::uuid AND log.seq > ${seen}::bigint AND log.seq <= ${last_seq}::bigint`;
    for (let from: RowKey | undefined, ended = false; !ended; ) {
      const rest: RawBuilder<SqlBool> =
        from === undefined ? numbers : sql`${numbers} AND ${beyond(NUMBER_ORDER, "asc", from)}`;
      const end = await numberAfter(this.#database, rest, PAGE_ROWS);
      const within = end === undefined ? rest : sql<SqlBool>`${rest} AND ${beyond(NUMBER_ORDER, "desc", end, true)}`;
      const where = sql<SqlBool>`${conditionOf(this.#filter)} AND ${within}`;
      for (let after: RowKey | undefined, more = true; more; ) {
        const page = await readPage(this.#database, {
          where,
          order: "number",
          direction: "asc",
          limit: PAGE_ROWS,
          after,
        });
        if (page.rows.length > 0) yield page.rows;
        after = page.last;
        more = !page.complete;
      }
      from = end;
      ended = end === undefined;
      // If the next page fails, a retry does not repeat the events already shown.
      if (end !== undefined) this.#positions.set(id, Number(end[0]));
    }
  }

  #moved({ id, last_seq, updated_at }: Position): void {
    this.#positions.set(id, last_seq);
    if (this.#newest === undefined || updated_at > this.#newest) this.#newest = updated_at;
  }

  async *#sources(database: Database, since?: string): AsyncGenerator<readonly Position[]> {
    for (let after = "00000000-0000-0000-0000-000000000000"; ; ) {
      let query = database
        .selectFrom("security_event_source")
        .select(["id", "last_seq", timeText("updated_at").as("updated_at")])
        .where(sql<boolean>`id > ${after}::uuid`)
        .orderBy("id")
        .limit(SOURCES);
      if (since !== undefined) {
        query = query.where(
          sql<boolean>`updated_at > ${since}::timestamptz - make_interval(secs => ${LATE_SECONDS}::integer)`,
        );
      }
      const page = await query.execute();
      yield page;
      if (page.length < SOURCES) return;
      after = page.at(-1)?.id ?? "";
    }
  }
}

/** How many sources to read at a time, and how many pages of last events at most. */
const SOURCES = 10_000;
const MOST_PAGES = 8;
