/**
 * From a row of `COPY … TO STDOUT`, in its text format, to the canonical lines of its event and the leaf's hash
 * (docs/design/integrity.md): the opposite way of the writer, and without its code.
 *
 * A log of a hundred million events is verified with this, so it works on bytes, in one pass, without an object for each row.
 */
import { sha256 } from "./hashing.ts";
import { VerifyError } from "./note.ts";

type Kind = "text" | "time" | "integer" | "json";

interface Column {
  readonly name: string;
  readonly kind: Kind;
  /** `,"name":`, with the quote that opens a string. */
  readonly before: Buffer;
}

const columns = (names: string): Column[] =>
  names.split(" ").map((name) => {
    const kind = KINDS.get(name) ?? "text";
    return { name, kind, before: Buffer.from(`,"${name}":${kind === "text" || kind === "time" ? '"' : ""}`) };
  });

const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ...["occurred_at", "started_at", "ended_at"].map((name) => [name, "time"] as const),
  ...["count", "epoch", "seq", "status_code", "v"].map((name) => [name, "integer"] as const),
  ...["data", "notes"].map((name) => [name, "json"] as const),
]);

const IMPERSONAL = columns(
  "allowed_methods category count ended_at environment epoch event_type host id level logger method occurred_at outcome route seq service source_id started_at status_code v",
);
const PERSONAL = columns(
  "actor_id actor_type data ip_address ip_chain ip_source method_original notes path request_host request_id span_id target_id target_type trace_id user_agent",
);

/** The columns that {@link RowReader} reads, in its order. */
export const EVENT_COLUMNS: readonly string[] = [
  ...IMPERSONAL.map(({ name }) => name),
  "commitment",
  "salt",
  ...PERSONAL.map(({ name }) => name),
];

/**
 * What a row's personal part is: as it was sealed (if its leaf is), erased, something else than its commitment says, or
 * partly there without the salt.
 */
export type PersonalState = "kept" | "erased" | "changed";

const SALT_BYTES = 16;
const TAB = 0x09;
const NEWLINE = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const NULL_LETTER = 0x4e;
const UUID_LENGTH = 36;
const SEQ = IMPERSONAL.findIndex(({ name }) => name === "seq");
const SOURCE = IMPERSONAL.findIndex(({ name }) => name === "source_id");

/** Reads one row after the other. What it says of a row is true until the next. */
export class RowReader {
  /** SHA-256(0x00 ‖ impersonal line ‖ \n ‖ commitment), as 32 Latin-1 characters. */
  leaf = "";
  personal: PersonalState = "kept";
  seq = 0;
  /** Bytes that were hashed. */
  hashed = 0;
  #in: Buffer = Buffer.alloc(0);
  #at = 0;
  #out: Buffer = Buffer.alloc(65_536);
  #end = 0;
  #entryEnd = 0;
  #sourceStart = 0;
  #personalStart = 0;

  /**
   * Reads the row that starts at `start`.
   *
   * @param end where its newline is
   * @throws VerifyError when it is no row of {@link EVENT_COLUMNS}
   */
  read(rows: Buffer, start: number, end: number): void {
    // A byte grows to six at most: a control character that JSON escapes by number.
    const room = 6 * (end - start) + 2_048;
    if (this.#out.length < room) this.#out = Buffer.alloc(2 * room);
    this.#in = rows;
    this.#at = start;
    const out = this.#out;

    out[0] = 0;
    this.#line(IMPERSONAL, 1);
    out[this.#end++] = NEWLINE;
    this.#hexadecimal();
    this.#entryEnd = this.#end;
    this.leaf = sha256(out.subarray(0, this.#entryEnd));
    this.hashed = this.#entryEnd;

    const saltStart = this.#end;
    const unsalted = rows[this.#at] === BACKSLASH && rows[this.#at + 1] === NULL_LETTER;
    const salted = this.#salt();
    this.#personalStart = this.#end;
    const empty = this.#line(PERSONAL, this.#end);
    if (this.#at !== end + 1) throw new VerifyError("a row has too many columns: it is not of this export or table");
    if (salted) {
      const commitment = sha256(out.subarray(saltStart, this.#end));
      this.hashed += this.#end - saltStart;
      this.personal = this.#isCommitment(commitment) ? "kept" : "changed";
    } else this.personal = empty && unsalted ? "erased" : "changed";
  }

  /** Whether the row says that it is of this source. */
  isOf(source: Buffer): boolean {
    const out = this.#out;
    const start = this.#sourceStart;
    for (let i = 0; i < UUID_LENGTH; i++) if (out[start + i] !== source[i]) return false;
    return true;
  }

  source(): string {
    return this.#out.toString("latin1", this.#sourceStart, this.#sourceStart + UUID_LENGTH);
  }

  /** The leaf's entry: the impersonal line and the commitment. */
  entry(): string {
    return this.#out.toString("utf8", 1, this.#entryEnd);
  }

  personalLine(): string {
    return this.#out.toString("utf8", this.#personalStart, this.#end);
  }

  /** Writes the members of one line from `start` on. Whether there were none. */
  #line(line: readonly Column[], start: number): boolean {
    const out = this.#out;
    const bytes = this.#in;
    this.#end = start;
    for (let c = 0; c < line.length; c++) {
      const column = line[c] as Column;
      const at = this.#at;
      if (bytes[at] === BACKSLASH && bytes[at + 1] === NULL_LETTER) {
        this.#at = at + 2;
      } else {
        const { before } = column;
        let end = this.#end;
        for (let i = 0; i < before.length; i++) out[end++] = before[i] as number;
        this.#end = end;
        switch (column.kind) {
          case "text":
            this.#text();
            if (c === SOURCE && line === IMPERSONAL) this.#sourceStart = end;
            break;
          case "integer":
            this.#verbatim();
            if (c === SEQ && line === IMPERSONAL) this.seq = Number(out.toString("latin1", end, this.#end));
            break;
          case "time":
            this.#time();
            break;
          case "json":
            this.#verbatim();
            break;
          default:
            column.kind satisfies never;
        }
      }
      this.#next();
    }
    if (this.#end === start) out[this.#end++] = OPEN;
    else out[start] = OPEN;
    out[this.#end++] = CLOSE;
    return this.#end === start + 2;
  }

  /** Over the tab, or the newline after the last column. */
  #next(): void {
    const byte = this.#in[this.#at++];
    if (byte !== TAB && byte !== NEWLINE) {
      throw new VerifyError("a row has a column that does not end: it is not of this export or table");
    }
  }

  /** A string, with JSON's escapes instead of COPY's. */
  #text(): void {
    const bytes = this.#in;
    const out = this.#out;
    let at = this.#at;
    let end = this.#end;
    for (;;) {
      const byte = bytes[at] as number;
      if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) {
        out[end++] = byte;
        at++;
      } else if (byte === TAB || byte === NEWLINE || byte === undefined) break;
      else if (byte === QUOTE) {
        out[end++] = BACKSLASH;
        out[end++] = QUOTE;
        at++;
      } else if (byte === BACKSLASH) {
        const letter = bytes[at + 1] as number;
        at += 2;
        if (letter === 0x76) end = controlEscape(out, end, 0x0b);
        else {
          // \\ \b \f \n \r \t are the same in JSON; COPY writes no others.
          out[end++] = BACKSLASH;
          out[end++] = letter;
        }
      } else {
        end = controlEscape(out, end, byte);
        at++;
      }
    }
    out[end++] = QUOTE;
    this.#at = at;
    this.#end = end;
  }

  /** A number or JSON, as it stands, without COPY's escapes. */
  #verbatim(): void {
    const bytes = this.#in;
    const out = this.#out;
    let at = this.#at;
    let end = this.#end;
    for (;;) {
      const byte = bytes[at] as number;
      if (byte === BACKSLASH) {
        out[end++] = UNESCAPED[bytes[at + 1] as number] ?? (bytes[at + 1] as number);
        at += 2;
      } else if (byte === TAB || byte === NEWLINE || byte === undefined) break;
      else {
        out[end++] = byte;
        at++;
      }
    }
    this.#at = at;
    this.#end = end;
  }

  /** `2026-11-22 19:43:22.12+00` becomes `2026-11-22T19:43:22.120000Z`. What PostgreSQL writes otherwise stays, and is no event's. */
  #time(): void {
    const bytes = this.#in;
    const out = this.#out;
    let at = this.#at;
    let end = this.#end;
    if (bytes[at + 10] === 0x20 && bytes[at + 4] === 0x2d) {
      for (let i = 0; i < 19; i++) out[end++] = i === 10 ? 0x54 : (bytes[at + i] as number);
      at += 19;
      out[end++] = 0x2e;
      let digits = 0;
      if (bytes[at] === 0x2e) {
        at++;
        while (digits < 6 && (bytes[at] as number) >= 0x30 && (bytes[at] as number) <= 0x39) {
          out[end++] = bytes[at++] as number;
          digits++;
        }
      }
      for (; digits < 6; digits++) out[end++] = 0x30;
      if (bytes[at] === 0x2b && bytes[at + 1] === 0x30 && bytes[at + 2] === 0x30) {
        at += 3;
        out[end++] = 0x5a;
      }
    }
    this.#at = at;
    this.#end = end;
    this.#text();
  }

  /** A bytea, `\\x` and digits, as its digits. */
  #hexadecimal(): void {
    this.#at += this.#in[this.#at] === BACKSLASH && this.#in[this.#at + 2] === 0x78 ? 3 : 0;
    this.#verbatim();
    this.#next();
  }

  /** The salt's bytes. Whether there was one of the right length. */
  #salt(): boolean {
    const start = this.#end;
    if (this.#in[this.#at] === BACKSLASH && this.#in[this.#at + 1] === NULL_LETTER) {
      this.#at += 2;
      this.#next();
      return false;
    }
    this.#hexadecimal();
    const out = this.#out;
    const digits = this.#end - start;
    if (digits !== 2 * SALT_BYTES) return false;
    for (let i = 0; i < SALT_BYTES; i++) {
      out[start + i] =
        (HEX[out[start + 2 * i] as number] as number) * 16 + (HEX[out[start + 2 * i + 1] as number] as number);
    }
    this.#end = start + SALT_BYTES;
    return true;
  }

  /** Whether the row's commitment, the last 64 bytes of the entry, is this hash. */
  #isCommitment(hash: string): boolean {
    const out = this.#out;
    const start = this.#entryEnd - 64;
    for (let i = 0; i < 32; i++) {
      const value =
        (HEX[out[start + 2 * i] as number] as number) * 16 + (HEX[out[start + 2 * i + 1] as number] as number);
      if (value !== hash.charCodeAt(i)) return false;
    }
    return true;
  }
}

const HEX = new Uint8Array(256);
for (let value = 0; value < 16; value++) HEX["0123456789abcdef".charCodeAt(value)] = value;

/** COPY's escapes, by their letters. */
const UNESCAPED: { readonly [letter: number]: number } = { 98: 8, 116: 9, 110: 10, 118: 11, 102: 12, 114: 13 };

const HEX_DIGITS = Buffer.from("0123456789abcdef");

/** `\u001f`: a control character for which JSON has no letter. */
function controlEscape(out: Buffer, end: number, byte: number): number {
  out[end] = BACKSLASH;
  out[end + 1] = 0x75;
  out[end + 2] = 0x30;
  out[end + 3] = 0x30;
  out[end + 4] = HEX_DIGITS[byte >> 4] as number;
  out[end + 5] = HEX_DIGITS[byte & 15] as number;
  return end + 6;
}

/** A time of COPY's in the canonical form. */
export function canonicalTime(text: string): string {
  const [, date, time, fraction = ""] = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00$/.exec(text) ?? [];
  return date === undefined ? text : `${date}T${time}.${fraction.padEnd(6, "0")}Z`;
}

/** The values of a row of COPY's text format; `null` for NULL. For the small tables. */
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

/** The bytes of a bytea as COPY writes it, unescaped: `\x…`. */
export function byteaValue(text: string): Buffer {
  return Buffer.from(text.startsWith("\\x") ? text.slice(2) : "", "hex");
}
