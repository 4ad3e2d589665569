/**
 * Text that a stranger chose, shown as text: left to right, isolated, what is not plain spelled out by name, what looks
 * like markup underlined. React escapes it; this makes it readable.
 */
import type { ReactNode } from "react";
import style from "./stranger.module.css";

const NAMES: { readonly [sign: string]: string } = {
  "\u0000": "NUL",
  "\u0007": "BEL",
  "\b": "BS",
  "\t": "TAB",
  "\n": "LF",
  "\r": "CR",
  "\u001b": "ESC",
  "\u200b": "ZWSP",
  "\u200c": "ZWNJ",
  "\u200d": "ZWJ",
  "\u200e": "LRM",
  "\u200f": "RLM",
  "\u202a": "LRE",
  "\u202b": "RLE",
  "\u202c": "PDF",
  "\u202d": "LRO",
  "\u202e": "RLO",
  "\u2066": "LRI",
  "\u2067": "RLI",
  "\u2068": "FSI",
  "\u2069": "PDI",
  "\ufeff": "BOM",
};
/** Controls, format characters, separators of lines, lone surrogates, private use, tags and variation selectors. */
const ODD =
  /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}\u115f\u1160\u3164\uffa0]|[\ufe00-\ufe0f]|[\u{e0000}-\u{e0fff}]/u;
const MARKUP = /<\/?[a-z!]|\b(?:javascript|vbscript|data):/i;
/** A row of marks on one letter hides the lines around it. */
const PILED = /(\p{M}{3})\p{M}+/gu;

export interface StrangerProps {
  readonly value: unknown;
  /** The most signs to show; the rest is counted. @default 2000 */
  readonly most?: number;
}

export function Stranger({ value, most = 2_000 }: StrangerProps): ReactNode {
  const whole = typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
  const text = whole.length > most ? whole.slice(0, most) : whole;
  const rest = whole.length - text.length;
  const more = rest > 0 ? <span className={style.more}> … {rest.toLocaleString("en-US")} more</span> : null;
  const hasOdd = ODD.test(text) || PILED.test(text);
  const hasMarkup = MARKUP.test(text);
  if (!hasOdd && !hasMarkup) return more === null ? text : [text, more];
  const why = [hasMarkup && "markup", hasOdd && "characters that are not plain"].filter(Boolean).join(", ");
  return (
    <>
      <bdi className={style.stranger} dir="ltr" title={`shown as text: ${why}`}>
        {spelled(text)}
      </bdi>
      {more}
    </>
  );
}

/** The text with each odd character by its name; runs of plain text stay together. */
function spelled(text: string): readonly ReactNode[] {
  const parts: ReactNode[] = [];
  let plain = "";
  for (const sign of text.replace(PILED, "$1\ufffd")) {
    if (!ODD.test(sign)) {
      plain += sign;
      continue;
    }
    if (plain !== "") parts.push(plain);
    plain = "";
    const number = `U+${(sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
    parts.push(
      <span key={parts.length} className={style.odd} title={number}>
        {NAMES[sign] ?? number}
      </span>,
    );
  }
  return plain === "" ? parts : [...parts, plain];
}
