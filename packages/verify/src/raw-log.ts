/**
 * What verification reads: a few queries, each answered in the text format of COPY, as PostgreSQL writes it. The database answers
 * them (`database-log.ts`), or the files in which an export keeps the same answers (`export-folder.ts`).
 */
import type { TileName } from "./tile-names.ts";

/** Numbers of a source, both ends included. */
export interface Interval {
  readonly source: string;
  readonly first: number;
  readonly last: number;
}

/** A partition that was dropped on record, and what must therefore no longer be there. */
export interface EndedPartition {
  readonly name: string;
  /** The number of the event that records it. */
  readonly removal: number;
  readonly retention: string;
  /** The month of its events: from, and to before. ISO 8601, as `before`. */
  readonly since: string;
  readonly until: string;
  /** What was stored before that was in it. */
  readonly before: string;
}

/** A query. Each has one answer for a snapshot of the log. */
export type Part =
  /** One row: size, root, own source, and when the snapshot was taken. */
  | { readonly name: "tree" }
  /** One row: the size of the newest checkpoint, the leaf after the last range, how many tiles of level 0 there are. */
  | { readonly name: "ends" }
  /** source, last number. */
  | { readonly name: "sources" }
  /** own number, kind, source, numbers; in the order of the first and third. */
  | { readonly name: "removed" }
  /** source, last number that is sealed before leaf `before`. */
  | { readonly name: "positions"; readonly before: number }
  /** first leaf, first number, last number: the own source's ranges before leaf `before`. */
  | { readonly name: "own-ranges"; readonly own: string; readonly before: number }
  /** The columns of `EVENT_COLUMNS`: events of the own source that were verified before. */
  | { readonly name: "own-events"; readonly intervals: readonly Interval[] }
  /** level, tile, hashes: those above the leaves of these events. */
  | { readonly name: "own-tiles"; readonly tiles: readonly TileName[] }
  /** level, tile, hashes: those that a compact range of `before` leaves is made of. */
  | { readonly name: "edge"; readonly before: number }
  /** first leaf, source, first number, last number: the ranges of the window's leaves. */
  | { readonly name: "ranges"; readonly window: number }
  /** level, tile, hashes: the tiles whose last leaf is in the window, or the tree's last tiles. */
  | { readonly name: "tiles"; readonly window: number; readonly size: number }
  /** size, origin, root, created at, signature lines: in the order of sizes, those above `after` up to the window's end. */
  | { readonly name: "checkpoints"; readonly window: number; readonly after: number; readonly size: number }
  /** The columns of `EVENT_COLUMNS`. */
  | { readonly name: "events"; readonly window: number; readonly intervals: readonly Interval[] }
  /** source, number, created at, salt, commitment, reason, record, whether more of the record follows: a long one in pieces. */
  | { readonly name: "quarantine"; readonly window: number; readonly intervals: readonly Interval[] }
  /** What no range covers: source, number, id, occurred at, created at, type; of the own source data, retention and actor. In quarantine: no id. */
  | { readonly name: "unsealed"; readonly sealed: ReadonlyMap<string, number>; readonly own: string }
  /** place in `ended`, source, number, id, occurred at, type: what was stored in partitions that were dropped, and is there. */
  | { readonly name: "remaining"; readonly ended: readonly EndedPartition[] }
  /** kind, place: ranges, tiles and checkpoints beyond the tree. */
  | { readonly name: "beyond"; readonly size: number };

/** A log to verify. */
export interface RawLog {
  /** COPY's text, in pieces that end anywhere. */
  read(part: Part): AsyncIterable<Buffer>;
}
