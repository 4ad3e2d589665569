import { type FieldName, suggestions, termsOf } from "@seclog/api";
import { CATALOGUE, visibleText } from "seclog";
import type { Queryable } from "../database/session.ts";
import { quoted } from "../text/words.ts";
import type { EventFilter } from "./filter.ts";
import { queryOf } from "./filter-query.ts";
import { wildcards } from "./query-sql.ts";

/** How many of the newest events to search: an unknown name would cost a scan of the whole log. */
const NEWEST = 10_000;

const TYPES = Object.keys(CATALOGUE);
const CATEGORIES = [...new Set(Object.values(CATALOGUE).map(({ category }) => category))];

/** Hints about names in a filter that are probably misspelt. */
export async function unknownNames(database: Queryable, filter: EventFilter): Promise<readonly string[]> {
  const types = namesIn(filter, "type");
  return [
    ...(await unknownTypes(database, types)),
    ...(await notAmongNewest(database, types, namesIn(filter, "category"), namesIn(filter, "service"))),
  ];
}

/** The names that a filter compares a field with. */
function namesIn(filter: EventFilter, field: FieldName): readonly string[] {
  const terms = termsOf(queryOf(filter)).filter((term) => term.kind === "term" && term.field === field);
  const texts = terms.flatMap((term) => (term.kind === "term" ? term.values : []));
  return [...new Set(texts.flatMap((value) => (value.kind === "text" ? [value.text] : [])))];
}

/** Checks names that only events can confirm and that no index covers, so it searches just the newest events. */
async function notAmongNewest(
  database: Queryable,
  types: readonly string[],
  categories: readonly string[],
  services: readonly string[],
): Promise<readonly string[]> {
  const patterns = types.filter((type) => type.includes("*"));
  const doubtful = categories.filter((category) => !CATEGORIES.some((known) => known === category));
  const wanted = services.filter((service) => !service.includes("*"));
  if (patterns.length === 0 && doubtful.length === 0 && wanted.length === 0) return [];
  // Cut to the lengths that events have, so that hostile rows cannot make the result large.
  const { rows } = (await database.query(
    `WITH newest AS MATERIALIZED (
      SELECT left(event_type, 100) AS type, left(category, 40) AS category, left(service, 256) AS service
      FROM public.security_event_log ORDER BY occurred_at DESC LIMIT ${NEWEST})
    SELECT (SELECT coalesce(array_agg(given.type), '{}') FROM unnest($1::text[], $2::text[]) AS given (type, pattern)
        WHERE NOT EXISTS (SELECT FROM (SELECT type FROM newest UNION SELECT unnest($3::text[])) AS known
          WHERE known.type LIKE given.pattern)) AS types,
      (SELECT coalesce(array_agg(DISTINCT category), '{}') FROM newest WHERE category IS NOT NULL) AS categories,
      (SELECT coalesce(array_agg(DISTINCT service), '{}') FROM newest WHERE service IS NOT NULL) AS services`,
    [patterns, patterns.map(wildcards), TYPES],
  )) as { rows: { types: string[]; categories: string[]; services: string[] }[] };
  const found = rows[0] as (typeof rows)[number];
  const beginnings = [...new Set(TYPES.map((type) => `${type.split("_")[0]}_*`))];
  const newest = `the newest ${NEWEST.toLocaleString("en")} events`;
  return [
    ...found.types.map((type) => hint(`No type in the catalogue or in ${newest} matches`, type, beginnings)),
    ...doubtful
      .filter((category) => !found.categories.includes(category))
      .map((category) =>
        hint(`Neither the catalogue nor ${newest} have the category`, category, [...CATEGORIES, ...found.categories]),
      ),
    ...wanted
      .filter((service) => !found.services.includes(service))
      .map((service) => hint(`None of ${newest} has the service`, service, found.services)),
  ];
}

/** Builds a hint. Names from the log are untrusted text. */
function hint(miss: string, name: string, known: readonly string[]): string {
  const [like] = suggestions(name, [...new Set(known)], 1);
  const some = known.slice(0, 5).map(quoted).join(", ");
  const advice = like !== undefined ? `: did you mean ${quoted(like)}?` : some === "" ? "" : `: known are ${some}`;
  return visibleText(`${miss} ${quoted(name)}${advice}`);
}

/**
 * Hints about types that neither the catalogue nor any event has: a misspelt type would never match, and look as if nothing
 * had happened.
 */
async function unknownTypes(database: Queryable, types: readonly string[]): Promise<readonly string[]> {
  const doubtful = types.filter((type) => !type.includes("*") && !Object.hasOwn(CATALOGUE, type));
  if (doubtful.length === 0) return [];
  const { rows } = (await database.query(
    `SELECT type FROM unnest($1::text[]) AS type
      WHERE NOT EXISTS (SELECT FROM public.security_event_log WHERE event_type = type)`,
    [doubtful],
  )) as { rows: { type: string }[] };
  return rows.map(({ type }) => {
    const like = suggestions(type, TYPES);
    const parts = TYPES.filter((known) => known.includes(type));
    const advice = [
      ...(like.length > 0 ? [`did you mean ${like.join(", ")}?`] : []),
      ...(parts.length > 0 ? [`the pattern '*${type}*' matches ${parts.length} types`] : []),
    ];
    return `Unknown type ${quoted(type)}, in neither the catalogue nor the log${advice.length > 0 ? `: ${advice.join(" ")}` : ""}`;
  });
}
