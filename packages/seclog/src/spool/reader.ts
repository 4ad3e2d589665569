import { Buffer } from "node:buffer";
import { join } from "node:path";
import { listCursors, readCursor, writeCursor } from "./cursor.ts";
import { openSegment, readAt } from "./files.ts";
import type { SpoolFs } from "./fs.ts";
import { FRAME_BYTES, type Frame, HEADER_BYTES, readFrame, segmentName } from "./segment.ts";
import {
  CHUNK_BYTES,
  firstSeqOf,
  frameOf,
  LONGEST_FRAME,
  lastSeqOf,
  nextFrame,
  reachOf,
  segmentNumbers,
} from "./segment-scan.ts";

/** The result of {@link SpoolReader.read}. */
export type SpoolRead =
  /** Consecutive events from `firstSeq` on; the caller may keep the payloads. */
  | { readonly kind: "records"; readonly firstSeq: number; readonly records: readonly Buffer[] }
  /** The numbers `firstSeq` to `lastSeq` are damaged; `bytes` is what is in their place. */
  | { readonly kind: "damage"; readonly firstSeq: number; readonly lastSeq: number; readonly bytes: Buffer }
  /** Nothing more up to the limit. */
  | { readonly kind: "end" };

type Damage = SpoolRead & { readonly kind: "damage" };

interface OpenSegment {
  readonly number: number;
  readonly fd: number;
  /** Offset of the next frame. */
  offset: number;
}

/** The name of the cursor that keeps the end of a dead process's source. No handler may have this name. */
const END = "~end";

/** The most bytes of a damage kept for the quarantine. */
const DAMAGE_BYTES = 64 * 1024;

/**
 * Reads the events of one source in the order of their numbers. The head of `segment.ts` has the rules.
 *
 * All calls are synchronous: it lives in the shipper's thread, and in the program `seclog ship`.
 */
export class SpoolReader {
  readonly #fs: SpoolFs;
  readonly #directory: string;
  #nextSeq: number;
  #open: OpenSegment | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  /** Offset of `#bytes` in the segment's file. */
  #bytesAt = 0;
  /** Damage found after records, for the next call. */
  #held: Damage | undefined;
  /** The last number of a dead process's source, once it was determined. */
  #end: number | undefined;
  /** Whether it would be the same if determined again. */
  #endIsKept = true;
  /** The last number of each segment, once it was determined. */
  readonly #lastSeqs = new Map<number, number>();

  /** @param afterSeq the last number that is not needed */
  constructor(fs: SpoolFs, directory: string, afterSeq: number) {
    this.#fs = fs;
    this.#directory = directory;
    this.#nextSeq = afterSeq + 1;
  }

  /** The number that the next read starts with. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Moves back, or forward, to the event after `afterSeq`. */
  seek(afterSeq: number): void {
    if (this.#nextSeq === afterSeq + 1) return;
    this.close();
    this.#held = undefined;
    this.#nextSeq = afterSeq + 1;
  }

  /**
   * Reads on, never beyond the limit; missing numbers before it are damage.
   *
   * @param limit the last number on disk; `undefined` for a dead process's source, whose segments show it
   * @throws the file system's error when the source cannot be read now, even when the directory is missing, which
   *   proves nothing about its events
   */
  read(limit: number | undefined, maxRecords: number, maxBytes: number): SpoolRead {
    const last = limit ?? this.#lastOfTheDead();
    const firstSeq = this.#nextSeq;
    const records: Buffer[] = [];
    let size = 0;
    while (records.length < maxRecords && size < maxBytes && this.#nextSeq <= last) {
      const found: Buffer | Damage = this.#held ?? this.#next(last);
      this.#held = undefined;
      if (Buffer.isBuffer(found)) {
        records.push(found);
        size += found.length;
        this.#nextSeq += 1;
      } else if (records.length > 0) {
        this.#held = found;
        break;
      } else {
        // Unavailable is not damaged: the volume may be unmounted, or the folder moved.
        this.#fs.lstatSync(this.#directory);
        if (limit === undefined) this.#keepEnd(found.lastSeq);
        this.#nextSeq = found.lastSeq + 1;
        return found;
      }
    }
    return records.length > 0 ? { kind: "records", firstSeq, records } : { kind: "end" };
  }

  /** Closes a deleted segment: while it is open, the disk keeps its room. */
  closeDeleted(): void {
    if (this.#open !== undefined && !this.#numbers().includes(this.#open.number)) this.close();
  }

  close(): void {
    const segment = this.#open;
    this.#open = undefined;
    // Forgotten first: a descriptor whose close failed may soon be another file's.
    if (segment !== undefined) this.#fs.closeSync(segment.fd);
  }

  /**
   * The last number that any segment shows. Nothing is written any more, so once is enough. One more if the newest
   * segment ends with unreadable bytes: the last recorded event may be among them, or after what any handler has if no
   * segment shows a number. That number is kept: the segments that lead up to it may be gone the next time.
   */
  #lastOfTheDead(): number {
    if (this.#end !== undefined) return this.#end;
    const reaches = this.#numbers().flatMap((number) => reachOf(this.#fs, this.#directory, number) ?? []);
    const shown = reaches.flatMap(({ lastSeq }) => lastSeq ?? []);
    const more = reaches.at(-1)?.more === true;
    const had = more && shown.length === 0 ? listCursors(this.#fs, this.#directory).values() : [];
    const last = shown.length > 0 ? Math.max(...shown) : Math.max(this.#nextSeq - 1, ...had);
    const ends = reaches.map((reach) => (reach.lastSeq ?? 0) + (reach.more ? 1 : 0));
    const end = Math.max(last + (more ? 1 : 0), ...ends);
    const kept = end === last ? end : readCursor(this.#fs, this.#directory, END).seq;
    this.#endIsKept = kept > 0;
    this.#end = kept > 0 ? Math.max(last, kept) : end;
    return this.#end;
  }

  /** Keeps the end before it is reported. */
  #keepEnd(lastSeq: number): void {
    if (this.#endIsKept || this.#end === undefined || lastSeq < this.#end) return;
    writeCursor(this.#fs, this.#directory, END, this.#end);
    this.#endIsKept = true;
  }

  /** The payload of event `#nextSeq`, or the damage in its place, up to `limit` at most. */
  #next(limit: number): Buffer | Damage {
    this.#open ??= this.#openFor(this.#nextSeq);
    while (this.#open !== undefined) {
      const segment: OpenSegment = this.#open;
      const frame = this.#frame(segment);
      if (frame.kind === "valid" && frame.seq <= this.#nextSeq) {
        segment.offset += FRAME_BYTES + frame.payload.length;
        // Not a copy: a chunk is never written again, and lives as long as one of its records.
        if (frame.seq === this.#nextSeq) return frame.payload;
        continue;
      }
      const newer = this.#newerWith(segment.number, this.#nextSeq);
      if (newer !== undefined) {
        this.#enter(newer);
        continue;
      }
      const older = this.#olderWith(segment.number, this.#nextSeq);
      if (older !== undefined) {
        this.#enter(older.number, older.offset);
        continue;
      }
      if (frame.kind === "valid") return this.#damage(segment, 0, Math.min(limit, frame.seq - 1));
      const from = segment.offset;
      const following = nextFrame(this.#fs, segment.fd, from + 1);
      if (following !== undefined) {
        segment.offset = following.offset;
        // Earlier numbers again: an abandoned write, followed by a valid frame.
        if (following.seq <= this.#nextSeq) continue;
        return this.#damage(segment, following.offset - from, Math.min(limit, following.seq - 1), from);
      }
      // The head of a damaged event has its number, and the position of the next one.
      const head = frame.kind === "damaged" ? frame.head : undefined;
      if (head !== undefined && head.seq <= limit) {
        segment.offset += head.end;
        if (head.seq < this.#nextSeq) continue;
        return this.#damage(segment, head.end, head.seq, from);
      }
      return this.#damage(segment, this.#bytes.length, limit);
    }
    return { kind: "damage", firstSeq: this.#nextSeq, lastSeq: limit, bytes: Buffer.alloc(0) };
  }

  /**
   * Damage from `#nextSeq` to `lastSeq`, or to what another segment may have before that: a later one that begins
   * there, or an earlier one that is whole.
   */
  #damage(segment: OpenSegment, length: number, lastSeq: number, offset: number = segment.offset): Damage {
    const bytes = readAt(this.#fs, segment.fd, offset, Math.min(length, DAMAGE_BYTES));
    let last = lastSeq;
    for (const { firstSeq } of this.#later(segment.number)) {
      if (firstSeq > this.#nextSeq) last = Math.min(last, firstSeq - 1);
    }
    for (const other of this.#numbers()) {
      if (other >= segment.number || last === this.#nextSeq || this.#lastSeqOf(other) <= this.#nextSeq) continue;
      const whole = frameOf(this.#fs, this.#directory, other, this.#nextSeq + 1, last);
      if (whole !== undefined) last = whole.seq - 1;
    }
    return { kind: "damage", firstSeq: this.#nextSeq, lastSeq: last, bytes };
  }

  /** The frame at the segment's offset, from a fresh read unless the current chunk has it whole. */
  #frame(segment: OpenSegment): Frame {
    const at = segment.offset - this.#bytesAt;
    if (at >= 0 && at < this.#bytes.length) {
      const frame = readFrame(this.#bytes, at);
      if (frame.kind === "valid") return frame;
    }
    this.#bytes = readAt(this.#fs, segment.fd, segment.offset, CHUNK_BYTES + LONGEST_FRAME);
    this.#bytesAt = segment.offset;
    return readFrame(this.#bytes, 0);
  }

  #enter(number: number, offset: number = HEADER_BYTES): void {
    this.close();
    this.#bytes = Buffer.alloc(0);
    this.#bytesAt = 0;
    const fd = openSegment(this.#fs, join(this.#directory, segmentName(number)));
    this.#open = { number, fd, offset };
  }

  /** Opens the newest segment that begins at or before `seq`, else the oldest one. */
  #openFor(seq: number): OpenSegment | undefined {
    const numbers = this.#numbers();
    for (const number of numbers.toReversed()) {
      const first = this.#firstSeqOf(number);
      if (first !== undefined && first <= seq) {
        this.#enter(number);
        return this.#open;
      }
    }
    if (numbers[0] !== undefined) this.#enter(numbers[0]);
    return this.#open;
  }

  /** A later segment that begins at or before `seq`: it replaces this one from there on. */
  #newerWith(number: number, seq: number): number | undefined {
    return this.#later(number).findLast(({ firstSeq }) => firstSeq <= seq)?.number;
  }

  /**
   * An earlier segment that has this number whole: the rewrite of an abandoned segment was itself abandoned, or cut off
   * by the death of its process, before it got that far.
   */
  #olderWith(number: number, seq: number): { number: number; offset: number } | undefined {
    for (const other of this.#numbers().toReversed()) {
      if (other >= number || this.#lastSeqOf(other) < seq) continue;
      const frame = frameOf(this.#fs, this.#directory, other, seq, seq);
      if (frame !== undefined) return { number: other, offset: frame.offset };
    }
    return undefined;
  }

  /** For a segment that is no longer written. */
  #lastSeqOf(number: number): number {
    const known = this.#lastSeqs.get(number) ?? lastSeqOf(this.#fs, this.#directory, number) ?? 0;
    this.#lastSeqs.set(number, known);
    return known;
  }

  /** The later segments whose first number is known. */
  #later(number: number): { number: number; firstSeq: number }[] {
    return this.#numbers().flatMap((other) => {
      const firstSeq = other > number ? this.#firstSeqOf(other) : undefined;
      return firstSeq === undefined ? [] : [{ number: other, firstSeq }];
    });
  }

  #numbers(): number[] {
    return segmentNumbers(this.#fs, this.#directory, true);
  }

  #firstSeqOf(number: number): number | undefined {
    return firstSeqOf(this.#fs, this.#directory, number);
  }
}
