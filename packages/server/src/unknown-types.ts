import { CATALOGUE } from "seclog";
import { quoted } from "./event-filter.ts";
import type { Queryable } from "./stored-tree.ts";
import { suggestions } from "./suggest.ts";

/**
 * What is to say about types that a filter names and that neither the catalogue nor an event of the log has: a misspelt
 * type matches nothing, for ever, and looks as if all were well.
 */
export async function unknownTypes(database: Queryable, types: readonly string[] = []): Promise<readonly string[]> {
  const doubtful = types.filter((type) => !type.includes("*") && !Object.hasOwn(CATALOGUE, type));
  if (doubtful.length === 0) return [];
  const { rows } = (await database.query(
    `SELECT type FROM unnest($1::text[]) AS type
      WHERE NOT EXISTS (SELECT FROM public.security_event_log WHERE event_type = type)`,
    [doubtful],
  )) as { rows: { type: string }[] };
  return rows.map(({ type }) => {
    const like = suggestions(type, Object.keys(CATALOGUE));
    const parts = Object.keys(CATALOGUE).filter((known) => known.includes(type));
    const advice = [
      ...(like.length > 0 ? [`did you mean ${like.join(", ")}?`] : []),
      ...(parts.length > 0 ? [`--type '*${type}*' matches ${parts.length} types`] : []),
    ];
    return `There is no type ${quoted(type)}, in the catalogue or in the log${advice.length > 0 ? `: ${advice.join(" ")}` : ""}`;
  });
}
