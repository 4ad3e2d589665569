import { Buffer } from "node:buffer";
import { join } from "node:path";
import { isErrno, type SpoolFs } from "./fs.ts";
import {
  decodeHeader,
  FRAME_BYTES,
  type Frame,
  findFrame,
  HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  readFrame,
  type SegmentHeader,
  segmentName,
  segmentNumber,
} from "./segment.ts";

/** What {@link SpoolReader.read} found. */
export type SpoolRead =
  /** Consecutive events from `firstSeq` on; the payloads are the caller's to keep. */
  | { readonly kind: "records"; readonly firstSeq: number; readonly records: readonly Buffer[] }
  /** The numbers `firstSeq` to `lastSeq` are damaged; `bytes` is what stands where they should be. */
  | { readonly kind: "damage"; readonly firstSeq: number; readonly lastSeq: number; readonly bytes: Buffer }
  /** Nothing more up to the limit. */
  | { readonly kind: "end" };

type Damage = SpoolRead & { readonly kind: "damage" };

interface OpenSegment {
  readonly number: number;
  readonly fd: number;
  /** Of the next frame. */
  offset: number;
  /** The number that the next frame has, unless bytes were lost; `undefined` when the segment does not say where it begins. */
  due: number | undefined;
}

/** Bytes read at a time. */
const CHUNK_BYTES = 1024 * 1024;

/** Damage is kept for the quarantine up to so many bytes. */
const DAMAGE_BYTES = 64 * 1024;

/**
 * Reads the events of one source in the order of their numbers. The rules stand at the head of `segment.ts`.
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
  /** Damage that was found behind records, for the next call. */
  #held: Damage | undefined;
  /** Whether the source is a living process's: then its directory is there, or is not to be had at the moment. */
  #live = false;
  /** The last number in each segment of which that was asked. */
  readonly #lastSeqs = new Map<number, number>();
  /** Segments of a dead process that end where an earlier one may go on: rewrites that were cut off. */
  readonly #ended = new Set<number>();

  /** @param afterSeq the last number that need not be read */
  constructor(fs: SpoolFs, directory: string, afterSeq: number) {
    this.#fs = fs;
    this.#directory = directory;
    this.#nextSeq = afterSeq + 1;
  }

  /** The number that the next read begins with. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Goes back, or forward, to the event after `afterSeq`. */
  seek(afterSeq: number): void {
    if (this.#nextSeq === afterSeq + 1) return;
    this.close();
    this.#held = undefined;
    this.#ended.clear();
    this.#nextSeq = afterSeq + 1;
  }

  /**
   * Reads on.
   *
   * @param limit the last number that is on disk: never reads beyond it, and what is missing before it is damage.
   *   `undefined` for a dead process's source: reads to the end and drops a torn tail.
   * @throws the file system's error when it cannot be read now; with a `limit` also when the directory is not there, which
   *   says nothing of the events in it
   */
  read(limit: number | undefined, maxRecords: number, maxBytes: number): SpoolRead {
    this.#live = limit !== undefined;
    const firstSeq = this.#nextSeq;
    const records: Buffer[] = [];
    let size = 0;
    while (records.length < maxRecords && size < maxBytes && (limit === undefined || this.#nextSeq <= limit)) {
      const found: Buffer | Damage | undefined = this.#held ?? this.#next();
      this.#held = undefined;
      if (found === undefined) break;
      if (Buffer.isBuffer(found)) {
        records.push(found);
        size += found.length;
        this.#nextSeq += 1;
      } else {
        // What is beyond the limit may still be written again.
        const damage = { ...found, lastSeq: Math.min(found.lastSeq, limit ?? found.lastSeq) };
        if (records.length > 0) {
          this.#held = damage;
          break;
        }
        this.#checkDirectory();
        this.#nextSeq = damage.lastSeq + 1;
        return damage;
      }
    }
    if (records.length > 0) return { kind: "records", firstSeq, records };
    if (limit !== undefined && this.#nextSeq <= limit) {
      // The disk was said to have these, and no segment does.
      this.#checkDirectory();
      const lastSeq = limit;
      this.#nextSeq = limit + 1;
      return { kind: "damage", firstSeq, lastSeq, bytes: Buffer.alloc(0) };
    }
    return { kind: "end" };
  }

  close(): void {
    if (this.#open !== undefined) this.#fs.closeSync(this.#open.fd);
    this.#open = undefined;
  }

  /** Nothing is damaged because it is not to be had at the moment: a volume that is not mounted, a folder that was moved. */
  #checkDirectory(): void {
    if (this.#live) this.#fs.statSync(this.#directory);
  }

  /**
   * The payload of event `#nextSeq`, or the damage in its place, or nothing. Of a living process's source, of which a writer
   * says how far the disk has it, the end of the last segment is never a torn tail.
   */
  #next(): Buffer | Damage | undefined {
    const live = this.#live;
    this.#open ??= this.#openFor(this.#nextSeq);
    while (this.#open !== undefined) {
      const segment: OpenSegment = this.#open;
      const frame = this.#frame(segment);
      if (frame.kind === "valid" && frame.seq <= this.#nextSeq) {
        segment.offset += FRAME_BYTES + frame.payload.length;
        segment.due = frame.seq + 1;
        // Not a copy: a chunk is never written to again, and lives as long as one of its records.
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
      const at = segment.offset - this.#bytesAt;
      const rest = this.#bytes.length - at;
      if (frame.kind === "valid") return this.#damage(segment.offset, 0, frame.seq - 1);
      const following = frame.kind === "damaged" || rest > 0 ? this.#searchFrame(segment) : undefined;
      if (following !== undefined) {
        const length = following.offset - segment.offset;
        const from = segment.offset;
        segment.offset = following.offset;
        segment.due = following.seq;
        // Numbers before ours again: an abandoned write that a valid frame follows.
        if (following.seq <= this.#nextSeq) continue;
        return this.#damage(from, length, following.seq - 1);
      }
      const next = this.#later(segment.number)[0];
      if (next !== undefined) {
        const damage = this.#damage(segment.offset, rest, next.firstSeq - 1);
        this.#enter(next.number);
        // It may have come after `#newerWith` had looked.
        if (next.firstSeq <= this.#nextSeq) continue;
        return damage;
      }
      if (!live && frame.kind === "damaged" && !isZero(this.#bytes.subarray(at))) {
        const lastSeq = frame.head?.seq ?? segment.due ?? this.#nextSeq;
        // A rewrite has the frames of what it replaces, byte for byte: so the next one is that far behind.
        const known =
          frame.head === undefined && lastSeq < this.#nextSeq ? this.#sizeOf(segment.number, lastSeq) : undefined;
        const length = known ?? (frame.head?.end ?? this.#bytes.length) - at;
        const damage = this.#damage(segment.offset, length, lastSeq);
        segment.offset += length;
        segment.due = lastSeq + 1;
        if (lastSeq < this.#nextSeq) continue;
        return damage;
      }
      // One that does not say where it begins has nothing, or damage.
      if (live) return undefined;
      this.#ended.add(segment.number);
      const other =
        this.#numbers().find((number) => number > segment.number && !this.#ended.has(number)) ??
        this.#olderBehind(segment.number, this.#nextSeq);
      if (other === undefined) return undefined;
      this.#enter(other);
      // What says nothing of its numbers lies before the later segment that was read: it was reported on the way.
      if (other < segment.number && this.#open !== undefined) this.#open.due ??= 0;
    }
    return undefined;
  }

  /** Up to `lastSeq`, or to what another segment may have before that: a later one that begins there, an earlier one whole. */
  #damage(offset: number, length: number, lastSeq: number): Damage {
    const bytes = Buffer.alloc(Math.min(length, DAMAGE_BYTES));
    let last = lastSeq;
    if (this.#open !== undefined) {
      if (bytes.length > 0) this.#fs.readSync(this.#open.fd, bytes, 0, bytes.length, offset);
      for (const { firstSeq } of this.#later(this.#open.number)) {
        if (firstSeq > this.#nextSeq) last = Math.min(last, firstSeq - 1);
      }
      for (const other of this.#numbers()) {
        if (other >= this.#open.number || this.#lastSeqOf(other) <= this.#nextSeq) continue;
        const whole = frameOf(this.#fs, this.#directory, other, this.#nextSeq + 1, last);
        if (whole !== undefined) last = whole.seq - 1;
      }
    }
    return { kind: "damage", firstSeq: this.#nextSeq, lastSeq: last, bytes };
  }

  /** The next valid frame behind the place where none is. */
  #searchFrame(segment: OpenSegment): { offset: number; seq: number } | undefined {
    const overlap = FRAME_BYTES + MAX_PAYLOAD_BYTES;
    for (let from = segment.offset + 1; ; from += CHUNK_BYTES) {
      const bytes = readAt(this.#fs, segment.fd, from, CHUNK_BYTES + overlap);
      const at = findFrame(bytes, 0);
      if (at >= 0) {
        const frame = readFrame(bytes, at);
        if (frame.kind === "valid") return { offset: from + at, seq: frame.seq };
      }
      if (bytes.length < CHUNK_BYTES + overlap) return undefined;
    }
  }

  /** The frame at the segment's offset, of a fresh read unless the chunk at hand has it whole. */
  #frame(segment: OpenSegment): Frame {
    const at = segment.offset - this.#bytesAt;
    if (at >= 0 && at < this.#bytes.length) {
      const frame = readFrame(this.#bytes, at);
      if (frame.kind === "valid") return frame;
    }
    this.#bytes = readAt(this.#fs, segment.fd, segment.offset, CHUNK_BYTES + MAX_PAYLOAD_BYTES);
    this.#bytesAt = segment.offset;
    return readFrame(this.#bytes, 0);
  }

  #enter(number: number, offset: number = HEADER_BYTES): void {
    if (this.#open !== undefined) this.#fs.closeSync(this.#open.fd);
    this.#open = undefined;
    this.#bytes = Buffer.alloc(0);
    this.#bytesAt = 0;
    const fd = this.#fs.openSync(join(this.#directory, segmentName(number)), "r");
    this.#open = { number, fd, offset, due: offset === HEADER_BYTES ? this.#firstSeqOf(number) : this.#nextSeq };
  }

  /** Opens the newest segment that begins at or before `seq`, else the oldest there is. */
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
   * An earlier segment that has this number whole: the rewrite of one that was abandoned was itself abandoned, or cut off by
   * the death of its process, before it came so far.
   */
  #olderWith(number: number, seq: number): { number: number; offset: number } | undefined {
    for (const other of this.#numbers().toReversed()) {
      if (other >= number || this.#lastSeqOf(other) < seq) continue;
      const frame = frameOf(this.#fs, this.#directory, other, seq, seq);
      if (frame !== undefined) return { number: other, offset: frame.offset };
    }
    return undefined;
  }

  /** Bytes of a frame, by an earlier segment that has it whole. */
  #sizeOf(number: number, seq: number): number | undefined {
    const older = this.#olderWith(number, seq);
    return (
      older &&
      inSegment(this.#fs, this.#directory, older.number, (fd) => {
        const frame = readFrame(readAt(this.#fs, fd, older.offset, FRAME_BYTES + MAX_PAYLOAD_BYTES), 0);
        return frame.kind === "valid" ? frame.end : undefined;
      })
    );
  }

  /** The first of the earlier segments that has something at or behind this number, if only damage. */
  #olderBehind(number: number, seq: number): number | undefined {
    return this.#numbers().find(
      (other) =>
        other < number && !this.#ended.has(other) && (this.#lastSeqOf(other) >= seq || this.#endsDamaged(other)),
    );
  }

  /** Whether something other than zeros stands behind the last whole frame of a segment. */
  #endsDamaged(number: number): boolean {
    const rest = inSegment(this.#fs, this.#directory, number, (fd) =>
      readAt(this.#fs, fd, lastFrameOf(this.#fs, fd)?.end ?? HEADER_BYTES, CHUNK_BYTES),
    );
    return rest !== undefined && !isZero(rest);
  }

  /** Of a segment that is not written to any more. */
  #lastSeqOf(number: number): number {
    const known = this.#lastSeqs.get(number) ?? lastSeqOf(this.#fs, this.#directory, number) ?? 0;
    this.#lastSeqs.set(number, known);
    return known;
  }

  /** The later segments of which it is known where they begin. */
  #later(number: number): { number: number; firstSeq: number }[] {
    return this.#numbers().flatMap((other) => {
      const firstSeq = other > number && !this.#ended.has(other) ? this.#firstSeqOf(other) : undefined;
      return firstSeq === undefined ? [] : [{ number: other, firstSeq }];
    });
  }

  #numbers(): number[] {
    return segmentNumbers(this.#fs, this.#directory, this.#live);
  }

  #firstSeqOf(number: number): number | undefined {
    return firstSeqOf(this.#fs, this.#directory, number);
  }
}

/** The numbers of a source's segments, rising; none when the directory is gone, unless it must be there. */
export function segmentNumbers(fs: SpoolFs, directory: string, mustExist = false): number[] {
  try {
    return fs
      .readdirSync(directory)
      .map(segmentNumber)
      .filter((number) => number !== undefined)
      .sort((a, b) => a - b);
  } catch (error) {
    if (isErrno(error, "ENOENT") && !mustExist) return [];
    throw error;
  }
}

/** A segment's header, `undefined` when it is damaged or the file is gone. */
export function readHeader(fs: SpoolFs, directory: string, number: number): SegmentHeader | undefined {
  return inSegment(fs, directory, number, (fd) => decodeHeader(readAt(fs, fd, 0, HEADER_BYTES)));
}

/** Where a segment begins: by its header or, when that is damaged, by its first valid frame. */
export function firstSeqOf(fs: SpoolFs, directory: string, number: number): number | undefined {
  return inSegment(fs, directory, number, (fd) => {
    const header = decodeHeader(readAt(fs, fd, 0, HEADER_BYTES));
    if (header !== undefined) return header.firstSeq;
    const overlap = FRAME_BYTES + MAX_PAYLOAD_BYTES;
    for (let from = HEADER_BYTES; ; from += CHUNK_BYTES) {
      const bytes = readAt(fs, fd, from, CHUNK_BYTES + overlap);
      const at = findFrame(bytes, 0);
      const frame = at < 0 ? undefined : readFrame(bytes, at);
      if (frame?.kind === "valid") return frame.seq;
      if (bytes.length < CHUNK_BYTES + overlap) return undefined;
    }
  });
}

/** The last number that a segment has whole; `undefined` when it has none, or is gone. */
export function lastSeqOf(fs: SpoolFs, directory: string, number: number): number | undefined {
  return inSegment(fs, directory, number, (fd) => lastFrameOf(fs, fd)?.seq);
}

/** As {@link lastSeqOf}, with the damaged ones behind it of which reading tells. */
export function lastToldOf(fs: SpoolFs, directory: string, number: number): number | undefined {
  return inSegment(fs, directory, number, (fd) => {
    const last = lastFrameOf(fs, fd);
    let seq = last?.seq ?? (decodeHeader(readAt(fs, fd, 0, HEADER_BYTES))?.firstSeq ?? 1) - 1;
    for (let at = last?.end ?? HEADER_BYTES; ; ) {
      const bytes = readAt(fs, fd, at, CHUNK_BYTES + MAX_PAYLOAD_BYTES);
      const frame = readFrame(bytes, 0);
      if (frame.kind !== "damaged" || isZero(bytes)) return seq;
      if (frame.head === undefined) return seq + 1;
      seq = Math.max(seq, frame.head.seq);
      at += frame.head.end;
    }
  });
}

function lastFrameOf(fs: SpoolFs, fd: number): { readonly seq: number; readonly end: number } | undefined {
  for (let from = fs.fstatSync(fd).size; from > HEADER_BYTES; ) {
    from = Math.max(HEADER_BYTES, from - CHUNK_BYTES);
    // The last frame of this piece may go on in the next one, where none begins.
    const frames = [...framesIn(readAt(fs, fd, from, CHUNK_BYTES + FRAME_BYTES + MAX_PAYLOAD_BYTES))];
    const last = frames.at(-1);
    if (last !== undefined) return { seq: last.seq, end: from + last.end };
  }
  return undefined;
}

/** The first whole frame in a segment that has one of those numbers. */
function frameOf(
  fs: SpoolFs,
  directory: string,
  number: number,
  firstSeq: number,
  lastSeq: number,
): { readonly offset: number; readonly seq: number } | undefined {
  return inSegment(fs, directory, number, (fd) => {
    for (let from = HEADER_BYTES; ; ) {
      const bytes = readAt(fs, fd, from, CHUNK_BYTES + FRAME_BYTES + MAX_PAYLOAD_BYTES);
      let end = CHUNK_BYTES;
      for (const frame of framesIn(bytes)) {
        if (frame.seq >= firstSeq && frame.seq <= lastSeq) return { offset: from + frame.at, seq: frame.seq };
        end = Math.max(end, frame.end);
      }
      if (bytes.length < CHUNK_BYTES + FRAME_BYTES + MAX_PAYLOAD_BYTES) return undefined;
      from += end;
    }
  });
}

/** The whole frames in some bytes of a segment. */
function* framesIn(bytes: Buffer): Generator<{ readonly at: number; readonly end: number; readonly seq: number }> {
  for (let at = 0; at >= 0; ) {
    const frame = readFrame(bytes, at);
    if (frame.kind === "valid") {
      yield { at, end: frame.end, seq: frame.seq };
      at = frame.end;
    } else {
      at = findFrame(bytes, at + 1);
    }
  }
}

/** What `look` finds in a segment; `undefined` when the file is gone. */
function inSegment<T>(fs: SpoolFs, directory: string, number: number, look: (fd: number) => T): T | undefined {
  let fd: number;
  try {
    fd = fs.openSync(join(directory, segmentName(number)), "r");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
  try {
    return look(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function readAt(fs: SpoolFs, fd: number, offset: number, length: number): Buffer {
  const size = fs.fstatSync(fd).size;
  const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)));
  let at = 0;
  while (at < bytes.length) {
    const got = fs.readSync(fd, bytes, at, bytes.length - at, offset + at);
    if (got === 0) break;
    at += got;
  }
  return bytes.subarray(0, at);
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
