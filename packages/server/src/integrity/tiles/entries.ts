/** The entries below the tree, read again from the rows of the log. */
import { HASH_BYTES, leafHash, sameHash } from "seclog/merkle";
import { ENTRY_COLUMNS, eventEntry, missingEntry, quarantineEntry } from "seclog/postgres/schema";
import { commandLine } from "../../config/program.ts";
import type { Queries } from "../../database/session.ts";
import { IN_WANTED_RANGE, numbersOfLeaves, RAW_VALUES, rangeValues, WANTED_RANGES } from "../leaf-ranges.ts";

/** Some entries of a bundle were pruned. */
export class PrunedError extends Error {}

/** A stored entry differs from the sealed one. */
export class AlteredError extends Error {}

/**
 * The entries of consecutive leaves of one bundle. If several rows claim a number, it takes the sealed one, whose hash is
 * in the tree, so a row added later changes nothing.
 *
 * @param first the index of the first leaf
 * @param hashes of the leaves, from the tree
 * @throws PrunedError, AlteredError
 */
export async function readEntries(pool: Queries, first: number, hashes: Uint8Array): Promise<string[]> {
  const count = hashes.length / HASH_BYTES;
  const leaves = await numbersOfLeaves(pool, first, count);
  const candidates = new Map<string, string[]>();
  const add = (place: string | undefined, seq: string | undefined, entry: string): void => {
    const key = `${place} ${seq}`;
    candidates.set(key, [...(candidates.get(key) ?? []), entry]);
  };
  const wanted = rangeValues(leaves);
  const events = await pool.query<string[]>({
    text: `SELECT place, stored.seq, ${ENTRY_COLUMNS.map((column) => `stored.${column}`).join(", ")}
      FROM ${WANTED_RANGES} JOIN public.security_event_log AS stored ON ${IN_WANTED_RANGE}`,
    values: wanted,
    rowMode: "array",
    types: RAW_VALUES,
  });
  for (const [place, seq, ...values] of events.rows) add(place, seq, eventEntry(values));
  const aside = await pool.query<string[]>({
    text: `SELECT place, stored.seq, stored.created_at, stored.commitment
      FROM ${WANTED_RANGES} JOIN public.security_event_quarantine AS stored ON ${IN_WANTED_RANGE}`,
    values: wanted,
    rowMode: "array",
    types: RAW_VALUES,
  });
  for (const [place, seq, createdAt = "", commitment = ""] of aside.rows) {
    const sourceId = leaves[Number(place) - 1]?.sourceId ?? "";
    add(place, seq, quarantineEntry(sourceId, Number(seq), createdAt, commitment));
  }

  const entries: string[] = [];
  const absent: { readonly sourceId: string; readonly seq: number }[] = [];
  for (const [index, { sourceId, first: from, last }] of leaves.entries()) {
    for (let seq = from; seq <= last; seq++) {
      const at = entries.length * HASH_BYTES;
      const hash = hashes.subarray(at, at + HASH_BYTES);
      const stored = candidates.get(`${index + 1} ${seq}`) ?? [];
      const entry = [...stored, missingEntry(sourceId, seq)].find((text) => sameHash(leafHash(text), hash));
      if (entry === undefined) absent.push({ sourceId, seq });
      entries.push(entry ?? "");
    }
  }
  if (absent.length > 0) throw await whyAbsent(pool, absent);
  if (entries.length !== count)
    throw new AlteredError(`leaves ${first} to ${first + count} are outside every sealed range`);
  return entries;
}

async function whyAbsent(
  pool: Queries,
  absent: readonly { readonly sourceId: string; readonly seq: number }[],
): Promise<Error> {
  const { rows } = await pool.query<{ source_id: string; seq: string }>(
    `SELECT source_id, seq FROM unnest($1::uuid[], $2::bigint[]) AS absent (source_id, seq)
      WHERE NOT EXISTS (SELECT FROM public.security_event_removed AS removed
        WHERE removed.kind = 'pruned' AND removed.source_id = absent.source_id AND removed.seqs @> absent.seq)`,
    [absent.map(({ sourceId }) => sourceId), absent.map(({ seq }) => seq)],
  );
  const [unexplained] = rows;
  if (unexplained === undefined) return new PrunedError();
  return new AlteredError(
    `number ${unexplained.seq} of source ${unexplained.source_id} differs from what was sealed: run ${commandLine("verify")}`,
  );
}

/** A bundle of tlog-tiles: each entry after its length in two bytes. */
export function entryBundle(entries: readonly string[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => {
      const bytes = Buffer.from(entry);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      return [length, bytes];
    }),
  );
}
