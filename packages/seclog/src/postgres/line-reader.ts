/**
 * Reads one canonical line (event/encode.ts) of a record, byte by byte, and writes its values in the text format of
 * `COPY … FROM STDIN`.
 *
 * The columns have the order of the canonical members, so one comparison decides whether the next member belongs to the
 * next column or the column is NULL. Anything that is not in canonical form is refused: a row must decode to exactly
 * the bytes that were recorded. Strings need little translation, since COPY and JSON share the escapes `\b \f \n \r
 * \t`; json columns keep their text, with each backslash doubled.
 */
import { canonicalAddress } from "../event/address.ts";
import { type ColumnKind, columnsOf, type EventColumn } from "../event/columns.ts";

/** A member of a line, and the column of the same name. */
export interface Column {
  readonly name: string;
  readonly kind: ColumnKind;
  /** `"name":` as bytes. */
  readonly key: Uint8Array;
}

const lineOf = (part: EventColumn["part"]): readonly Column[] =>
  columnsOf(part).map(({ name, kind }) => ({ name, kind, key: Buffer.from(`"${name}":`) }));

/** The members of the first line, in canonical order. */
export const CORE_COLUMNS: readonly Column[] = lineOf("core");

/** The members of the second line, in canonical order. */
export const PERSONAL_COLUMNS: readonly Column[] = lineOf("personal");

/** A record that is not in canonical form, or is not the event it should be. */
export class RecordError extends Error {
  override readonly name = "RecordError";
}

const TAB = 0x09;
const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const NULL_LETTER = 0x4e;

/** Reads the canonical lines of a record in turn, and writes a value and a tab for each column. */
export class LineReader {
  readonly #in: Uint8Array;
  readonly #out: Buffer;
  /** The next byte to read. */
  at = 0;
  /** Where the next byte is written. */
  end: number;
  seq = 0;
  sourceStart = 0;
  categoryStart = 0;
  categoryEnd = 0;

  constructor(record: Uint8Array, out: Buffer, end: number) {
    this.#in = record;
    this.#out = out;
    this.end = end;
  }

  read(columns: readonly Column[]): void {
    const out = this.#out;
    if (this.#in[this.at++] !== OPEN) throw new RecordError("a line is not a JSON object");
    let closed = this.#in[this.at] === CLOSE;
    if (closed) this.at++;
    for (const column of columns) {
      if (closed || !this.#startsWith(column.key)) {
        out[this.end++] = BACKSLASH;
        out[this.end++] = NULL_LETTER;
      } else {
        this.at += column.key.length;
        this.#value(column);
        const next = this.#in[this.at++];
        closed = next === CLOSE;
        if (!closed && next !== COMMA) throw new RecordError(`${column.name} is not followed by a member`);
        if (!closed && this.#in[this.at] !== QUOTE) throw new RecordError(`${column.name} is not followed by a member`);
      }
      out[this.end++] = TAB;
    }
    if (!closed) throw new RecordError(`it has a member that is not a column: ${this.#excerpt()}`);
  }

  #startsWith(key: Uint8Array): boolean {
    const bytes = this.#in;
    const at = this.at;
    // From the end: names that begin alike differ there, and every key begins with a quote.
    for (let i = key.length - 1; i >= 0; i--) if (bytes[at + i] !== key[i]) return false;
    return true;
  }

  #value(column: Column): void {
    const start = this.end;
    switch (column.kind) {
      case "text":
      case "word":
        this.#text(column.name);
        if (column.name === "category") {
          this.categoryStart = start;
          this.categoryEnd = this.end;
        }
        return;
      case "integer": {
        const value = this.#integer(column.name);
        if (column.name === "seq") this.seq = value;
        return;
      }
      case "uuid":
        this.#pattern(UUID, column.name);
        if (column.name === "source_id") this.sourceStart = start;
        return;
      case "time":
        this.#pattern(TIME, column.name);
        this.#checkClock(start, column.name);
        return;
      case "address":
        this.#text(column.name);
        if (!isCanonicalAddress(this.#out.toString("latin1", start, this.end))) {
          throw new RecordError(`${column.name} is not an address in canonical form`);
        }
        return;
      case "json":
        this.#json(column.name);
        return;
      default:
        column.kind satisfies never;
    }
  }

  /** A string literal, in COPY's escapes. */
  #text(name: string): void {
    const bytes = this.#in;
    const out = this.#out;
    let at = this.at;
    let end = this.end;
    if (bytes[at++] !== QUOTE) throw new RecordError(`${name} is not a string`);
    for (;;) {
      const byte = bytes[at++] ?? 0;
      if (byte !== BACKSLASH) {
        if (byte === QUOTE) break;
        if (byte < 0x20) throw new RecordError(`${name} is not a JSON string`);
        out[end++] = byte;
        continue;
      }
      const escaped = bytes[at++];
      switch (escaped) {
        case QUOTE:
          out[end++] = QUOTE;
          break;
        case 0x75: // \u
          out[end++] = this.#controlCharacter(at, name);
          at += 4;
          break;
        case BACKSLASH:
        case 0x62: // \b \f \n \r \t are the same in COPY
        case 0x66:
        case 0x6e:
        case 0x72:
        case 0x74:
          out[end++] = BACKSLASH;
          out[end++] = escaped;
          break;
        default:
          throw new RecordError(`${name} has an unknown escape`);
      }
    }
    this.at = at;
    this.end = end;
  }

  /** The canonical form escapes by number only the control characters that have no letter. No text contains NUL. */
  #controlCharacter(at: number, name: string): number {
    const hex = Buffer.from(this.#in.buffer, this.#in.byteOffset + at, Math.min(4, this.#in.length - at)).toString(
      "latin1",
    );
    const code = /^00[01][0-9a-f]$/.test(hex) ? Number.parseInt(hex, 16) : 0;
    if (code === 0 || (code >= 8 && code <= 13 && code !== 11))
      throw new RecordError(`${name} has the escape \\u${hex}`);
    return code;
  }

  #integer(name: string): number {
    const bytes = this.#in;
    let value = 0;
    const start = this.at;
    for (;;) {
      const digit = (bytes[this.at] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      this.#out[this.end++] = 0x30 + digit;
      this.at++;
    }
    const digits = this.at - start;
    if (digits === 0 || digits > 16 || (bytes[start] === 0x30 && digits > 1))
      throw new RecordError(`${name} is not an integer`);
    return value;
  }

  /** A string of a fixed form, without its quotes. */
  #pattern(pattern: Uint8Array, name: string): void {
    const bytes = this.#in;
    const out = this.#out;
    const at = this.at + 1;
    const end = this.end;
    let fits = bytes[this.at] === QUOTE && bytes[at + pattern.length] === QUOTE;
    for (let i = 0; i < pattern.length; i++) {
      const byte = bytes[at + i] ?? 0;
      const wanted = pattern[i];
      if (wanted === ANY_HEX) fits = fits && ((byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66));
      else if (wanted === ANY_DIGIT) fits = fits && byte >= 0x30 && byte <= 0x39;
      else fits = fits && byte === wanted;
      out[end + i] = byte;
    }
    if (!fits) throw new RecordError(`${name} is malformed`);
    this.end = end + pattern.length;
    this.at = at + pattern.length + 1;
  }

  /** PostgreSQL accepts 24:00 and second 60 but stores another time, so the row would not decode to the record. */
  #checkClock(start: number, name: string): void {
    const pair = (offset: number): number =>
      ((this.#out[start + offset] ?? 0) - 0x30) * 10 + (this.#out[start + offset + 1] ?? 0) - 0x30;
    if (pair(11) > 23 || pair(14) > 59 || pair(17) > 59) throw new RecordError(`${name} is not a time`);
  }

  /** An object, to its closing brace, with each backslash doubled for COPY. PostgreSQL checks the grammar. */
  #json(name: string): void {
    const bytes = this.#in;
    const out = this.#out;
    let at = this.at;
    let end = this.end;
    if (bytes[at] !== OPEN) throw new RecordError(`${name} is not a JSON object`);
    let depth = 0;
    let inString = false;
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined || byte < 0x20) throw new RecordError(`${name} is not a JSON object`);
      out[end++] = byte;
      if (byte === BACKSLASH) {
        const escaped = bytes[at++];
        if (escaped === undefined || escaped < 0x20) throw new RecordError(`${name} is not a JSON object`);
        out[end++] = BACKSLASH;
        out[end++] = escaped;
        if (escaped === BACKSLASH) out[end++] = BACKSLASH;
      } else if (byte === QUOTE) inString = !inString;
      else if (inString) continue;
      else if (byte === OPEN || byte === 0x5b) depth++;
      else if ((byte === CLOSE || byte === 0x5d) && --depth === 0) break;
    }
    this.at = at;
    this.end = end;
  }

  #excerpt(): string {
    return JSON.stringify(Buffer.from(this.#in).toString("latin1", this.at, this.at + 40));
  }
}

const ANY_DIGIT = 0x64;
const ANY_HEX = 0x78;
/** `d` matches any digit and `x` any hexadecimal digit; neither matches itself alone. */
const UUID: Uint8Array = Buffer.from("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
const TIME: Uint8Array = Buffer.from("dddd-dd-ddTdd:dd:dd.ddddddZ");

/** Addresses recur: this cache saves parsing the recent ones again. */
const knownAddresses = new Set<string>();

function isCanonicalAddress(text: string): boolean {
  if (knownAddresses.has(text)) return true;
  if (canonicalAddress(text) !== text) return false;
  if (knownAddresses.size >= 4096) knownAddresses.clear();
  knownAddresses.add(text);
  return true;
}
