/**
 * Proofs over a Merkle tree: made from tiles (RFC 6962, section 2.1), checked without them (RFC 9162, sections 2.1.3.2
 * and 2.1.4.2).
 */
import { isUint8Array } from "node:util/types";
import { EMPTY_ROOT, HASH_BYTES, nodeHash, sameHash } from "./hash.ts";
import { type LeafRange, rangeRoots, type TileReader } from "./tiles.ts";

/** A proof's hashes, in the order of hashing: from the leaf's sibling upwards. */
export type Proof = readonly Uint8Array[];

/** The root of the first `size` leaves. */
export async function treeRoot(size: number, read: TileReader): Promise<Uint8Array> {
  if (size === 0) return EMPTY_ROOT;
  return (await rangeRoots([[0, size]], size, read))[0] as Uint8Array;
}

/**
 * Proves that leaf `index` is in the tree of `size` leaves.
 *
 * @throws RangeError unless 0 ≤ index < size
 */
export function inclusionProof(index: number, size: number, read: TileReader): Promise<Proof> {
  if (!isCount(index) || !isCount(size) || index >= size) {
    throw new RangeError(`a tree of ${size} leaves has no leaf ${index}`);
  }
  const siblings: LeafRange[] = [];
  for (let start = 0, end = size; end - start > 1; ) {
    const middle = start + largestPowerBelow(end - start);
    if (index < middle) {
      siblings.unshift([middle, end]);
      end = middle;
    } else {
      siblings.unshift([start, middle]);
      start = middle;
    }
  }
  return rangeRoots(siblings, size, read);
}

/**
 * Proves that the tree of `size` leaves begins with the tree of `old` leaves.
 *
 * @throws RangeError unless 0 ≤ old ≤ size
 */
export async function consistencyProof(old: number, size: number, read: TileReader): Promise<Proof> {
  if (!isCount(old) || !isCount(size) || old > size) {
    throw new RangeError(`a tree of ${size} leaves does not begin with one of ${old}`);
  }
  if (old === 0 || old === size) return [];
  const ranges: LeafRange[] = [];
  let [start, end] = [0, size];
  while (old !== end) {
    const middle = start + largestPowerBelow(end - start);
    if (old <= middle) {
      ranges.unshift([middle, end]);
      end = middle;
    } else {
      ranges.unshift([start, middle]);
      start = middle;
    }
  }
  // Where the old tree is the whole left part, the verifier already has its root.
  if (start > 0) ranges.unshift([start, end]);
  return await rangeRoots(ranges, size, read);
}

/** Whether `proof` shows that the leaf with this hash is at `index` in the tree of `size` leaves with this root. */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: Proof,
  root: Uint8Array,
): boolean {
  if (!isCount(index) || !isCount(size) || index >= size || !areHashes([leaf, root, ...proof])) return false;
  let hash = leaf;
  let node = index;
  let last = size - 1;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && sameHash(hash, root);
}

/** Whether `proof` shows that the tree of `size` leaves with `root` begins with that of `old` leaves with `oldRoot`. */
export function verifyConsistency(
  old: number,
  oldRoot: Uint8Array,
  size: number,
  root: Uint8Array,
  proof: Proof,
): boolean {
  if (!isCount(old) || !isCount(size) || old > size || !areHashes([oldRoot, root, ...proof])) return false;
  if (old === size) return proof.length === 0 && sameHash(oldRoot, root);
  // Every tree begins with the empty one, whose root is known.
  if (old === 0) return proof.length === 0 && sameHash(oldRoot, EMPTY_ROOT);
  const path = isPowerOfTwo(old) ? [oldRoot, ...proof] : proof;
  let node = old - 1;
  let last = size - 1;
  while (node % 2 === 1) {
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  const [first, ...rest] = path;
  if (first === undefined) return false;
  let before = first;
  let after = first;
  for (const hash of rest) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      before = nodeHash(hash, before);
      after = nodeHash(hash, after);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      after = nodeHash(after, hash);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && sameHash(before, oldRoot) && sameHash(after, root);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function areHashes(values: readonly Uint8Array[]): boolean {
  return values.every((value) => isUint8Array(value) && value.length === HASH_BYTES);
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value)) && 2 ** Math.log2(value) === value;
}

/** The largest power of two below `value`, which is at least 2. */
function largestPowerBelow(value: number): number {
  let power = 1;
  while (power * 2 < value) power *= 2;
  return power;
}
