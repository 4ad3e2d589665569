/** Reusable memory in which `RowReader` writes lines. */
import { BACKSLASH, NEWLINE, QUOTE, SPACE, VERTICAL_TAB_LETTER, type Written } from "./copy-bytes.ts";

/** Enough for the rows of any one piece from a socket or a file. */
const LEAST_ROOM = 2_097_152;
/** For the columns' names, and for writes past the end, which are four bytes wide. */
const NAMES_ROOM = 2_048;

/** Upper bound: a byte grows to at most six, a control character that JSON escapes by number. */
export function mostOf(length: number): number {
  return 6 * length + NAMES_ROOM;
}

/** The room that the row at `start` needs. Exact for a long row, because six times a value of 400 MB is too much. */
export function roomFor(rows: Buffer, start: number): number {
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

/** Views up to this length are kept. */
const KEPT_VIEWS = 8_192;

/** Bytes that each row overwrites. It keeps a view of each length, because creating one costs a tenth of a hash. */
export class Scratch implements Written {
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
