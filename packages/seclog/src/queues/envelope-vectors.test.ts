import { createHmac, hkdfSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { eventBatch } from "../ship/handler.ts";
import { decodeEnvelope, encodeEnvelopes, encodeQuarantined } from "./envelope.ts";
import { decodePosition, encodePosition } from "./position.ts";
import { queueKey } from "./queue-key.ts";

interface Vector {
  readonly name: string;
  readonly queued: boolean;
  readonly sourceId: string;
  readonly epoch: number;
  readonly sourceKey: string;
  readonly keyHash: string;
  readonly acknowledged: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly gzip: boolean;
  readonly keyId: string | null;
  readonly nonce: string | null;
  readonly derivedKey: string | null;
  readonly records?: readonly string[];
  readonly reason?: string;
  readonly record?: string;
  readonly bytes: string;
}

interface Vectors {
  readonly keys: readonly { readonly id: string; readonly secret: string }[];
  readonly envelopes: readonly Vector[];
  readonly positions: readonly {
    readonly name: string;
    readonly keyId: string | null;
    readonly kind: "asked" | "stored";
    readonly sourceId: string;
    readonly seq: number;
    readonly nonce: number;
    readonly bytes: string;
  }[];
  readonly refused: readonly {
    readonly name: string;
    readonly code: string;
    readonly keyIds: readonly string[];
    readonly bytes: string;
  }[];
}

const vectors = JSON.parse(readFileSync(new URL("envelope-vectors.json", import.meta.url), "utf8")) as Vectors;
const keys = vectors.keys.map(({ secret }) => queueKey(hex(secret)));
const keysOf = (...ids: readonly (string | null)[]) => keys.filter(({ id }) => ids.includes(id));
const secretsOf = (...ids: readonly (string | null)[]) =>
  new Map(vectors.keys.filter(({ id }) => ids.includes(id)).map(({ id, secret }) => [id, hex(secret)]));

function hex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

describe("envelope-vectors.json", () => {
  it("has keys whose ids follow from their secrets", () => {
    expect(keys.map(({ id }) => id)).toEqual(vectors.keys.map(({ id }) => id));
  });

  it.each(vectors.envelopes)("$name: is read by decodeEnvelope()", (vector) => {
    const decoded = decodeEnvelope(hex(vector.bytes), { keys: keysOf(vector.keyId) });
    const { sourceId: id, epoch, keyHash, acknowledged, firstSeq, lastSeq, queued, keyId } = vector;
    expect(decoded).toMatchObject({
      source: { id, epoch, keyHash, acknowledged },
      firstSeq,
      lastSeq,
      queued,
      keyId: keyId ?? undefined,
    });
    if (decoded.kind === "events") expect(decoded.records.map(String)).toEqual(vector.records);
    else expect([decoded.reason, decoded.record.toString("hex")]).toEqual([vector.reason, vector.record]);
  });

  it.each(vectors.envelopes.filter(({ gzip }) => !gzip))("$name: is what Seclog writes, byte for byte", (vector) => {
    const { sourceId: id, epoch, sourceKey: key, acknowledged, firstSeq, nonce, records, queued, reason = "" } = vector;
    const source = { id, epoch, key, acknowledged };
    const options = { keys: keysOf(vector.keyId), maxBytes: 1_000_000, queued, random: () => hex(nonce ?? "") };
    const envelope =
      records === undefined
        ? encodeQuarantined({ source, seq: firstSeq, reason, record: hex(vector.record ?? "") }, options)
        : encodeEnvelopes(
            eventBatch(
              source,
              firstSeq,
              records.map((record) => Buffer.from(record)),
            ),
            options,
          )[0];
    expect(envelope?.bytes.toString("hex")).toBe(vector.bytes);
  });

  it.each(vectors.envelopes)("$name: is read by an implementation of the document alone", async (vector) => {
    const { sourceId, epoch, keyHash, acknowledged, firstSeq, lastSeq, queued, gzip, records, reason } = vector;
    expect(await readByTheBook(hex(vector.bytes), secretsOf(vector.keyId))).toEqual({
      ...{ sourceId, epoch, keyHash, acknowledged, firstSeq, lastSeq, queued, gzip },
      ...{ keyId: vector.keyId, nonce: vector.nonce, derivedKey: vector.derivedKey },
      ...(records === undefined ? { reason, record: vector.record } : { records }),
    });
  });

  it.each(vectors.positions)("$name: is what Seclog writes and reads, and no bit of it can change", (vector) => {
    const { keyId, kind, sourceId, seq, nonce, bytes } = vector;
    const message = { kind, sourceId, seq, nonce };
    expect(encodePosition(message, keysOf(keyId)).toString("hex")).toBe(bytes);
    expect(decodePosition(hex(bytes), keysOf(keyId))).toMatchObject(message);
    expect(positionByTheBook(hex(bytes), vectors.keys.find(({ id }) => id === keyId)?.secret)).toEqual(message);
    for (let bit = 0; bit < hex(bytes).length * 8; bit++) {
      const changed = hex(bytes);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decodePosition(changed, keysOf(keyId))).toThrow(/position message/);
    }
  });

  it.each(vectors.refused)("$name: is refused with $code", async ({ bytes, code, keyIds }) => {
    expect(() => decodeEnvelope(hex(bytes), { keys: keysOf(...keyIds) })).toThrow(expect.objectContaining({ code }));
    await expect(readByTheBook(hex(bytes), secretsOf(...keyIds))).rejects.toThrow();
  });
});

/**
 * A reader written from `docs/design/envelope.md` and web standards: WebCrypto, `DecompressionStream`, `DataView`. It
 * shares no code with `decodeEnvelope`.
 */
async function readByTheBook(bytes: Uint8Array<ArrayBuffer>, known: ReadonlyMap<string, Uint8Array<ArrayBuffer>>) {
  const check = (holds: boolean, otherwise: string): void => {
    if (!holds) throw new Error(otherwise);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (part: Uint8Array): string => new TextDecoder("utf-8", { fatal: true }).decode(part);
  const digits = (from: number, to: number): string =>
    Array.from(bytes.subarray(from, to), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const large = (at: number): number => {
    check(view.getBigUint64(at) < 1n << 53n, "too large a number");
    return Number(view.getBigUint64(at));
  };

  check(bytes.length >= 93 && text(bytes.subarray(0, 7)) === "SECLOGE", "not an envelope");
  check(view.getUint8(7) === 1, "another version");
  const flags = view.getUint8(8);
  check(flags < 16, "an unknown flag");
  const [gzip, sealed, quarantined, queued] = [1, 2, 4, 8].map((flag) => (flags & flag) !== 0);
  const source = digits(9, 25)
    .match(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/)
    ?.slice(1)
    .join("-");
  const [epoch, firstSeq, lastSeq, acknowledged] = [view.getUint32(25), large(29), large(37), large(45)];
  check(epoch >= 1 && epoch < 2 ** 31, "an epoch out of range");
  const count = lastSeq - firstSeq + 1;
  check(firstSeq >= 1 && count >= 1 && count <= (quarantined ? 1 : 100_000), "numbers out of range");
  const size = view.getUint32(85);
  check(size >= 1 && size <= 8_388_608, "a body out of range");

  let packed: Uint8Array<ArrayBuffer>;
  let seal: { keyId: string | null; nonce: string | null; derivedKey: string | null };
  if (sealed) {
    const keyId = digits(89, 97);
    const secret = known.get(keyId);
    if (secret === undefined) throw new Error("an unknown key");
    const { subtle } = globalThis.crypto;
    const material = await subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);
    const derived = await subtle.deriveKey(
      {
        name: "HKDF",
        hash: "SHA-256",
        salt: bytes.slice(97, 113),
        info: new TextEncoder().encode("seclog envelope 1"),
      },
      material,
      { name: "AES-GCM", length: 256 },
      true,
      ["decrypt"],
    );
    const gcm = { name: "AES-GCM", iv: bytes.slice(113, 125), additionalData: bytes.slice(0, 125), tagLength: 128 };
    packed = new Uint8Array(await subtle.decrypt(gcm, derived, bytes.slice(125)));
    const derivedKey = Buffer.from(await subtle.exportKey("raw", derived)).toString("hex");
    seal = { keyId, nonce: digits(97, 125), derivedKey };
  } else {
    check(known.size === 0, "not sealed");
    packed = bytes.slice(89, -4);
    check(view.getUint32(bytes.length - 4) === slowCrc32(bytes.subarray(0, -4)), "another CRC");
    seal = { keyId: null, nonce: null, derivedKey: null };
  }

  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const body = gzip ? new Uint8Array(await new Response(unpacked).arrayBuffer()) : packed;
  check(body.length === size, "a body of another size");
  const head = {
    sourceId: source,
    epoch,
    keyHash: digits(53, 85),
    acknowledged,
    firstSeq,
    lastSeq,
    queued,
    gzip,
    ...seal,
  };
  if (quarantined) {
    const end = body.indexOf(0);
    check(end >= 0, "a reason without an end");
    return {
      ...head,
      reason: text(body.subarray(0, end)),
      record: Buffer.from(body.subarray(end + 1)).toString("hex"),
    };
  }
  const lengths = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const records: string[] = [];
  let at = 0;
  for (let n = 0; n < count; n++) {
    const length = lengths.getUint32(at);
    check(at + 4 + length <= body.length, "a record beyond the body");
    records.push(text(body.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  check(at === body.length, "more than the records");
  return { ...head, records };
}

/** A reader of position messages, from the same page. */
function positionByTheBook(bytes: Uint8Array<ArrayBuffer>, secret: string | undefined) {
  const data = Buffer.from(bytes);
  const [header, end] = [data.subarray(0, 49), data.subarray(49)];
  if (secret === undefined) expect(end.readUInt32BE()).toBe(slowCrc32(header));
  else {
    const key = Buffer.from(hkdfSync("sha256", hex(secret), new Uint8Array(), "seclog position 1", 32));
    expect(end.equals(createHmac("sha256", key).update(header).digest())).toBe(true);
  }
  return {
    kind: data.readUInt8(8) === 1 ? "asked" : "stored",
    sourceId: data.toString("hex", 9, 25).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"),
    seq: Number(data.readBigUInt64BE(25)),
    nonce: Number(data.readBigUInt64BE(33)),
  };
}

/** ISO 3309, bit by bit. */
function slowCrc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
