/** Reads values of COPY's text format, byte by byte and four bytes at a time, for `row-reader.ts`. */
import { VerifyError } from "./note.ts";

/** An output buffer; the next byte goes to `end`. */
export interface Written {
  readonly bytes: Buffer;
  /** The same bytes, for writing four at a time. */
  readonly words: DataView;
  end: number;
}

export const TAB = 0x09;
export const NEWLINE = 0x0a;
export const QUOTE = 0x22;
export const BACKSLASH = 0x5c;
export const OPEN = 0x7b;
export const CLOSE = 0x7d;
export const NULL_LETTER = 0x4e;
export const VERTICAL_TAB_LETTER = 0x76;
const X_LETTER = 0x78;
export const T_LETTER = 0x54;
export const Z_LETTER = 0x5a;
export const SPACE = 0x20;
const PLUS = 0x2b;
const DOT = 0x2e;
export const ZERO = 0x30;

export const UNENDED = "a row has a column that does not end: it does not come from this table or export";

/** Skips the tab, or the newline after the last column. */
export function next(rows: Buffer, at: number): number {
  if (rows[at] !== TAB && rows[at] !== NEWLINE) throw new VerifyError(UNENDED);
  return at + 1;
}

/** Writes the digits of a bytea, which COPY writes as two backslashes, an x and the digits. */
export function digits(rows: Buffer, words: DataView, from: number, scratch: Written): number {
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

/** Decodes the first `count` bytes from their hexadecimal digits, in place. */
export function fromHex(bytes: Buffer, count: number): void {
  for (let i = 0; i < count; i++) {
    bytes[i] = ((HEX[bytes[2 * i] as number] as number) << 4) | (HEX[bytes[2 * i + 1] as number] as number);
  }
}

export function decimal(bytes: Buffer, start: number, end: number): number {
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = (bytes[i] as number) - 0x30;
    // Negative or not a number: it matches no number that was asked for.
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** The form of a time, down to the seconds; 0 stands for any digit. */
const TIME_SHAPE = Buffer.from("0000-00-00 00:00:00");

/**
 * Writes `2026-11-22 19:43:22.12+00` as `2026-11-22T19:43:22.120000Z` and sets `end`. For any other form (infinity,
 * years of five digits or BC), which Seclog never writes, it consumes nothing, and the caller copies the text as it is.
 */
export function time(rows: Buffer, from: number, scratch: Written, start: number): number {
  const out = scratch.bytes;
  scratch.end = start;
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
  scratch.end = end;
  return at + 3;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

/** `0000-00-00 00:00:00.000000+0` in words of four bytes, and masks: of a digit only the high half must match. */
const LONG_TIME = Buffer.from("0000-00-00 00:00:00.000000+0");
const LONG_WORDS = Int32Array.from({ length: 7 }, (_, i) => LONG_TIME.readInt32LE(4 * i));
const LONG_MASKS = Int32Array.from({ length: 7 }, (_, i) =>
  Buffer.from(
    LONG_TIME.subarray(4 * i, 4 * i + 4).map((byte, n) => (byte === ZERO && 4 * i + n < 26 ? 0xf0 : 0xff)),
  ).readInt32LE(0),
);

/** Whether a time with all six decimals is at `at`, up to the last byte of `+00`. At least 28 bytes must follow. */
export function isLongTime(words: DataView, at: number): boolean {
  let wrong = 0;
  for (let i = 0; i < 7; i++) {
    const differs = words.getInt32(at + 4 * i, true) ^ (LONG_WORDS[i] as number);
    // A digit differs from 0 by at most 9, and adding 6 to that does not carry into the high half.
    wrong |= (differs & (LONG_MASKS[i] as number)) | ((differs + SIXES) & HIGH_HALVES);
  }
  return wrong === 0;
}

const HEX = new Uint8Array(256);
for (let value = 0; value < 16; value++) HEX["0123456789abcdef".charCodeAt(value)] = value;

/** Each byte's two hexadecimal digits, as a number that has them in this order in memory. */
export const HEX_PAIRS: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) =>
  Buffer.from(byte.toString(16).padStart(2, "0")).readUInt16LE(0),
);

/** For testing four bytes at once: `(x - ONES) & ~x` sets the high bit of the first zero byte, and of none before. */
export const ONES = 0x01010101;
export const SPACES = 0x20202020;
export const QUOTES = 0x22222222;
export const BACKSLASHES = 0x5c5c5c5c;
export const HIGH_BITS: number = 0x80808080 | 0;
const SIXES = 0x06060606;
const HIGH_HALVES = 0xf0f0f0f0 | 0;

/** The number of bytes before the first whose high bit is set in `mask`. */
export function bytesBefore(mask: number): number {
  return (31 - Math.clz32(mask & -mask)) >> 3;
}

/** 1 for each byte that neither JSON nor COPY escapes. */
export const PLAIN: Uint8Array = new Uint8Array(256).fill(1, 0x20);
PLAIN[QUOTE] = 0;
PLAIN[BACKSLASH] = 0;

const HEX_DIGITS = Buffer.from("0123456789abcdef");

/** Writes a control character as JSON escapes it by number, such as `\u001f`. */
export function controlEscape(out: Buffer, end: number, byte: number): number {
  out[end] = BACKSLASH;
  out[end + 1] = 0x75;
  out[end + 2] = 0x30;
  out[end + 3] = 0x30;
  out[end + 4] = HEX_DIGITS[byte >> 4] as number;
  out[end + 5] = HEX_DIGITS[byte & 15] as number;
  return end + 6;
}
