/** The tree as the database has it: tiles, the newest checkpoint, and how far sealing has come. */
import { SeclogError } from "seclog";
import { type Checkpoint, HASH_BYTES, type TileReader, tilePath } from "seclog/merkle";
import { commandLine } from "../config/program.ts";
import type { Queryable } from "../database/session.ts";

/** A checkpoint with all its signatures. */
export interface SignedCheckpoint extends Checkpoint {
  /** The signed note (https://c2sp.org/signed-note), the log's own signature first. */
  readonly note: string;
}

/** Reads the stored tree's tiles, for proofs. A partial tile is the beginning of one that has grown since. */
export function storedTiles(database: Queryable): TileReader {
  return async (names) => {
    if (names.length === 0) return [];
    const { rows } = (await database.query(
      `SELECT tile.hashes FROM unnest($1::smallint[], $2::bigint[]) WITH ORDINALITY AS wanted (level, tile, place)
        LEFT JOIN public.security_event_tile AS tile USING (level, tile) ORDER BY place`,
      [names.map(({ level }) => level), names.map(({ index }) => index)],
    )) as { rows: { hashes: Buffer | null }[] };
    return names.map((name, place) => {
      const hashes = rows[place]?.hashes;
      if (!hashes || hashes.length < name.width * HASH_BYTES) {
        throw new SeclogError(
          "SECLOG_TREE",
          `${tilePath(name)} is missing from the database, or too short: run ${commandLine("verify")}`,
        );
      }
      return hashes.subarray(0, name.width * HASH_BYTES);
    });
  };
}

/** The checkpoint with `size` leaves, by default the newest; `undefined` if it does not exist. */
export async function storedCheckpoint(database: Queryable, size?: number): Promise<SignedCheckpoint | undefined> {
  const { rows } = (await database.query(
    `SELECT c.size::text, c.origin, c.root, string_agg(s.line, '' ORDER BY s.name <> c.origin, s.created_at) AS lines
      FROM public.security_event_checkpoint AS c JOIN public.security_event_signature AS s USING (size)
      WHERE c.size = coalesce($1::bigint, (SELECT max(size) FROM public.security_event_checkpoint))
      GROUP BY c.size`,
    [size ?? null],
  )) as { rows: { size: string; origin: string; root: Buffer; lines: string }[] };
  const [row] = rows;
  if (row === undefined) return undefined;
  const { origin, root, lines } = row;
  const note = `${origin}\n${row.size}\n${root.toString("base64")}\n\n${lines}`;
  return { origin, size: Number(row.size), root, note };
}

/** The progress of sealing. */
export interface SealProgress {
  /** Leaves under the newest checkpoint. */
  readonly size: number;
  /** When that checkpoint was signed; `null` if nothing is sealed. */
  readonly sealedAt: string | null;
  /** Stored numbers that are not sealed; a bigint if a writer has set a source's position beyond 2^53. */
  readonly unsealed: number | bigint;
  /** Seconds since the oldest of them was stored; 0 if there are none. */
  readonly oldestUnsealed: number;
}

/** Queries the progress of sealing, as the reader or the sealer. */
export async function sealProgress(database: Queryable): Promise<SealProgress> {
  const { rows } = (await database.query(SEAL_STATE)) as {
    rows: { size: string; sealed_at: string | null; unsealed: string; age: string | null }[];
  };
  const [row] = rows;
  return {
    size: Number(row?.size ?? 0),
    sealedAt: row?.sealed_at ?? null,
    unsealed: countOf(row?.unsealed ?? "0"),
    oldestUnsealed: Math.max(0, Number(row?.age ?? 0)),
  };
}

function countOf(digits: string): number | bigint {
  const count = Number(digits);
  return Number.isSafeInteger(count) ? Math.max(0, count) : BigInt(digits);
}

const SEAL_STATE = `
  WITH pending AS (
    SELECT source.id, source.last_seq, coalesce(sealed.last_seq, 0) AS sealed
      FROM public.security_event_source AS source
        LEFT JOIN LATERAL (SELECT seal.last_seq FROM public.security_event_seal AS seal
          WHERE seal.source_id = source.id ORDER BY seal.first_seq DESC LIMIT 1) AS sealed ON true
      WHERE source.last_seq > coalesce(sealed.last_seq, 0))
  SELECT (SELECT size FROM public.security_event_tree)::text AS size,
    (SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
      FROM public.security_event_checkpoint ORDER BY size DESC LIMIT 1) AS sealed_at,
    (SELECT coalesce(sum(last_seq - sealed), 0) FROM pending)::text AS unsealed,
    (SELECT extract(epoch FROM clock_timestamp() - min(next.created_at)) FROM pending CROSS JOIN LATERAL (
      (SELECT log.created_at FROM public.security_event_log AS log
        WHERE log.source_id = pending.id AND log.seq > pending.sealed AND log.seq <= pending.last_seq ORDER BY log.seq LIMIT 1)
      UNION ALL
      (SELECT aside.created_at FROM public.security_event_quarantine AS aside
        WHERE aside.source_id = pending.id AND aside.seq > pending.sealed ORDER BY aside.seq LIMIT 1)) AS next)::text AS age`;
