/**
 * Maps leaves to sources and their numbers with the ranges of `security_event_seal`. The sealer, proofs and the read
 * API share this file; the verifier has code of its own.
 */
import type { CustomTypesConfig } from "pg";
import type { Queryable } from "../database/session.ts";

/** Consecutive numbers of a source, both ends included. */
export interface NumberRange {
  readonly sourceId: string;
  readonly first: number;
  readonly last: number;
}

/** Makes pg return every value as PostgreSQL writes it, because leaves are made of that text. */
export const RAW_VALUES: CustomTypesConfig = { getTypeParser: () => (value: string) => value };

/** The parameters of {@link WANTED_RANGES}. */
export function rangeValues(ranges: readonly NumberRange[]): unknown[] {
  return [ranges.map((r) => r.sourceId), ranges.map((r) => r.first), ranges.map((r) => r.last)];
}

/** For a FROM list: the ranges asked for, as `wanted`, each with its `place` from 1 on. Uses $1 to $3. */
export const WANTED_RANGES =
  "unnest($1::uuid[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS wanted (source_id, first_seq, last_seq, place)";

/** The condition that a row of `stored` has one of the wanted numbers. */
export const IN_WANTED_RANGE =
  "stored.source_id = wanted.source_id AND stored.seq BETWEEN wanted.first_seq AND wanted.last_seq";

/** The leaf of a number; `undefined` while it is not sealed. @param seq text, because it may be beyond 2^53 */
export async function leafOf(database: Queryable, sourceId: string, seq: string): Promise<number | undefined> {
  const { rows } = (await database.query(
    `SELECT (first_leaf + $2::bigint - first_seq)::text AS index FROM public.security_event_seal
      WHERE source_id = $1 AND first_seq <= $2::bigint AND last_seq >= $2::bigint`,
    [sourceId, seq],
  )) as { rows: { index: string }[] };
  return rows[0] === undefined ? undefined : Number(rows[0].index);
}

/** The numbers of `count` leaves from `first` on, in the order of the leaves. */
export async function numbersOfLeaves(database: Queryable, first: number, count: number): Promise<NumberRange[]> {
  const { rows } = (await database.query(
    `SELECT first_leaf::text, source_id::text, first_seq::text, last_seq::text FROM public.security_event_seal
      WHERE first_leaf < $2 AND first_leaf >= coalesce(
        (SELECT max(first_leaf) FROM public.security_event_seal WHERE first_leaf <= $1), 0)
      ORDER BY security_event_seal.first_leaf`,
    [first, first + count],
  )) as { rows: { first_leaf: string; source_id: string; first_seq: string; last_seq: string }[] };
  const numbers: NumberRange[] = [];
  for (const row of rows) {
    // How far into the range the first wanted leaf is.
    const skipped = Math.max(0, first - Number(row.first_leaf));
    const from = Number(row.first_seq) + skipped;
    const most = first + count - (Number(row.first_leaf) + skipped);
    const last = Math.min(Number(row.last_seq), from + most - 1);
    if (last >= from) numbers.push({ sourceId: row.source_id, first: from, last });
  }
  return numbers;
}
