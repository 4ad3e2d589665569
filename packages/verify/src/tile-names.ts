/** Names the tiles that each part of a verification needs. */

/** Leaves that are read at a time: as many as one full tile of level 1 covers. */
export const WINDOW_LEAVES = 65_536;

/** A tile, by its level and its number in the level. */
export interface TileName {
  readonly level: number;
  readonly tile: number;
}

/** The tiles from level 1 on that a window fills, and where the tree ends also its partial tiles. */
export function upperTiles(window: number, size: number): TileName[] {
  const start = window * WINDOW_LEAVES;
  const end = Math.min(start + WINDOW_LEAVES, size);
  const names: TileName[] = [];
  for (let level = 1; end >= 256 ** level; level++) {
    const hashes = Math.floor(end / 256 ** level);
    const isFilled = hashes % 256 === 0 && hashes > Math.floor(start / 256 ** level);
    if (isFilled) names.push({ level, tile: hashes / 256 - 1 });
    else if (hashes % 256 > 0 && end === size) names.push({ level, tile: Math.floor(hashes / 256) });
  }
  return names;
}

/** The last tiles of a tree of `size` leaves that are not full, from level 0 on. */
export function edgeTiles(size: number): TileName[] {
  const names: TileName[] = [];
  for (let level = 0, hashes = size; hashes > 0; level++, hashes = Math.floor(hashes / 256)) {
    if (hashes % 256 > 0) names.push({ level, tile: Math.floor(hashes / 256) });
  }
  return names;
}

/** The full tiles between a leaf and the last tiles, which are not full, of a tree of `size` leaves. */
export function pathTiles(leaf: number, size: number): TileName[] {
  const names: TileName[] = [];
  for (let level = 0, tile = Math.floor(leaf / 256); tile < Math.floor(size / 256 ** (level + 1)); level++) {
    names.push({ level, tile });
    tile = Math.floor(tile / 256);
  }
  return names;
}
