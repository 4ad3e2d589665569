/** The leaves of one window: as the tiles have them, and what the rows that were read make of them. */
import type { Difference } from "./differences.ts";
import { HASH_BYTES, leafHash } from "./hashing.ts";
import type { WindowLeaves } from "./leaf-ranges.ts";

/** So many differences are kept with what is known of them; the others are counted. */
const MOST_DIFFERENCES = 5_000;

/** What made a leaf. */
export const NOTHING = 0;
export const EVENT = 1;
export const QUARANTINED = 2;

export class Window {
  /** By leaf: what the row that stands there makes, where that is not what the tile has. */
  readonly rowHashes: Map<number, string> = new Map();
  readonly differences: Difference[] = [];
  /** Differences that were not kept. */
  uncounted = 0;
  /** The window's first leaf, and the first that is looked at. */
  readonly start: number;
  readonly from: number;
  /** The leaves' hashes as the tiles have them. */
  readonly hashes: Buffer;
  readonly leaves: WindowLeaves;
  /** By offset of the leaf in the window: what made it. */
  readonly made: Uint8Array;

  constructor(start: number, from: number, hashes: Buffer, leaves: WindowLeaves) {
    this.start = start;
    this.from = from;
    this.hashes = hashes;
    this.leaves = leaves;
    this.made = new Uint8Array(hashes.length / HASH_BYTES);
  }

  /** The hash that the tile has, by the leaf's offset in the window. */
  sealed(offset: number): string {
    return this.hashes.toString("latin1", offset * HASH_BYTES, (offset + 1) * HASH_BYTES);
  }

  /** Whether the number had no event when it was sealed: its leaf says so. */
  isHole(leaf: number, source: string, seq: number): boolean {
    return this.sealed(leaf - this.start) === leafHash(`{"missing":true,"seq":${seq},"source_id":"${source}"}`);
  }

  differ(difference: Difference): void {
    if (difference.found !== undefined) this.rowHashes.set(difference.leaf, difference.found.hash);
    if (this.differences.length < MOST_DIFFERENCES) this.differences.push(difference);
    else this.uncounted++;
  }
}
