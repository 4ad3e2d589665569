/** What Python's `str()` makes of values: of the arguments of a record, and of its extra fields. */

/** A value as far as a log needs it. */
export type PythonValue = string | number | boolean | null | readonly PythonValue[];

/** The most values of a list, and the most characters that are looked at. */
const MOST_VALUES = 100;
const LONGEST = 10_000;

/**
 * Reads a literal: a text, a number, `True`, `False`, `None`, and lists and tuples of them.
 *
 * @returns `undefined` for anything else
 */
export function readLiteral(text: string): PythonValue | undefined {
  if (text.length > LONGEST) return undefined;
  const reader = new Literal(text);
  const value = reader.value(0);
  return reader.atEnd ? value : undefined;
}

/** `msg % args`, for the conversions of a logger's call. Arguments that are missing leave it as it is. */
export function format(message: string, args: readonly PythonValue[]): string {
  let next = 0;
  return message.replace(/%(?:%|(?:\(\w+\))?[-#0 +]*\d*(?:\.\d+)?[sdrifgx])/g, (conversion) => {
    if (conversion === "%%") return "%";
    const value = args[next++];
    return value === undefined ? conversion : String(value);
  });
}

class Literal {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at === this.#text.length;
  }

  value(depth: number): PythonValue | undefined {
    const word = this.#match(/(?:None|True|False)\b/y);
    if (word !== undefined) return word === "None" ? null : word === "True";
    const number = this.#match(/-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/y);
    if (number !== undefined) return Number(number);
    const open = this.#match(/[[(]/y);
    if (open !== undefined) return depth < 5 ? this.#list(open === "[" ? "]" : ")", depth) : undefined;
    return this.#string();
  }

  #list(close: string, depth: number): readonly PythonValue[] | undefined {
    const values: PythonValue[] = [];
    for (;;) {
      if (this.#text[this.#at] === close) {
        this.#at += 1;
        return values;
      }
      const value = this.value(depth + 1);
      if (value === undefined || values.length === MOST_VALUES) return undefined;
      values.push(value);
      if (this.#match(/, ?/y) === undefined && this.#text[this.#at] !== close) return undefined;
    }
  }

  #string(): string | undefined {
    const quote = this.#match(/['"]/y);
    if (quote === undefined) return undefined;
    let value = "";
    for (;;) {
      const character = this.#text[this.#at++];
      if (character === undefined) return undefined;
      if (character === quote) return value;
      value += character === "\\" ? this.#escape() : character;
    }
  }

  #escape(): string {
    const code = this.#match(/x[0-9a-f]{2}|u[0-9a-f]{4}|U0010[0-9a-f]{4}|U000[0-9a-f]{5}/iy);
    if (code !== undefined) return String.fromCodePoint(Number.parseInt(code.slice(1), 16));
    const character = this.#text[this.#at++] ?? "";
    return { n: "\n", r: "\r", t: "\t" }[character] ?? character;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
