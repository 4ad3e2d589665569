/** Reads the log from a database: one SQL query for each part. */

import { EVENT_COLUMNS } from "./event-columns.ts";
import { VerifyError } from "./note.ts";
import type { Interval, Part, RawLog } from "./raw-log.ts";
import { edgeTiles, type TileName, upperTiles, WINDOW_LEAVES } from "./tile-names.ts";

/**
 * Settings for the transaction in which a {@link databaseLog} is read. They force plans along the index, so that a
 * window costs the same wherever it is and whatever the planner estimates. Hash joins stay enabled, because the query
 * `unsealed` looks up each source among the sealed ones that way; all other joins are lateral.
 */
export const SNAPSHOT_SETTINGS = [
  "jit = off",
  "enable_seqscan = off",
  "enable_bitmapscan = off",
  "enable_mergejoin = off",
  "max_parallel_workers_per_gather = 0",
] as const;

/** A log in a database. @param copy runs `COPY … TO STDOUT` in one snapshot, with ISO dates and the time zone UTC */
export function databaseLog(copy: (sql: string) => AsyncIterable<Buffer>): RawLog {
  return { read: (part) => copy(`COPY (${queryOf(part)}) TO STDOUT`) };
}

/** Bytes of a quarantined record that are read at a time: neither COPY nor a string can hold hundreds of megabytes. */
const PIECE_BYTES = 8_388_608;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** COPY takes no parameters, so each value is checked before it goes into the text. */
function number(value: number): string {
  if (!Number.isSafeInteger(value)) throw new VerifyError(`${value} is not the number of a leaf or an event`);
  return String(value);
}

function uuid(value: string): string {
  if (!UUID.test(value)) throw new VerifyError(`${JSON.stringify(value.slice(0, 100))} is not the id of a source`);
  return `'${value}'::uuid`;
}

function word(value: string): string {
  if (!/^[a-z]+$/.test(value)) throw new VerifyError(`${JSON.stringify(value.slice(0, 100))} is not a word`);
  return `'${value}'`;
}

function time(value: string): string {
  if (!/^[\dT:.Z-]+$/.test(value)) throw new VerifyError(`${JSON.stringify(value.slice(0, 100))} is not a time`);
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
      // The index has this order, so the planner walks it whatever it estimates.
      return `SELECT ${EVENT_COLUMNS.map((name) => `log.${name}`).join(", ")} FROM ${values(part.intervals)} CROSS JOIN LATERAL
        (SELECT * FROM public.security_event_log AS every WHERE every.source_id = part.source_id
          AND every.seq BETWEEN part.first_seq AND part.last_seq ORDER BY every.seq, every.occurred_at) AS log`;
    case "quarantine":
      // A reason has 1,000 characters and perhaps a note of a cut record; a longer one differs in this prefix.
      return `SELECT bad.source_id, bad.seq, bad.created_at, bad.salt, bad.commitment, left(bad.reason, 10000),
          substring(bad.record FROM piece * ${PIECE_BYTES} + 1 FOR ${PIECE_BYTES}),
          (piece + 1) * ${PIECE_BYTES}::bigint < octet_length(bad.record)
        FROM ${values(part.intervals)} CROSS JOIN LATERAL
        (SELECT * FROM public.security_event_quarantine AS every WHERE every.source_id = part.source_id
          AND every.seq BETWEEN part.first_seq AND part.last_seq ORDER BY every.seq) AS bad
        CROSS JOIN LATERAL generate_series(0, greatest(octet_length(bad.record) - 1, 0) / ${PIECE_BYTES}) AS piece`;
    case "unsealed": {
      const known = [...part.sealed].map(([source, last]) => `(${uuid(source)}, ${number(last)}::bigint)`);
      // Finds the sources that have rows one by one through the index: DISTINCT would read the whole table.
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

function tilesNamed(names: readonly TileName[]): string {
  const conditions = names.map(({ level, tile }) => `(level = ${number(level)} AND tile = ${number(tile)})`);
  return `SELECT level, tile, hashes FROM public.security_event_tile WHERE ${conditions.join(" OR ") || "false"} ORDER BY level, tile`;
}
