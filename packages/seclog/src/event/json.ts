/** A value that JSON can hold. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;

/** An object that JSON can hold. */
export type JsonObject = { [key: string]: JsonValue };

/**
 * Anything below U+0020, the quote, the backslash, or a surrogate: the characters that JSON escapes, and
 * surrogates, of which it escapes the lone ones. Written with escapes so that this file stays plain text.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const NEEDS_ESCAPE = /[\u0000-\u001f"\\\ud800-\udfff]/;

/** A JSON string literal, quotes included. Same result as `JSON.stringify`, cheaper for plain text. */
export function jsonString(text: string): string {
  return NEEDS_ESCAPE.test(text) ? JSON.stringify(text) : `"${text}"`;
}

/**
 * What stands between the quotes of {@link jsonString}. For templates that bring the quotes themselves: each
 * piece of a long text that is joined costs as much as some of its characters.
 */
export function jsonText(text: string): string {
  return NEEDS_ESCAPE.test(text) ? JSON.stringify(text).slice(1, -1) : text;
}

/**
 * The canonical JSON of a value: RFC 8785 (JCS). Members sorted by UTF-16 code units, no white space,
 * numbers as ECMAScript prints them. The value must hold no lone surrogate and no non-finite number, which
 * `record/data.ts` sees to.
 */
export function canonicalJson(value: JsonValue): string {
  if (typeof value === "string") return jsonString(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  let text = "{";
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member === undefined) continue;
    text += `${text.length > 1 ? "," : ""}${jsonString(key)}:${canonicalJson(member)}`;
  }
  return `${text}}`;
}
