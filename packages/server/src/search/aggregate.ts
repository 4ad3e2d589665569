/** Counts events for readers that wait: over time, by field and in all, slice by slice. */
import type { Query } from "@seclog/api";
import { type RawBuilder, type SqlBool, sql } from "kysely";
import type { Database } from "../database/reader.ts";
import { TALLY_NAMES, type Tally, type TallyGroup } from "./count-events.ts";
import { querySql } from "./query-sql.ts";
import { countRollups, isRollupGroup } from "./rollups.ts";
import { rangeOf } from "./search-events.ts";
import { microsOf, microsText, storedTime, walkSlices } from "./slices.ts";

/** How far a count has come. */
export interface Progress {
  /** Events from the newest to here are counted; `null` in an empty log or range. */
  readonly reached: string | null;
  readonly done: boolean;
}

export interface AggregateOptions {
  /** Returns after about this time, in milliseconds, with what it has. */
  readonly budgetMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Goes on from where another count ended: counts older events only. */
  readonly before?: string | undefined;
}

/** Reads every slice within the budget, newest first. */
async function aggregate(
  database: Database,
  query: Query,
  { budgetMs, signal, before }: AggregateOptions,
  read: (where: RawBuilder<SqlBool>) => Promise<void>,
): Promise<Progress> {
  const began = performance.now();
  const range = await rangeOf(database, query);
  if (range === undefined) return { reached: before ?? null, done: true };
  const end = before === undefined ? range.to : microsOf(before);
  const to = end < range.to ? end : range.to;
  const condition = querySql(query);
  let progress: Progress = { reached: microsText(to), done: true };
  for await (const { reached, done } of walkSlices({ order: "newest", from: range.from, to, signal }, (within) =>
    read(sql<SqlBool>`${condition} AND ${within}`),
  )) {
    progress = { reached: microsText(reached), done };
    if (performance.now() - began > budgetMs) break;
  }
  return progress;
}

const OCCURRENCES = sql<number>`sum(greatest(coalesce(count, 1), 1))::float8`;

/** The number of matching events, and of the occurrences that they represent. */
export interface EventCount {
  readonly events: number;
  readonly occurrences: number;
  /** Of the events that were counted. */
  readonly first_seen: string | null;
  readonly last_seen: string | null;
}

/** The number of matching events, from the rollups if they have what the query compares. */
export async function countMatching(
  database: Database,
  query: Query,
  options: AggregateOptions,
): Promise<Progress & Pick<EventCount, "events" | "occurrences">> {
  const range = options.before === undefined ? await rangeOf(database, query) : undefined;
  const rolled = range === undefined ? undefined : await countRollups(database, query, range);
  if (range === undefined || rolled === undefined) {
    const { events, occurrences, reached, done } = await countSlices(database, query, options);
    return { events, occurrences, reached, done };
  }
  const [{ events, occurrences } = { events: 0, occurrences: 0 }] = rolled;
  return { events, occurrences, reached: microsText(range.from), done: true };
}

/** Counts the matching events, and when they were first and last seen. */
export async function countSlices(
  database: Database,
  query: Query,
  options: AggregateOptions,
): Promise<Progress & EventCount> {
  let count: EventCount = { events: 0, occurrences: 0, first_seen: null, last_seen: null };
  const progress = await aggregate(database, query, options, async (where) => {
    const { rows } = await sql<EventCount & { occurrences: number | null }>`
      SELECT count(*) AS events, ${OCCURRENCES} AS occurrences, min(occurred_at)::text AS first_seen,
          max(occurred_at)::text AS last_seen FROM security_event_log WHERE ${where}`.execute(database);
    const [slice] = rows;
    if (slice === undefined || slice.events === 0) return;
    count = {
      events: count.events + slice.events,
      occurrences: Math.min(count.occurrences + (slice.occurrences ?? 0), Number.MAX_SAFE_INTEGER),
      // The newest slice comes first.
      first_seen: microsText(microsOf(storedTime(slice.first_seen))),
      last_seen: count.last_seen ?? microsText(microsOf(storedTime(slice.last_seen))),
    };
  });
  return { ...progress, ...count };
}

/** The most values of a slice: more are cut, and the count says so. */
const MOST_VALUES = 5_000;

/** The most frequent values of a field. */
export interface Facet {
  readonly values: readonly Tally[];
  /** Whether the counts may be too low, because a part of the log has too many values to count them all. */
  readonly approximate: boolean;
}

/** Counts the values of several fields, in one reading of the events. */
export async function countFacets(
  database: Database,
  query: Query,
  groups: readonly TallyGroup[],
  limit: number,
  options: AggregateOptions,
): Promise<Progress & { readonly facets: { readonly [group: string]: Facet } }> {
  const counts = new Map(groups.map((group) => [group, new Map<string, { events: number; occurrences: number }>()]));
  const cut = new Set<TallyGroup>();
  const range = options.before === undefined ? await rangeOf(database, query) : undefined;
  const slow: TallyGroup[] = [];
  for (const group of groups) {
    const rolled =
      range === undefined || !isRollupGroup(group)
        ? undefined
        : await countRollups(database, query, { ...range, group });
    if (rolled === undefined) slow.push(group);
    for (const { name, events, occurrences } of rolled ?? [])
      if (name !== null) counts.get(group)?.set(name, { events, occurrences });
  }
  const whole: Progress = { reached: range === undefined ? null : microsText(range.from), done: true };
  const progress =
    slow.length === 0
      ? whole
      : await aggregate(database, query, options, async (where) => {
          for (const group of slow) {
            const { rows } = await sql<Tally>`
        SELECT ${TALLY_NAMES[group]} AS name, count(*) AS events, ${OCCURRENCES} AS occurrences FROM security_event_log
          WHERE ${where} AND ${TALLY_NAMES[group]} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT ${MOST_VALUES}`.execute(
              database,
            );
            if (rows.length === MOST_VALUES) cut.add(group);
            const values = counts.get(group);
            for (const { name, events, occurrences } of rows) {
              const before = values?.get(name);
              values?.set(name, {
                events: events + (before?.events ?? 0),
                occurrences: occurrences + (before?.occurrences ?? 0),
              });
            }
          }
        });
  const facets = Object.fromEntries(
    groups.map((group) => {
      const values = [...(counts.get(group) ?? [])].map(([name, tally]) => ({ name, ...tally }));
      values.sort((a, b) => b.events - a.events || (a.name < b.name ? -1 : 1));
      return [group, { values: values.slice(0, limit), approximate: cut.has(group) }];
    }),
  );
  return { ...progress, facets };
}

/** A bar of a timeline. */
export interface Bucket {
  /** Its start; it ends where the next one starts. */
  readonly start: string;
  readonly events: number;
  /** By level or category, if asked for. */
  readonly by: { readonly [name: string]: number };
}

export interface Timeline {
  readonly from: string;
  readonly to: string;
  readonly step_seconds: number;
  /** Every bar of the range, also empty ones. */
  readonly buckets: readonly Bucket[];
}

/** The lengths of bars, in seconds: round ones in UTC. */
const STEPS = [1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 86_400, 604_800, 2_592_000, 31_536_000, 315_360_000];

/** Counts matching events over time. */
export async function countOverTime(
  database: Database,
  query: Query,
  { most, by, ...options }: AggregateOptions & { readonly most: number; readonly by: "level" | "category" | "none" },
): Promise<(Progress & Timeline) | undefined> {
  const range = await rangeOf(database, query);
  if (range === undefined) return undefined;
  const seconds = Number(range.to - range.from) / 1e6;
  const step = STEPS.find((length) => seconds / length <= most - 1) ?? STEPS.at(-1) ?? 1;
  const first = Math.floor(Number(range.from / 1_000_000n) / step);
  const last = Math.floor(Number((range.to - 1n) / 1_000_000n) / step);
  const bars = new Map<number, Map<string, number>>();
  const add = (bar: number, name: string, events: number): void => {
    const counts = bars.get(bar) ?? new Map<string, number>();
    counts.set(name, events + (counts.get(name) ?? 0));
    bars.set(bar, counts);
  };
  const name = by === "none" ? sql`'all'` : TALLY_NAMES[by];
  const group = by === "none" ? undefined : by;
  const rolled =
    options.before !== undefined || step % 3_600 !== 0
      ? undefined
      : await countRollups(database, query, { ...range, step, group });
  for (const { bar, name, events } of rolled ?? []) add(bar, name ?? "all", events);
  const whole: Progress = { reached: microsText(range.from), done: true };
  const progress =
    rolled !== undefined
      ? whole
      : await aggregate(database, query, options, async (where) => {
          const { rows } = await sql<{ bar: number; name: string; events: number }>`
      SELECT floor(date_part('epoch', occurred_at) / ${step}::integer)::bigint AS bar, ${name} AS name, count(*) AS events
        FROM security_event_log WHERE ${where} GROUP BY 1, 2`.execute(database);
          for (const { bar, name, events } of rows) add(bar, name, events);
        });
  const buckets = Array.from({ length: last - first + 1 }, (_, index): Bucket => {
    const counts = [...(bars.get(first + index) ?? [])];
    return {
      start: microsText(BigInt((first + index) * step) * 1_000_000n),
      events: counts.reduce((sum, [, events]) => sum + events, 0),
      by: by === "none" ? {} : Object.fromEntries(counts),
    };
  });
  return { ...progress, from: microsText(range.from), to: microsText(range.to), step_seconds: step, buckets };
}
