/** Reads the values of a term, as its field compares them. */
import { readNetwork } from "./address.ts";
import type { Field } from "./fields.ts";
import { readMoment } from "./moment.ts";
import { suggestions } from "./nearest.ts";
import type { Operator, Value } from "./query.ts";
import { QueryError, shown } from "./query-error.ts";

/** A value as written. */
export interface Written {
  readonly text: string;
  readonly quoted: boolean;
  readonly at: number;
  readonly length: number;
}

const ORDERED: ReadonlySet<Operator> = new Set([">", ">=", "<", "<="]);

/** The values of a written one: a comparison of levels is any of several. @throws QueryError */
export function valuesOf(field: Field, operator: Operator, written: Written): readonly Value[] {
  const { text, quoted, at, length } = written;
  const fail = (why: string, suggestion?: string): QueryError =>
    new QueryError(`${field.name} ${shown(text)} ${why}`, at, length, suggestion);
  if (text === "") throw new QueryError(`${field.name} is empty: leave it out to match everything`, at, length);
  if (text.includes("\0")) throw fail("contains a NUL, which no event does");
  const isOrdered = ORDERED.has(operator);
  const ordered = (): void => {
    if (isOrdered) throw fail(`cannot be compared by ${operator}: ${field.name} has no order, write ${field.name}:`);
  };
  switch (field.kind) {
    case "word":
      return words(field, operator, text, fail);
    case "number":
    case "status":
      return [range(field, operator, text, fail)];
    case "time": {
      if (isOrdered) throw fail(`cannot be compared by ${operator}: write ${field.name}:`);
      const moment = readMoment(text, new Date(0));
      // An age is only known once the query runs, but its form is known now.
      if ("why" in moment && !/^\d{1,9}[smhdw]$/.test(text)) throw fail(`is not a time: ${moment.why}`);
      return [{ kind: "time", text }];
    }
    case "address": {
      ordered();
      const network = readNetwork(text);
      if ("why" in network) throw fail(`is not an address or a network: ${network.why}`, network.meant);
      return [{ kind: "network", ...network }];
    }
    case "uuid": {
      ordered();
      const id = text.toLowerCase();
      if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) throw fail("is not a UUID");
      return [{ kind: "text", text: id, pattern: false }];
    }
    default: {
      ordered();
      const pattern = !quoted && operator === ":" && text.includes("*");
      return [{ kind: "text", text: cased(field, text), pattern }];
    }
  }
}

/** A text in the case that its field is stored or compared in. */
function cased({ kind }: Field, text: string): string {
  if (kind === "name" || kind === "host") return text.toLowerCase();
  return kind === "method" ? text.toUpperCase() : text;
}

type Fail = (why: string, suggestion?: string) => QueryError;

function words(field: Field, operator: Operator, text: string, fail: Fail): readonly Value[] {
  const known = field.words ?? [];
  const at = known.indexOf(text.toLowerCase());
  if (at < 0) {
    const [like] = suggestions(text.toLowerCase(), known, 1);
    throw fail(`is not one of ${known.join(", ")}${like === undefined ? "" : `: did you mean ${like}?`}`, like);
  }
  if (ORDERED.has(operator) && field.name !== "level")
    throw fail(`cannot be compared by ${operator}: ${field.name} has no order, write ${field.name}:`);
  const from = operator === ">" ? at + 1 : operator === ">=" || !ORDERED.has(operator) ? at : 0;
  const to = operator === "<" ? at - 1 : operator === "<=" || !ORDERED.has(operator) ? at : known.length - 1;
  if (from > to)
    throw fail(`with ${operator} matches nothing: it is the ${from > at ? "last" : "first"} of ${known.join(", ")}`);
  return known.slice(from, to + 1).map((word) => ({ kind: "text", text: word, pattern: false }));
}

function range(field: Field, operator: Operator, text: string, fail: Fail): Value {
  const whole = (digits: string): number => {
    const value = Number(digits);
    if (!Number.isSafeInteger(value)) throw fail("is beyond the numbers that the log has");
    return value;
  };
  const hundreds = field.kind === "status" ? /^([1-9])xx$/i.exec(text)?.[1] : undefined;
  const [, first, last = first] = /^(\d{1,16})(?:-(\d{1,16}))?$/.exec(text) ?? [];
  let [from, to] = [Number.NaN, Number.NaN];
  if (hundreds !== undefined) [from, to] = [Number(hundreds) * 100, Number(hundreds) * 100 + 99];
  else if (first !== undefined && last !== undefined) [from, to] = [whole(first), whole(last)];
  if (!(from <= to))
    throw fail(`is not a number: write ${field.kind === "status" ? "403, 4xx or 400-499" : "7 or 1-100"}`);
  switch (operator) {
    case ">":
      return { kind: "range", from: to + 1, to: null };
    case ">=":
      return { kind: "range", from, to: null };
    case "<":
      if (from === 0) throw fail("with < matches nothing");
      return { kind: "range", from: null, to: from - 1 };
    case "<=":
      return { kind: "range", from: null, to };
    default:
      return { kind: "range", from, to };
  }
}
