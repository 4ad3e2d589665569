/**
 * # The spool
 *
 * Between a call in the application and the handlers: append-only files that survive the process.
 *
 * ## Requirements
 *
 * - An append costs the request thread a copy into memory; one `write(2)` per turn of the event loop carries
 *   everything the turn recorded, one `fdatasync(2)` in the thread pool covers all writes since the last one.
 * - An acknowledged event survives `kill -9` and power loss.
 * - Damage is detected and named, and costs the damaged record only.
 * - Nothing is shipped before it is synced. So the store is never ahead of the disk, and a spool that lost its
 *   unsynced tail in a power failure cannot give a new event a number that the store already has.
 * - Memory is bounded, and so are the bytes on disk.
 *
 * ## Files
 *
 *     <root>/                         one directory for all processes of an application (0700)
 *       <source id>/                  one life of one log in one process; only its owner writes
 *         owner.1                     its owner; owner.2 after a takeover (spool/ownership.ts)
 *         00000001.seg …              segments of 16 MiB, numbered upwards
 *         cursor.<handler>            how far a handler has acknowledged (spool/cursor.ts): a hint, stores know better
 *         cursor.~end                 the last number of a dead source that ends with unreadable bytes
 *       quarantine.ndjson             records that a handler could never take
 *       reserve/                      room for small files on a full disk (spool/reserve.ts)
 *
 * A process never appends to another life's segments: it opens a source of its own and *ships* what dead processes
 * left. So recovery never writes: reading skips a torn tail, and that is all.
 *
 * ## A segment
 *
 *     header, 64 bytes: magic "SECLOG\x01\n" · source id 16 · source key 16 · first seq u64 · epoch u32 ·
 *                       Unix ms u64 · CRC32 of the 60 bytes before it
 *     frame:            marker u32 · check u32 · CRC32 u32 · length u32 · seq u64 · payload
 *
 * A change of the format raises the magic's number, and keeps the place of the magic and of the header's CRC, so that
 * an older program distinguishes a newer segment from a damaged one, and leaves it alone.
 *
 * All little-endian. The CRC (zlib's, ISO 3309) covers length, seq and payload; the check covers length and seq, which
 * distinguishes a frame that was cut from one whose length is damaged. The payload is the canonical encoding of one
 * event. Nothing follows the last frame.
 *
 * ## Writing (spool/writer.ts, spool/segment-files.ts)
 *
 * Frames are laid into slabs of memory, and stay there until an `fdatasync` has covered them. If a write or a sync
 * fails, the segment is abandoned: after a failed fsync Linux marks the pages clean, and a second fsync reports
 * success for data that never reached the disk (Rebello et al., "Can Applications Recover from fsync Failures?",
 * USENIX ATC 2020). All frames that are not known to be on disk are written again to a new segment, under the same
 * numbers. So two segments may overlap: the newer one is right. An abandoned segment stays until a sync has covered all
 * of it elsewhere: while the machine is up it still has what was written, which durability `process` promises if the
 * process is killed before the rewrite is done.
 *
 * A write without room (ENOSPC, EDQUOT) is another matter: what was written before is sound. The torn rest is cut off,
 * what is whole is synced, and the segment ends. So shipping empties a full disk, however large its segments are.
 *
 * The kernel reports a failed sync once to each open file, to the first caller. So the thread pool and the
 * application's thread sync by descriptors of their own: neither takes the other's error away.
 *
 * Rotation: a new segment is opened when the next write would pass the limit. The old file, the new file and the
 * directory are synced before anything in the new one is acknowledged.
 *
 * ## Reading (spool/reader.ts, spool/segment-scan.ts)
 *
 * Events are read in the order of their numbers, up to a limit: for a living process's source the last one that its
 * writer reports on disk, for a dead one's the last one that any segment shows. That is the last frame with a whole
 * head, or the number before a header's first one; and one more where unreadable bytes follow, since they may be any
 * number of events. That number is kept, so that it is reported once. A frame that is cut, or zeros, was being written
 * when the process died, was never acknowledged, and shows nothing.
 *
 * A segment with a damaged header begins where its first whole frame says. Where a frame is not whole at seq s:
 *  - a later segment that begins at or before s has it: go there (an abandoned segment);
 *  - an earlier segment has it whole: go there (a cut-off rewrite of abandoned segments);
 *  - none has it: the numbers from s on are damage, up to the next one that some segment has, or to the one in the
 *  damaged
 *    frame's head, or to the limit. The bytes there go to quarantine.
 * So one damaged frame costs one event, whichever segment is read first. While the directory is away nothing is damaged
 * and nothing ends: it is read again later.
 *
 * ## Deleting
 *
 * The shipper unlinks a segment when every handler's cursor, on disk, has passed the last number that it shows and the
 * start of the next one; oldest first, never the one being written. So missing numbers in front are not damage, even
 * after a power loss. The writer ends a segment that is completely shipped when its room is needed; the next write
 * starts another one. A dead source's directory goes when all of it has been shipped.
 */
import { crc32 } from "node:zlib";
import { SeclogError } from "../event/errors.ts";
import { uuidText } from "../record/uuid.ts";

const FORMAT = 1;
const MAGIC = Buffer.from(`SECLOG${String.fromCharCode(FORMAT)}\n`, "latin1");
const FORMAT_AT = 6;

/** Bytes of a segment's header. */
export const HEADER_BYTES = 64;

/** Bytes of a frame before its payload. */
export const FRAME_BYTES = 24;

/** The longest payload that is read. An event is at most about 200 KiB. */
export const MAX_PAYLOAD_BYTES: number = 1024 * 1024;

/** The largest `spool.segmentBytes`. */
export const MAX_SEGMENT_BYTES: number = 1024 * 1024 * 1024;

/** The longest file of a segment: a larger one is not ours, and searching it for events could take for ever. */
export const MAX_SEGMENT_FILE_BYTES: number = MAX_SEGMENT_BYTES + HEADER_BYTES + FRAME_BYTES + MAX_PAYLOAD_BYTES;

/** "SEC\xA5" read as little-endian: the last byte never occurs in UTF-8 after an ASCII letter, so no payload has it. */
const MARKER = 0xa5434553;
const MARKER_BYTES = Buffer.from([0x53, 0x45, 0x43, 0xa5]);

/** The content of a segment's header. */
export interface SegmentHeader {
  readonly sourceId: string;
  /** 32 hexadecimal digits that prove to a store that the spool holds the source. */
  readonly key: string;
  readonly firstSeq: number;
  readonly epoch: number;
}

/** The header's 64 bytes. */
export function encodeHeader(header: SegmentHeader, nowMs: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.write(header.sourceId.replaceAll("-", ""), 8, "hex");
  bytes.write(header.key, 24, "hex");
  bytes.writeBigUInt64LE(BigInt(header.firstSeq), 40);
  bytes.writeUInt32LE(header.epoch, 48);
  bytes.writeBigInt64LE(BigInt(nowMs), 52);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 60)), 60);
  return bytes;
}

/**
 * Reads a header; `undefined` when it is cut or damaged.
 *
 * @throws SeclogError `SECLOG_SPOOL_NEWER` when a newer program wrote it
 */
export function decodeHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(60) !== crc32(bytes.subarray(0, 60))) return undefined;
  const format = bytes.readUInt8(FORMAT_AT);
  if (format > FORMAT && bytes.subarray(0, FORMAT_AT).equals(MAGIC.subarray(0, FORMAT_AT))) {
    throw new SeclogError(
      "SECLOG_SPOOL_NEWER",
      `a segment has format ${format}, this program reads up to ${FORMAT}: use a newer seclog; nothing of it was touched`,
    );
  }
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  return {
    sourceId: uuidText(bytes.subarray(8, 24)),
    key: bytes.toString("hex", 24, 40),
    firstSeq: Number(bytes.readBigUInt64LE(40)),
    epoch: bytes.readUInt32LE(48),
  };
}

/** A slab of memory with the two views that sealing needs: creating them per frame would cost more than the frame. */
export interface FrameSlab {
  readonly bytes: Buffer;
  readonly view: DataView;
}

/** Memory outside Node's pool. */
export function frameSlab(size: number): FrameSlab {
  const bytes = Buffer.allocUnsafeSlow(size);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, size) };
}

/**
 * Lays a frame around a payload that is already at `offset + FRAME_BYTES`.
 *
 * @returns the offset after it
 */
export function sealFrame(slab: FrameSlab, offset: number, payloadBytes: number, seq: number): number {
  const { bytes, view } = slab;
  const low = seq >>> 0;
  const high = Math.floor(seq / 0x1_0000_0000);
  view.setUint32(offset, MARKER, true);
  view.setUint32(offset + 4, headCheck(payloadBytes, low, high), true);
  view.setUint32(offset + 12, payloadBytes, true);
  view.setUint32(offset + 16, low, true);
  view.setUint32(offset + 20, high, true);
  const covered = FRAME_BYTES - 12 + payloadBytes;
  view.setUint32(offset + 8, crc32(new Uint8Array(bytes.buffer, bytes.byteOffset + offset + 12, covered)), true);
  return offset + FRAME_BYTES + payloadBytes;
}

/** The state of the bytes where a frame should begin. */
export type Frame =
  | { readonly kind: "valid"; readonly seq: number; readonly payload: Buffer; readonly end: number }
  /** It may continue beyond these bytes. */
  | { readonly kind: "cut" }
  /** It is whole by its own length and fails its CRC; `head` is its head when that passes its check. */
  | { readonly kind: "damaged"; readonly head?: { readonly seq: number; readonly end: number } };

/** Examines the frame that begins at `offset`. The payload is a view of `bytes`, not a copy. */
export function readFrame(bytes: Buffer, offset: number): Frame {
  if (bytes.length - offset < FRAME_BYTES) return { kind: "cut" };
  const length = bytes.readUInt32LE(offset + 12);
  const low = bytes.readUInt32LE(offset + 16);
  const high = bytes.readUInt32LE(offset + 20);
  const checked =
    bytes.readUInt32LE(offset) === MARKER && bytes.readUInt32LE(offset + 4) === headCheck(length, low, high);
  // The check is weak. A length that no event has would make damage look like a frame that was cut.
  if (!checked || length > MAX_PAYLOAD_BYTES) return { kind: "damaged" };
  const end = offset + FRAME_BYTES + length;
  if (end > bytes.length) return { kind: "cut" };
  const seq = low + high * 0x1_0000_0000;
  if (bytes.readUInt32LE(offset + 8) !== crc32(bytes.subarray(offset + 12, end))) {
    return { kind: "damaged", head: { seq, end } };
  }
  return { kind: "valid", seq, payload: bytes.subarray(offset + FRAME_BYTES, end), end };
}

/** The payload of a frame that this program sealed itself. */
export function sealedPayload(slab: Buffer, offset: number): Buffer {
  return slab.subarray(offset + FRAME_BYTES, offset + FRAME_BYTES + slab.readUInt32LE(offset + 12));
}

/** Changes with any single change of its arguments: multiplication by an odd number is a bijection of 32 bits. */
function headCheck(length: number, low: number, high: number): number {
  return (Math.imul(length, 0x9e3779b1) ^ Math.imul(low, 0x85ebca6b) ^ Math.imul(high, 0xc2b2ae35)) >>> 0;
}

/** The offset of the next valid frame at or after `offset`, or -1 without one. */
export function findFrame(bytes: Buffer, offset: number): number {
  for (let at = bytes.indexOf(MARKER_BYTES, offset); at >= 0; at = bytes.indexOf(MARKER_BYTES, at + 1)) {
    if (readFrame(bytes, at).kind === "valid") return at;
  }
  return -1;
}

/** `00000001.seg` and on. */
export function segmentName(number: number): string {
  return `${String(number).padStart(8, "0")}.seg`;
}

/** The number in a segment's file name; `undefined` for another file. */
export function segmentNumber(name: string): number | undefined {
  return /^\d{8,}\.seg$/.test(name) ? Number.parseInt(name, 10) : undefined;
}
