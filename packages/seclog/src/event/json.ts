/** A value that JSON can hold. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;

/** An object that JSON can hold. */
export type JsonObject = { [key: string]: JsonValue };

/**
 * The characters that JSON escapes (below U+0020, the quote, the backslash), and surrogates, of which it escapes lone
 * ones. Written with escapes so that this file stays plain text.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const NEEDS_ESCAPE = /[\u0000-\u001f"\\\ud800-\udfff]/;

/** A JSON string literal, quotes included. The same result as `JSON.stringify`, cheaper for plain text. */
export function jsonString(text: string): string {
  return NEEDS_ESCAPE.test(text) ? JSON.stringify(text) : `"${text}"`;
}

/**
 * The result of {@link jsonString} without its quotes, for templates that contain them: each piece that is joined into
 * a long text costs as much as several of its characters.
 */
export function jsonText(text: string): string {
  return NEEDS_ESCAPE.test(text) ? JSON.stringify(text).slice(1, -1) : text;
}

/**
 * The canonical JSON of a value: RFC 8785 (JCS). Members sorted by UTF-16 code units, no white space,
 * numbers as ECMAScript prints them. The value must not contain lone surrogates or non-finite numbers, which
 * `record/data.ts` ensures.
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
