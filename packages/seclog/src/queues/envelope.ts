/**
 * The envelope: consecutive events of one source as one message, for queues, the collector and exports.
 *
 * `docs/design/envelope.md` has the format, byte by byte, and `envelope-vectors.json` beside this file has examples:
 * both are for readers and writers in any language, and version 1 of them never changes.
 *
 * Anyone who can write to an engine chooses the bytes that `decodeEnvelope` reads. So it trusts no length, count or
 * number, allocates at most `MAX_BODY_BYTES` for a body, and throws nothing but a `SeclogError`.
 */
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { crc32, gunzipSync, gzipSync } from "node:zlib";
import { SeclogError } from "../event/errors.ts";
import { wholeNumber } from "../event/options.ts";
import { uuidText } from "../record/uuid.ts";
import { type BatchSource, type EventBatch, HandlerError, type QuarantinedRecord } from "../ship/handler.ts";
import { KEY_ID_BYTES, NONCE_BYTES, openBytes, type QueueKey, sealBytes, TAG_BYTES } from "./queue-key.ts";

/** The most bytes of records in one envelope before compression: a batch of the shipper has up to 5 MiB. */
export const MAX_BODY_BYTES: number = 8 * 1024 * 1024;

/** The most events in one envelope: the database refuses to move a position over more at once. */
export const MAX_RECORDS = 100_000;

/** The least limit that an engine may have: any source, sealed, with the reason of a quarantine. */
const LEAST_MAX_BYTES = 4_096;

/** From this size on a body is compressed: below, as for a single event, a quarter is saved at six times the cost. */
const GZIP_FROM_BYTES = 1_024;

const VERSION = 1;
const MAGIC = Buffer.from("SECLOGE", "latin1");
const HEADER_BYTES = 89;
const SEALED_HEADER_BYTES: number = HEADER_BYTES + KEY_ID_BYTES + NONCE_BYTES;
const CRC_BYTES = 4;

const GZIP = 1;
const SEALED = 2;
const QUARANTINED = 4;
const QUEUED = 8;

/** Where the fields of a header are. */
const AT = {
  version: 7,
  flags: 8,
  sourceId: 9,
  epoch: 25,
  firstSeq: 29,
  lastSeq: 37,
  acknowledged: 45,
  keyHash: 53,
  bodyBytes: 85,
  keyId: HEADER_BYTES,
  nonce: HEADER_BYTES + KEY_ID_BYTES,
} as const;

const MAX_EPOCH = 0x7fff_ffff;
const MAX_REASON = 1_000;

/** Options of {@link encodeEnvelopes}. */
export interface EncodeOptions {
  /** The most bytes of one message that the engine takes, from 4,096 on. */
  readonly maxBytes: number;
  /** Queue keys, the newest first, which seals. Without any, envelopes are plain: readable, and easily forged. @default [] */
  readonly keys?: readonly QueueKey[];
  /**
   * The sender deletes the events once the engine has them, and not when they are stored: nothing sends again what the
   * engine loses.
   * @default false
   */
  readonly queued?: boolean;
  /** Random bytes for nonces; a test passes its own. @default `randomBytes` of node:crypto */
  readonly random?: (size: number) => Uint8Array;
}

/** A message for an engine. */
export interface Envelope {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly bytes: Buffer;
}

/** Who recorded the events of an envelope. The source's key does not travel. */
export interface EnvelopeSource extends Omit<BatchSource, "key"> {
  /** SHA-256 of the source's key, 64 hexadecimal digits: what the database keeps of it. */
  readonly keyHash: string;
}

interface Opened {
  readonly source: EnvelopeSource;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Its sender keeps no copy of the events: what is missing before them is lost, and not on its way again. */
  readonly queued: boolean;
  /** The id of the key that sealed it; `undefined` for a plain envelope, which anyone may have written. */
  readonly keyId: string | undefined;
}

/** An envelope's events, or one record that no store can take as an event. */
export type DecodedEnvelope =
  /** `records` are the canonical bytes, `lastSeq - firstSeq + 1` of them: nothing has checked what they say. */
  | (Opened & { readonly kind: "events"; readonly records: readonly Buffer[] })
  | (Opened & { readonly kind: "quarantined"; readonly reason: string; readonly record: Buffer });

/**
 * A batch as envelopes of at most `maxBytes`, in order: one if it fits, else in halves.
 *
 * @throws HandlerError of kind `"event"` when one event alone is too large, so that the shipper finds it and passes it
 *   to the handler's `quarantine`, for {@link encodeQuarantined}
 * @throws SeclogError `SECLOG_CONFIG` when `maxBytes` is below 4,096
 */
export function encodeEnvelopes(batch: EventBatch, options: EncodeOptions): Envelope[] {
  checkLimit("encodeEnvelopes", options);
  return cut(batch.source, batch.firstSeq, batch.records, options);
}

/**
 * A record that could not travel or be stored as an event, in its place in the sequence, so that no hole remains there.
 * Its bytes are cut to what fits, and the reason says so then.
 *
 * @throws SeclogError `SECLOG_CONFIG` when `maxBytes` is below 4,096
 */
export function encodeQuarantined(
  { source, seq, reason, record }: QuarantinedRecord,
  options: EncodeOptions,
): Envelope {
  checkLimit("encodeQuarantined", options);
  const cleaned = reason.replaceAll("\0", "\\u0000");
  const room = Math.min(options.maxBytes - SEALED_HEADER_BYTES - TAG_BYTES, MAX_BODY_BYTES) - 3 * MAX_REASON - 1;
  const kept = record.subarray(0, room);
  const note = kept.length < record.length ? ` [cut: the first ${kept.length} of ${record.length} bytes]` : "";
  const said = `${cleaned.slice(0, MAX_REASON - note.length)}${note}`;
  const body = Buffer.concat([Buffer.from(`${said}\0`), kept]);
  return { firstSeq: seq, lastSeq: seq, bytes: envelope(source, seq, seq, QUARANTINED, body, options) };
}

/**
 * Reads an envelope. The records are not decoded. They may be views of `bytes`: leave it unchanged while they are in use.
 *
 * @param options `keys`: the queue keys in use, in any order. With a key, plain envelopes are refused: anyone who can
 *   write to the engine could write one.
 * @throws SeclogError `SECLOG_ENVELOPE` when it was altered, cut, or never was one; `SECLOG_ENVELOPE_VERSION` when a newer
 *   program wrote it; `SECLOG_ENVELOPE_KEY` when it is sealed with a key that is not among `keys`, or is plain though
 *   there are keys
 */
export function decodeEnvelope(
  bytes: Uint8Array,
  options: { readonly keys?: readonly QueueKey[] } = {},
): DecodedEnvelope {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { flags, keyId, bodyBytes, ...opened } = readHeader(whole);
  const packed = keyId === undefined ? checkedPlain(whole, options.keys) : unsealed(whole, keyId, options.keys);
  const body = (flags & GZIP) === 0 ? packed : unpacked(packed, bodyBytes);
  if (body.length !== bodyBytes) throw malformed(`its body has ${body.length} bytes, its header says ${bodyBytes}`);
  if ((flags & QUARANTINED) === 0) {
    return { kind: "events", ...opened, keyId, records: readRecords(body, opened.lastSeq - opened.firstSeq + 1) };
  }
  const end = body.indexOf(0);
  if (end < 0) throw malformed("the reason of its quarantine has no end");
  return {
    kind: "quarantined",
    ...opened,
    keyId,
    reason: body.toString("utf8", 0, end),
    record: body.subarray(end + 1),
  };
}

/** The source that an envelope or a position message claims, unchecked; `undefined` if it is neither. */
export function sourceOf(bytes: Uint8Array): string | undefined {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isOne = whole.length >= AT.epoch && /^SECLOG[EP]$/.test(whole.toString("latin1", 0, MAGIC.length));
  return isOne ? uuidText(whole.subarray(AT.sourceId, AT.epoch)) : undefined;
}

function checkLimit(where: string, { maxBytes }: EncodeOptions): void {
  wholeNumber(where, "maxBytes", maxBytes, { default: maxBytes, min: LEAST_MAX_BYTES });
}

function cut(
  source: BatchSource,
  firstSeq: number,
  records: readonly Uint8Array[],
  options: EncodeOptions,
): Envelope[] {
  const size = records.reduce((sum, record) => sum + 4 + record.length, 0);
  let length = size;
  if (size <= MAX_BODY_BYTES && records.length <= MAX_RECORDS) {
    const lastSeq = firstSeq + records.length - 1;
    const bytes = envelope(source, firstSeq, lastSeq, 0, bodyOf(records, size), options);
    if (bytes.length <= options.maxBytes) return [{ firstSeq, lastSeq, bytes }];
    length = bytes.length;
  }
  if (records.length === 1) {
    throw new HandlerError(
      "event",
      `event ${firstSeq} of source ${source.id} takes ${length} bytes as a message, the limit is ${options.maxBytes}`,
    );
  }
  const half = records.length >> 1;
  return [
    ...cut(source, firstSeq, records.slice(0, half), options),
    ...cut(source, firstSeq + half, records.slice(half), options),
  ];
}

function bodyOf(records: readonly Uint8Array[], size: number): Buffer {
  const body = Buffer.allocUnsafe(size);
  let at = 0;
  for (const record of records) {
    at = body.writeUInt32BE(record.length, at);
    body.set(record, at);
    at += record.length;
  }
  return body;
}

function envelope(
  source: BatchSource,
  firstSeq: number,
  lastSeq: number,
  kind: number,
  body: Buffer,
  { keys = [], queued = false, random = randomBytes }: EncodeOptions,
): Buffer {
  const zipped = body.length < GZIP_FROM_BYTES ? body : gzipSync(body, { level: 1 });
  const packed = zipped.length < body.length ? zipped : body;
  const key = keys[0];
  const header = Buffer.alloc(key === undefined ? HEADER_BYTES : SEALED_HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt8(VERSION, AT.version);
  const packing = (packed === body ? 0 : GZIP) | (key === undefined ? 0 : SEALED);
  header.writeUInt8(kind | packing | (queued ? QUEUED : 0), AT.flags);
  header.write(source.id.replaceAll("-", ""), AT.sourceId, "hex");
  header.writeUInt32BE(source.epoch, AT.epoch);
  header.writeBigUInt64BE(BigInt(firstSeq), AT.firstSeq);
  header.writeBigUInt64BE(BigInt(lastSeq), AT.lastSeq);
  header.writeBigUInt64BE(BigInt(source.acknowledged), AT.acknowledged);
  createHash("sha256").update(source.key).digest().copy(header, AT.keyHash);
  header.writeUInt32BE(body.length, AT.bodyBytes);
  if (key === undefined) {
    const crc = Buffer.alloc(CRC_BYTES);
    crc.writeUInt32BE(crc32(packed, crc32(header)));
    return Buffer.concat([header, packed, crc]);
  }
  const nonce = random(NONCE_BYTES);
  header.write(key.id, AT.keyId, "hex");
  header.set(nonce, AT.nonce);
  return Buffer.concat([header, sealBytes(key, nonce, header, packed)]);
}

interface Header extends Opened {
  readonly flags: number;
  readonly bodyBytes: number;
}

function readHeader(bytes: Buffer): Header {
  if (bytes.length <= AT.version || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw malformed(`its ${bytes.length} bytes do not begin with ${MAGIC.toString("latin1")}`);
  }
  const version = bytes.readUInt8(AT.version);
  if (version > VERSION) {
    throw new SeclogError(
      "SECLOG_ENVELOPE_VERSION",
      `the envelope has version ${version}, this program reads up to ${VERSION}: use a newer seclog`,
    );
  }
  if (version !== VERSION) throw malformed(`version ${version} does not exist`);
  const flags = bytes.length > AT.flags ? bytes.readUInt8(AT.flags) : 0;
  const isSealed = (flags & SEALED) !== 0;
  const least = isSealed ? SEALED_HEADER_BYTES + TAG_BYTES : HEADER_BYTES + CRC_BYTES;
  if (bytes.length < least) throw malformed(`it is cut off at ${bytes.length} bytes, it has at least ${least}`);
  if (bytes.length > least + MAX_BODY_BYTES) throw malformed(`it has ${bytes.length} bytes, more than any envelope`);
  if (flags > (GZIP | SEALED | QUARANTINED | QUEUED))
    throw malformed(`the flags ${flags} do not exist in version ${version}`);
  const epoch = bytes.readUInt32BE(AT.epoch);
  const firstSeq = seqAt(bytes, AT.firstSeq);
  const lastSeq = seqAt(bytes, AT.lastSeq);
  const acknowledged = seqAt(bytes, AT.acknowledged);
  const bodyBytes = bytes.readUInt32BE(AT.bodyBytes);
  if (epoch < 1 || epoch > MAX_EPOCH) throw malformed(`its epoch is ${epoch}`);
  const count = lastSeq - firstSeq + 1;
  const most = (flags & QUARANTINED) === 0 ? MAX_RECORDS : 1;
  if (firstSeq < 1 || count < 1 || count > most) {
    throw malformed(`it would have the events ${firstSeq} to ${lastSeq}: at most ${most} can be in it, from 1 on`);
  }
  if (bodyBytes < 1 || bodyBytes > MAX_BODY_BYTES) {
    throw malformed(`its body would have ${bodyBytes} bytes, the most is ${MAX_BODY_BYTES}`);
  }
  const id = uuidText(bytes.subarray(AT.sourceId, AT.epoch));
  const keyHash = bytes.toString("hex", AT.keyHash, AT.bodyBytes);
  const keyId = isSealed ? bytes.toString("hex", AT.keyId, AT.nonce) : undefined;
  const queued = (flags & QUEUED) !== 0;
  return { flags, bodyBytes, source: { id, epoch, keyHash, acknowledged }, firstSeq, lastSeq, queued, keyId };
}

function seqAt(bytes: Buffer, at: number): number {
  const seq = bytes.readBigUInt64BE(at);
  if (seq > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(`the number ${seq} is larger than any event's`);
  return Number(seq);
}

function checkedPlain(bytes: Buffer, keys: readonly QueueKey[] = []): Buffer {
  if (keys.length > 0) {
    throw new SeclogError(
      "SECLOG_ENVELOPE_KEY",
      "the envelope is not sealed, and with a queue key only sealed ones are read: give its sender the key",
    );
  }
  const end = bytes.length - CRC_BYTES;
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) throw malformed("its CRC differs");
  return bytes.subarray(HEADER_BYTES, end);
}

function unsealed(bytes: Buffer, keyId: string, keys: readonly QueueKey[] = []): Buffer {
  const key = keys.find(({ id }) => id === keyId);
  if (key === undefined) {
    const known = keys.length === 0 ? "none is configured" : `known are ${keys.map(({ id }) => id).join(", ")}`;
    throw new SeclogError(
      "SECLOG_ENVELOPE_KEY",
      `the envelope is sealed with the queue key ${keyId}, ${known}: add that key while its envelopes are on their way`,
    );
  }
  const header = bytes.subarray(0, SEALED_HEADER_BYTES);
  const body = openBytes(key, header.subarray(AT.nonce), header, bytes.subarray(SEALED_HEADER_BYTES));
  if (body === undefined) throw malformed(`its seal with the queue key ${keyId} is broken: it was altered, or cut`);
  return body;
}

/** What gzip packed. A bomb is refused before it takes more than the header says, which is bounded. */
function unpacked(packed: Buffer, bodyBytes: number): Buffer {
  try {
    return gunzipSync(packed, { maxOutputLength: bodyBytes });
  } catch (cause) {
    throw malformed(`its body is not ${bodyBytes} bytes in gzip`, cause);
  }
}

function readRecords(body: Buffer, count: number): Buffer[] {
  const records: Buffer[] = [];
  let at = 0;
  while (records.length < count) {
    const start = at + 4;
    const end = start <= body.length ? start + body.readUInt32BE(at) : start;
    if (end > body.length) throw malformed(`record ${records.length + 1} of ${count} goes beyond its body`);
    records.push(body.subarray(start, end));
    at = end;
  }
  if (at < body.length) throw malformed(`${body.length - at} bytes follow its ${count} records`);
  return records;
}

function malformed(why: string, cause?: unknown): SeclogError {
  return new SeclogError("SECLOG_ENVELOPE", `the envelope cannot be read: ${why}`, { cause });
}
