/** The numbers of a source between two of its events that no stored event has; numbers beyond 2^53 are text. */
export function missingBetween(
  before: number | string,
  after: number | string,
): { readonly first: number; readonly last: number } | undefined {
  if (typeof before !== "number" || typeof after !== "number" || after <= before + 1) return undefined;
  return { first: before + 1, last: after - 1 };
}
