/** The terminal of `seclog-verify`: its width, its colours, and escapes for the control characters of a stranger. */
import type { Page } from "./report-text.ts";

/** What a terminal obeys instead of showing: controls, formats, lone surrogates, line and paragraph separators. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** SGR parameters (ECMA-48). */
const STYLES = { red: "31", green: "32", alarm: "1;31" } as const;

/** Standard output, 80 columns by default. `NO_COLOR` and `FORCE_COLOR` (no-color.org) decide the colours. */
export const page: Page = {
  styled(text, style) {
    const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
    const wanted = FORCE_COLOR ? FORCE_COLOR !== "0" : process.stdout.isTTY === true && TERM !== "dumb";
    return wanted && !NO_COLOR ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
  },
  wrapped(text, indent) {
    const columns = Number(process.env["COLUMNS"]);
    const width = process.stdout.columns || (columns >= 20 ? columns : 80);
    const lines: string[] = [];
    let line = "";
    for (const word of text.split(" ")) {
      if (line !== "" && indent.length + line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else line = line === "" ? word : `${line} ${word}`;
    }
    lines.push(line);
    return lines.join(`\n${indent}`);
  },
  visible: (text) => text.replace(INVISIBLE, escaped),
};

/** An invisible character, escaped as `seclog` does: `\n`, `\x1b`, `\u202e` or `\u{e0041}`. */
function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code > 0xffff) return `\\u{${code.toString(16)}}`;
  const short = SHORT[character];
  if (short !== undefined) return short;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

const SHORT: { readonly [character: string]: string } = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** A value as one line of JSON that parses to the same value, without characters that a terminal obeys. */
export function jsonLine(value: unknown): string {
  const unicodeEscaped = (character: string): string =>
    Array.from({ length: character.length }, (_, unit) => {
      return `\\u${character.charCodeAt(unit).toString(16).padStart(4, "0")}`;
    }).join("");
  return `${JSON.stringify(value).replace(INVISIBLE, unicodeEscaped)}\n`;
}

/** Overwrites one line on standard error, if that is a terminal. An empty text clears it. */
export function showProgress(text: string): void {
  if (process.stderr.isTTY === true) process.stderr.write(`\r\x1b[K${text}`);
}
