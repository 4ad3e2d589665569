/** Turns a filter into the condition of a statement. */
import { type RawBuilder, type SqlBool, sql } from "kysely";
import type { EventFilter } from "./filter.ts";

/** A filter's condition on rows of `security_event_log`. Every value becomes a parameter of the statement. */
export function conditionOf(filter: EventFilter): RawBuilder<SqlBool> {
  const conditions: RawBuilder<SqlBool>[] = [];
  if (filter.since) conditions.push(sql`occurred_at >= ${filter.since.toISOString()}::timestamptz`);
  if (filter.until) conditions.push(sql`occurred_at < ${filter.until.toISOString()}::timestamptz`);
  if (filter.types) conditions.push(sql`event_type LIKE ANY (${filter.types.map(wildcards)}::text[])`);
  if (filter.level) conditions.push(sql`level >= ${filter.level}::security_event_level`);
  // `=` for a single address, since only that uses the index.
  if (filter.ip) conditions.push(sql`ip_address ${filter.ip.includes("/") ? sql`<<=` : sql`=`} ${filter.ip}::inet`);
  if (filter.outcomes) conditions.push(sql`outcome::text = ANY (${filter.outcomes}::text[])`);
  if (filter.categories) conditions.push(sql`category = ANY (${filter.categories}::text[])`);
  if (filter.actor) conditions.push(isNamed(sql`actor_id`, '"userid":', filter.actor));
  if (filter.target) conditions.push(isNamed(sql`target_id`, 'userid":', filter.target));
  // An unknown method is stored as sent, beside `_OTHER`.
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
  return conditions.length === 0 ? sql`true` : sql`(${sql.join(conditions, sql` AND `)})`;
}

/**
 * Whether an id is in its column, or in `data` under a name that ends in `key`. The target's names are `userid`,
 * `newuserid` and `onuserid`.
 *
 * `seclog_erase` has the same condition in SQL, letter for letter, so that a search previews what would be erased.
 * test/removal.test.ts holds the two together ("matches the same events for --actor and --target").
 */
function isNamed(column: RawBuilder<unknown>, key: string, forms: readonly string[]): RawBuilder<SqlBool> {
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

function containsText(text: string): RawBuilder<SqlBool> {
  // In `data`, quotes and line ends are escaped as in JSON.
  const inJson = JSON.stringify(text).slice(1, -1);
  return sql`(${TEXTS} ILIKE ${`%${literally(text)}%`} OR data::text ILIKE ${`%${literally(inJson)}%`})`;
}

function literally(text: string): string {
  return text.replace(/[\\%_]/g, "\\$&");
}

/** A LIKE pattern for a text in which `*` matches any text. */
export function wildcards(text: string): string {
  return literally(text).replaceAll("*", "%");
}
