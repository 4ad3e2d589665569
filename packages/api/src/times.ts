/** The times of a query. */
import { readMoment } from "./moment.ts";
import { mapTerms, type Query, type Value } from "./query.ts";

/** The query with each age replaced by a moment, for callers that read many events: `since:1d` would move between them. */
export function resolveTimes(query: Query, now: Date): Query {
  return mapTerms(query, (term) => {
    if (term.kind !== "term" || !term.values.some(({ kind }) => kind === "time")) return term;
    const values = term.values.map((value): Value => {
      const moment = value.kind === "time" ? readMoment(value.text, now) : undefined;
      return moment !== undefined && "time" in moment ? { kind: "time", text: moment.time.toISOString() } : value;
    });
    return { ...term, values };
  });
}

/** The time that every match lies in: from `since`, up to but without `until`. An absent end is open. */
export interface TimeRange {
  readonly since?: Date;
  readonly until?: Date;
}

/** The time that a query confines its matches to. Only terms that every match fulfils count: `since:1d or level:error` has none. */
export function timeRange(query: Query, now: Date = new Date()): TimeRange {
  let [since, until] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (const term of query.kind === "and" ? query.parts : [query]) {
    if (term.kind !== "term" || (term.field !== "since" && term.field !== "until")) continue;
    const times = term.values.map((value) => {
      const moment = value.kind === "time" ? readMoment(value.text, now) : undefined;
      return moment !== undefined && "time" in moment ? moment.time.getTime() : Number.NaN;
    });
    if (times.length === 0 || times.some(Number.isNaN)) continue;
    // Of several values any may match.
    if (term.field === "since") since = Math.max(since, Math.min(...times));
    else until = Math.min(until, Math.max(...times));
  }
  return {
    ...(Number.isFinite(since) ? { since: new Date(since) } : {}),
    ...(Number.isFinite(until) ? { until: new Date(until) } : {}),
  };
}
