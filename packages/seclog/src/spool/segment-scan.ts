/** Scans one segment's file: where its numbers begin and end, and where in it an event is. */
import type { Buffer } from "node:buffer";
import { join } from "node:path";
import { openSegment, readAt } from "./files.ts";
import { assertAbsent, isErrno, type SpoolFs } from "./fs.ts";
import {
  decodeHeader,
  FRAME_BYTES,
  findFrame,
  HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  readFrame,
  type SegmentHeader,
  segmentName,
  segmentNumber,
} from "./segment.ts";

/** Bytes read at a time. */
export const CHUNK_BYTES: number = 1024 * 1024;

/** Read beyond a chunk, so that a frame that begins in it is whole. */
export const LONGEST_FRAME: number = FRAME_BYTES + MAX_PAYLOAD_BYTES;

/** A small number in a head reads at least this after two flips, of its highest bit and of its check's. */
const FAR_AWAY = 2 ** 31;

/** A whole frame in a file. */
export interface WholeFrame {
  readonly seq: number;
  readonly offset: number;
  readonly end: number;
}

/**
 * The numbers of a source's segments, ascending.
 *
 * @param mustExist whether a missing directory is an error; otherwise it has none
 */
export function segmentNumbers(fs: SpoolFs, directory: string, mustExist: boolean = false): number[] {
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

/** A segment's header; `undefined` when it is damaged or the file is gone. */
export function readHeader(fs: SpoolFs, directory: string, number: number): SegmentHeader | undefined {
  return inSegment(fs, directory, number, (fd) => headerOf(fs, fd));
}

/** A segment's first number: from its header or, when that is damaged, from its first whole frame. */
export function firstSeqOf(fs: SpoolFs, directory: string, number: number): number | undefined {
  return inSegment(fs, directory, number, (fd) => headerOf(fs, fd)?.firstSeq ?? nextFrame(fs, fd, HEADER_BYTES)?.seq);
}

/** The last number that a segment has whole; `undefined` without one, or when the segment is gone. */
export function lastSeqOf(fs: SpoolFs, directory: string, number: number): number | undefined {
  return inSegment(fs, directory, number, (fd) => lastFrame(fs, fd)?.seq);
}

/** How far a segment reaches, damaged events included. */
export interface SegmentReach {
  /** The last number in any frame's head, else the one before the header's first; `undefined` without either. */
  readonly lastSeq: number | undefined;
  /** Whether unreadable bytes follow, which are an event or more. */
  readonly more: boolean;
}

/** How far a segment reaches; `undefined` when it is empty or gone. */
export function reachOf(fs: SpoolFs, directory: string, number: number): SegmentReach | undefined {
  return inSegment(fs, directory, number, (fd) => {
    const last = lastFrame(fs, fd);
    const header = headerOf(fs, fd);
    let lastSeq = last?.seq ?? (header === undefined ? undefined : header.firstSeq - 1);
    for (let at = last?.end ?? HEADER_BYTES; ; ) {
      const bytes = readAt(fs, fd, at, LONGEST_FRAME);
      const frame = readFrame(bytes, 0);
      if (frame.kind !== "damaged" || isZero(bytes)) break;
      const seq = frame.head?.seq ?? 0;
      // Frames follow each other. Two flipped bits can put a far higher number into a head.
      const isNext = lastSeq === undefined ? seq > 0 && seq < FAR_AWAY : seq === lastSeq + 1;
      if (frame.head === undefined || !isNext) return { lastSeq, more: true };
      lastSeq = seq;
      at += frame.head.end;
    }
    return lastSeq === undefined ? undefined : { lastSeq, more: false };
  });
}

/** The first whole frame in a segment with one of the numbers from `firstSeq` to `lastSeq`. */
export function frameOf(
  fs: SpoolFs,
  directory: string,
  number: number,
  firstSeq: number,
  lastSeq: number,
): WholeFrame | undefined {
  return inSegment(fs, directory, number, (fd) => {
    for (const frame of wholeFrames(fs, fd, HEADER_BYTES)) {
      if (frame.seq >= firstSeq && frame.seq <= lastSeq) return frame;
    }
    return undefined;
  });
}

/** The first whole frame at or after an offset, whatever precedes it. */
export function nextFrame(fs: SpoolFs, fd: number, offset: number): WholeFrame | undefined {
  for (const frame of wholeFrames(fs, fd, offset)) return frame;
  return undefined;
}

function headerOf(fs: SpoolFs, fd: number): SegmentHeader | undefined {
  return decodeHeader(readAt(fs, fd, 0, HEADER_BYTES));
}

function lastFrame(fs: SpoolFs, fd: number): WholeFrame | undefined {
  for (let from = fs.fstatSync(fd).size; from > HEADER_BYTES; ) {
    from = Math.max(HEADER_BYTES, from - CHUNK_BYTES);
    // This piece's last frame may continue in the next one, where none begins.
    const last = [...framesIn(readAt(fs, fd, from, CHUNK_BYTES + LONGEST_FRAME), from)].at(-1);
    if (last !== undefined) return last;
  }
  return undefined;
}

function* wholeFrames(fs: SpoolFs, fd: number, offset: number): Generator<WholeFrame> {
  for (let from = offset; ; ) {
    const bytes = readAt(fs, fd, from, CHUNK_BYTES + LONGEST_FRAME);
    let next = from + CHUNK_BYTES;
    for (const frame of framesIn(bytes, from)) {
      yield frame;
      next = Math.max(next, frame.end);
    }
    if (bytes.length < CHUNK_BYTES + LONGEST_FRAME) return;
    from = next;
  }
}

/** The whole frames in some bytes at `offset` of their file. */
function* framesIn(bytes: Buffer, offset: number): Generator<WholeFrame> {
  for (let at = 0; at >= 0; ) {
    const frame = readFrame(bytes, at);
    if (frame.kind === "valid") {
      yield { seq: frame.seq, offset: offset + at, end: offset + frame.end };
      at = frame.end;
    } else {
      at = findFrame(bytes, at + 1);
    }
  }
}

/** Returns what `look` finds in a segment; `undefined` when the file is gone but its directory is not. */
function inSegment<T>(fs: SpoolFs, directory: string, number: number, look: (fd: number) => T): T | undefined {
  const name = segmentName(number);
  let fd: number;
  try {
    fd = openSegment(fs, join(directory, name));
  } catch (error) {
    assertAbsent(fs, directory, name, error);
    return undefined;
  }
  try {
    return look(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
