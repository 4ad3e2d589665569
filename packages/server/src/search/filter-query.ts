/** Reads queries, and turns filters into them: the options of a command are a shorter way to write a query. */
import {
  both,
  LEVELS,
  mapTerms,
  type Operator,
  parseQuery,
  type Query,
  QueryError,
  resolveTimes,
  type Term,
  type Value,
} from "@seclog/api";
import type { RawBuilder, SqlBool } from "kysely";
import { SeclogError, type StoredColumn, storedText } from "seclog";
import type { EventFilter } from "./filter.ts";
import { querySql } from "./query-sql.ts";

/** A filter's condition on rows of `security_event_log`. */
export function conditionOf(filter: EventFilter): RawBuilder<SqlBool> {
  return querySql(queryOf(filter));
}

/** A filter as a query. */
export function queryOf(filter: EventFilter): Query {
  const { since, until, types, level, ip, outcomes, categories, actor, target, methods, route, statuses } = filter;
  const { host, service, path, text, query } = filter;
  const texts = (
    field: Term["field"],
    values: readonly string[] | undefined,
    operator: Operator = ":",
  ): readonly Query[] =>
    values === undefined
      ? []
      : [
          term(
            field,
            values.map((value) => textValue(value, operator)),
            operator,
          ),
        ];
  const persons = (field: Term["field"], ids: readonly string[] | undefined): readonly Query[] =>
    ids === undefined
      ? []
      : [
          term(
            field,
            ids.map((id) => ({ kind: "text", text: id, pattern: false })),
          ),
        ];
  return both(
    ...(since === undefined ? [] : [term("since", [{ kind: "time", text: since.toISOString() }])]),
    ...(until === undefined ? [] : [term("until", [{ kind: "time", text: until.toISOString() }])]),
    ...texts("type", types),
    ...texts("level", level && LEVELS.slice(LEVELS.indexOf(level))),
    ...(ip === undefined ? [] : [term("ip", [networkValue(ip)])]),
    ...texts("outcome", outcomes),
    ...texts("category", categories),
    ...persons("actor", actor),
    ...persons("target", target),
    ...texts("method", methods, "="),
    ...texts("route", route === undefined ? undefined : [route], "="),
    ...(statuses === undefined
      ? []
      : [
          term(
            "status",
            statuses.map(([from, to]) => ({ kind: "range", from, to })),
          ),
        ]),
    ...texts("host", host === undefined ? undefined : [host], "="),
    ...texts("service", service === undefined ? undefined : [service], "="),
    ...texts("path", path === undefined ? undefined : [path]),
    ...(text === undefined ? [] : [{ kind: "text", text } as const]),
    ...(query === undefined ? [] : [query]),
  );
}

function term(field: Term["field"], values: readonly Value[], operator: Operator = ":"): Term {
  return { kind: "term", field, operator, values };
}

function textValue(text: string, operator: Operator): Value {
  return { kind: "text", text, pattern: operator === ":" && text.includes("*") };
}

function networkValue(ip: string): Value {
  const [address = "", bits] = ip.split("/");
  return { kind: "network", address, bits: bits === undefined ? null : Number(bits) };
}

/**
 * Reads a query for the log: its values in their stored form, its times as moments.
 *
 * @throws SeclogError `SECLOG_QUERY`
 */
export function readQuery(text: string, now: Date): Query {
  try {
    return resolveTimes(mapTerms(parseQuery(text), storedTerm), now);
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
    throw new SeclogError("SECLOG_QUERY", error.message, { cause: error });
  }
}

/** The columns that store a text in another form than it was typed. */
const STORED: { readonly [F in Term["field"]]?: StoredColumn } = {
  type: "type",
  actor: "actorId",
  actor_type: "actorType",
  target: "targetId",
  target_type: "targetType",
  path: "path",
  route: "route",
  host: "requestHost",
  agent: "userAgent",
  request: "requestId",
  allowed: "allowedMethods",
};

/** A term with its values as the log stores them. A long id is cut in its column, and `data` keeps more of it. */
function storedTerm(query: Parameters<Parameters<typeof mapTerms>[1]>[0]): Query {
  const column = query.kind === "term" ? STORED[query.field] : undefined;
  if (query.kind !== "term" || column === undefined) return query;
  const values = query.values.flatMap((value): readonly Value[] => {
    if (value.kind !== "text" || (value.pattern && query.field !== "type")) return [value];
    const stored = { ...value, text: storedText(column, value.text) ?? value.text };
    return query.field === "actor" || query.field === "target" ? distinct(stored, value) : [stored];
  });
  return { ...query, values };
}

function distinct(...values: readonly (Value & { readonly kind: "text" })[]): readonly Value[] {
  return values.filter(({ text }, index) => values.findIndex((other) => other.text === text) === index);
}
