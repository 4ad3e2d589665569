/**
 * RFC 6962 hashing for the verifier, written independently of `seclog/merkle`, so that a mistake of the write path is
 * not repeated here.
 *
 * Hashes are strings of 32 Latin-1 characters, one for each byte: `crypto.hash` returns those faster than Buffers, and
 * they compare with `===`.
 */
import * as crypto from "node:crypto";

/** Bytes of a hash. */
export const HASH_BYTES = 32;
/** Hashes in a full tile (https://c2sp.org/tlog-tiles). */
export const TILE_WIDTH = 256;

/** SHA-256 as 32 Latin-1 characters. */
export function sha256(input: Uint8Array | string): string {
  return crypto.hash("sha256", input, "binary");
}

/** The root of the tree without leaves. */
export const EMPTY_ROOT: string = sha256("");

/** Bytes of a node's input: 0x01 ‖ left ‖ right. */
const NODE_BYTES = 1 + 2 * HASH_BYTES;
const node = Buffer.alloc(NODE_BYTES, 1);

/** Writes a hash as bytes. A loop, because calling a Buffer method costs more than writing 32 bytes. */
function put(hash: string, bytes: Buffer, start: number): void {
  for (let i = 0; i < HASH_BYTES; i++) bytes[start + i] = hash.charCodeAt(i);
}

/** Whether the 32 bytes at `start` are this hash. */
export function isHashAt(bytes: Buffer, start: number, hash: string): boolean {
  for (let i = 0; i < HASH_BYTES; i++) if (bytes[start + i] !== hash.charCodeAt(i)) return false;
  return true;
}

/** The hash over two subtrees: SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: string, right: string): string {
  put(left, node, 1);
  put(right, node, 1 + HASH_BYTES);
  return sha256(node);
}

/** The hash of a leaf: SHA-256(0x00 ‖ entry). */
export function leafHash(entry: Uint8Array | string): string {
  const text = typeof entry === "string" ? Buffer.from(entry) : entry;
  return sha256(Buffer.concat([Uint8Array.of(0), text]));
}

/** The inputs of a row of nodes, reused and hashed in place. */
const inputs = Array.from({ length: TILE_WIDTH / 2 }, () => Buffer.alloc(NODE_BYTES, 1));

/** The root over the 256 hashes in `hashes` from `start` on. */
export function tileRoot(hashes: Buffer, start: number): string {
  for (let i = 0, at = start; i < TILE_WIDTH / 2; i++) {
    const input = inputs[i] as Buffer;
    for (let n = 1; n < NODE_BYTES; n++) input[n] = hashes[at++] as number;
  }
  for (let width = TILE_WIDTH / 2; width > 1; width /= 2) {
    // Node i overwrites half of input i/2, which this loop has already hashed.
    for (let i = 0; i < width; i++) {
      put(sha256(inputs[i] as Buffer), inputs[i >> 1] as Buffer, 1 + (i & 1) * HASH_BYTES);
    }
  }
  return sha256(inputs[0] as Buffer);
}

/**
 * A tree that grows at its end. It keeps only the roots of its full subtrees: one for each set bit of its size, the
 * largest first.
 */
export class CompactRange {
  size = 0;
  /** The root of the last tile of level 0 that was filled leaf by leaf. */
  lastTile = "";
  #roots: string[] = [];

  clone(): CompactRange {
    const copy = new CompactRange();
    copy.size = this.size;
    copy.#roots = [...this.#roots];
    return copy;
  }

  /** Appends the root of a full subtree of `width` leaves, a power of two that divides the size. */
  append(hash: string, width = 1): void {
    let merged = hash;
    // Each set bit of the size from `width` on is a subtree as large as `merged` has grown, and merges with it.
    for (let place = width; Math.floor(this.size / place) % 2 === 1; place *= 2) {
      merged = nodeHash(this.#roots.pop() as string, merged);
      if (place === TILE_WIDTH / 2) this.lastTile = merged;
    }
    this.#roots.push(merged);
    this.size += width;
  }

  root(): string {
    const { length } = this.#roots;
    if (length === 0) return EMPTY_ROOT;
    let root = this.#roots[length - 1] as string;
    for (let i = length - 2; i >= 0; i--) root = nodeHash(this.#roots[i] as string, root);
    return root;
  }
}

/** Whether all of `path` leads from the leaf at `index` to the root of a tree of `size` leaves (RFC 9162, 2.1.3.2). */
export function pathLeads(leaf: string, index: number, size: number, path: readonly string[], root: string): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false;
  let hash = leaf;
  let place = BigInt(index);
  let last = BigInt(size) - 1n;
  for (const sibling of path) {
    // An extra node proves nothing and must not pass as part of the proof.
    if (last === 0n) return false;
    if ((place & 1n) === 1n || place === last) {
      hash = nodeHash(sibling, hash);
      while ((place & 1n) === 0n && place !== 0n) {
        place >>= 1n;
        last >>= 1n;
      }
    } else hash = nodeHash(hash, sibling);
    place >>= 1n;
    last >>= 1n;
  }
  return last === 0n && hash === root;
}

/** A hash of 32 Latin-1 characters in hexadecimal. */
export function hex(hash: string): string {
  return Buffer.from(hash, "latin1").toString("hex");
}
