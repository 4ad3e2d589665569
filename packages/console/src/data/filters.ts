/** Queries that a click makes: a value filtered for, or out. */
import { fieldNamed, parseQuery, printQuery, type Query } from "@seclog/api";

/** `field:value` as a query compares it exactly; quoted where needed. */
export function termFor(field: string, value: string | number): string {
  const text = String(value);
  const operator = fieldNamed(field)?.kind === "path" ? "=" : ":";
  const plain = /^[^\s(),"*\\]+$/.test(text) && text !== "or";
  return `${field}${operator}${plain ? text : `"${text.replace(/[\\"]/g, "\\$&")}"`}`;
}

/** The query with a term added; a term that contradicts it is replaced. */
export function withTerm(query: string, term: string, how: "for" | "out" = "for"): string {
  const wanted = how === "out" ? `-${term}` : term;
  const opposite = how === "out" ? term : `-${term}`;
  const parts = partsOf(query);
  if (parts === undefined) return query.trim() === "" ? wanted : `(${query}) ${wanted}`;
  const [wantedText, oppositeText] = [printed(wanted), printed(opposite)];
  const kept = parts.filter((part) => part !== oppositeText && part !== wantedText);
  return [...kept, wantedText].join(" ");
}

/** The parts that must all match, as text; `undefined` for a query that cannot be read. */
function partsOf(query: string): readonly string[] | undefined {
  let read: Query;
  try {
    read = parseQuery(query);
  } catch {
    return undefined;
  }
  if (read.kind !== "and") return [read.kind === "or" ? `(${printQuery(read)})` : printQuery(read)];
  return read.parts.map((part) =>
    part.kind === "or" || part.kind === "and" ? `(${printQuery(part)})` : printQuery(part),
  );
}

function printed(term: string): string {
  try {
    return printQuery(parseQuery(term));
  } catch {
    return term;
  }
}
