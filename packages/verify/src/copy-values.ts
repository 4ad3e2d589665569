/** Reads values of COPY's text format as strings, for the small tables. */

/** The bytes that COPY escapes, by the letter that stands for each. */
export const UNESCAPED: { readonly [letter: number]: number } = { 98: 8, 116: 9, 110: 10, 118: 11, 102: 12, 114: 13 };

/** A time as COPY writes it, in canonical form; any other text as it is. */
export function canonicalTime(text: string): string {
  const [, date, time, fraction = ""] = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00$/.exec(text) ?? [];
  return date === undefined ? text : `${date}T${time}.${fraction.padEnd(6, "0")}Z`;
}

/** The values of a row; `null` for NULL. */
export function copyValues(line: string): (string | null)[] {
  return line.split("\t").map((value) =>
    value === "\\N"
      ? null
      : value.replace(/\\(.)/gs, (_, letter: string) => {
          const code = UNESCAPED[letter.charCodeAt(0)];
          return code === undefined ? letter : String.fromCharCode(code);
        }),
  );
}

/** The bytes of an unescaped bytea, `\x…`. */
export function byteaValue(text: string): Buffer {
  return Buffer.from(text.startsWith("\\x") ? text.slice(2) : "", "hex");
}
