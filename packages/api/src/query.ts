/** What a query is once it is read. */
import type { FieldName } from "./fields.ts";

/** How a term compares. `:` is the field's own way, `=` the exact value. */
export type Operator = ":" | "=" | ">" | ">=" | "<" | "<=";

/** A value that a field is compared with. */
export type Value =
  /** A text; a `*` of a pattern matches any text. */
  | { readonly kind: "text"; readonly text: string; readonly pattern: boolean }
  /** A range of numbers, ends included; `null` is open. */
  | { readonly kind: "range"; readonly from: number | null; readonly to: number | null }
  /** An address, or a network if it has a prefix length. */
  | { readonly kind: "network"; readonly address: string; readonly bits: number | null }
  /** An age such as `1d`, or a moment. */
  | { readonly kind: "time"; readonly text: string };

/** A field compared with values, any of which may match. */
export interface Term {
  readonly kind: "term";
  readonly field: FieldName;
  readonly operator: Operator;
  /** Any of these. None: the field has a value at all (`path:*`). */
  readonly values: readonly Value[];
}

/** A text anywhere in the event, A to Z in any case. */
export interface TextTerm {
  readonly kind: "text";
  readonly text: string;
}

/** A query. A term that compares a missing value does not match, so its negation does. */
export type Query =
  | Term
  | TextTerm
  /** No parts: every event. */
  | { readonly kind: "and"; readonly parts: readonly Query[] }
  | { readonly kind: "or"; readonly parts: readonly Query[] }
  | { readonly kind: "not"; readonly part: Query };

/** The query that every event matches. */
export const EVERYTHING: Query = { kind: "and", parts: [] };

/** The query that an event matches if it matches each of these. */
export function both(...queries: readonly Query[]): Query {
  const parts = queries.flatMap((query) => (query.kind === "and" ? query.parts : [query]));
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: "and", parts };
}

/** A query with each term, text and time replaced. */
export function mapTerms(query: Query, replace: (term: Term | TextTerm) => Query): Query {
  switch (query.kind) {
    case "and":
    case "or":
      return { kind: query.kind, parts: query.parts.map((part) => mapTerms(part, replace)) };
    case "not":
      return { kind: "not", part: mapTerms(query.part, replace) };
    default:
      return replace(query);
  }
}

/** The terms and texts of a query, in its order. */
export function termsOf(query: Query): readonly (Term | TextTerm)[] {
  switch (query.kind) {
    case "and":
    case "or":
      return query.parts.flatMap(termsOf);
    case "not":
      return termsOf(query.part);
    default:
      return [query];
  }
}
