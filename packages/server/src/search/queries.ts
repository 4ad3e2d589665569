import { type Expression, type ExpressionBuilder, expressionBuilder, type RawBuilder, type SqlBool, sql } from "kysely";
import type { Database, Tables } from "../database/reader.ts";
import { beyond, type EventRow, NUMBER_ORDER, numberAfter, type RowKey, readPage, timeText } from "./event-rows.ts";
import type { EventFilter } from "./filter.ts";

export type { EventRow } from "./event-rows.ts";

type Condition = Expression<SqlBool>;

/** The conditions of a filter. Every value is a parameter of the statement. */
export function matches(filter: EventFilter): (eb: ExpressionBuilder<Tables, "security_event_log">) => Condition {
  return (eb) => {
    const conditions: RawBuilder<boolean>[] = [];
    if (filter.since) conditions.push(sql`occurred_at >= ${filter.since.toISOString()}::timestamptz`);
    if (filter.until) conditions.push(sql`occurred_at < ${filter.until.toISOString()}::timestamptz`);
    if (filter.types) conditions.push(sql`event_type LIKE ANY (${filter.types.map(wildcards)}::text[])`);
    if (filter.level) conditions.push(sql`level >= ${filter.level}::security_event_level`);
    // `=` where it can be, since only that uses the index.
    if (filter.ip) conditions.push(sql`ip_address ${filter.ip.includes("/") ? sql`<<=` : sql`=`} ${filter.ip}::inet`);
    if (filter.outcomes) conditions.push(sql`outcome::text = ANY (${filter.outcomes}::text[])`);
    if (filter.categories) conditions.push(sql`category = ANY (${filter.categories}::text[])`);
    if (filter.actor) conditions.push(isNamed(sql`actor_id`, '"userid":', filter.actor));
    if (filter.target) conditions.push(isNamed(sql`target_id`, 'userid":', filter.target));
    // One that is not known is kept as it was sent, beside `_OTHER`.
    if (filter.methods) {
      conditions.push(
        sql`(method = ANY (${filter.methods}::text[]) OR upper(method_original) = ANY (${filter.methods}::text[]))`,
      );
    }
    if (filter.route) conditions.push(sql`route = ${filter.route}`);
    if (filter.statuses) {
      const [from, to] = [filter.statuses.map(([first]) => first), filter.statuses.map(([, last]) => last)];
      conditions.push(
        sql`EXISTS (SELECT FROM unnest(${from}::integer[], ${to}::integer[]) AS s (low, high) WHERE status_code BETWEEN s.low AND s.high)`,
      );
    }
    if (filter.host) {
      conditions.push(
        sql`(lower(request_host) = ${filter.host} OR lower(request_host) LIKE ${`${literally(filter.host)}:%`} OR lower(host) = ${filter.host})`,
      );
    }
    if (filter.service) conditions.push(sql`service = ${filter.service}`);
    if (filter.path) {
      const pattern = filter.path.includes("*") ? wildcards(filter.path) : `${literally(filter.path)}%`;
      conditions.push(sql`path LIKE ${pattern}`);
    }
    if (filter.text) conditions.push(containsText(filter.text));
    return eb.and(conditions);
  };
}

/**
 * Whether an id stands in its column, or in `data` under a name that ends in `key`: as `seclog_erase` has it, letter for
 * letter, so that one sees beforehand what is erased. The target's names are `userid`, `newuserid` and `onuserid`.
 */
function isNamed(column: RawBuilder<unknown>, key: string, forms: readonly string[]): RawBuilder<boolean> {
  const conditions = forms.flatMap((id) => [
    sql`${column} = ${id}`,
    sql`position(${key}::text || to_json(${id}::text)::text IN data::text) > 0`,
    ...(/^[0-9]+$/.test(id) ? [sql`data::text ~ (${key}::text || ${id}::text || '[,}]')`] : []),
  ]);
  return sql`(${sql.join(conditions, sql` OR `)})`;
}

const TEXTS = sql.raw(
  "concat_ws(' ', event_type, path, route, user_agent, actor_id, target_id, request_host, request_id, trace_id, method_original, service, host, logger, data::text)",
);

function containsText(text: string): RawBuilder<boolean> {
  // Within `data` a quote or a line end is written as in JSON.
  const inJson = JSON.stringify(text).slice(1, -1);
  return sql`(${TEXTS} ILIKE ${`%${literally(text)}%`} OR data::text ILIKE ${`%${literally(inJson)}%`})`;
}

function literally(text: string): string {
  return text.replace(/[\\%_]/g, "\\$&");
}

/** A pattern of LIKE for a text in which `*` stands for any text. */
export function wildcards(text: string): string {
  return literally(text).replaceAll("*", "%");
}

/** In what order and how many. */
export interface EventPaging {
  readonly order: "newest" | "oldest";
  readonly limit: number;
}

/** The most rows that are held at a time. */
const PAGE = 5_000;

/**
 * The events that match, page by page, so that a result of any size needs the memory of one page. Each page goes on
 * behind the last row of the one before, which an offset would not do while events arrive.
 */
export async function* findEvents(
  database: Database,
  filter: EventFilter,
  { order, limit }: EventPaging,
  signal?: AbortSignal,
): AsyncGenerator<readonly EventRow[]> {
  const direction = order === "newest" ? "desc" : "asc";
  const where = conditionOf(filter);
  let after: RowKey | undefined;
  for (let left = limit; left > 0; ) {
    signal?.throwIfAborted();
    const size = Math.min(left, PAGE);
    const page = await readPage(database, { where, order: "time", direction, limit: size, after });
    if (page.rows.length > 0) yield page.rows;
    if (page.complete && page.rows.length < size) return;
    after = page.last;
    left -= page.rows.length;
  }
}

function conditionOf(filter: EventFilter): Condition {
  return matches(filter)(expressionBuilder<Tables, "security_event_log">());
}

/** How far a source has come. */
interface Position {
  readonly id: string;
  readonly last_seq: number;
  readonly updated_at: string;
}

/** A source's position may become visible this much later than it says, while its commit waits for a standby. */
const LATE_SECONDS = 60;

/** How often all sources are looked at, and not only those that moved lately. */
const LOOK_AT_ALL = 60;

/**
 * Follows the log without missing or repeating an event.
 *
 * Times cannot do that: rows become visible in the order of commits, which is neither that of `created_at` nor of
 * `occurred_at`. But a source's position and its events are committed together, and its events are numbered without
 * a hole. So: where each source stood at the beginning, then whatever is beyond.
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

  /** Notes where every source stands, and returns the last `count` events up to there, or as many as fit into memory, oldest first. */
  async begin(count: number): Promise<readonly EventRow[]> {
    return await this.#database
      .transaction()
      .setIsolationLevel("repeatable read")
      .execute(async (snapshot) => {
        for await (const page of this.#sources(snapshot)) for (const position of page) this.#moved(position);
        if (count === 0) return [];
        const rows: EventRow[] = [];
        let pages = 0;
        for await (const page of findEvents(snapshot, this.#filter, { order: "newest", limit: count })) {
          rows.push(...page);
          if (++pages === MOST_PAGES) break;
        }
        return rows.reverse();
      });
  }

  /** What has come since the last look, page by page: in the order of each source, and within a look by time. */
  async *look(): AsyncGenerator<readonly EventRow[]> {
    const all = this.#looks++ % LOOK_AT_ALL === 0;
    for await (const sources of this.#sources(this.#database, all ? undefined : this.#newest)) {
      for (const source of sources) {
        yield* this.#follow(source);
        this.#moved(source);
      }
    }
  }

  /** A source's events from where it was seen last: through so many rows at a time, whatever of them matches, and whatever numbers have none. */
  async *#follow({ id, last_seq }: Position): AsyncGenerator<readonly EventRow[]> {
    const seen = this.#positions.get(id) ?? 0;
    if (seen >= last_seq) return;
    const numbers = sql<SqlBool>`log.source_id = ${id}::uuid AND log.seq > ${seen}::bigint AND log.seq <= ${last_seq}::bigint`;
    for (let from: RowKey | undefined, ended = false; !ended; ) {
      const rest: RawBuilder<SqlBool> =
        from === undefined ? numbers : sql`${numbers} AND ${beyond(NUMBER_ORDER, "asc", from)}`;
      const end = await numberAfter(this.#database, rest, PAGE);
      const within = end === undefined ? rest : sql<SqlBool>`${rest} AND ${beyond(NUMBER_ORDER, "desc", end, true)}`;
      const where = sql<SqlBool>`${conditionOf(this.#filter)} AND ${within}`;
      for (let after: RowKey | undefined, more = true; more; ) {
        const page = await readPage(this.#database, { where, order: "number", direction: "asc", limit: PAGE, after });
        if (page.rows.length > 0) yield page.rows;
        after = page.last;
        more = !page.complete;
      }
      from = end;
      ended = end === undefined;
      // What was shown is not shown again, should the next page fail.
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

/** How many sources are read at a time, and of how many pages the last events are. */
const SOURCES = 10_000;
const MOST_PAGES = 8;

/** A group of events and how many occurrences they stand for. */
export interface Tally {
  readonly name: string;
  readonly events: number;
  readonly occurrences: number;
}

/** What can be counted by. */
const GROUPS: { readonly [G in "type" | "level" | "ip" | "hour"]: RawBuilder<string> } = {
  type: sql<string>`event_type`,
  level: sql<string>`level::text`,
  ip: sql<string>`host(ip_address)`,
  hour: sql<string>`coalesce(to_char(date_trunc('hour', occurred_at AT TIME ZONE 'UTC'), 'YYYY-MM-DD"T"HH24:MI"Z"')
    || CASE WHEN occurred_at < '0001-01-01 00:00:00+00' THEN ' BC' ELSE '' END, occurred_at::text)`,
};

/** Counts events by one of their columns, most frequent first; hours in their order, newest first. */
export async function countBy(
  database: Database,
  filter: EventFilter,
  group: keyof typeof GROUPS,
  limit: number,
): Promise<readonly Tally[]> {
  const name = GROUPS[group];
  let query = database
    .selectFrom("security_event_log")
    .where(matches(filter))
    .select([
      name.as("name"),
      sql<number>`count(*)`.as("events"),
      // One row may stand for many occurrences, and may say anything.
      sql<number>`least(sum(greatest(coalesce(count, 1), 1)), ${Number.MAX_SAFE_INTEGER})::bigint`.as("occurrences"),
    ])
    .groupBy(sql`1`)
    .limit(limit);
  if (group === "ip") query = query.where("ip_address", "is not", null);
  query = group === "hour" ? query.orderBy(sql`1`, "desc") : query.orderBy(sql`2`, "desc").orderBy(sql`1`);
  return await query.execute();
}

/** A log in one process, as the database knows it. */
export interface SourceState {
  readonly id: string;
  /** Whether these are the events of the database itself: that it was set up, what was taken away. */
  readonly own: boolean;
  readonly service: string | null;
  readonly host: string | null;
  readonly epoch: number;
  readonly last_seq: number;
  readonly quarantined: number;
  readonly opened_at: string;
  readonly updated_at: string;
  readonly last_heartbeat: string | null;
}

/** The sources that were heard of last, with their service and host as their newest event has them. */
export async function sourceStates(database: Database, limit: number): Promise<readonly SourceState[]> {
  return await database
    .with("latest", (db) =>
      db.selectFrom("security_event_source").selectAll().orderBy("updated_at", "desc").limit(limit),
    )
    .selectFrom("latest")
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom("security_event_log")
          .select(["service", "host"])
          .whereRef("source_id", "=", "latest.id")
          .whereRef("seq", "<=", "latest.last_seq")
          .orderBy("seq", "desc")
          .limit(1)
          .as("newest"),
      (join) => join.onTrue(),
    )
    .select([
      "latest.id",
      sql<boolean>`latest.id = (SELECT own_source FROM security_event_tree)`.as("own"),
      "newest.service",
      "newest.host",
      "latest.epoch",
      "latest.last_seq",
      sql<number>`(SELECT count(*) FROM security_event_quarantine q WHERE q.source_id = latest.id)`.as("quarantined"),
      timeText("latest.opened_at").as("opened_at"),
      timeText("latest.updated_at").as("updated_at"),
      sql<string | null>`(
        SELECT to_char(max(e.occurred_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        FROM security_event_log e
        WHERE e.event_type = 'log_heartbeat' AND e.source_id = latest.id AND e.occurred_at >= latest.opened_at - interval '1 hour')`.as(
        "last_heartbeat",
      ),
    ])
    .orderBy("latest.updated_at", "desc")
    .execute();
}

/** How many sources there are and how many events wait for a person's eye. */
export async function sourceTotals(
  database: Database,
): Promise<{ readonly sources: number; readonly quarantined: number }> {
  const row = await database
    .selectNoFrom([
      sql<number>`(SELECT count(*) FROM security_event_source)`.as("sources"),
      sql<number>`(SELECT count(*) FROM security_event_quarantine)`.as("quarantined"),
    ])
    .executeTakeFirstOrThrow();
  return row;
}
