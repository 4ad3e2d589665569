import { randomFillSync } from "node:crypto";

/** Random bytes are taken from the system for so many ids at once. */
const IDS_PER_FILL = 512;
const RANDOM_BYTES = 8;

const pool = Buffer.allocUnsafeSlow(IDS_PER_FILL * RANDOM_BYTES);
let used = pool.length;

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/**
 * A UUIDv7 (RFC 9562 section 5.7) for a time in microseconds: 48 bits of milliseconds, 12 bits of the fraction of the
 * millisecond (section 6.2, method 3), 62 random bits. Ids of rising times sort in that order.
 */
export function uuidv7(micros: number): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const milliseconds = Math.floor(micros / 1_000);
  const fraction = Math.floor(((micros - milliseconds * 1_000) * 4_096) / 1_000);
  const time = milliseconds.toString(16).padStart(12, "0");
  const at = used;
  used += RANDOM_BYTES;
  const hex = (offset: number): string => HEX[pool[at + offset] as number] as string;
  const variant = HEX[((pool[at] as number) & 0x3f) | 0x80] as string;
  return `${time.slice(0, 8)}-${time.slice(8)}-7${(0x1000 + fraction).toString(16).slice(1)}-${variant}${hex(1)}-${hex(2)}${hex(3)}${hex(4)}${hex(5)}${hex(6)}${hex(7)}`;
}
