/**
 * Characters that a terminal, an editor or a log viewer would obey instead of showing: controls (line ends, ANSI
 * escapes), formats (bidirectional overrides, zero width, tags), lone surrogates, line and paragraph separators.
 */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** The same in JSON text, in runs, which the quotes of strings keep short. */
const INVISIBLE_IN_JSON = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu;

const SHORT: ReadonlyMap<string, string> = new Map([
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

/**
 * Makes text that a client chose safe for a terminal: one line, with every invisible character shown as `\n`, `\x1b`,
 * `\u202e` or `\u{e0041}`. For people to read: a backslash in the text itself is not escaped.
 */
export function visibleText(text: string): string {
  return text.replace(INVISIBLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (code > 0xffff) return `\\u{${code.toString(16)}}`;
    return (
      SHORT.get(character) ??
      (code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`)
    );
  });
}

/**
 * The same JSON with every invisible character in its strings escaped: it parses to the same value, and printing it
 * cannot control a terminal. The text must be JSON without white space, as `JSON.stringify` writes it.
 */
export function visibleJson(json: string): string {
  return json.replace(INVISIBLE_IN_JSON, (characters) => {
    let escaped = "";
    for (let at = 0; at < characters.length; at++) {
      escaped += `\\u${characters.charCodeAt(at).toString(16).padStart(4, "0")}`;
    }
    return escaped;
  });
}
