/**
 * What verification reads: a few questions, each answered in the text format of COPY, as PostgreSQL gives it. The database
 * answers them, or the files in which an export keeps the same answers (`export-folder.ts`).
 */
import { VerifyError } from "./note.ts";
import { EVENT_COLUMNS } from "./row-reader.ts";

/** Leaves that are read at a time: those of one full tile of level 1. */
export const WINDOW_LEAVES = 65_536;

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

/** A question. Each has one answer for a snapshot of the log. */
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
  /** The columns of {@link EVENT_COLUMNS}: events of the own source that were verified before. */
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
  /** The columns of {@link EVENT_COLUMNS}. */
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

/**
 * For the transaction in which a {@link databaseLog} is read. The text of the values must be the canonical one; and a plan
 * must go along the index, so that a window costs the same wherever it is and whatever the planner believes of the table. Joins by
 * hash stay: only so are the sources that are present looked up among those that are sealed. The questions' other joins are lateral.
 */
export const SNAPSHOT_SETTINGS = [
  "jit = off",
  "enable_seqscan = off",
  "enable_bitmapscan = off",
  "enable_mergejoin = off",
  "max_parallel_workers_per_gather = 0",
] as const;

/** A log in a database; `copy` runs `COPY … TO STDOUT` in a snapshot, with times in ISO and UTC. */
export function databaseLog(copy: (sql: string) => AsyncIterable<Buffer>): RawLog {
  return { read: (part) => copy(`COPY (${queryOf(part)}) TO STDOUT`) };
}

/** So much of a record in quarantine is read at a time: PostgreSQL cannot write one of hundreds of megabytes, nor JavaScript hold its text. */
const PIECE_BYTES = 8_388_608;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** COPY takes no parameters: what is put into its text was held to be a number or a UUID. */
function number(value: number): string {
  if (!Number.isSafeInteger(value)) throw new VerifyError(`${value} is no number of a leaf or an event`);
  return String(value);
}

function uuid(value: string): string {
  if (!UUID.test(value)) throw new VerifyError(`${JSON.stringify(value.slice(0, 100))} is no source's id`);
  return `'${value}'::uuid`;
}

function word(value: string): string {
  if (!/^[a-z]+$/.test(value)) throw new VerifyError(`${JSON.stringify(value.slice(0, 100))} is no word`);
  return `'${value}'`;
}

function time(value: string): string {
  if (!/^[\dT:.Z-]+$/.test(value)) throw new VerifyError(`${JSON.stringify(value.slice(0, 100))} is no time`);
  return `'${value}'::timestamptz`;
}

function queryOf(part: Part): string {
  switch (part.name) {
    case "tree":
      return "SELECT size, root, own_source, now() FROM public.security_event_tree";
    case "ends":
      return `SELECT coalesce((SELECT max(size) FROM public.security_event_checkpoint), 0),
        coalesce((SELECT first_leaf::numeric + last_seq - first_seq + 1 FROM public.security_event_seal ORDER BY first_leaf DESC LIMIT 1), 0),
        (SELECT count(*) FROM public.security_event_tile WHERE level = 0)`;
    case "sources":
      return "SELECT id, last_seq FROM public.security_event_source ORDER BY id";
    case "removed":
      return "SELECT own_seq, kind, source_id, seqs FROM public.security_event_removed ORDER BY own_seq, source_id";
    case "positions": {
      const before = number(part.before);
      return `SELECT source_id, max(least(last_seq, first_seq + ${before} - 1 - first_leaf)) FROM public.security_event_seal
        WHERE first_leaf < ${before} GROUP BY source_id ORDER BY source_id`;
    }
    case "edge":
      return tilesNamed(edgeTiles(part.before));
    case "own-ranges":
      return `SELECT first_leaf, first_seq, last_seq FROM public.security_event_seal
        WHERE source_id = ${uuid(part.own)} AND first_leaf < ${number(part.before)} ORDER BY first_leaf`;
    case "own-tiles":
      return tilesNamed(part.tiles);
    case "ranges": {
      const first = number(part.window * WINDOW_LEAVES);
      const end = number((part.window + 1) * WINDOW_LEAVES);
      return `SELECT first_leaf, source_id, first_seq, last_seq FROM public.security_event_seal WHERE first_leaf < ${end}
        AND first_leaf >= coalesce((SELECT max(first_leaf) FROM public.security_event_seal WHERE first_leaf <= ${first}), 0)
        ORDER BY first_leaf`;
    }
    case "tiles": {
      const width = WINDOW_LEAVES / 256;
      const first = number(part.window * width);
      const end = number((part.window + 1) * width);
      return `(SELECT level, tile, hashes FROM public.security_event_tile WHERE level = 0 AND tile >= ${first} AND tile < ${end}
        ORDER BY tile) UNION ALL (${tilesNamed(upperTiles(part.window, part.size))})`;
    }
    case "checkpoints": {
      const end = number(Math.min((part.window + 1) * WINDOW_LEAVES, part.size));
      return `SELECT c.size, c.origin, c.root, c.created_at,
          (SELECT string_agg(s.line, '' ORDER BY s.name <> c.origin, s.created_at)
            FROM public.security_event_signature AS s WHERE s.size = c.size)
        FROM public.security_event_checkpoint AS c WHERE c.size > ${number(part.after)} AND c.size <= ${end} ORDER BY c.size`;
    }
    case "own-events":
    case "events":
      // The order is the index's own: it makes the planner walk that, whatever it believes of the table.
      return `SELECT ${EVENT_COLUMNS.map((name) => `log.${name}`).join(", ")} FROM ${values(part.intervals)} CROSS JOIN LATERAL
        (SELECT * FROM public.security_event_log AS every WHERE every.source_id = part.source_id
          AND every.seq BETWEEN part.first_seq AND part.last_seq ORDER BY every.seq, every.occurred_at) AS log`;
    case "quarantine":
      // A reason has 1,000 characters and a note that its record was cut: of a longer one the beginning shows that it is another.
      return `SELECT bad.source_id, bad.seq, bad.created_at, bad.salt, bad.commitment, left(bad.reason, 10000),
          substring(bad.record FROM piece * ${PIECE_BYTES} + 1 FOR ${PIECE_BYTES}),
          (piece + 1) * ${PIECE_BYTES}::bigint < octet_length(bad.record)
        FROM ${values(part.intervals)} CROSS JOIN LATERAL
        (SELECT * FROM public.security_event_quarantine AS every WHERE every.source_id = part.source_id
          AND every.seq BETWEEN part.first_seq AND part.last_seq ORDER BY every.seq) AS bad
        CROSS JOIN LATERAL generate_series(0, greatest(octet_length(bad.record) - 1, 0) / ${PIECE_BYTES}) AS piece`;
    case "unsealed": {
      const known = [...part.sealed].map(([source, last]) => `(${uuid(source)}, ${number(last)}::bigint)`);
      // The sources that the log has rows of, one after the other through the index: DISTINCT would read everything.
      return `WITH RECURSIVE known (source_id, last_seq) AS (VALUES ${["(NULL::uuid, 0::bigint)", ...known].join(", ")}),
        present (source_id) AS (
          (SELECT source_id FROM public.security_event_log ORDER BY source_id LIMIT 1)
          UNION ALL
          SELECT (SELECT log.source_id FROM public.security_event_log AS log WHERE log.source_id > present.source_id
              ORDER BY log.source_id LIMIT 1)
            FROM present WHERE present.source_id IS NOT NULL)
        SELECT log.source_id, log.seq, log.id, log.occurred_at, log.created_at, log.event_type,
            CASE WHEN log.source_id = ${uuid(part.own)} THEN log.data END,
            CASE WHEN log.source_id = ${uuid(part.own)} THEN log.retention END,
            CASE WHEN log.source_id = ${uuid(part.own)} THEN log.actor_id END
          FROM present LEFT JOIN known USING (source_id) CROSS JOIN LATERAL (
            (SELECT * FROM public.security_event_log AS late WHERE late.source_id = present.source_id
              AND late.seq > coalesce(known.last_seq, 0) ORDER BY late.seq, late.occurred_at)
            UNION ALL
            (SELECT * FROM public.security_event_log AS early WHERE early.source_id = present.source_id
              AND early.seq < 1 ORDER BY early.seq, early.occurred_at)) AS log
          WHERE present.source_id IS NOT NULL
        UNION ALL
        SELECT bad.source_id, bad.seq, NULL, NULL, bad.created_at, NULL, NULL, NULL, NULL
          FROM public.security_event_quarantine AS bad LEFT JOIN known USING (source_id)
          WHERE bad.seq > coalesce(known.last_seq, 0) OR bad.seq < 1`;
    }
    case "remaining": {
      const rows = part.ended.map(
        ({ retention, since, until, before }, place) =>
          `(${place}, ${word(retention)}, ${time(since)}, ${time(until)}, ${time(before)})`,
      );
      return `SELECT part.place, log.source_id, log.seq, log.id, log.occurred_at, log.event_type
        FROM (VALUES ${rows.join(", ")}) AS part (place, retention, since, until, before) CROSS JOIN LATERAL
        (SELECT * FROM public.security_event_log AS every WHERE every.retention = part.retention
          AND every.occurred_at >= part.since AND every.occurred_at < part.until AND every.created_at < part.before
          ORDER BY every.occurred_at) AS log`;
    }
    case "beyond": {
      const size = number(part.size);
      const levels = [0, 1, 2, 3, 4, 5, 6].map((level) => {
        const tiles = Math.ceil(Math.floor(part.size / 256 ** level) / 256);
        return `(level = ${level} AND tile >= ${number(tiles)})`;
      });
      return `(SELECT 'range', first_leaf FROM public.security_event_seal WHERE first_leaf >= ${size} LIMIT 5)
        UNION ALL (SELECT 'checkpoint', size FROM public.security_event_checkpoint WHERE size > ${size} OR size < 1 LIMIT 5)
        UNION ALL (SELECT 'tile', tile FROM public.security_event_tile WHERE ${levels.join(" OR ")} OR level NOT BETWEEN 0 AND 6
          LIMIT 5)`;
    }
    default:
      return part satisfies never;
  }
}

function values(intervals: readonly Interval[]): string {
  const rows = intervals.map(
    ({ source, first, last }) => `(${uuid(source)}, ${number(first)}::bigint, ${number(last)}::bigint)`,
  );
  return `(VALUES ${rows.join(", ")}) AS part (source_id, first_seq, last_seq)`;
}

/** Which tile: its level and its number in the level. */
export interface TileName {
  readonly level: number;
  readonly tile: number;
}

function tilesNamed(names: readonly TileName[]): string {
  const conditions = names.map(({ level, tile }) => `(level = ${number(level)} AND tile = ${number(tile)})`);
  return `SELECT level, tile, hashes FROM public.security_event_tile WHERE ${conditions.join(" OR ") || "false"} ORDER BY level, tile`;
}

/** The tiles from level 1 on that a window fills; where the tree ends, its partial ones, too. */
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

/** The tiles between a leaf and the last tiles of a tree of `size` leaves, which are not full: all of them are. */
export function pathTiles(leaf: number, size: number): TileName[] {
  const names: TileName[] = [];
  for (let level = 0, tile = Math.floor(leaf / 256); tile < Math.floor(size / 256 ** (level + 1)); level++) {
    names.push({ level, tile });
    tile = Math.floor(tile / 256);
  }
  return names;
}

/** The lines of an answer, without their newlines. For the small tables: a line becomes a string. */
export async function* linesOf(pieces: AsyncIterable<Buffer>): AsyncIterable<string> {
  for await (const { rows, start, end } of rowsOf(pieces)) yield rows.toString("utf8", start, end);
}

/** The rows of an answer: each stands in `rows` from `start` to the newline at `end`. The same object each time. */
export async function* rowsOf(
  pieces: AsyncIterable<Buffer>,
): AsyncIterable<{ readonly rows: Buffer; readonly start: number; readonly end: number }> {
  for await (const batch of batchesOf(pieces)) {
    for (let start = 0; start < batch.length; ) {
      const end = batch.indexOf(0x0a, start);
      yield { rows: batch, start, end };
      start = end + 1;
    }
  }
}

/** The same bytes, in pieces that end with a row. A row that does not end is given as far as it goes, with a newline. */
export async function* batchesOf(pieces: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  let begun: Buffer[] = [];
  for await (const piece of pieces) {
    const first = piece.indexOf(0x0a);
    if (first < 0) {
      begun.push(piece);
      continue;
    }
    let start = 0;
    if (begun.length > 0) {
      // Only the row that two pieces share is copied.
      yield Buffer.concat([...begun, piece.subarray(0, first + 1)]);
      begun = [];
      start = first + 1;
    }
    const end = piece.lastIndexOf(0x0a) + 1;
    if (end > start) yield piece.subarray(start, end);
    if (end < piece.length) begun = [piece.subarray(end)];
  }
  if (begun.length > 0) yield Buffer.concat([...begun, Buffer.from("\n")]);
}
