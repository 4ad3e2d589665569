/** What can stand at the cursor of a query: for completion. */
import { FIELDS, type Field, fieldNamed } from "./fields.ts";

/** A completion: replaces the query's text from `from` to `to`. */
export interface Completion {
  readonly text: string;
  readonly kind: "field" | "value";
  /** What it means, or how often it occurs, as the caller said. */
  readonly about: string;
}

/** The completions at a cursor. */
export interface Completions {
  readonly from: number;
  readonly to: number;
  /** The best first. */
  readonly items: readonly Completion[];
}

/** Values that the caller knows to occur, by field: the catalogue's types, or facets. */
export type KnownValues = { readonly [field: string]: readonly string[] };

const MOST = 20;

/** The field and the beginning of a value, or the beginning of a word, before the cursor. */
const BEFORE = /(?:([a-zA-Z_][\w.]*)(?::|>=|<=|!=|=|>|<)(?:[^\s()",]*,)*)?([^\s()",]*)$/;

/** What can stand at a cursor; the query need not be complete. */
export function suggest(query: string, cursor: number, known: KnownValues = {}): Completions {
  const before = query.slice(0, cursor);
  const [, name, begun = ""] = BEFORE.exec(before) ?? [];
  const from = cursor - begun.length;
  const rest = /^[^\s()",:=<>!]*/.exec(query.slice(cursor))?.[0] ?? "";
  const to = cursor + rest.length;
  const field = name === undefined ? undefined : fieldNamed(name);
  if (name !== undefined) return { from, to, items: field === undefined ? [] : valuesLike(field, begun, known) };
  const word = begun.replace(/^-/, "");
  const fields = FIELDS.filter(({ name: own, aliases }) =>
    [own, ...aliases].some((each) => each.startsWith(word.toLowerCase())),
  );
  const items = fields.map(({ name: own, about }): Completion => ({ text: `${own}:`, kind: "field", about }));
  return { from: from + begun.length - word.length, to, items: items.slice(0, MOST) };
}

function valuesLike(field: Field, begun: string, known: KnownValues): readonly Completion[] {
  const candidates = [
    ...new Set([...(field.words ?? []), ...(EXAMPLES[field.kind] ?? []), ...(known[field.name] ?? [])]),
  ];
  const lower = begun.toLowerCase();
  const ranked = candidates
    .map((text) => ({ text, at: text.toLowerCase().indexOf(lower) }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => Number(a.at > 0) - Number(b.at > 0));
  return ranked.slice(0, MOST).map(({ text }) => ({ text: quotedIfNeeded(text), kind: "value", about: field.about }));
}

/** Values worth offering whatever the log has. */
const EXAMPLES: { readonly [kind in Field["kind"]]?: readonly string[] } = {
  status: ["4xx", "5xx", "401", "403", "404", "405", "429", "500"],
  method: ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"],
  time: ["15m", "1h", "6h", "1d", "1w"],
};

function quotedIfNeeded(text: string): string {
  return /^[^\s(),"*]+$/.test(text) ? text : `"${text.replace(/[\\"]/g, "\\$&")}"`;
}
