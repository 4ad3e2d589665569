/** What an operation asks for, as the route of its events. */

interface Definition {
  readonly kind?: string;
  readonly operation?: string;
  readonly name?: { readonly value?: string };
  readonly selectionSet?: { readonly selections?: readonly Selection[] };
}

interface Selection {
  readonly kind?: string;
  readonly name?: { readonly value?: string };
}

/** A parsed document, as GraphQL.js makes it. */
export interface GraphqlDocument {
  readonly definitions?: readonly object[];
}

const MOST_FIELDS = 3;

/** The facts of an operation. */
export interface OperationFacts {
  readonly route?: string;
  readonly operation?: string;
}

/**
 * The route: `mutation transfer`, by the fields that it selects of the schema's root. Names that a client chooses
 * freely are not part of it, or a flood of them would be as many routes. Only of a document that was validated. Never
 * throws.
 */
export function operationFacts(document: GraphqlDocument | undefined, named: unknown): OperationFacts {
  try {
    const operations = (document?.definitions ?? []).filter(
      (one): one is Definition => (one as Definition).kind === "OperationDefinition",
    );
    const found = operations.find(({ name }) => name?.value === named) ?? operations[0];
    if (found === undefined) return {};
    const fields = new Set<string>();
    for (const { kind, name } of found.selectionSet?.selections ?? []) {
      if (kind === "Field" && name?.value !== undefined) fields.add(name.value);
    }
    const list = [...fields];
    const text = list.length > MOST_FIELDS ? `${list.slice(0, MOST_FIELDS).join(", ")}, …` : list.join(", ");
    const operation = found.name?.value;
    return {
      route: `${found.operation ?? "query"} ${text}`.trim(),
      ...(operation !== undefined && { operation: operation.slice(0, 100) }),
    };
  } catch {
    return {};
  }
}
