/** The leaves of one window: their hashes in the tiles, and what the rows make of them. */
import type { Difference } from "./differences.ts";
import { HASH_BYTES, leafHash } from "./hashing.ts";
import type { WindowLeaves } from "./leaf-ranges.ts";

/** Differences that are kept; the rest are only counted. */
const MOST_DIFFERENCES = 5_000;

/** What makes a leaf. */
export const NOTHING = 0;
export const EVENT = 1;
export const QUARANTINED = 2;

/** One window while its rows are being read. */
export class Window {
  /** The hashes of rows that do not match their tile, by leaf. */
  readonly rowHashes: Map<number, string> = new Map();
  readonly differences: Difference[] = [];
  /** Differences beyond the limit. */
  uncounted = 0;
  /** The window's first leaf, and the first to verify. */
  readonly start: number;
  readonly from: number;
  /** The leaves' hashes in the tiles. */
  readonly hashes: Buffer;
  readonly leaves: WindowLeaves;
  /** What makes each leaf, by its offset in the window. */
  readonly made: Uint8Array;

  constructor(start: number, from: number, hashes: Buffer, leaves: WindowLeaves) {
    this.start = start;
    this.from = from;
    this.hashes = hashes;
    this.leaves = leaves;
    this.made = new Uint8Array(hashes.length / HASH_BYTES);
  }

  /** The hash in the tile, by the leaf's offset in the window. */
  sealed(offset: number): string {
    return this.hashes.toString("latin1", offset * HASH_BYTES, (offset + 1) * HASH_BYTES);
  }

  /** Whether the leaf was sealed as a number without an event. */
  isHole(leaf: number, source: string, seq: number): boolean {
    return this.sealed(leaf - this.start) === leafHash(`{"missing":true,"seq":${seq},"source_id":"${source}"}`);
  }

  differ(difference: Difference): void {
    if (difference.found !== undefined) this.rowHashes.set(difference.leaf, difference.found.hash);
    if (this.differences.length < MOST_DIFFERENCES) this.differences.push(difference);
    else this.uncounted++;
  }
}
