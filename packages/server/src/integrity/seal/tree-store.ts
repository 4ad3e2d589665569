/**
 * The sealer's access to the database: reads the leaves to seal, and seals them in one statement.
 *
 * A seal is one transaction with one snapshot. A source commits its position together with its rows, so a number up to the
 * position that has no row in the snapshot is missing for good.
 */
import type { Client } from "pg";
import { type Checkpoint, edgeTiles, leafHash, type NoteSignature, type NoteVerifier, type Tile } from "seclog/merkle";
import { ENTRY_COLUMNS, eventEntry, missingEntry, quarantineEntry } from "seclog/postgres/schema";
import { planOnce } from "../../database/session.ts";
import { IN_WANTED_RANGE, type NumberRange, RAW_VALUES, rangeValues, WANTED_RANGES } from "../leaf-ranges.ts";
import { storedTiles } from "../stored-tree.ts";

/** The stored tree. */
export interface StoredTree {
  readonly size: number;
  readonly root: Uint8Array;
  /** The source of the log's own events. */
  readonly ownSource: string;
}

export async function readTree(client: Client): Promise<StoredTree> {
  const { rows } = await client.query<{ size: string; root: Buffer; own_source: string }>(
    "SELECT size::text, root, own_source::text FROM public.security_event_tree",
  );
  const { size, root, own_source } = rows[0] ?? { size: "0", root: Buffer.alloc(0), own_source: "" };
  return { size: Number(size), root, ownSource: own_source };
}

export async function readEdge(client: Client, size: number): Promise<Tile[]> {
  const names = edgeTiles(size);
  const hashes = await storedTiles(client)(names);
  return names.map((name, index) => ({ ...name, hashes: hashes[index] as Uint8Array }));
}

/** The columns of a leaf, for a SELECT list. */
const COLUMNS = ENTRY_COLUMNS.map((column) => `stored.${column}`).join(", ");

/**
 * Of several rows with one number, the first by (occurred_at, retention) is sealed. That is the index's order, so one row is
 * read however many claim the number. The limit of a range has room for one extra row, which shows that a number has several.
 */
const IN_ORDER = "ORDER BY stored.seq, stored.occurred_at, stored.retention";

function leavesQuery(condition: string, limit: string): string {
  return `SELECT place, log.* FROM ${WANTED_RANGES} CROSS JOIN LATERAL (SELECT stored.seq AS number, ${COLUMNS}
      FROM public.security_event_log AS stored WHERE ${IN_WANTED_RANGE}${condition} ${IN_ORDER} LIMIT ${limit}) AS log
    ORDER BY place, number, log.occurred_at, log.retention`;
}

/** The prepared statements: for ranges, for single numbers, and for the log's own source, whose retention class `own` no writer can insert. */
const QUERIES = {
  leaves: leavesQuery("", "wanted.last_seq - wanted.first_seq + 2"),
  leaf: leavesQuery("", "1"),
  "own leaves": leavesQuery(" AND stored.retention = 'own'", "wanted.last_seq - wanted.first_seq + 2"),
} as const;

/** How many numbers' rows to hold in memory at a time. */
const CHUNK = 1_000;

/** The leaves of a seal's ranges. */
export interface SealLeaves {
  readonly leaves: readonly Uint8Array[];
  /** By range: how many of its numbers have an event or a record in quarantine. */
  readonly events: readonly number[];
  /** Numbers that several rows claim. */
  readonly doubled: number;
}

/** Reads the leaf of every number of the ranges, in order. @param ownSource the log's own source */
export async function readLeaves(
  client: Client,
  ranges: readonly NumberRange[],
  ownSource: string,
): Promise<SealLeaves> {
  const leaves: Uint8Array[] = [];
  const events = ranges.map(() => 0);
  let doubled = 0;
  for (const chunk of chunksOf(ranges)) {
    const read = await readChunk(client, chunk, ownSource);
    leaves.push(...read.leaves);
    doubled += read.doubled;
    for (const [place, { index }] of chunk.entries()) events[index] = (events[index] ?? 0) + (read.events[place] ?? 0);
  }
  return { leaves, events, doubled };
}

/** A range, or a part of one. */
interface Part extends NumberRange {
  /** The index of the whole range. */
  readonly index: number;
}

function* chunksOf(ranges: readonly NumberRange[]): Generator<readonly Part[]> {
  let chunk: Part[] = [];
  let room = CHUNK;
  for (const [index, { sourceId, first, last }] of ranges.entries()) {
    for (let from = first; from <= last; ) {
      const to = Math.min(last, from + room - 1);
      chunk.push({ sourceId, first: from, last: to, index });
      room -= to - from + 1;
      from = to + 1;
      if (room > 0) continue;
      yield chunk;
      chunk = [];
      room = CHUNK;
    }
  }
  if (chunk.length > 0) yield chunk;
}

async function readChunk(client: Client, parts: readonly Part[], ownSource: string): Promise<SealLeaves> {
  const found = new Map<string, Uint8Array>();
  const doubled = new Set<string>();
  /** Reads the rows of some parts; returns the parts that have more rows than numbers. */
  const read = async (query: keyof typeof QUERIES, wanted: readonly NumberRange[]): Promise<readonly NumberRange[]> => {
    if (wanted.length === 0) return [];
    const { rows } = await client.query<(string | null)[]>({
      ...planOnce(client, query),
      text: QUERIES[query],
      values: rangeValues(wanted),
      rowMode: "array",
      types: RAW_VALUES,
    });
    const counts = wanted.map(() => 0);
    for (const [place, seq, ...values] of rows) {
      const at = Number(place) - 1;
      counts[at] = (counts[at] ?? 0) + 1;
      const key = `${wanted[at]?.sourceId} ${seq}`;
      if (found.has(key)) doubled.add(key);
      else found.set(key, leafHash(eventEntry(values)));
    }
    return wanted.filter(({ first, last }, at) => (counts[at] ?? 0) > last - first + 1);
  };
  const others = parts.filter(({ sourceId }) => sourceId !== ownSource);
  const crowded = await read("leaves", others);
  await read(
    "leaf",
    crowded
      .flatMap(numbersOf)
      .filter(({ sourceId, seq }) => !found.has(`${sourceId} ${seq}`))
      .map(({ sourceId, seq }) => ({ sourceId, first: seq, last: seq })),
  );
  await read(
    "own leaves",
    parts.filter(({ sourceId }) => sourceId === ownSource),
  );
  const absent = parts.flatMap(numbersOf).filter(({ sourceId, seq }) => !found.has(`${sourceId} ${seq}`));
  for (const [key, leaf] of await readQuarantine(client, absent)) found.set(key, leaf);

  const leaves: Uint8Array[] = [];
  const events = parts.map((part) => {
    const there = numbersOf(part).map(({ sourceId, seq }) => {
      const leaf = found.get(`${sourceId} ${seq}`);
      leaves.push(leaf ?? leafHash(missingEntry(sourceId, seq)));
      return leaf !== undefined;
    });
    return there.filter(Boolean).length;
  });
  return { leaves, events, doubled: doubled.size };
}

interface SourceNumber {
  readonly sourceId: string;
  readonly seq: number;
}

function numbersOf({ sourceId, first, last }: NumberRange): SourceNumber[] {
  return Array.from({ length: last - first + 1 }, (_, index) => ({ sourceId, seq: first + index }));
}

async function readQuarantine(client: Client, numbers: readonly SourceNumber[]): Promise<[string, Uint8Array][]> {
  if (numbers.length === 0) return [];
  const { rows } = await client.query<string[]>({
    text: `SELECT place, created_at, commitment FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS wanted (source_id, seq, place)
      JOIN public.security_event_quarantine USING (source_id, seq)`,
    values: [numbers.map(({ sourceId }) => sourceId), numbers.map(({ seq }) => seq)],
    rowMode: "array",
    types: RAW_VALUES,
  });
  return rows.map(([place, createdAt = "", commitment = ""]) => {
    const { sourceId, seq } = numbers[Number(place) - 1] as SourceNumber;
    return [`${sourceId} ${seq}`, leafHash(quarantineEntry(sourceId, seq, createdAt, commitment))];
  });
}

/** A step of the tree, as {@link writeSeal} writes it. */
export interface Seal {
  readonly before: Pick<StoredTree, "size" | "root">;
  readonly checkpoint: Checkpoint;
  readonly signer: NoteVerifier;
  /** The signature's line of the note, with its newline. */
  readonly line: string;
  readonly ranges: readonly NumberRange[];
  readonly tiles: readonly Tile[];
}

export async function writeSeal(client: Client, seal: Seal): Promise<void> {
  const { before, checkpoint, signer, line, ranges, tiles } = seal;
  await client.query({
    ...planOnce(client, "seal"),
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

/** A signature's line in a note. */
export function signatureLine({ name, keyId, signature }: NoteSignature): string {
  const id = Buffer.alloc(4);
  id.writeUInt32BE(keyId);
  return `\u2014 ${name} ${Buffer.concat([id, signature]).toString("base64")}\n`;
}
