/**
 * The messages about how far a source is stored: a sender asks, and a worker answers after each commit.
 *
 * An application deletes events from its spool by such an answer, so a stranger must not be able to make one: with a queue
 * key, both carry an HMAC. An old answer is harmless, since a position only grows; a question has a nonce, which its
 * answer repeats, so that the sender knows which of its envelopes came before it. `docs/design/envelope.md` has the bytes.
 */
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";
import { SeclogError } from "../event/errors.ts";
import { uuidText } from "../record/uuid.ts";
import { KEY_ID_BYTES, positionKey, type QueueKey } from "./queue-key.ts";

/** A message about a source's position. */
export interface PositionMessage {
  /** `"asked"` goes through the queue, behind the envelopes; `"stored"` comes back beside it. */
  readonly kind: "asked" | "stored";
  readonly sourceId: string;
  /** The last number that is stored, 0 for none and in a question. */
  readonly seq: number;
  /** Chosen by the sender that asks, from 1 to 2^53 - 1; 0 in an answer to no request. */
  readonly nonce: number;
}

const MAGIC = Buffer.from("SECLOGP", "latin1");
const VERSION = 1;
const KINDS = ["asked", "stored"] as const;
const AT = { version: 7, kind: 8, sourceId: 9, seq: 25, nonce: 33, keyId: 41 } as const;
const HEADER_BYTES: number = AT.keyId + KEY_ID_BYTES;
const MAC_BYTES = 32;
const CRC_BYTES = 4;

/** Whether bytes from an engine are a position message, and not an envelope. Nothing is checked yet. */
export function isPositionMessage(bytes: Uint8Array): boolean {
  return bytes.length > MAGIC.length && MAGIC.equals(bytes.subarray(0, MAGIC.length));
}

/** A message's bytes: 81 with a queue key, of which the first one signs, 53 without. */
export function encodePosition(message: PositionMessage, keys: readonly QueueKey[] = []): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt8(VERSION, AT.version);
  header.writeUInt8(KINDS.indexOf(message.kind) + 1, AT.kind);
  header.write(message.sourceId.replaceAll("-", ""), AT.sourceId, "hex");
  header.writeBigUInt64BE(BigInt(message.seq), AT.seq);
  header.writeBigUInt64BE(BigInt(message.nonce), AT.nonce);
  const key = keys[0];
  if (key === undefined) {
    const crc = Buffer.alloc(CRC_BYTES);
    crc.writeUInt32BE(crc32(header));
    return Buffer.concat([header, crc]);
  }
  header.write(key.id, AT.keyId, "hex");
  return Buffer.concat([header, macOf(key, header)]);
}

/**
 * Reads a message.
 *
 * @param keys the queue keys in use; with any, only signed messages are accepted
 * @throws SeclogError `SECLOG_ENVELOPE`, `SECLOG_ENVELOPE_VERSION` or `SECLOG_ENVELOPE_KEY`, as `decodeEnvelope` does
 */
export function decodePosition(
  bytes: Uint8Array,
  keys: readonly QueueKey[] = [],
): PositionMessage & { keyId?: string } {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isPositionMessage(whole)) throw malformed("it does not begin with SECLOGP");
  const version = whole.readUInt8(AT.version);
  if (version > VERSION) {
    throw new SeclogError(
      "SECLOG_ENVELOPE_VERSION",
      `the position message has version ${version}, this program reads up to ${VERSION}: use a newer seclog`,
    );
  }
  if (whole.length !== HEADER_BYTES + (keys.length > 0 ? MAC_BYTES : CRC_BYTES)) {
    if (keys.length > 0 && whole.length === HEADER_BYTES + CRC_BYTES) throw unknownKey("is not signed");
    if (keys.length === 0 && whole.length === HEADER_BYTES + MAC_BYTES) throw unknownKey("is signed");
    throw malformed(`it has ${whole.length} bytes`);
  }
  const header = whole.subarray(0, HEADER_BYTES);
  const end = whole.subarray(HEADER_BYTES);
  const keyId = header.toString("hex", AT.keyId, HEADER_BYTES);
  if (keys.length === 0) {
    if (end.readUInt32BE(0) !== crc32(header)) throw malformed("its CRC differs");
  } else {
    const key = keys.find(({ id }) => id === keyId);
    if (key === undefined) throw unknownKey(`is signed with the queue key ${keyId}`);
    if (!timingSafeEqual(macOf(key, header), end)) throw malformed("its signature is broken: it was altered");
  }
  const kind = KINDS[header.readUInt8(AT.kind) - 1];
  const [seq, nonce] = [header.readBigUInt64BE(AT.seq), header.readBigUInt64BE(AT.nonce)];
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  if (version !== VERSION || kind === undefined || seq > most || nonce > most)
    throw malformed("a field is out of range");
  return {
    kind,
    sourceId: uuidText(header.subarray(AT.sourceId, AT.seq)),
    seq: Number(seq),
    nonce: Number(nonce),
    ...(keys.length === 0 ? {} : { keyId }),
  };
}

function macOf(key: QueueKey, header: Uint8Array): Buffer {
  return createHmac("sha256", positionKey(key)).update(header).digest();
}

function malformed(why: string): SeclogError {
  return new SeclogError("SECLOG_ENVELOPE", `the position message cannot be read: ${why}`);
}

function unknownKey(how: string): SeclogError {
  return new SeclogError(
    "SECLOG_ENVELOPE_KEY",
    `the position message ${how}, which is not what this side expects: give senders and workers the same queue keys`,
  );
}
