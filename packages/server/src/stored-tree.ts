import { SeclogError } from "seclog";
import { type Checkpoint, HASH_BYTES, type TileReader, tilePath } from "seclog/merkle";

/** What runs a question: pg's Client and Pool have this shape. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/** A checkpoint with everybody's signatures. */
export interface SignedCheckpoint extends Checkpoint {
  /** The signed note (https://c2sp.org/signed-note), the log's own signature first. */
  readonly note: string;
}

/** The tiles of the tree that is stored, for proofs. Partial tiles are the beginnings of those that are longer by now. */
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
          `${tilePath(name)} is missing in the database, or too short: run seclog verify`,
        );
      }
      return hashes.subarray(0, name.width * HASH_BYTES);
    });
  };
}

/** The checkpoint of a size, the newest where none is named; `undefined` when there is none. */
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
