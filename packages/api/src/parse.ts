/**
 * Reads the query language:
 *
 * ```
 * query  = and *( "or" and )
 * and    = *( [ "and" ] unary )
 * unary  = ( "-" / "not" ) unary / "(" query ")" / term / text
 * term   = field ( ":" / "=" / "!=" / ">" / ">=" / "<" / "<=" ) value *( "," value )
 * value  = word / quoted / "(" value *( [ "or" ] value ) ")"
 * ```
 *
 * By hand, and not by a generated parser: each error points at a character and says what was probably meant, and half of
 * a query, which is what completion sees, is not an error.
 */
import { FIELD_NAMES, type Field, type FieldName, fieldNamed } from "./fields.ts";
import { suggestions } from "./nearest.ts";
import { EVERYTHING, type Operator, type Query, type Value } from "./query.ts";
import { QueryError, shown } from "./query-error.ts";
import { valuesOf, type Written } from "./values.ts";

/** The longest query, in UTF-16 units. */
const LONGEST = 4_096;
/** How deep parentheses and negations nest. */
const DEEPEST = 40;
/** How many terms and values a query has. */
const MOST_VALUES = 500;

/** Reads a query. An empty one matches everything. @throws QueryError */
export function parseQuery(text: string): Query {
  if (text.length > LONGEST)
    throw new QueryError(`the query has ${text.length} characters, more than ${LONGEST}: shorten it`, LONGEST, 0);
  return new Parser(text).whole();
}

/** How a field's name and an operator begin a term. */
const TERM = /([a-zA-Z_][\w.@-]*)(:|!=|>=|<=|=|>|<)/y;
const WORD = /[^\s()"]+/y;
const VALUE = /[^\s(),"]+/y;
const KEYWORD = /(?:and|or|not)(?=[\s()"]|$)/iy;

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #values = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Query {
    const query = this.#or();
    if (this.#at < this.#text.length) throw this.#error('unexpected ")": nothing opens it', this.#at, 1);
    return query;
  }

  #or(): Query {
    const parts = [this.#and()];
    while (this.#keyword() === "or") {
      const at = this.#at;
      this.#at += 2;
      const before = parts.at(-1);
      const part = this.#and();
      if (isEmpty(before) || isEmpty(part))
        throw this.#error('"or" needs something on both sides: quote it to search for the word', at, 2);
      parts.push(part);
    }
    return parts.length === 1 ? (parts[0] ?? EVERYTHING) : { kind: "or", parts };
  }

  #and(): Query {
    const parts: Query[] = [];
    for (;;) {
      const keyword = this.#keyword();
      if (keyword === "or" || this.#at >= this.#text.length || this.#text[this.#at] === ")") break;
      if (keyword === "and") {
        const at = this.#at;
        this.#at += 3;
        const next = this.#keyword();
        if (
          parts.length === 0 ||
          next === "or" ||
          next === "and" ||
          this.#at >= this.#text.length ||
          this.#text[this.#at] === ")"
        )
          throw this.#error('"and" needs something on both sides: quote it to search for the word', at, 3);
        continue;
      }
      parts.push(this.#unary());
    }
    return parts.length === 1 ? (parts[0] ?? EVERYTHING) : { kind: "and", parts };
  }

  #unary(): Query {
    const at = this.#at;
    const isNot = this.#keyword() === "not";
    if (isNot || (this.#text[at] === "-" && /^[^\s)]/.test(this.#text.slice(at + 1, at + 2)))) {
      this.#at += isNot ? 3 : 1;
      this.#space();
      if (
        this.#at >= this.#text.length ||
        this.#text[this.#at] === ")" ||
        ["or", "and"].includes(this.#keyword() ?? "")
      )
        throw this.#error('"not" needs something after it: quote it to search for the word', at, 3);
      return { kind: "not", part: this.#deeper(at, () => this.#unary()) };
    }
    if (this.#text[at] !== "(") return this.#term();
    this.#at++;
    const query = this.#deeper(at, () => this.#or());
    if (this.#text[this.#at] !== ")") throw this.#error('this "(" is not closed: add ")"', at, 1);
    this.#at++;
    if (isEmpty(query)) throw this.#error("there is nothing between these parentheses: remove them", at, this.#at - at);
    return query;
  }

  #term(): Query {
    const at = this.#at;
    this.#count(at);
    if (this.#text[at] === '"') return { kind: "text", text: this.#searched(this.#quoted()) };
    TERM.lastIndex = at;
    const [whole, name = "", sign = ""] = TERM.exec(this.#text) ?? [];
    if (whole === undefined) return { kind: "text", text: this.#searched(this.#word(WORD)) };
    const field = fieldNamed(name);
    if (field === undefined) throw this.#unknownField(name, at);
    this.#at += whole.length;
    const operator = (sign === "!=" ? "=" : sign) as Operator;
    const values = this.#valuesOf(field, operator);
    const term: Query = { kind: "term", field: field.name as FieldName, operator: plain(field, operator), values };
    return sign === "!=" ? { kind: "not", part: term } : term;
  }

  /** The values of a term; none for `*`, which any value matches. */
  #valuesOf(field: Field, operator: Operator): readonly Value[] {
    const written = this.#text[this.#at] === "(" ? this.#list(field) : this.#commas(field);
    const isAny = ({ text, quoted }: Written): boolean => text === "*" && !quoted && operator === ":";
    if (written.some(isAny)) return [];
    return written.flatMap((value) => valuesOf(field, operator, value));
  }

  #commas(field: Field): readonly Written[] {
    const written = [this.#value(field)];
    while (this.#text[this.#at] === ",") {
      this.#at++;
      written.push(this.#value(field));
    }
    return written;
  }

  #list(field: Field): readonly Written[] {
    const open = this.#at++;
    const written: Written[] = [];
    for (;;) {
      if (this.#keyword() === "or") this.#at += 2;
      else if (this.#text[this.#at] === ",") this.#at++;
      this.#space();
      if (this.#text[this.#at] === ")") break;
      if (this.#at >= this.#text.length) throw this.#error('this "(" is not closed: add ")"', open, 1);
      written.push(this.#value(field));
    }
    this.#at++;
    if (written.length === 0) throw this.#error(`${field.name} is empty: leave it out to match everything`, open, 2);
    return written;
  }

  #value(field: Field): Written {
    const at = this.#at;
    this.#count(at);
    if (this.#text[at] === '"') return { ...this.#quoted(), quoted: true };
    const word = this.#word(VALUE);
    if (word.text === "") throw this.#error(`${field.name} needs a value: ${field.about}`, at, 0);
    return { ...word, quoted: false };
  }

  /** A text that is looked for anywhere. */
  #searched({ text, at, length }: Omit<Written, "quoted">): string {
    if (text === "") throw this.#error("the text is empty: leave it out to match everything", at, length);
    if (text.includes("\0")) throw this.#error("the text contains a NUL, which no event does", at, length);
    return text;
  }

  #word(pattern: RegExp): Omit<Written, "quoted"> {
    const at = this.#at;
    pattern.lastIndex = at;
    const [text = ""] = pattern.exec(this.#text) ?? [];
    this.#at += text.length;
    return { text, at, length: text.length };
  }

  /** A text between quotes, in which `\"` is a quote and `\\` a backslash. */
  #quoted(): Omit<Written, "quoted"> {
    const at = this.#at++;
    let text = "";
    for (; this.#at < this.#text.length; this.#at++) {
      const sign = this.#text[this.#at] as string;
      if (sign === '"') {
        this.#at++;
        return { text, at, length: this.#at - at };
      }
      const next = this.#text[this.#at + 1];
      if (sign === "\\" && (next === '"' || next === "\\")) {
        text += next;
        this.#at++;
      } else text += sign;
    }
    throw this.#error("this quote is not closed: add a quote, or remove this one", at, 1);
  }

  /** The keyword here, after any space. */
  #keyword(): string | undefined {
    this.#space();
    KEYWORD.lastIndex = this.#at;
    return KEYWORD.exec(this.#text)?.[0]?.toLowerCase();
  }

  #space(): void {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
  }

  #count(at: number): void {
    if (++this.#values > MOST_VALUES)
      throw this.#error(`the query has more than ${MOST_VALUES} values: shorten it`, at, 1);
  }

  #deeper<T>(at: number, read: () => T): T {
    if (++this.#depth > DEEPEST) throw this.#error(`the query nests deeper than ${DEEPEST}: simplify it`, at, 1);
    const result = read();
    this.#depth--;
    return result;
  }

  #unknownField(name: string, at: number): QueryError {
    const [like] = suggestions(name.toLowerCase(), FIELD_NAMES, 1);
    const meant = like === undefined ? "quote the text to search for it" : `did you mean ${like}?`;
    return new QueryError(`unknown field ${shown(name)}: ${meant}`, at, name.length, like);
  }

  #error(message: string, at: number, length: number): QueryError {
    return new QueryError(message, at, Math.min(length, this.#text.length - at));
  }
}

/** The operator once its values are ranges or words, which then say all. */
function plain(field: Field, operator: Operator): Operator {
  return ["word", "number", "status", "uuid", "address", "time"].includes(field.kind) ? ":" : operator;
}

function isEmpty(query: Query | undefined): boolean {
  return query === undefined || (query.kind === "and" && query.parts.length === 0);
}
