/** The hashes of a Merkle tree (RFC 6962): of the empty tree, of leaves and of nodes. */
import { hash } from "node:crypto";

/** Bytes of a hash. */
export const HASH_BYTES = 32;

/** The root of the tree without leaves: SHA-256 of nothing. */
export const EMPTY_ROOT: Uint8Array = hash("sha256", "", "buffer");

/** The hash of an entry as a leaf: SHA-256(0x00 ‖ entry) (RFC 6962, section 2.1). A string is taken as UTF-8. */
export function leafHash(entry: Uint8Array | string): Uint8Array {
  if (typeof entry === "string") return hash("sha256", `\0${entry}`, "buffer");
  const input = Buffer.allocUnsafe(1 + entry.length);
  input[0] = 0;
  input.set(entry, 1);
  return hash("sha256", input, "buffer");
}

/** The input of a node's hash, refilled each time. */
const pair: Buffer = Buffer.alloc(1 + 2 * HASH_BYTES, 1);

/** The hash over two subtrees: SHA-256(0x01 ‖ left ‖ right) (RFC 6962, section 2.1). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  pair.set(left, 1);
  pair.set(right, 1 + HASH_BYTES);
  return hash("sha256", pair, "buffer");
}

/** Whether two hashes are equal. They are public, so the time that the comparison takes may depend on them. */
export function sameHash(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
