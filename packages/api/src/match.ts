/** Decides in memory whether an event matches a query: the same as the server's SQL, which a property test compares. */
import { isWithin } from "./address.ts";
import type { EventRecord } from "./event-record.ts";
import { type FieldName, fieldNamed, TEXT_COLUMNS } from "./fields.ts";
import { isAtOrAfter, readMoment } from "./moment.ts";
import type { Query, Term, Value } from "./query.ts";
import { asciiLower, inJson, jsonText, matchesPattern, needlesOf } from "./texts.ts";
import { resolveTimes } from "./times.ts";

type Columns = { readonly [column: string]: unknown };

/** Whether an event matches. Ages such as `since:1d` are relative to `now`. */
export function matchQuery(query: Query, event: EventRecord, now: Date = new Date()): boolean {
  return matches(resolveTimes(query, now), event as unknown as Columns);
}

function matches(query: Query, event: Columns): boolean {
  switch (query.kind) {
    case "and":
      return query.parts.every((part) => matches(part, event));
    case "or":
      return query.parts.some((part) => matches(part, event));
    case "not":
      return !matches(query.part, event);
    case "text":
      return containsText(event, TEXT_COLUMNS, query.text) || containsJson(event["data"], query.text);
    case "term":
      return matchesTerm(query, event);
  }
}

function matchesTerm(term: Term, event: Columns): boolean {
  const field = fieldNamed(term.field);
  if (field === undefined) return false;
  if (term.values.length === 0) return field.columns.some((column) => (event[column] ?? null) !== null);
  return term.values.some((value) => matchesValue(term, field.columns, value, event));
}

function matchesValue({ field, operator }: Term, columns: readonly string[], value: Value, event: Columns): boolean {
  const [column = "", other = ""] = columns;
  const stored = event[column] ?? null;
  const text = stored === null ? undefined : String(stored);
  switch (value.kind) {
    case "range":
      return isInRange(field === "count" ? (stored ?? 1) : stored, value.from, value.to);
    case "network":
      return text !== undefined && isWithin(text, value);
    case "time": {
      const moment = readMoment(value.text, new Date());
      if (text === undefined || !("time" in moment)) return false;
      return isAtOrAfter(text, moment.time) === (field === "since");
    }
    case "text":
      break;
  }
  const equals = (own: string | undefined): boolean =>
    own !== undefined && (value.pattern ? matchesPattern(own, value.text) : own === value.text);
  switch (fieldNamed(field)?.kind) {
    case "json":
      return containsJson(stored, value.text);
    case "path":
      return operator === ":" && !value.pattern ? text?.startsWith(value.text) === true : equals(text);
    case "person":
      return (
        equals(text) ||
        (operator === ":" && !value.pattern && isNamed(event["data"], PERSON_KEYS[field] ?? "", value.text))
      );
    case "method": {
      const sent = event[other] ?? null;
      return equals(text) || equals(sent === null ? undefined : asciiUpper(String(sent)));
    }
    case "host": {
      const machine = event[other] ?? null;
      const requested = text === undefined ? undefined : asciiLower(text);
      return (
        equals(requested) ||
        (!value.pattern && requested?.startsWith(`${value.text}:`) === true) ||
        equals(machine === null ? undefined : asciiLower(String(machine)))
      );
    }
    default:
      return equals(text);
  }
}

/** How the members of data that name a person end: the target's are `userid`, `newuserid` and `onuserid`. */
export const PERSON_KEYS: { readonly [F in FieldName]?: string } = { actor: '"userid":', target: 'userid":' };

/** Whether data names a person: as a text, or as a number if the id is one. */
function isNamed(data: unknown, key: string, id: string): boolean {
  if (data === undefined || data === null) return false;
  const text = typeof data === "string" ? data : jsonText(data);
  if (text.includes(key + JSON.stringify(id))) return true;
  return /^[0-9]+$/.test(id) && (text.includes(`${key}${id},`) || text.includes(`${key}${id}}`));
}

function isInRange(stored: unknown, from: number | null, to: number | null): boolean {
  if (stored === null || stored === undefined) return false;
  // Beyond 2^53 as text, which is beyond any query's numbers.
  const number = Number(stored);
  return (from === null || number >= from) && (to === null || number <= to);
}

function containsText(event: Columns, columns: readonly string[], text: string): boolean {
  const needles = needlesOf(text);
  return columns.some((column) => {
    const stored = event[column] ?? null;
    if (stored === null) return false;
    const lower = asciiLower(String(stored));
    return needles.some((needle) => lower.includes(needle));
  });
}

/** Whether JSON contains a text, as typed or as JSON escapes it. */
function containsJson(stored: unknown, text: string): boolean {
  if (stored === undefined || stored === null) return false;
  const lower = asciiLower(typeof stored === "string" ? stored : jsonText(stored));
  return [...needlesOf(text), ...needlesOf(inJson(text))].some((needle) => lower.includes(needle));
}

function asciiUpper(text: string): string {
  return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}
