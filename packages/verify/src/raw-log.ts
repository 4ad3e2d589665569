/**
 * The queries of a verification, each answered in the text format of COPY as PostgreSQL writes it: by the database
 * (`database-log.ts`), or by the files of an export that hold the same answers (`export-folder.ts`).
 */
import type { TileName } from "./tile-names.ts";

/** Numbers of a source, both ends included. */
export interface Interval {
  readonly source: string;
  readonly first: number;
  readonly last: number;
}

/** A partition that was dropped on record, and the events that must be gone with it. */
export interface EndedPartition {
  readonly name: string;
  /** The number of the event that records it. */
  readonly removal: number;
  readonly retention: string;
  /** The month of its events, from `since` to before `until`. ISO 8601, like `before`. */
  readonly since: string;
  readonly until: string;
  /** Events of that month that were stored before this time were in it. */
  readonly before: string;
}

/** A query. Each has one answer in a snapshot of the log; the comments name its columns. */
export type Part =
  /** One row: size, root, own source, and when the snapshot was taken. */
  | { readonly name: "tree" }
  /** One row: the size of the newest checkpoint, the leaf after the last range, the number of tiles of level 0. */
  | { readonly name: "ends" }
  /** source, last stored number. */
  | { readonly name: "sources" }
  /** own number, kind, source, numbers; ordered by own number and source. */
  | { readonly name: "removed" }
  /** source, its last number that is sealed before leaf `before`. */
  | { readonly name: "positions"; readonly before: number }
  /** first leaf, first number, last number: the own source's ranges before leaf `before`. */
  | { readonly name: "own-ranges"; readonly own: string; readonly before: number }
  /** The columns of `EVENT_COLUMNS`: events of the own source that were verified before. */
  | { readonly name: "own-events"; readonly intervals: readonly Interval[] }
  /** level, tile, hashes: the tiles above the leaves of these events. */
  | { readonly name: "own-tiles"; readonly tiles: readonly TileName[] }
  /** level, tile, hashes: the tiles that a compact range of `before` leaves is made of. */
  | { readonly name: "edge"; readonly before: number }
  /** first leaf, source, first number, last number: the ranges of the window's leaves. */
  | { readonly name: "ranges"; readonly window: number }
  /** level, tile, hashes: the tiles whose last leaf is in the window, or the tree's last tiles. */
  | { readonly name: "tiles"; readonly window: number; readonly size: number }
  /** size, origin, root, created at, signature lines: above `after` up to the window's end, ordered by size. */
  | { readonly name: "checkpoints"; readonly window: number; readonly after: number; readonly size: number }
  /** The columns of `EVENT_COLUMNS`. */
  | { readonly name: "events"; readonly window: number; readonly intervals: readonly Interval[] }
  /** source, number, created at, salt, commitment, reason, record, whether the record continues in the next row. */
  | { readonly name: "quarantine"; readonly window: number; readonly intervals: readonly Interval[] }
  /**
   * source, number, id (NULL in quarantine), occurred at, created at, type; for the own source also data, retention and
   * actor: the rows that no range covers.
   */
  | { readonly name: "unsealed"; readonly sealed: ReadonlyMap<string, number>; readonly own: string }
  /** place in `ended`, source, number, id, occurred at, type: events of dropped partitions that are still there. */
  | { readonly name: "remaining"; readonly ended: readonly EndedPartition[] }
  /** kind, place: ranges, tiles and checkpoints beyond the tree. */
  | { readonly name: "beyond"; readonly size: number };

/** A log to verify. */
export interface RawLog {
  /** The answer as COPY's text, in pieces that may end anywhere. */
  read(part: Part): AsyncIterable<Buffer>;
}
