/**
 * Turns a row of `COPY … TO STDOUT`, in text format, into the canonical lines of its event and the leaf's hash
 * (docs/design/integrity.md). It shares no code with the writer.
 *
 * It must keep up with logs of a hundred million events, so it works on bytes, in one pass, without an object for each
 * row.
 */
import * as copyBytes from "./copy-bytes.ts";
import { UNESCAPED } from "./copy-values.ts";
import { CORE, type Column, PERSONAL, STORED } from "./event-columns.ts";
import { sha256 } from "./hashing.ts";
import { VerifyError } from "./note.ts";
import { mostOf, roomFor, Scratch } from "./scratch.ts";

/** Local copies: V8 folds a module's own constants, but reads imported ones at each use: a quarter of a row's time. */
const {
  BACKSLASH,
  BACKSLASHES,
  bytesBefore,
  CLOSE,
  controlEscape,
  decimal,
  digits,
  fromHex,
  HEX_PAIRS,
  HIGH_BITS,
  isLongTime,
  NEWLINE,
  NULL_LETTER,
  next,
  ONES,
  OPEN,
  PLAIN,
  QUOTE,
  QUOTES,
  SPACES,
  T_LETTER,
  TAB,
  time,
  UNENDED,
  VERTICAL_TAB_LETTER,
  Z_LETTER,
  ZERO,
} = copyBytes;

/**
 * The state of a row's personal part: `kept` matches its commitment, `erased` is blank without a salt, and `changed` is
 * anything else.
 */
export type PersonalState = "kept" | "erased" | "changed";

const SALT_BYTES = 16;
const UUID_LENGTH = 36;
const SEQ = CORE.findIndex(({ name }) => name === "seq");
const SOURCE = CORE.findIndex(({ name }) => name === "source_id");

/** Reads one row after another. Its fields and methods describe the row that was read last. */
export class RowReader {
  /** SHA-256(0x00 ‖ core line ‖ \n ‖ commitment ‖ \n ‖ stored line), as 32 Latin-1 characters. */
  leaf = "";
  personal: PersonalState = "kept";
  seq = 0;
  /** Bytes hashed for this row. */
  hashed = 0;
  /** 0x00 and the entry. */
  readonly #entry = new Scratch();
  /** The salt and the personal line. */
  readonly #personal = new Scratch();
  #sourceStart = 0;
  #commitmentEnd = 0;
  #rows: Buffer | undefined;
  /** The rows' bytes, for reading four at a time. */
  #words: DataView = new DataView(new ArrayBuffer(0));

  /**
   * Reads the row that starts at `start`.
   *
   * @param rows whole rows, ending with a newline
   * @returns where the next row starts
   * @throws VerifyError when it is not a row of `EVENT_COLUMNS`
   */
  read(rows: Buffer, start: number): number {
    const entry = this.#entry;
    const personal = this.#personal;
    // Usually there is room for all rows, which saves the search for this row's end.
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
      throw new VerifyError("a row has too many columns: it does not come from this table or export");
    if (isSalt) {
      this.personal = this.#isCommitment(sha256(personal.view())) ? "kept" : "changed";
      this.hashed += personal.end;
    } else this.personal = isUnsalted && personal.end === SALT_BYTES + 2 ? "erased" : "changed";
    return at;
  }

  /** Whether the row has this source. @param source its {@link sourceWords} */
  isOf(source: Int32Array): boolean {
    const { words } = this.#entry;
    const start = this.#sourceStart;
    for (let i = 0; i < UUID_LENGTH / 4; i++) if (words.getInt32(start + 4 * i, true) !== source[i]) return false;
    return true;
  }

  /** Whether its retention is that of the log's own events. */
  isOwn(): boolean {
    const { bytes, end } = this.#entry;
    return bytes.toString("latin1", Math.max(0, end - OWN_RETENTION.length), end) === OWN_RETENTION;
  }

  source(): string {
    return this.#entry.bytes.toString("latin1", this.#sourceStart, this.#sourceStart + UUID_LENGTH);
  }

  /** The leaf's entry: the core line, the commitment and the stored line. */
  entry(): string {
    return this.#entry.bytes.toString("utf8", 1, this.#entry.end);
  }

  personalLine(): string {
    return this.#personal.bytes.toString("utf8", SALT_BYTES, this.#personal.end);
  }

  /** Writes one line from `start` on. One function with local variables, because it is the hot path. */
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
            // `2026-11-22 19:43:22.123456+00`, the form of nearly every time.
            for (let i = 0; i < 28; i += 4) outWords.setInt32(end + i, rowWords.getInt32(at + i, true), true);
            out[end + 10] = T_LETTER;
            out[end + 26] = Z_LETTER;
            at += 29;
            end += 27;
          } else {
            at = time(rows, at, scratch, end);
            end = scratch.end;
          }
        }
        if (kind === "text" || kind === "time") {
          for (;;) {
            // Four bytes at a time, until one is escaped or ends the value.
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
              // \\ \b \f \n \r \t are the same in JSON, and COPY writes no others.
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
          // A number or JSON: copied, without COPY's escapes.
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

/** The end of an own event's entry. A value cannot forge it, because its quotes would be escaped. */
const OWN_RETENTION = ',"retention":"own"}';

/** A source's id as {@link RowReader.isOf} compares it. */
export function sourceWords(source: string): Int32Array {
  const bytes = Buffer.from(source.padEnd(UUID_LENGTH));
  return Int32Array.from({ length: UUID_LENGTH / 4 }, (_, i) => bytes.readInt32LE(4 * i));
}
