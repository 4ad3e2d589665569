/** Writes queries. */
import { fieldNamed, LEVELS } from "./fields.ts";
import type { Query, Term, Value } from "./query.ts";

/** A query as text, which reads back as the same query. */
export function printQuery(query: Query): string {
  switch (query.kind) {
    case "text":
      return quoted(query.text);
    case "term":
      return printTerm(query);
    case "not":
      return `-${grouped(query.part)}`;
    case "and":
      return query.parts
        .map((part) => (part.kind === "or" || part.kind === "and" ? grouped(part) : printQuery(part)))
        .join(" ");
    case "or":
      return query.parts.map((part) => (part.kind === "or" ? grouped(part) : printQuery(part))).join(" or ");
  }
}

function grouped(query: Query): string {
  return query.kind === "and" || query.kind === "or" ? `(${printQuery(query)})` : printQuery(query);
}

function printTerm({ field, operator, values }: Term): string {
  if (values.length === 0) return `${field}:*`;
  const texts = values.map((value) => (value.kind === "text" ? value.text : ""));
  // A run of levels up to the last is a comparison.
  const [first = ""] = texts;
  if (field === "level" && texts.length > 1 && texts.join() === LEVELS.slice(LEVELS.indexOf(first as "debug")).join())
    return `level>=${first}`;
  const [only] = values;
  if (values.length === 1 && only?.kind === "range") {
    if (only.to === null) return `${field}>=${only.from}`;
    if (only.from === null) return `${field}<=${only.to}`;
  }
  return `${field}${operator}${values.map((value) => printValue(field, operator, value)).join(",")}`;
}

function printValue(field: string, operator: string, value: Value): string {
  switch (value.kind) {
    case "time":
      return quotedIfNeeded(value.text);
    case "network":
      return value.bits === null ? value.address : `${value.address}/${value.bits}`;
    case "range":
      return printRange(field, value.from ?? 0, value.to ?? Number.MAX_SAFE_INTEGER);
    case "text":
      return value.pattern || !(operator === ":" && value.text.includes("*"))
        ? quotedIfNeeded(value.text)
        : quoted(value.text);
  }
}

function printRange(field: string, from: number, to: number): string {
  if (fieldNamed(field)?.kind === "status" && from % 100 === 0 && to === from + 99 && from >= 100)
    return `${from / 100}xx`;
  return from === to ? String(from) : `${from}-${to}`;
}

function quotedIfNeeded(text: string): string {
  return /^[^\s(),"]+$/.test(text) ? text : quoted(text);
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&")}"`;
}
