/**
 * A Merkle tree as tiles (https://c2sp.org/tlog-tiles): rows of 256 hashes, all of which except the last of each level
 * never change. Tile `n` of level `l` has the roots of the subtrees of 256^l leaves from leaf `n·256^(l+1)` on; the
 * levels of the tree in between are hashed from those on demand.
 *
 * Sizes and indexes are numbers up to 2^53 - 1.
 */
import { EMPTY_ROOT, HASH_BYTES, nodeHash } from "./hash.ts";

/** Hashes in a full tile. */
export const TILE_WIDTH = 256;

/** A tile's name: its level, its index within the level, and its number of hashes, 1 to 256. */
export interface TileName {
  readonly level: number;
  readonly index: number;
  readonly width: number;
}

/** A tile with its hashes, one after the other. */
export interface Tile extends TileName {
  readonly hashes: Uint8Array;
}

/** The path of a tile below the log's address, such as `tile/0/x001/234` or `tile/1/000.p/17`. */
export function tilePath({ level, index, width }: TileName): string {
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, "0");
  const parts = digits.match(/\d{3}/g) ?? [];
  const last = parts.pop();
  return `tile/${level}/${parts.map((part) => `x${part}/`).join("")}${last}${width === TILE_WIDTH ? "" : `.p/${width}`}`;
}

/**
 * The tile that a path below the log's address names; `undefined` for any path that {@link tilePath} does not return.
 */
export function parseTilePath(path: string): TileName | undefined {
  const found = /^tile\/(\d{1,2})\/((?:x\d{3}\/)*\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  if (found === null) return undefined;
  const [, level, index = "", width] = found;
  const name = {
    level: Number(level),
    index: Number(index.replace(/[x/]/g, "")),
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  // Every tile has one path: no leading zeros, no `.p/256`, no index that a number cannot hold.
  const valid = name.level < 64 && name.width >= 1 && Number.isSafeInteger(name.index);
  return valid && tilePath(name) === path ? name : undefined;
}

/** How many hashes level `level` has in a tree of `size` leaves. */
export function levelWidth(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level);
}

/** The partial tiles of a tree of `size` leaves, lowest level first: all that appending to it needs. */
export function edgeTiles(size: number): TileName[] {
  const edge: TileName[] = [];
  for (let level = 0, hashes = size; hashes > 0; level++, hashes = Math.floor(hashes / TILE_WIDTH)) {
    const width = hashes % TILE_WIDTH;
    if (width > 0) edge.push({ level, index: Math.floor(hashes / TILE_WIDTH), width });
  }
  return edge;
}

/** Appends leaves to a tree, with only its edge in memory: at most 255 hashes a level. */
export class TreeAppender {
  #size: number;
  /** By level: the hashes of its last tile, which is not full. */
  readonly #edge: Uint8Array[][] = [];
  #full: Tile[] = [];
  /** By level: how many hashes its last tile had when it was last taken. */
  #taken: number[];

  /**
   * @param size leaves of the existing tree
   * @param edge its {@link edgeTiles}, in their order
   * @throws RangeError when the tiles are not those of a tree of that size
   */
  constructor(size = 0, edge: readonly Tile[] = []) {
    const wanted = edgeTiles(size);
    const fits = (tile: TileName, index: number): boolean => {
      const found = edge[index];
      return (
        found?.level === tile.level &&
        found.index === tile.index &&
        found.width === tile.width &&
        found.hashes.length === tile.width * HASH_BYTES
      );
    };
    if (edge.length !== wanted.length || !wanted.every(fits)) {
      throw new RangeError(`the tiles are not the edge of a tree of ${size} leaves`);
    }
    this.#size = size;
    for (const { level, hashes } of edge) this.#edge[level] = split(hashes);
    for (let level = 0; level < this.#edge.length; level++) this.#edge[level] ??= [];
    this.#taken = this.#edge.map((hashes) => hashes.length);
  }

  get size(): number {
    return this.#size;
  }

  /** Appends a leaf by its hash. */
  append(leaf: Uint8Array): void {
    let hash = leaf;
    for (let level = 0; ; level++) {
      this.#edge[level] ??= [];
      const hashes = this.#edge[level] as Uint8Array[];
      hashes.push(hash);
      if (hashes.length < TILE_WIDTH) break;
      const index = Math.floor(this.#size / TILE_WIDTH ** (level + 1));
      this.#full.push({ level, index, width: TILE_WIDTH, hashes: Buffer.concat(hashes) });
      hash = fold(hashes);
      this.#edge[level] = [];
      this.#taken[level] = 0;
    }
    this.#size += 1;
  }

  /** The tree's root (RFC 6962, section 2.1). */
  root(): Uint8Array {
    let root: Uint8Array | undefined;
    // From the smallest subtree, on the right, to the largest.
    for (const hashes of this.#edge) {
      for (const subtree of subtrees(hashes)) root = root === undefined ? subtree : nodeHash(subtree, root);
    }
    return root ?? EMPTY_ROOT;
  }

  /** The tiles that are new or longer since the last call, full ones first. */
  take(): Tile[] {
    const tiles = this.#full;
    this.#full = [];
    for (const [level, hashes] of this.#edge.entries()) {
      if (hashes.length === 0 || hashes.length === this.#taken[level]) continue;
      const index = Math.floor(levelWidth(level, this.#size) / TILE_WIDTH);
      tiles.push({ level, index, width: hashes.length, hashes: Buffer.concat(hashes) });
      this.#taken[level] = hashes.length;
    }
    return tiles;
  }
}

/** The roots of the full subtrees over a tile's first hashes, from the right, where the smallest is. */
function subtrees(hashes: readonly Uint8Array[]): Uint8Array[] {
  const roots: Uint8Array[] = [];
  for (let end = hashes.length; end > 0; ) {
    const width = end & -end;
    roots.push(fold(hashes.slice(end - width, end)));
    end -= width;
  }
  return roots;
}

/** The root over hashes whose number is a power of two. */
function fold(hashes: readonly Uint8Array[]): Uint8Array {
  let row = hashes;
  while (row.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i < row.length; i += 2) above.push(nodeHash(row[i] as Uint8Array, row[i + 1] as Uint8Array));
    row = above;
  }
  return row[0] as Uint8Array;
}

function split(hashes: Uint8Array): Uint8Array[] {
  return Array.from({ length: hashes.length / HASH_BYTES }, (_, i) =>
    hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
  );
}

/**
 * Reads tiles: takes names, and returns their hashes in the same order. May return a longer tile than the one named;
 * bytes beyond the width are ignored.
 */
export type TileReader = (tiles: readonly TileName[]) => Promise<readonly Uint8Array[]>;

/** A range of leaves: from `start` to before `end`, as RFC 6962 divides a tree. */
export type LeafRange = readonly [start: number, end: number];

/**
 * The roots over ranges of leaves of a tree of `size` leaves. Reads all needed tiles at once.
 *
 * @throws RangeError when the reader returns too short a tile
 */
export async function rangeRoots(ranges: readonly LeafRange[], size: number, read: TileReader): Promise<Uint8Array[]> {
  const names = new Map<string, TileName>();
  const parts = ranges.map((range) => fullSubtrees(range));
  for (const { height, index } of parts.flat()) {
    const name = tileOf(height, index, size);
    names.set(`${name.level}/${name.index}`, name);
  }
  const wanted = [...names.values()];
  const tiles = new Map<string, Uint8Array>();
  for (const [i, hashes] of (await read(wanted)).entries()) {
    const name = wanted[i] as TileName;
    if (hashes.length < name.width * HASH_BYTES) throw new RangeError(`${tilePath(name)} is too short`);
    tiles.set(`${name.level}/${name.index}`, hashes);
  }
  const rootOf = ({ height, index }: Subtree): Uint8Array => {
    const name = tileOf(height, index, size);
    const width = 2 ** (height % 8);
    const first = (index * width) % TILE_WIDTH;
    const hashes = tiles.get(`${name.level}/${name.index}`) as Uint8Array;
    return fold(split(hashes.subarray(first * HASH_BYTES, (first + width) * HASH_BYTES)));
  };
  return parts.map((subtreesOfRange) => {
    const roots = subtreesOfRange.map(rootOf);
    return roots.length === 0 ? EMPTY_ROOT : roots.reduceRight((right, left) => nodeHash(left, right));
  });
}

/** A full subtree: leaves `index·2^height` to before `(index+1)·2^height`. */
interface Subtree {
  readonly height: number;
  readonly index: number;
}

/** The full subtrees of a range, from left to right, the largest first. */
function fullSubtrees([start, end]: LeafRange): Subtree[] {
  const found: Subtree[] = [];
  for (let at = start; at < end; ) {
    let height = 0;
    while (at % 2 ** (height + 1) === 0 && at + 2 ** (height + 1) <= end) height++;
    found.push({ height, index: at / 2 ** height });
    at += 2 ** height;
  }
  return found;
}

/** The tile from whose hashes a full subtree's root is computed, as wide as in a tree of `size` leaves. */
function tileOf(height: number, index: number, size: number): TileName {
  const level = Math.floor(height / 8);
  const tile = Math.floor((index * 2 ** (height % 8)) / TILE_WIDTH);
  return { level, index: tile, width: Math.min(TILE_WIDTH, levelWidth(level, size) - tile * TILE_WIDTH) };
}
