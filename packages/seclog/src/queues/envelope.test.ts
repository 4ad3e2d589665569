import { createHash, randomBytes } from "node:crypto";
import { crc32, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { isLong } from "#test/support/long.ts";
import { fc } from "#test/support/properties.ts";
import { SeclogError } from "../event/errors.ts";
import { eventBatch } from "../ship/handler.ts";
import { EXAMPLE_SOURCE, exampleBatch } from "../testing/example-events.ts";
import {
  type DecodedEnvelope,
  decodeEnvelope,
  encodeEnvelopes,
  encodeQuarantined,
  MAX_BODY_BYTES,
  MAX_RECORDS,
} from "./envelope.ts";
import { queueKey } from "./queue-key.ts";

const older = queueKey(Buffer.alloc(32, 1));
const newer = queueKey(Buffer.alloc(32, 2));
const MAX_BYTES = 1_000_000;
const HEADER_BYTES = 89;

/** The one envelope of a batch. */
function encoded(batch = exampleBatch(), keys = [newer]): Buffer {
  const envelopes = encodeEnvelopes(batch, { keys, maxBytes: MAX_BYTES });
  expect(envelopes).toHaveLength(1);
  return envelopes[0]!.bytes;
}

function refusal(bytes: Uint8Array, keys = [newer]): SeclogError {
  try {
    decodeEnvelope(bytes, { keys });
  } catch (error) {
    if (error instanceof SeclogError) return error;
    throw error;
  }
  throw new Error("the envelope was read");
}

/** A plain envelope with other bytes at a place, under a CRC that holds. */
function forged(bytes: Buffer, at: number, value: readonly number[]): Buffer {
  const changed = Buffer.from(bytes);
  changed.set(value, at);
  changed.writeUInt32BE(crc32(changed.subarray(0, -4)), changed.length - 4);
  return changed;
}

describe("encodeEnvelopes()", () => {
  it("carries a batch whole: source, epoch, numbers, position and records", () => {
    const batch = exampleBatch({ firstSeq: 7, count: 30, epoch: 3, acknowledged: 6 });
    for (const keys of [[], [newer]]) {
      const decoded = decodeEnvelope(encoded(batch, keys), { keys });
      expect(decoded).toEqual({
        kind: "events",
        source: {
          id: EXAMPLE_SOURCE,
          epoch: 3,
          keyHash: createHash("sha256").update(batch.source.key).digest("hex"),
          acknowledged: 6,
        },
        firstSeq: 7,
        lastSeq: 36,
        queued: false,
        keyId: keys[0]?.id,
        records: batch.records,
      });
    }
  });

  it("never carries the source's key, nor, sealed, anything of an event", () => {
    const batch = exampleBatch();
    const [plain, sealed] = [encoded(batch, []), encoded(batch)];
    expect(plain.includes("/admin/orders")).toBe(true);
    expect(sealed.includes("/admin/orders")).toBe(false);
    for (const bytes of [plain, sealed]) {
      expect(bytes.includes(batch.source.key)).toBe(false);
      expect(bytes.subarray(25).includes(Buffer.from(batch.source.key, "hex"))).toBe(false);
    }
  });

  it("compresses where that pays", () => {
    const batch = exampleBatch({ count: 1_000 });
    const size = batch.records.reduce((sum, { length }) => sum + length, 0);
    expect(encoded(batch).length).toBeLessThan(size / 5);
    expect(encoded().length).toBeGreaterThan(exampleBatch().records[0]!.length);
    const random = encoded(exampleBatch({ records: [randomBytes(5_000)] }));
    expect(random.length).toBe(125 + 4 + 5_000 + 16);
  });

  it("cuts a batch to the engine's limit, in order and without a hole", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3_900 }), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 4_096, max: 20_000 }),
        (sizes, maxBytes) => {
          const batch = exampleBatch({ firstSeq: 5, records: sizes.map((size) => randomBytes(size)) });
          const envelopes = encodeEnvelopes(batch, { keys: [newer], maxBytes });
          let next = 5;
          const records = envelopes.flatMap(({ firstSeq, lastSeq, bytes }) => {
            expect(bytes.length).toBeLessThanOrEqual(maxBytes);
            const decoded = decodeEnvelope(bytes, { keys: [newer] });
            expect(decoded).toMatchObject({ kind: "events", firstSeq, lastSeq });
            expect(firstSeq).toBe(next);
            next = lastSeq + 1;
            return decoded.kind === "events" ? decoded.records : [];
          });
          expect(next).toBe(5 + sizes.length);
          expect(Buffer.concat(records).equals(Buffer.concat(batch.records))).toBe(true);
        },
      ),
    );
  });

  it("cuts what one envelope may not hold, whatever the engine takes", () => {
    const large = exampleBatch({
      records: [Buffer.alloc(MAX_BODY_BYTES / 2, 120), Buffer.alloc(MAX_BODY_BYTES / 2, 120)],
    });
    expect(encodeEnvelopes(large, { maxBytes: 100_000_000 })).toHaveLength(2);
    const many = exampleBatch({ records: new Array<Buffer>(MAX_RECORDS + 1).fill(Buffer.alloc(0)) });
    expect(encodeEnvelopes(many, { maxBytes: 100_000_000 })).toHaveLength(2);
  });

  it("rejects an event that alone is above the limit, so that it is quarantined", () => {
    const batch = exampleBatch({ firstSeq: 4, records: [Buffer.from("{}\n{}"), randomBytes(5_000)] });
    expect(() => encodeEnvelopes(batch, { keys: [newer], maxBytes: 5_000 })).toThrow(
      expect.objectContaining({
        kind: "event",
        code: "SECLOG_EVENT_REJECTED",
        message: `event 5 of source ${EXAMPLE_SOURCE} takes 5145 bytes as a message, the limit is 5000`,
      }),
    );
  });

  it("refuses a limit that no envelope could keep", () => {
    expect(() => encodeEnvelopes(exampleBatch(), { maxBytes: 4_095 })).toThrow(/maxBytes must be .* from 4096/);
  });

  it("takes random bytes anew for each envelope", () => {
    expect(encoded().equals(encoded())).toBe(false);
  });
});

describe("encodeQuarantined()", () => {
  const { source } = exampleBatch();

  it("carries a record in the place of its event", () => {
    const record = Buffer.from([0, 255, 123]);
    const { bytes, ...numbers } = encodeQuarantined(
      { source, seq: 9, reason: "a zero byte \0 in it", record },
      { keys: [newer], maxBytes: MAX_BYTES },
    );
    expect(numbers).toEqual({ firstSeq: 9, lastSeq: 9 });
    expect(decodeEnvelope(bytes, { keys: [newer] })).toMatchObject({
      kind: "quarantined",
      firstSeq: 9,
      lastSeq: 9,
      reason: "a zero byte \\u0000 in it",
      record,
    });
  });

  it("cuts what does not fit, and says so in the reason", () => {
    const record = randomBytes(20_000);
    const { bytes } = encodeQuarantined(
      { source, seq: 9, reason: "é".repeat(1_000), record },
      { keys: [newer], maxBytes: 10_000 },
    );
    expect(bytes.length).toBeLessThanOrEqual(10_000);
    const decoded = decodeEnvelope(bytes, { keys: [newer] });
    if (decoded.kind !== "quarantined") throw new Error(decoded.kind);
    expect(decoded.reason).toHaveLength(1_000);
    expect(decoded.reason).toMatch(/é \[cut: the first 6858 of 20000 bytes\]$/);
    expect(decoded.record.equals(record.subarray(0, 6_858))).toBe(true);
  });
});

describe("queueKey()", () => {
  it("refuses a secret that is not 32 bytes, without showing it", () => {
    expect(() => queueKey(Buffer.from("hunter2"))).toThrow(/32 random bytes, not 7/);
  });

  it("names a key by what it is, and prints without its secret", () => {
    expect(queueKey(Buffer.alloc(32, 1)).id).toBe(older.id);
    expect(newer.id).not.toBe(older.id);
    expect(JSON.stringify(newer)).toBe(`{"id":"${newer.id}","secret":{}}`);
  });
});

describe("decodeEnvelope()", () => {
  it("accepts old and new keys while keys are rotated", () => {
    const [before, after] = [encoded(exampleBatch(), [older]), encoded(exampleBatch(), [newer, older])];
    for (const keys of [
      [newer, older],
      [older, newer],
    ]) {
      expect(decodeEnvelope(before, { keys }).keyId).toBe(older.id);
      expect(decodeEnvelope(after, { keys }).keyId).toBe(newer.id);
    }
    expect(refusal(before)).toMatchObject({
      code: "SECLOG_ENVELOPE_KEY",
      message: expect.stringContaining(`queue key ${older.id}, known are ${newer.id}`),
    });
    expect(refusal(before, []).message).toContain("none is configured");
  });

  it("refuses a plain envelope where there is a key: it proves nothing", () => {
    const plain = encoded(exampleBatch(), []);
    expect(decodeEnvelope(plain).keyId).toBeUndefined();
    expect(refusal(plain).code).toBe("SECLOG_ENVELOPE_KEY");
  });

  it("reads bytes that begin anywhere in their buffer", () => {
    const bytes = encoded();
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeEnvelope(shifted.subarray(3), { keys: [newer] }).firstSeq).toBe(1);
  });

  it("refuses a changed bit in every byte, and every cut", () => {
    for (const keys of [[], [newer]]) {
      const bytes = encoded(exampleBatch({ count: 2 }), keys);
      for (let bit = 0; bit < bytes.length * 8; bit += isLong ? 1 : 9) {
        const changed = Buffer.from(bytes);
        changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        expect(refusal(changed, keys).code).toMatch(/^SECLOG_ENVELOPE/);
      }
      for (let length = 0; length < bytes.length; length++) {
        expect(refusal(bytes.subarray(0, length), keys).code).toBe("SECLOG_ENVELOPE");
      }
      expect(refusal(Buffer.concat([bytes, Buffer.alloc(1)]), keys).code).toBe("SECLOG_ENVELOPE");
    }
  });

  it("refuses what was spliced out of sealed envelopes", () => {
    const parts = [1, 40].flatMap((count) => [
      encoded(exampleBatch({ count })),
      encoded(exampleBatch({ count, firstSeq: 2 })),
    ]);
    const part = fc.constantFrom(...parts);
    fc.assert(
      fc.property(part, part, fc.nat(2_000), fc.nat(2_000), (left, right, end, start) => {
        const spliced = Buffer.concat([left.subarray(0, end), right.subarray(start)]);
        if (parts.some((whole) => whole.equals(spliced))) return;
        expect(refusal(spliced).code).toMatch(/^SECLOG_ENVELOPE/);
      }),
      { numRuns: isLong ? 20_000 : 500 },
    );
  });

  it("reads or refuses a forged plain envelope, and takes nothing on trust", () => {
    const templates = [
      encoded(exampleBatch(), []),
      encoded(exampleBatch({ count: 20 }), []),
      encodeQuarantined({ ...exampleBatch(), seq: 3, reason: "r", record: Buffer.alloc(9) }, { maxBytes: MAX_BYTES })
        .bytes,
    ];
    const change = fc.record({ at: fc.nat(300), value: fc.uint8Array({ minLength: 1, maxLength: 8 }) });
    fc.assert(
      fc.property(
        fc.constantFrom(...templates),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        (template, changes) => {
          let bytes = template;
          for (const { at, value } of changes) bytes = forged(bytes, Math.min(at, bytes.length - 12), [...value]);
          const decoded = readOrRefused(bytes);
          if (decoded === undefined) return;
          expect(decoded.firstSeq).toBeGreaterThanOrEqual(1);
          expect(decoded.source.id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
          const records = decoded.kind === "events" ? decoded.records : [decoded.record];
          expect(records).toHaveLength(decoded.lastSeq - decoded.firstSeq + 1);
          expect(records.length).toBeLessThanOrEqual(MAX_RECORDS);
        },
      ),
      { numRuns: isLong ? 50_000 : 2_000 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => readOrRefused(noise) === undefined));
  });

  it("refuses a bomb before it goes off", () => {
    const template = encoded(exampleBatch(), []);
    // 1 GiB of zeros in members of 1 MiB, so that making it takes no memory itself.
    const bomb = Buffer.concat(new Array<Buffer>(1_024).fill(gzipSync(Buffer.alloc(1024 * 1024))));
    const bytes = Buffer.concat([template.subarray(0, HEADER_BYTES), bomb, Buffer.alloc(4)]);
    const before = process.resourceUsage().maxRSS;
    for (const claimed of [
      [0, 0, 3, 0],
      [0, 128, 0, 0],
      [16, 0, 0, 0],
      [255, 255, 255, 255],
    ]) {
      const error = refusal(forged(forged(bytes, 8, [1]), 85, claimed), []);
      expect(error.code).toBe("SECLOG_ENVELOPE");
    }
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(64 * 1024);
  });

  it("refuses what is longer than any envelope before it reads on", () => {
    const padded = forged(Buffer.concat([encoded(exampleBatch(), []), Buffer.alloc(MAX_BODY_BYTES)]), 0, []);
    expect(refusal(padded, []).message).toContain("more than any envelope");
  });

  it("allocates nothing for events that are only claimed", () => {
    const template = encoded(exampleBatch(), []);
    expect(refusal(forged(template, 41, [0, 1, 0x86, 0xa0]), []).message).toMatch(/record 2 of 100000 goes beyond/);
    expect(refusal(forged(template, 37, [0, 31, 255, 255, 255, 255, 255, 255]), []).message).toMatch(/at most 100000/);
  });

  it("leaves what a record says to those who store it", () => {
    const batch = eventBatch(exampleBatch().source, 1, [Buffer.from("no event"), Buffer.alloc(0)]);
    expect(decodeEnvelope(encoded(batch), { keys: [newer] })).toMatchObject({ records: batch.records });
  });
});

function readOrRefused(bytes: Uint8Array): DecodedEnvelope | undefined {
  try {
    return decodeEnvelope(bytes);
  } catch (error) {
    if (!(error instanceof SeclogError)) throw error;
    expect(error.code).toMatch(/^SECLOG_ENVELOPE/);
    return undefined;
  }
}
