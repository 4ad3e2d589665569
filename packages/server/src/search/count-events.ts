import { type RawBuilder, sql } from "kysely";
import type { Database } from "../database/reader.ts";
import { conditionOf } from "./conditions.ts";
import type { EventFilter } from "./filter.ts";

/** The number of events in a group, and of the occurrences that they represent. */
export interface Tally {
  readonly name: string;
  readonly events: number;
  readonly occurrences: number;
}

/** The columns that events can be counted by. */
const GROUPS: { readonly [G in "type" | "level" | "ip" | "hour"]: RawBuilder<string> } = {
  type: sql<string>`event_type`,
  level: sql<string>`level::text`,
  ip: sql<string>`host(ip_address)`,
  hour: sql<string>`coalesce(to_char(date_trunc('hour', occurred_at AT TIME ZONE 'UTC'), 'YYYY-MM-DD"T"HH24:MI"Z"')
    || CASE WHEN occurred_at < '0001-01-01 00:00:00+00' THEN ' BC' ELSE '' END, occurred_at::text)`,
};

export type TallyGroup = keyof typeof GROUPS;

/** Counts events by a column, most frequent first; hours newest first. */
export async function countBy(
  database: Database,
  filter: EventFilter,
  group: TallyGroup,
  limit: number,
): Promise<readonly Tally[]> {
  const name = GROUPS[group];
  let query = database
    .selectFrom("security_event_log")
    .where(conditionOf(filter))
    .select([
      name.as("name"),
      sql<number>`count(*)`.as("events"),
      // One row may represent many occurrences, and a hostile one may claim any number.
      sql<number>`least(sum(greatest(coalesce(count, 1), 1)), ${Number.MAX_SAFE_INTEGER})::bigint`.as("occurrences"),
    ])
    .groupBy(sql`1`)
    .limit(limit);
  if (group === "ip") query = query.where("ip_address", "is not", null);
  query = group === "hour" ? query.orderBy(sql`1`, "desc") : query.orderBy(sql`2`, "desc").orderBy(sql`1`);
  return await query.execute();
}
