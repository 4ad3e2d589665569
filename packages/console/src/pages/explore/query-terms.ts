/** What a click on a value makes of the query. */
import { parseQuery, printQuery, type Query, type Term } from "@seclog/api";
import { termFor, withTerm } from "../../data/filters.ts";

/** Whether the query asks for the value: alone, or in a list such as `level:warning,error`. */
export function hasValue(query: string, field: string, value: string): boolean {
  return placeOf(query, field, value)?.at !== undefined;
}

/** The query with this value of the field; of a list that has it, only this one stays. Once more takes it away. */
export function withValue(query: string, field: string, value: string): string {
  const place = placeOf(query, field, value);
  if (place === undefined) return `(${query}) ${termFor(field, value)}`;
  const { parts, wanted, at } = place;
  if (at === undefined) return withTerm(query, termFor(field, value));
  const term = parts[at] as Term;
  return printed(
    term.values.length > 1 ? parts.map((part, index) => (index === at ? wanted : part)) : parts.toSpliced(at, 1),
  );
}

/** The query without events of this value; a list loses it. Once more takes the exclusion away. */
export function withoutValue(query: string, field: string, value: string): string {
  const place = placeOf(query, field, value);
  if (place === undefined) return `(${query}) -${termFor(field, value)}`;
  const { parts, wanted, at } = place;
  const term = at === undefined ? undefined : (parts[at] as Term);
  if (at !== undefined && term !== undefined && term.values.length > 1) {
    const left = term.values.filter((each) => JSON.stringify(each) !== JSON.stringify(wanted.values[0]));
    return printed(parts.map((part, index) => (index === at ? { ...term, values: left } : part)));
  }
  const out = parts.findIndex((part) => part.kind === "not" && isSame(part.part, wanted));
  if (out >= 0) return printed(parts.toSpliced(out, 1));
  return withTerm(query, termFor(field, value), "out");
}

/** Whether the query leaves the value out. */
export function leavesOut(query: string, field: string, value: string): boolean {
  const place = placeOf(query, field, value);
  return place?.parts.some((part) => part.kind === "not" && isSame(part.part, place.wanted)) ?? false;
}

interface Place {
  readonly parts: readonly Query[];
  readonly wanted: Term;
  /** Which part asks for the value. */
  readonly at: number | undefined;
}

/** `undefined` for a query, or a value, that cannot be read. */
function placeOf(query: string, field: string, value: string): Place | undefined {
  try {
    const read = parseQuery(query);
    const wanted = parseQuery(termFor(field, value));
    if (wanted.kind !== "term") return undefined;
    const parts = read.kind === "and" ? read.parts : [read];
    const at = parts.findIndex((part) => part.kind === "term" && asksFor(part, wanted));
    return { parts, wanted, at: at < 0 ? undefined : at };
  } catch {
    return undefined;
  }
}

function asksFor(term: Term, wanted: Term): boolean {
  return (
    term.field === wanted.field &&
    term.operator === wanted.operator &&
    term.values.some((each) => JSON.stringify(each) === JSON.stringify(wanted.values[0]))
  );
}

function isSame(a: Query, b: Query): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function printed(parts: readonly Query[]): string {
  return printQuery({ kind: "and", parts });
}
