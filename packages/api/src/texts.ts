/** How texts compare, the same in memory and in PostgreSQL's "C" collation. */

/** A text with A to Z in lower case, as `lower(… COLLATE "C")`. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/**
 * What a search looks for in a text of which A to Z are in lower case: the text, and for letters beyond them its lower and
 * upper case.
 */
export function needlesOf(text: string): readonly string[] {
  return [...new Set([text, text.toLowerCase(), text.toUpperCase()].map(asciiLower))];
}

/** A text as JSON has it between quotes. */
export function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** The literal texts of a pattern, between its `*`. */
function literals(pattern: string): readonly string[] {
  return pattern.split("*");
}

/** Whether a whole text matches a pattern, of which each `*` matches any text. In one pass, whatever the pattern. */
export function matchesPattern(text: string, pattern: string): boolean {
  const [first = "", ...rest] = literals(pattern);
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}

/** A JSON value as the log stores it: without spaces, members in the order of their UTF-16 units (RFC 8785). */
export function jsonText(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "";
  if (Array.isArray(value)) return `[${value.map(jsonText).join(",")}]`;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${jsonText(member)}`).join(",")}}`;
}
