import { randomFillSync } from "node:crypto";

/** How many ids one call for random bytes supplies. */
const IDS_PER_FILL = 512;

/** Hexadecimal digits of one id that are random, the one with the variant included. */
const DIGITS = 16;

const random = Buffer.allocUnsafeSlow((IDS_PER_FILL * DIGITS) / 2);
let digits = "";
let used = 0;

let cachedMillisecond = -1;
let cachedTime = "";

/**
 * A UUIDv7 (RFC 9562 section 5.7) for a time in microseconds: 48 bits of milliseconds, 12 bits of the fraction of the
 * millisecond (section 6.2, method 3), 62 random bits. Ids of rising times sort in that order.
 */
export function uuidv7(micros: number): string {
  const millisecond = Math.floor(micros / 1_000);
  if (millisecond !== cachedMillisecond) {
    cachedMillisecond = millisecond;
    const time = millisecond.toString(16).padStart(12, "0");
    cachedTime = `${time.slice(0, 8)}-${time.slice(8)}-`;
  }
  if (used === digits.length) {
    digits = randomFillSync(random).toString("hex");
    used = 0;
  }
  const at = used;
  used += DIGITS;
  const fraction = Math.floor(((micros - millisecond * 1_000) * 4_096) / 1_000);
  const variant = "89ab"[digits.charCodeAt(at) & 3];
  return `${cachedTime}${(0x7000 + fraction).toString(16)}-${variant}${digits.slice(at + 1, at + 4)}-${digits.slice(at + 4, at + DIGITS)}`;
}

/** The text of a UUID's 16 bytes. */
export function uuidText(bytes: Buffer): string {
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
