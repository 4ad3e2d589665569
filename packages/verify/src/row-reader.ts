/**
 * From a row of `COPY … TO STDOUT`, in its text format, to the canonical lines of its event and the leaf's hash
 * (docs/design/integrity.md): the opposite way of the writer, and without its code.
 *
 * A log of a hundred million events is verified with this, so it works on bytes, in one pass, without an object for each row.
 */
import { UNESCAPED } from "./copy-values.ts";
import { sha256 } from "./hashing.ts";
import { VerifyError } from "./note.ts";

type Kind = "text" | "time" | "integer" | "json";

interface Column {
  readonly name: string;
  readonly kind: Kind;
  /** `,"name":`, with the quote that opens a string: its length, and its bytes four at a time. */
  readonly length: number;
  readonly words: Int32Array;
}

const columns = (names: string): Column[] =>
  names.split(" ").map((name) => {
    const kind = KINDS.get(name) ?? "text";
    const before = Buffer.from(`,"${name}":${kind === "text" || kind === "time" ? '"' : ""}`);
    const padded = Buffer.concat([before, Buffer.alloc(4)]);
    const words = Int32Array.from({ length: Math.ceil(before.length / 4) }, (_, i) => padded.readInt32LE(4 * i));
    return { name, kind, length: before.length, words };
  });

const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ...["occurred_at", "started_at", "ended_at", "created_at"].map((name) => [name, "time"] as const),
  ...["count", "epoch", "seq", "status_code", "v"].map((name) => [name, "integer"] as const),
  ...["data", "notes"].map((name) => [name, "json"] as const),
]);

const CORE = columns(
  "allowed_methods category count ended_at environment epoch event_type host id level logger method occurred_at outcome route seq service source_id started_at status_code v",
);
/** What the store itself says of an event. */
const STORED = columns("created_at retention");
const PERSONAL = columns(
  "actor_id actor_type data ip_address ip_chain ip_source method_original notes path request_host request_id span_id target_id target_type trace_id user_agent",
);

/** The columns that {@link RowReader} reads, in its order. */
export const EVENT_COLUMNS: readonly string[] = [
  ...CORE.map(({ name }) => name),
  "commitment",
  ...STORED.map(({ name }) => name),
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
const VERTICAL_TAB_LETTER = 0x76;
const X_LETTER = 0x78;
const T_LETTER = 0x54;
const Z_LETTER = 0x5a;
const SPACE = 0x20;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
const UUID_LENGTH = 36;
const SEQ = CORE.findIndex(({ name }) => name === "seq");
const SOURCE = CORE.findIndex(({ name }) => name === "source_id");

/** Reads one row after the other. What it says of a row is true until the next. */
export class RowReader {
  /** SHA-256(0x00 ‖ core line ‖ \n ‖ commitment ‖ \n ‖ stored line), as 32 Latin-1 characters. */
  leaf = "";
  personal: PersonalState = "kept";
  seq = 0;
  /** Bytes that were hashed. */
  hashed = 0;
  /** 0x00 and the entry. */
  readonly #entry = new Scratch();
  /** The salt and the personal line. */
  readonly #personal = new Scratch();
  #sourceStart = 0;
  #commitmentEnd = 0;
  #rows: Buffer | undefined;
  /** The rows, for reading four bytes at a time. */
  #words: DataView = new DataView(new ArrayBuffer(0));

  /**
   * Reads the row that starts at `start`.
   *
   * @param rows whole rows: they end with a newline
   * @returns where the next row starts
   * @throws VerifyError when it is no row of {@link EVENT_COLUMNS}
   */
  read(rows: Buffer, start: number): number {
    const entry = this.#entry;
    const personal = this.#personal;
    // Mostly there is room for all the rows, and this one's end need not be looked for.
    if (entry.bytes.length < mostOf(rows.length)) {
      const room = roomFor(rows, start);
      entry.ensure(room);
      personal.ensure(room);
    }
    if (this.#rows !== rows) {
      this.#rows = rows;
      this.#words = new DataView(rows.buffer, rows.byteOffset, rows.length);
    }

    entry.bytes[0] = 0;
    let at = this.#line(CORE, rows, start, entry, 1);
    entry.bytes[entry.end++] = NEWLINE;
    at = digits(rows, this.#words, at, entry);
    this.#commitmentEnd = entry.end;
    entry.bytes[entry.end++] = NEWLINE;
    at = this.#line(STORED, rows, at, entry, entry.end);
    this.leaf = sha256(entry.view());
    this.hashed = entry.end;

    personal.end = 0;
    const isUnsalted = rows[at] === BACKSLASH && rows[at + 1] === NULL_LETTER;
    at = isUnsalted ? next(rows, at + 2) : digits(rows, this.#words, at, personal);
    const isSalt = personal.end === 2 * SALT_BYTES;
    if (isSalt) fromHex(personal.bytes, SALT_BYTES);
    at = this.#line(PERSONAL, rows, at, personal, SALT_BYTES);
    if (rows[at - 1] !== NEWLINE)
      throw new VerifyError("a row has too many columns: it is not of this export or table");
    if (isSalt) {
      this.personal = this.#isCommitment(sha256(personal.view())) ? "kept" : "changed";
      this.hashed += personal.end;
    } else this.personal = isUnsalted && personal.end === SALT_BYTES + 2 ? "erased" : "changed";
    return at;
  }

  /** Whether the row says that it is of this source, whose {@link sourceWords} these are. */
  isOf(source: Int32Array): boolean {
    const { words } = this.#entry;
    const start = this.#sourceStart;
    for (let i = 0; i < UUID_LENGTH / 4; i++) if (words.getInt32(start + 4 * i, true) !== source[i]) return false;
    return true;
  }

  /** Whether it is kept as the log's own events are. */
  isOwn(): boolean {
    const { bytes, end } = this.#entry;
    return bytes.toString("latin1", Math.max(0, end - OWN_RETENTION.length), end) === OWN_RETENTION;
  }

  source(): string {
    return this.#entry.bytes.toString("latin1", this.#sourceStart, this.#sourceStart + UUID_LENGTH);
  }

  /** The leaf's entry: the core line, the commitment, and what the store says. */
  entry(): string {
    return this.#entry.bytes.toString("utf8", 1, this.#entry.end);
  }

  personalLine(): string {
    return this.#personal.bytes.toString("utf8", SALT_BYTES, this.#personal.end);
  }

  /** Writes the members of one line from `start` on. All in one function, and in local variables, because it is the hot one. */
  #line(line: readonly Column[], rows: Buffer, from: number, scratch: Scratch, start: number): number {
    const out = scratch.bytes;
    const outWords = scratch.words;
    const rowWords = this.#words;
    const lastWord = rows.length - 4;
    let at = from;
    let end = start;
    for (let c = 0; c < line.length; c++) {
      if (rows[at] === BACKSLASH && rows[at + 1] === NULL_LETTER) {
        at += 2;
      } else {
        const { kind, length, words } = line[c] as Column;
        for (let i = 0; i < words.length; i++) outWords.setInt32(end + 4 * i, words[i] as number, true);
        end += length;
        const value = end;
        if (kind === "time") {
          const mark = rows[at + 29];
          if ((mark === TAB || mark === NEWLINE) && rows[at + 28] === ZERO && isLongTime(rowWords, at)) {
            // `2026-11-22 19:43:22.123456+00`, which is nearly every time.
            for (let i = 0; i < 28; i += 4) outWords.setInt32(end + i, rowWords.getInt32(at + i, true), true);
            out[end + 10] = T_LETTER;
            out[end + 26] = Z_LETTER;
            at += 29;
            end += 27;
          } else {
            at = time(rows, at, out, end);
            end = timeEnd;
          }
        }
        if (kind === "text" || kind === "time") {
          for (;;) {
            // Four bytes at a time, as long as none of them is escaped or ends the value.
            while (at <= lastWord) {
              const word = rowWords.getInt32(at, true);
              const quote = word ^ QUOTES;
              const slash = word ^ BACKSLASHES;
              const found = ((word - SPACES) & ~word) | ((quote - ONES) & ~quote) | ((slash - ONES) & ~slash);
              const mask = found & HIGH_BITS;
              outWords.setInt32(end, word, true);
              const plain = mask === 0 ? 4 : bytesBefore(mask);
              at += plain;
              end += plain;
              if (mask !== 0) break;
            }
            let byte = rows[at++] as number;
            for (; PLAIN[byte] === 1; byte = rows[at++] as number) out[end++] = byte;
            if (byte === TAB || byte === NEWLINE || byte === undefined) break;
            if (byte === QUOTE) {
              out[end++] = BACKSLASH;
              out[end++] = QUOTE;
            } else if (byte === BACKSLASH && rows[at] !== VERTICAL_TAB_LETTER) {
              // \\ \b \f \n \r \t are the same in JSON; COPY writes no others.
              out[end++] = BACKSLASH;
              out[end++] = rows[at++] as number;
            } else {
              if (byte === BACKSLASH) at++;
              end = controlEscape(out, end, byte === BACKSLASH ? 0x0b : byte);
            }
          }
          at--;
          out[end++] = QUOTE;
          if (c === SOURCE && line === CORE) this.#sourceStart = value;
        } else {
          // A number or JSON: as it stands, without COPY's escapes.
          for (;;) {
            while (at <= lastWord) {
              const word = rowWords.getInt32(at, true);
              const slash = word ^ BACKSLASHES;
              const found = ((word - SPACES) & ~word) | ((slash - ONES) & ~slash);
              const mask = found & HIGH_BITS;
              outWords.setInt32(end, word, true);
              const plain = mask === 0 ? 4 : bytesBefore(mask);
              at += plain;
              end += plain;
              if (mask !== 0) break;
            }
            const byte = rows[at++] as number;
            if (byte === BACKSLASH) {
              const letter = rows[at++] as number;
              out[end++] = UNESCAPED[letter] ?? letter;
            } else if (byte === TAB || byte === NEWLINE || byte === undefined) break;
            else out[end++] = byte;
          }
          at--;
          if (c === SEQ && line === CORE) this.seq = decimal(out, value, end);
        }
      }
      const mark = rows[at++];
      if (mark !== TAB && mark !== NEWLINE) throw new VerifyError(UNENDED);
    }
    if (end === start) out[end++] = OPEN;
    else out[start] = OPEN;
    out[end++] = CLOSE;
    scratch.end = end;
    return at;
  }

  /** Whether the row's commitment, 64 bytes of the entry, is this hash. */
  #isCommitment(hash: string): boolean {
    const { words } = this.#entry;
    const end = this.#commitmentEnd;
    if (end < 64) return false;
    for (let i = 0, at = end - 64; i < 32; i++, at += 2) {
      if (words.getUint16(at, true) !== HEX_PAIRS[hash.charCodeAt(i)]) return false;
    }
    return true;
  }
}

/** The end of an own event's entry. No value can forge it: its quotes would be escaped. */
const OWN_RETENTION = ',"retention":"own"}';

/** A source's id, for {@link RowReader.isOf}. */
export function sourceWords(source: string): Int32Array {
  const bytes = Buffer.from(source.padEnd(UUID_LENGTH));
  return Int32Array.from({ length: UUID_LENGTH / 4 }, (_, i) => bytes.readInt32LE(4 * i));
}

/** Room for any rows that come in one piece, of a socket or a file. */
const LEAST_ROOM = 2_097_152;
/** The columns' names, and what is written beyond the end, four bytes at a time. */
const NAMES_ROOM = 2_048;

/** A byte grows to six at most: a control character that JSON escapes by number. */
function mostOf(length: number): number {
  return 6 * length + NAMES_ROOM;
}

/** What the row that starts there needs: of a long one to the byte, since six times a value of 400 MB is too much. */
function roomFor(rows: Buffer, start: number): number {
  const newline = rows.indexOf(NEWLINE, start);
  const end = newline < 0 ? rows.length : newline;
  const most = mostOf(end - start);
  if (most <= LEAST_ROOM) return most;
  let room = end - start + NAMES_ROOM;
  for (let at = start; at < end; at++) {
    const byte = rows[at] as number;
    if (byte < SPACE || (byte === BACKSLASH && rows[at + 1] === VERTICAL_TAB_LETTER)) room += 5;
    else if (byte === QUOTE) room++;
  }
  return room;
}

/** Lengths whose views are kept. */
const KEPT_VIEWS = 8_192;

/** Bytes that are written again for each row. A view of each length is made once: making one costs a tenth of a hash. */
class Scratch {
  bytes: Buffer = Buffer.alloc(0);
  /** The same bytes, for writing four at a time. */
  words: DataView = new DataView(new ArrayBuffer(0));
  end = 0;
  #views: Uint8Array[] = [];

  ensure(room: number): void {
    if (this.bytes.length >= room) return;
    this.bytes = Buffer.alloc(Math.max(room, LEAST_ROOM));
    this.words = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
    this.#views = [];
  }

  view(): Uint8Array {
    const { end } = this;
    if (end >= KEPT_VIEWS) return this.bytes.subarray(0, end);
    let view = this.#views[end];
    if (view === undefined) {
      view = this.bytes.subarray(0, end);
      this.#views[end] = view;
    }
    return view;
  }
}

const UNENDED = "a row has a column that does not end: it is not of this export or table";

/** Over the tab, or the newline after the last column. */
function next(rows: Buffer, at: number): number {
  if (rows[at] !== TAB && rows[at] !== NEWLINE) throw new VerifyError(UNENDED);
  return at + 1;
}

/** Writes the digits of a bytea, which COPY writes with two backslashes, an x and the digits. */
function digits(rows: Buffer, words: DataView, from: number, scratch: Scratch): number {
  let at = from + (rows[from] === BACKSLASH && rows[from + 2] === X_LETTER ? 3 : 0);
  const out = scratch.bytes;
  let { end } = scratch;
  for (; at <= rows.length - 4; at += 4, end += 4) {
    const word = words.getInt32(at, true);
    if (((word - SPACES) & ~word & HIGH_BITS) !== 0) break;
    scratch.words.setInt32(end, word, true);
  }
  for (let byte = rows[at]; byte !== TAB && byte !== NEWLINE && byte !== undefined; byte = rows[++at])
    out[end++] = byte;
  scratch.end = end;
  return next(rows, at);
}

/** Makes the first `count` bytes of the digits that stand there. */
function fromHex(bytes: Buffer, count: number): void {
  for (let i = 0; i < count; i++) {
    bytes[i] = ((HEX[bytes[2 * i] as number] as number) << 4) | (HEX[bytes[2 * i + 1] as number] as number);
  }
}

function decimal(bytes: Buffer, start: number, end: number): number {
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = (bytes[i] as number) - 0x30;
    // Below zero, or what no number is: the row says another one than any that was asked for.
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** Where {@link time} has written to. */
let timeEnd = 0;

/** What a time looks like, down to the seconds: 0 stands for any digit. */
const TIME_SHAPE = Buffer.from("0000-00-00 00:00:00");

/**
 * `2026-11-22 19:43:22.12+00` becomes `2026-11-22T19:43:22.120000Z`. What PostgreSQL writes otherwise (infinity, years of five
 * digits or before Christ) is no event's, and stands as it is written: nothing of it is taken.
 */
function time(rows: Buffer, from: number, out: Buffer, start: number): number {
  timeEnd = start;
  let at = from;
  let end = start;
  for (; end < start + TIME_SHAPE.length; at++) {
    const byte = rows[at] as number;
    const shape = TIME_SHAPE[end - start];
    if (shape === ZERO ? !isDigit(byte) : byte !== shape) return from;
    out[end++] = byte;
  }
  out[start + 10] = T_LETTER;
  out[end++] = DOT;
  let places = 0;
  if (rows[at] === DOT) {
    for (at++; places < 6 && isDigit(rows[at] as number); places++) out[end++] = rows[at++] as number;
    if (places === 0) return from;
  }
  const mark = rows[at + 3];
  if (rows[at] !== PLUS || rows[at + 1] !== ZERO || rows[at + 2] !== ZERO || (mark !== TAB && mark !== NEWLINE))
    return from;
  for (; places < 6; places++) out[end++] = ZERO;
  out[end++] = Z_LETTER;
  timeEnd = end;
  return at + 3;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

/** By four bytes of `0000-00-00 00:00:00.000000+0`: what must be exactly as there, and of the digits their high halves. */
const LONG_TIME = Buffer.from("0000-00-00 00:00:00.000000+0");
const LONG_WORDS = Int32Array.from({ length: 7 }, (_, i) => LONG_TIME.readInt32LE(4 * i));
const LONG_MASKS = Int32Array.from({ length: 7 }, (_, i) =>
  Buffer.from(
    LONG_TIME.subarray(4 * i, 4 * i + 4).map((byte, n) => (byte === ZERO && 4 * i + n < 26 ? 0xf0 : 0xff)),
  ).readInt32LE(0),
);

/** Whether a time with all its places stands there, without the last byte of its `+00`. Where 28 bytes are. */
function isLongTime(words: DataView, at: number): boolean {
  let wrong = 0;
  for (let i = 0; i < 7; i++) {
    const differs = words.getInt32(at + 4 * i, true) ^ (LONG_WORDS[i] as number);
    // A digit differs from 0 by 9 at most, so that six more do not reach the high half.
    wrong |= (differs & (LONG_MASKS[i] as number)) | ((differs + SIXES) & HIGH_HALVES);
  }
  return wrong === 0;
}

const HEX = new Uint8Array(256);
for (let value = 0; value < 16; value++) HEX["0123456789abcdef".charCodeAt(value)] = value;

/** By byte: its two digits, as a number that has them in this order in memory. */
const HEX_PAIRS = Uint16Array.from({ length: 256 }, (_, byte) =>
  Buffer.from(byte.toString(16).padStart(2, "0")).readUInt16LE(0),
);

/** For looking at four bytes at once: `(x - ONES) & ~x` has the high bit of each byte that is zero, and of none before it. */
const ONES = 0x01010101;
const SPACES = 0x20202020;
const QUOTES = 0x22222222;
const BACKSLASHES = 0x5c5c5c5c;
const HIGH_BITS = 0x80808080 | 0;
const SIXES = 0x06060606;
const HIGH_HALVES = 0xf0f0f0f0 | 0;

/** How many bytes of the four stand before the first that was found. */
function bytesBefore(mask: number): number {
  return (31 - Math.clz32(mask & -mask)) >> 3;
}

/** By byte: 1 for what JSON and COPY write as it is. */
const PLAIN = new Uint8Array(256).fill(1, 0x20);
PLAIN[QUOTE] = 0;
PLAIN[BACKSLASH] = 0;

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
