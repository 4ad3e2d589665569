/** The query line's colours: a query need not be complete, or right, to be coloured. */

export interface Token {
  readonly text: string;
  readonly kind: "field" | "value" | "operator" | "not" | "space";
}

const TOKEN =
  /(\s+)|([()]|\bor\b|,)|(-)(?=[^\s])|([a-zA-Z_][\w.]*(?::|>=|<=|!=|=|>|<))|("(?:[^"\\]|\\.)*"?|[^\s()",]+)/gy;

/** The whole text as tokens, in order. */
export function tokensOf(query: string): readonly Token[] {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  let begins = true;
  while (pattern.lastIndex < query.length) {
    const from = pattern.lastIndex;
    const match = pattern.exec(query);
    if (match === null) {
      tokens.push({ text: query.slice(from, from + 1), kind: "value" });
      pattern.lastIndex = from + 1;
      continue;
    }
    const [text, space, operator, not, field] = match;
    const kind: Token["kind"] = space
      ? "space"
      : operator
        ? "operator"
        : not && begins
          ? "not"
          : field
            ? "field"
            : "value";
    tokens.push({ text, kind });
    // A minus within a value is a part of it.
    begins = kind === "space" || text === "(";
  }
  return tokens;
}
