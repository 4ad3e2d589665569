/** Reads the stored tiles and checks them: each hash above level 0 must be the root of the tile below it. */

import { linesOf } from "./copy-rows.ts";
import type { Findings } from "./findings.ts";
import { CompactRange, HASH_BYTES, isHashAt, nodeHash, TILE_WIDTH, tileRoot } from "./hashing.ts";
import { upperTiles, WINDOW_LEAVES } from "./tile-names.ts";

/** The path of a tile (https://c2sp.org/tlog-tiles). */
function tileName(level: number, tile: number): string {
  const digits = String(tile).padStart(Math.ceil(String(tile).length / 3) * 3, "0");
  return `tile/${level}/${digits.replace(/\d{3}(?=\d)/g, "x$&/")}`;
}

/** Tiles by `level/tile`. */
export type Tiles = ReadonlyMap<string, Buffer>;

/** Reads rows of level, tile, hashes. */
export async function readTiles(pieces: AsyncIterable<Buffer>): Promise<Map<string, Buffer>> {
  const tiles = new Map<string, Buffer>();
  for await (const line of linesOf(pieces)) {
    const [level, tile, hashes = ""] = line.split("\t");
    // A bytea is `\x…`, and COPY doubles the backslash.
    tiles.set(`${level}/${tile}`, Buffer.from(hashes.slice(3), "hex"));
  }
  return tiles;
}

/**
 * The hashes of a window's leaves, from its tiles of level 0; zeros where a tile is missing or too short.
 *
 * @param unknown receives the numbers of those tiles
 */
export function windowHashes(
  tiles: Tiles,
  window: number,
  size: number,
  unknown: Set<number>,
  findings: Findings,
): Buffer {
  const start = window * WINDOW_LEAVES;
  const count = Math.min(WINDOW_LEAVES, size - start);
  const hashes = Buffer.alloc(count * HASH_BYTES);
  for (let leaf = 0; leaf < count; leaf += TILE_WIDTH) {
    const tile = (start + leaf) / TILE_WIDTH;
    const width = Math.min(TILE_WIDTH, count - leaf);
    const stored = tiles.get(`0/${tile}`);
    checkWidth(stored, 0, tile, width, findings);
    if (stored === undefined || stored.length < width * HASH_BYTES) unknown.add(tile);
    stored?.copy(hashes, leaf * HASH_BYTES, 0, width * HASH_BYTES);
  }
  return hashes;
}

function checkWidth(stored: Buffer | undefined, level: number, tile: number, width: number, findings: Findings): void {
  const name = tileName(level, tile);
  const at = { leaf: tile * TILE_WIDTH ** (level + 1) };
  if (stored === undefined) findings.add("tree", `${name} was removed`, at);
  else if (stored.length !== width * HASH_BYTES) {
    const has = stored.length / HASH_BYTES;
    findings.add("tree", `${name} was changed: it has ${has} hashes, but the tree needs ${width}`, at);
  }
}

/** The levels above 0, as they grow. */
export class UpperLevels {
  /** Each level's last tile, which is not full: its number and its hashes. */
  readonly #edge: { tile: number; hashes: string[] }[] = [];

  /** Continues after `before` leaves. @param edge their last tiles */
  constructor(before: number, edge: Tiles) {
    for (let level = 1; before >= TILE_WIDTH ** level; level++) {
      const hashes = Math.floor(before / TILE_WIDTH ** level);
      const tile = Math.floor(hashes / TILE_WIDTH);
      this.#edge[level] = { tile, hashes: split(edge.get(`${level}/${tile}`), hashes % TILE_WIDTH) };
    }
  }

  /** Adds the root of the next full tile of level 0, and compares the tiles that it fills with the stored ones. */
  append(root: string, stored: Tiles, findings: Findings): void {
    let hash = root;
    for (let level = 1; ; level++) {
      const edge = this.#edge[level] ?? { tile: 0, hashes: [] };
      this.#edge[level] = edge;
      edge.hashes.push(hash);
      if (edge.hashes.length < TILE_WIDTH) return;
      const { tile, hashes } = edge;
      this.#check(level, stored, findings);
      this.#edge[level] = { tile: tile + 1, hashes: [] };
      hash = tileRoot(Buffer.from(hashes.join(""), "latin1"), 0);
    }
  }

  /** Compares the tree's last tiles, which are not full. */
  end(window: number, size: number, stored: Tiles, findings: Findings): void {
    for (const { level, tile } of upperTiles(window, size)) {
      if (this.#edge[level]?.tile === tile && this.#edge[level].hashes.length > 0) this.#check(level, stored, findings);
    }
  }

  #check(level: number, stored: Tiles, findings: Findings): void {
    const { tile, hashes } = this.#edge[level] as { tile: number; hashes: string[] };
    const found = stored.get(`${level}/${tile}`);
    checkWidth(found, level, tile, hashes.length, findings);
    if (found === undefined) return;
    const wrong = hashes.findIndex(
      (hash, i) => found.toString("latin1", i * HASH_BYTES, (i + 1) * HASH_BYTES) !== hash,
    );
    if (wrong < 0) return;
    const below = tile * TILE_WIDTH + wrong;
    const leaves = TILE_WIDTH ** level;
    findings.add(
      "tree",
      `${tileName(level, tile)} and ${tileName(level - 1, below)} do not match: one of the two was changed; this concerns leaves ${below * leaves} to ${(below + 1) * leaves - 1}`,
      { leaf: below * leaves },
    );
  }
}

/**
 * Whether this hash is a leaf of the tree of `before` leaves.
 *
 * @param tiles the leaf's `pathTiles`, and the tree's last tiles, whose root has been compared
 */
export function isLeafOf(leaf: number, hash: string, before: number, tiles: Tiles): boolean {
  let place = leaf;
  let expected = hash;
  for (let level = 0; ; level++) {
    const hashes = Math.floor(before / TILE_WIDTH ** level);
    const tile = Math.floor(place / TILE_WIDTH);
    const stored = tiles.get(`${level}/${tile}`);
    if (stored === undefined || place >= hashes) return false;
    if (!isHashAt(stored, (place % TILE_WIDTH) * HASH_BYTES, expected)) return false;
    if (tile === Math.floor(hashes / TILE_WIDTH)) return true;
    if (stored.length !== TILE_WIDTH * HASH_BYTES) return false;
    expected = tileRoot(stored, 0);
    place = tile;
  }
}

/** The tree of `before` leaves, from its last tiles. */
export function rangeOf(before: number, edge: Tiles): CompactRange {
  const range = new CompactRange();
  const top = Math.floor(Math.log2(Math.max(1, before)) / 8);
  for (let level = top; level >= 0; level--) {
    const hashes = Math.floor(before / TILE_WIDTH ** level);
    const width = hashes % TILE_WIDTH;
    const stored = split(edge.get(`${level}/${Math.floor(hashes / TILE_WIDTH)}`), width);
    for (let taken = 0; taken < width; ) {
      // The largest full subtree that comes next in the tile.
      let part = TILE_WIDTH / 2;
      while (part > width - taken) part /= 2;
      range.append(fold(stored.slice(taken, taken + part)), part * TILE_WIDTH ** level);
      taken += part;
    }
  }
  return range;
}

function fold(hashes: readonly string[]): string {
  let row = hashes;
  while (row.length > 1) {
    const above: string[] = [];
    for (let i = 0; i < row.length; i += 2) above.push(nodeHash(row[i] as string, row[i + 1] as string));
    row = above;
  }
  return row[0] as string;
}

/** The first `count` hashes of a tile; zeros where they are missing. */
function split(tile: Buffer | undefined, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const hash = tile?.toString("latin1", i * HASH_BYTES, (i + 1) * HASH_BYTES) ?? "";
    return hash.padEnd(HASH_BYTES, "\0");
  });
}
