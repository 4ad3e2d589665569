/**
 * Counts from the rollups: the hours that lie wholly in the range come from `security_event_rollup`, and the rows of the
 * hours at both ends, and of what is not counted yet, are counted on the spot. All in one snapshot, so exact: an event is
 * counted once, in one of these places.
 */
import { type Query, type Term, type TextTerm, termsOf } from "@seclog/api";
import { type RawBuilder, sql } from "kysely";
import type { Database } from "../database/reader.ts";
import { querySql } from "./query-sql.ts";
import { microsText } from "./slices.ts";

/** What rollups can be counted by. */
export type RollupGroup = "type" | "level" | "category" | "outcome" | "service";

/** The columns that rollups have, by field. */
const COLUMNS: { readonly [G in RollupGroup]: RawBuilder<unknown> } = {
  type: sql`event_type`,
  level: sql`level::text`,
  category: sql`category`,
  outcome: sql`outcome::text`,
  service: sql`service`,
};

export function isRollupGroup(group: string): group is RollupGroup {
  return Object.hasOwn(COLUMNS, group);
}

/** A count. */
export interface RollupCount {
  /** The bar's number since 1970; 0 without bars. */
  readonly bar: number;
  readonly name: string | null;
  readonly events: number;
  readonly occurrences: number;
}

export interface RollupOptions {
  /** The range, in microseconds since 1970; the end is excluded. */
  readonly from: bigint;
  readonly to: bigint;
  /** What to count by; everything together if it is left out. */
  readonly group?: RollupGroup | undefined;
  /** The length of bars in seconds, a multiple of an hour; one bar if it is left out. */
  readonly step?: number | undefined;
}

const HOUR_US: bigint = 3_600_000_000n;

/** More numbers than this are better counted by the sealer first. */
const MOST_PENDING = 50_000;

/** Values of queries that are as long may be cut in the rollups. */
const CUT = 100;

/** The query without the times that confine it, which the range has; `undefined` if it compares what rollups lack. */
function withoutTimes(query: Query): Query | undefined {
  const isTime = (part: Query): boolean => part.kind === "term" && (part.field === "since" || part.field === "until");
  const parts = (query.kind === "and" ? query.parts : [query]).filter((part) => !isTime(part));
  const isKnown = (term: Term | TextTerm): boolean =>
    term.kind === "term" &&
    isRollupGroup(term.field) &&
    term.values.every((value) => value.kind === "text" && value.text.length < CUT);
  const rest: Query = { kind: "and", parts };
  return termsOf(rest).every(isKnown) ? rest : undefined;
}

/** Counts what matches; `undefined` if the rows must be read. */
export async function countRollups(
  database: Database,
  query: Query,
  { from, to, group, step }: RollupOptions,
): Promise<readonly RollupCount[] | undefined> {
  const rest = withoutTimes(query);
  const first = ((from + HOUR_US - 1n) / HOUR_US) * HOUR_US;
  const last = (to / HOUR_US) * HOUR_US;
  if (rest === undefined || first >= last || from < 0n) return undefined;
  const condition = querySql(rest);
  const name: RawBuilder<unknown> = group === undefined ? sql`NULL` : COLUMNS[group];
  const bar = (time: string): RawBuilder<unknown> =>
    step === undefined ? sql`0::bigint` : sql`floor(date_part('epoch', ${sql.ref(time)}) / ${step}::integer)::bigint`;
  const at = (time: bigint): RawBuilder<unknown> => sql`${microsText(time)}::timestamptz`;
  const rows = sql`SELECT ${bar("occurred_at")}, ${name}, count(*), sum(coalesce(count, 1))::numeric FROM`;
  const tail = sql`${rows} (SELECT source.id, source.last_seq AS passed, coalesce(rolled.last_seq, 0) AS rolled FROM security_event_source AS source
              LEFT JOIN security_event_rolled AS rolled ON rolled.source_id = source.id
              WHERE source.last_seq > coalesce(rolled.last_seq, 0)) AS waiting
            CROSS JOIN LATERAL (SELECT * FROM security_event_log AS log
              WHERE log.source_id = waiting.id AND log.seq > waiting.rolled AND log.seq <= waiting.passed) AS log
          WHERE occurred_at >= ${at(first)} AND occurred_at < ${at(last)} AND ${condition} GROUP BY 1, 2`;
  return await database.transaction().execute(async (snapshot) => {
    const pending = await sql<{ numbers: number }>`
      SELECT coalesce(sum(source.last_seq - coalesce(rolled.last_seq, 0)), 0)::float8 AS numbers
        FROM security_event_source AS source LEFT JOIN security_event_rolled AS rolled ON rolled.source_id = source.id`.execute(
      snapshot,
    );
    const waiting = pending.rows[0]?.numbers ?? 0;
    if (waiting > MOST_PENDING) return undefined;
    // Planning it would cost more than all the rest.
    const uncounted = waiting === 0 ? sql`` : sql`UNION ALL ${tail}`;
    const counted = await sql<RollupCount>`
      SELECT bar, name, sum(events)::float8 AS events, least(sum(occurrences), ${Number.MAX_SAFE_INTEGER})::float8 AS occurrences FROM (
        SELECT ${bar("hour")} AS bar, ${name} AS name, sum(events) AS events, sum(occurrences) AS occurrences
          FROM security_event_rollup WHERE hour >= ${at(first)} AND hour < ${at(last)} AND ${condition} GROUP BY 1, 2
        UNION ALL
        ${rows} security_event_log WHERE (occurred_at >= ${at(from)} AND occurred_at < ${at(first)}) AND ${condition} GROUP BY 1, 2
        UNION ALL
        ${rows} security_event_log WHERE (occurred_at >= ${at(last)} AND occurred_at < ${at(to)}) AND ${condition} GROUP BY 1, 2
        ${uncounted}
      ) AS parts GROUP BY 1, 2`.execute(snapshot);
    return counted.rows;
  });
}
