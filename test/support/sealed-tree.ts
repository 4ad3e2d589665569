/** Events in a database, and a tree over them sealed in the simplest way, by other code than the sealer's. */
import { randomBytes, randomUUID } from "node:crypto";
import pg from "pg";
import { encodeEvent } from "../../packages/seclog/src/event/encode.ts";
import {
  edgeTiles,
  formatCheckpoint,
  leafHash,
  type NoteSigner,
  parseNote,
  signNote,
  type Tile,
  TreeAppender,
} from "../../packages/seclog/src/merkle/index.ts";
import { EVENT_SELECT, rowToEvent } from "../../packages/seclog/src/postgres/rows.ts";
import type { TestDatabase } from "./postgres.ts";

/** A checkpoint as `storedCheckpoint` returns it. */
export interface SealedCheckpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  readonly note: string;
}

/** Opens a source. */
export async function addSource(database: TestDatabase): Promise<string> {
  const id = randomUUID();
  await database.query(
    "INSERT INTO security_event_source (id, epoch, last_seq, key_hash) VALUES ($1, 1, 0, sha256(''))",
    [id],
  );
  return id;
}

/** Stores events with the source's next numbers, after skipping `skip` of them. */
export async function addEvents(database: TestDatabase, source: string, count: number, skip = 0): Promise<void> {
  await database.query(
    `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, host, route, actor_id, logger, source_id,
        epoch, seq, v, salt, commitment)
      SELECT gen_random_uuid(), now() + n * interval '1 ms', 'authz_fail', 'warning', 'authz', 'failure', 'h\u00f6st', '/r/:id', 'u' || n,
        'security', $1, 1, last_seq + $3 + n, 1, '\\x00', sha256(uuid_send(gen_random_uuid()))
      FROM security_event_source, generate_series(1, $2::integer) AS n WHERE security_event_source.id = $1`,
    [source, count, skip],
  );
  await movePosition(database, source, `last_seq + ${count + skip}`);
}

/** Moves a source's position, even over numbers without an event, as a writer cannot. */
export async function movePosition(database: TestDatabase, source: string, last: number | string): Promise<void> {
  await database.query(
    `BEGIN; SET LOCAL session_replication_role = replica;
      UPDATE security_event_source SET last_seq = ${last} WHERE id = '${source}'; COMMIT`,
  );
}

/** Puts a record into quarantine under the source's next number. */
export async function addQuarantined(database: TestDatabase, source: string): Promise<void> {
  await database.query(
    `INSERT INTO security_event_quarantine (source_id, seq, reason, record)
      SELECT id, last_seq + 1, 'no event', '\\x01' FROM security_event_source WHERE id = $1`,
    [source],
  );
  await database.query("UPDATE security_event_source SET last_seq = last_seq + 1 WHERE id = $1", [source]);
}

/** The store's line of an event, as SQL. */
const STORED_LINE = `format('{"created_at":"%s","retention":"%s"}',
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), retention)`;

/** The entries of a source's numbers from `first` on. */
async function entriesOf(database: TestDatabase, source: string, first: number, last: number): Promise<string[]> {
  const rows = await database.query<{ seq: string; commitment: Buffer; stored: string }>(
    `SELECT ${EVENT_SELECT}, commitment, ${STORED_LINE} AS stored FROM security_event_log WHERE source_id = $1 ORDER BY security_event_log.seq, occurred_at, id`,
    [source],
  );
  const aside = await database.query<{ seq: string; at: string; commitment: Buffer }>(
    `SELECT seq, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, commitment
      FROM security_event_quarantine WHERE source_id = $1`,
    [source],
  );
  return Array.from({ length: last - first + 1 }, (_, i) => {
    const seq = first + i;
    const row = rows.find((one) => Number(one.seq) === seq);
    if (row) return `${encodeEvent(rowToEvent(row)).split("\n")[0]}\n${row.commitment.toString("hex")}\n${row.stored}`;
    const record = aside.find((one) => Number(one.seq) === seq);
    if (!record) return `{"missing":true,"seq":${seq},"source_id":"${source}"}`;
    const line = `{"created_at":"${record.at}","quarantined":true,"seq":${seq},"source_id":"${source}"}`;
    return `${line}\n${record.commitment.toString("hex")}`;
  });
}

/** Seals everything stored, and returns the checkpoint with its new entries. */
export async function sealAll(
  database: TestDatabase,
  signer: NoteSigner,
): Promise<SealedCheckpoint & { readonly entries: readonly string[] }> {
  const [tree] = await database.query<{ size: string; root: Buffer }>("SELECT size, root FROM security_event_tree");
  const oldSize = Number(tree?.size);
  const tiles = await database.query<{ level: number; tile: string; hashes: Buffer }>(
    "SELECT level, tile, hashes FROM security_event_tile",
  );
  const edge = edgeTiles(oldSize).map((name): Tile => {
    const tile = tiles.find(({ level, tile }) => level === name.level && Number(tile) === name.index);
    return { ...name, hashes: tile?.hashes ?? Buffer.alloc(0) };
  });
  const sources = await database.query<{ id: string; first: string; last: string }>(
    `SELECT id, last_seq AS last, 1 + coalesce((SELECT max(seal.last_seq) FROM security_event_seal AS seal WHERE source_id = id), 0) AS first
      FROM security_event_source ORDER BY opened_at`,
  );
  const pending = sources.filter(({ first, last }) => Number(last) >= Number(first));
  const appender = new TreeAppender(oldSize, edge);
  const entries: string[] = [];
  for (const { id, first, last } of pending) {
    entries.push(...(await entriesOf(database, id, Number(first), Number(last))));
  }
  for (const entry of entries) appender.append(leafHash(entry));
  const checkpoint = { origin: signer.name, size: appender.size, root: appender.root() };
  const note = signNote(formatCheckpoint(checkpoint), [signer]);
  const line = note.slice(parseNote(note).text.length + 1);
  const made = appender.take();
  const client = new pg.Client({ connectionString: database.sealerUrl });
  await client.connect();
  try {
    await client.query("SELECT seclog_seal($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)", [
      oldSize,
      tree?.root,
      checkpoint.size,
      checkpoint.root,
      checkpoint.origin,
      signer.keyId,
      signer.vkey,
      line,
      pending.map(({ id }) => id),
      pending.map(({ first }) => first),
      pending.map(({ last }) => last),
      made.map(({ level }) => level),
      made.map(({ index }) => index),
      made.map(({ hashes }) => hashes),
    ]);
  } finally {
    await client.end();
  }
  return { ...checkpoint, note, entries };
}

/** A tree in memory that can be read at every size: the honest part of a log that a test makes misbehave. */
export class MemoryTree {
  readonly #leaves: Uint8Array[] = [];

  constructor(size = 0, salt = "") {
    this.grow(size, salt);
  }

  grow(count: number, salt = ""): this {
    for (let i = 0; i < count; i++) this.#leaves.push(leafHash(`${salt} ${this.#leaves.length}`));
    return this;
  }

  get size(): number {
    return this.#leaves.length;
  }

  /** The first leaves as a tree of their own. */
  first(size: number): MemoryTree {
    const tree = new MemoryTree();
    tree.#leaves.push(...this.#leaves.slice(0, size));
    return tree;
  }

  root(size = this.size): Uint8Array {
    return this.#appender(size).root();
  }

  /** Returns the tiles of the whole tree. */
  readonly tiles = async (
    names: readonly { readonly level: number; readonly index: number }[],
  ): Promise<readonly Uint8Array[]> => {
    const made = this.#appender(this.size).take();
    return names.map(
      (name) =>
        made.find(({ level, index }) => level === name.level && index === name.index)?.hashes ?? Buffer.alloc(0),
    );
  };

  checkpoint(signer: NoteSigner, size = this.size): SealedCheckpoint {
    const checkpoint = { origin: signer.name, size, root: this.root(size) };
    return { ...checkpoint, note: signNote(formatCheckpoint(checkpoint), [signer]) };
  }

  #appender(size: number): TreeAppender {
    const appender = new TreeAppender();
    for (const leaf of this.#leaves.slice(0, size)) appender.append(leaf);
    return appender;
  }
}

/** 32 random bytes for a key. */
export const seed = (): Buffer => randomBytes(32);
