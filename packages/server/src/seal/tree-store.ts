/**
 * The sealer's side of the database: what there is to seal, and the one statement that seals it.
 *
 * All of a seal is one transaction with one snapshot. A source's position and its rows are committed together, so a number
 * at or below the position that has no row in the snapshot is missing for good.
 */
import type { Client } from "pg";
import { type Checkpoint, edgeTiles, leafHash, type NoteSignature, type NoteVerifier, type Tile } from "seclog/merkle";
import { ENTRY_COLUMNS, eventEntry, missingEntry, quarantineEntry } from "seclog/postgres";
import { storedTiles } from "../stored-tree.ts";

/** Numbers of a source, in a row. */
export interface SealRange {
  readonly sourceId: string;
  readonly first: number;
  readonly last: number;
}

/** The tree as the database has it. */
export interface StoredTree {
  readonly size: number;
  readonly root: Uint8Array;
}

/** Every value as PostgreSQL writes it. */
const RAW = { getTypeParser: () => (value: string) => value };

export async function readTree(client: Client): Promise<StoredTree> {
  const { rows } = await client.query<{ size: string; root: Buffer }>(
    "SELECT size::text, root FROM public.security_event_tree",
  );
  const { size, root } = rows[0] ?? { size: "0", root: Buffer.alloc(0) };
  return { size: Number(size), root };
}

export async function readEdge(client: Client, size: number): Promise<Tile[]> {
  const names = edgeTiles(size);
  const hashes = await storedTiles(client)(names);
  return names.map((name, index) => ({ ...name, hashes: hashes[index] as Uint8Array }));
}

/** A position may become visible this much later than it says, while its commit waits for a standby. */
const LATE = "60 seconds";

/**
 * What follows what is sealed, source by source, the one that waits longest first. Each gets its share of the room: one that
 * runs ahead of all measure does not hold up the others.
 *
 * @param all also sources that have been at rest for long; a full look takes longer
 * @param most the most numbers together
 */
export async function pendingRanges(
  client: Client,
  all: boolean,
  most: number,
): Promise<{ readonly ranges: readonly SealRange[]; readonly more: boolean }> {
  const { rows } = await client.query<{ id: string; last_seq: string; sealed: string }>({
    name: "pending",
    text: `SELECT source.id::text, source.last_seq::text, coalesce(sealed.last_seq, 0)::text AS sealed
      FROM public.security_event_source AS source
        LEFT JOIN LATERAL (SELECT seal.last_seq FROM public.security_event_seal AS seal
          WHERE seal.source_id = source.id ORDER BY seal.first_seq DESC LIMIT 1) AS sealed ON true
      WHERE ($1 OR source.updated_at > now() - interval '${LATE}') AND source.last_seq > coalesce(sealed.last_seq, 0)
      ORDER BY source.updated_at LIMIT ${most + 1}`,
    values: [all],
  });
  const waiting = rows
    .slice(0, most)
    .map(({ id, last_seq, sealed }) => ({ sourceId: id, first: Number(sealed) + 1, end: Number(last_seq) }));
  const given = new Map<string, number>();
  // What one does not need of its share the others get, the one that needs least first.
  let room = most;
  let left = waiting.length;
  for (const { sourceId, first, end } of [...waiting].sort((a, b) => a.end - a.first - (b.end - b.first))) {
    const count = Math.min(end - first + 1, Math.floor(room / left));
    given.set(sourceId, count);
    room -= count;
    left -= 1;
  }
  const ranges = waiting.map(({ sourceId, first }) => ({
    sourceId,
    first,
    last: first + (given.get(sourceId) ?? 0) - 1,
  }));
  const more = rows.length > most || waiting.some(({ end }, index) => end > (ranges[index]?.last ?? 0));
  return { ranges, more };
}

const OWN_COLUMNS = ["place", "seq"] as const;

/** The leaf of every number of the ranges, in order, and how many of them were neither event nor in quarantine. */
export async function readLeaves(
  client: Client,
  ranges: readonly SealRange[],
): Promise<{ readonly leaves: readonly Uint8Array[]; readonly missing: number }> {
  const wanted = [ranges.map((r) => r.sourceId), ranges.map((r) => r.first), ranges.map((r) => r.last)];
  const events = (
    await client.query({
      name: "leaves",
      // The same number twice: the first is the one that is sealed.
      text: `SELECT place, log.seq, ${ENTRY_COLUMNS.map((column) => `log.${column}`).join(", ")}
        FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS wanted (source_id, first_seq, last_seq, place)
          JOIN public.security_event_log AS log
            ON log.source_id = wanted.source_id AND log.seq BETWEEN wanted.first_seq AND wanted.last_seq
          CROSS JOIN public.security_event_tree AS tree
        -- Of the database's own source nobody else can insert a row that retention leaves alone.
        WHERE log.source_id <> tree.own_source OR log.retention = 'own'
        ORDER BY place, log.seq, log.occurred_at, log.id`,
      values: wanted,
      rowMode: "array",
      types: RAW,
    })
  ).rows as (string | null)[][];
  const leaves: Uint8Array[] = [];
  const gaps: { readonly range: SealRange; readonly seq: number; readonly at: number }[] = [];
  let row = 0;
  for (const [index, range] of ranges.entries()) {
    const place = String(index + 1);
    for (let seq = range.first; seq <= range.last; seq++) {
      const values = events[row];
      if (values?.[0] === place && Number(values[1]) === seq) {
        leaves.push(leafHash(eventEntry(values.slice(OWN_COLUMNS.length))));
        while (events[row]?.[0] === place && Number(events[row]?.[1]) === seq) row++;
      } else {
        gaps.push({ range, seq, at: leaves.length });
        leaves.push(leafHash(missingEntry(range.sourceId, seq)));
      }
    }
  }
  const explained = gaps.length === 0 ? 0 : await readQuarantine(client, gaps, leaves);
  return { leaves, missing: gaps.length - explained };
}

async function readQuarantine(
  client: Client,
  gaps: readonly { readonly range: SealRange; readonly seq: number; readonly at: number }[],
  leaves: Uint8Array[],
): Promise<number> {
  const { rows } = await client.query<string[]>({
    text: `SELECT place, created_at, commitment FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS wanted (source_id, seq, place)
      JOIN public.security_event_quarantine USING (source_id, seq)`,
    values: [gaps.map((gap) => gap.range.sourceId), gaps.map((gap) => gap.seq)],
    rowMode: "array",
    types: RAW,
  });
  for (const [place, createdAt = "", commitment = ""] of rows) {
    const gap = gaps[Number(place) - 1];
    if (gap === undefined) continue;
    leaves[gap.at] = leafHash(quarantineEntry(gap.range.sourceId, gap.seq, createdAt, commitment));
  }
  return rows.length;
}

/** A step of the tree, as {@link writeSeal} writes it. */
export interface Seal {
  readonly before: StoredTree;
  readonly checkpoint: Checkpoint;
  readonly signer: NoteVerifier;
  /** The signature's line of the note, with its newline. */
  readonly line: string;
  readonly ranges: readonly SealRange[];
  readonly tiles: readonly Tile[];
}

export async function writeSeal(client: Client, seal: Seal): Promise<void> {
  const { before, checkpoint, signer, line, ranges, tiles } = seal;
  await client.query({
    name: "seal",
    text: "SELECT public.seclog_seal($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    values: [
      before.size,
      before.root,
      checkpoint.size,
      checkpoint.root,
      checkpoint.origin,
      signer.keyId,
      signer.vkey,
      line,
      ranges.map((r) => r.sourceId),
      ranges.map((r) => r.first),
      ranges.map((r) => r.last),
      tiles.map((t) => t.level),
      tiles.map((t) => t.index),
      tiles.map((t) => Buffer.from(t.hashes)),
    ],
  });
}

/** The line of a signature in a note. */
export function signatureLine({ name, keyId, signature }: NoteSignature): string {
  const id = Buffer.alloc(4);
  id.writeUInt32BE(keyId);
  return `\u2014 ${name} ${Buffer.concat([id, signature]).toString("base64")}\n`;
}
