import { type RawBuilder, sql } from "kysely";
import type { Database } from "../database/reader.ts";
import type { EventFilter } from "./filter.ts";
import { conditionOf } from "./filter-query.ts";

/** The number of events in a group, and of the occurrences that they represent. */
export interface Tally {
  readonly name: string;
  readonly events: number;
  readonly occurrences: number;
}

/** What events can be counted by: a column, or the hour. */
export const TALLY_GROUPS = [
  "type",
  "level",
  "category",
  "outcome",
  "service",
  "ip",
  "actor",
  "target",
  "route",
  "path",
  "method",
  "status",
  "host",
  "agent",
  "hour",
] as const;

export type TallyGroup = (typeof TALLY_GROUPS)[number];

/** The SQL of each. */
export const TALLY_NAMES: { readonly [G in TallyGroup]: RawBuilder<string | null> } = {
  type: sql`event_type`,
  level: sql`level::text`,
  category: sql`category`,
  outcome: sql`outcome::text`,
  service: sql`service`,
  ip: sql`host(ip_address)`,
  actor: sql`actor_id`,
  target: sql`target_id`,
  route: sql`route`,
  path: sql`path`,
  method: sql`method`,
  status: sql`status_code::text`,
  host: sql`request_host`,
  agent: sql`user_agent`,
  hour: sql<string>`coalesce(to_char(date_trunc('hour', occurred_at AT TIME ZONE 'UTC'), 'YYYY-MM-DD"T"HH24:MI"Z"')
    || CASE WHEN occurred_at < '0001-01-01 00:00:00+00' THEN ' BC' ELSE '' END, occurred_at::text)`,
};

/** One row may represent many occurrences, and a hostile one may claim any number. */
const OCCURRENCES = sql.raw(
  `coalesce(least(sum(greatest(coalesce(count, 1), 1)), ${Number.MAX_SAFE_INTEGER}), 0)::bigint`,
);

/** Counts events by a column, most frequent first; hours newest first. Leaves out events that have no value there. */
export async function countBy(
  database: Database,
  filter: EventFilter,
  group: TallyGroup,
  limit: number,
): Promise<readonly Tally[]> {
  const name = TALLY_NAMES[group];
  let query = database
    .selectFrom("security_event_log")
    .where(conditionOf(filter))
    .where(sql<boolean>`${name} IS NOT NULL`)
    .select([
      sql<string>`${name}`.as("name"),
      sql<number>`count(*)`.as("events"),
      sql<number>`${OCCURRENCES}`.as("occurrences"),
    ])
    .groupBy(sql`1`)
    .limit(limit);
  query = group === "hour" ? query.orderBy(sql`1`, "desc") : query.orderBy(sql`2`, "desc").orderBy(sql`1`);
  return await query.execute();
}

/** The number of matching events, and of the occurrences that they represent. */
export async function countEvents(database: Database, filter: EventFilter): Promise<Omit<Tally, "name">> {
  return await database
    .selectFrom("security_event_log")
    .where(conditionOf(filter))
    .select([sql<number>`count(*)`.as("events"), sql<number>`${OCCURRENCES}`.as("occurrences")])
    .executeTakeFirstOrThrow();
}
