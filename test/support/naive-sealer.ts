/** Seals a test's log as docs/design/integrity.md specifies, in the simplest way: all in memory, in one statement. */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { encodeCore } from "../../packages/seclog/src/event/encode.ts";
import {
  edgeTiles,
  formatCheckpoint,
  formatNote,
  formatPrivateKey,
  leafHash,
  type NoteSigner,
  parsePrivateKey,
  type Tile,
  TreeAppender,
} from "../../packages/seclog/src/merkle/index.ts";
import { EVENT_SELECT, rowToEvent } from "../../packages/seclog/src/postgres/rows.ts";

/** The origin of the tests' logs. */
export const ORIGIN = "log.example/shop";

export function newKey(name: string = ORIGIN, type?: "ed25519" | "cosignature"): NoteSigner {
  return parsePrivateKey(formatPrivateKey(name, randomBytes(32), type));
}

/** A signature line as it is stored. */
export function signatureLine(text: string, signer: NoteSigner): string {
  const note = formatNote({ text, signatures: [signer.sign(text)] });
  return note.slice(text.length + 1);
}

/** The signed note of a size, as an auditor would keep it elsewhere. */
export async function storedNote(client: pg.ClientBase, size?: number): Promise<string> {
  const { rows } = await client.query<{ size: string; origin: string; root: Buffer; lines: string }>(
    `SELECT c.size, c.origin, c.root, string_agg(s.line, '' ORDER BY s.created_at) AS lines
      FROM security_event_checkpoint c JOIN security_event_signature s USING (size)
      WHERE size = coalesce($1, (SELECT max(size) FROM security_event_checkpoint)) GROUP BY c.size`,
    [size ?? null],
  );
  const [row] = rows;
  if (row === undefined) throw new Error(`no checkpoint of ${size} leaves`);
  return `${formatCheckpoint({ origin: row.origin, size: Number(row.size), root: row.root })}\n${row.lines}`;
}

const PERSONAL = new Set(
  "actor_id actor_type data ip_address ip_chain ip_source method_original notes path request_host request_id span_id target_id target_type trace_id user_agent".split(
    " ",
  ),
);

/** {@link EVENT_SELECT}, without what a sealer may not read. */
const CORE_SELECT = [...EVENT_SELECT.matchAll(/(\S.*?) AS (\w+)(?:, |$)/g)]
  .filter(([, , name = ""]) => !PERSONAL.has(name))
  .map(([, expression, name]) => `${expression} AS ${name}`)
  .join(", ");

/** The entries of a source's numbers, as leaves. */
export async function entriesOf(client: pg.ClientBase, source: string, first: number, last: number): Promise<string[]> {
  const rows = await client.query(
    `SELECT ${CORE_SELECT}, encode(commitment, 'hex') AS digits,
        format('{"created_at":"%s","retention":"%s"}',
          to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), retention) AS stored FROM security_event_log
      WHERE source_id = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq, occurred_at, id`,
    [source, first, last],
  );
  const entries = new Map<number, string>();
  for (const row of rows.rows as ({ seq: string; digits: string; stored: string } & { [column: string]: unknown })[]) {
    const event = rowToEvent(row);
    if (!entries.has(event.seq)) entries.set(event.seq, `${encodeCore(event)}\n${row.digits}\n${row.stored}`);
  }
  const aside = await client.query<{ seq: string; at: string; digits: string }>(
    `SELECT seq, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, encode(commitment, 'hex') AS digits
      FROM security_event_quarantine WHERE source_id = $1 AND seq BETWEEN $2 AND $3`,
    [source, first, last],
  );
  for (const { seq, at, digits } of aside.rows) {
    const entry = `{"created_at":"${at}","quarantined":true,"seq":${seq},"source_id":"${source}"}\n${digits}`;
    if (!entries.has(Number(seq))) entries.set(Number(seq), entry);
  }
  return Array.from({ length: last - first + 1 }, (_, i) => {
    const seq = first + i;
    return entries.get(seq) ?? `{"missing":true,"seq":${seq},"source_id":"${source}"}`;
  });
}

/** Seals what is not sealed yet, at most so many numbers of each source, and returns the new size. */
export async function seal(client: pg.ClientBase, signer: NoteSigner, most = 1_000_000): Promise<number> {
  const { rows } = await client.query<{ size: string; root: Buffer }>("SELECT size, root FROM security_event_tree");
  const tree = rows[0] as { size: string; root: Buffer };
  const size = Number(tree.size);
  const edge: Tile[] = [];
  for (const name of edgeTiles(size)) {
    const stored = await client.query<{ hashes: Buffer }>(
      "SELECT hashes FROM security_event_tile WHERE level = $1 AND tile = $2",
      [name.level, name.index],
    );
    edge.push({ ...name, hashes: (stored.rows[0] as { hashes: Buffer }).hashes.subarray(0, name.width * 32) });
  }
  const appender = new TreeAppender(size, edge);
  const ranges = await client.query<{ id: string; first: string; last: string }>(
    `SELECT id, sealed.last + 1 AS first, least(last_seq, sealed.last + $1) AS last FROM security_event_source,
        LATERAL (SELECT coalesce(max(s.last_seq), 0) AS last FROM security_event_seal s WHERE s.source_id = id) AS sealed
      WHERE last_seq > sealed.last ORDER BY id`,
    [most],
  );
  if (ranges.rows.length === 0) return size;
  for (const { id, first, last } of ranges.rows) {
    for (const entry of await entriesOf(client, id, Number(first), Number(last))) appender.append(leafHash(entry));
  }
  // A tile is taken once for each time it grew: the last one of a name is the longest.
  const tiles = [...new Map(appender.take().map((tile) => [`${tile.level}/${tile.index}`, tile])).values()];
  const text = formatCheckpoint({ origin: signer.name, size: appender.size, root: appender.root() });
  await client.query("SELECT seclog_seal($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)", [
    size,
    tree.root,
    appender.size,
    Buffer.from(appender.root()),
    signer.name,
    signer.keyId,
    signer.vkey,
    signatureLine(text, signer),
    ranges.rows.map(({ id }) => id),
    ranges.rows.map(({ first }) => first),
    ranges.rows.map(({ last }) => last),
    tiles.map(({ level }) => level),
    tiles.map(({ index }) => index),
    tiles.map(({ hashes }) => Buffer.from(hashes)),
  ]);
  return appender.size;
}

/** Has the newest checkpoint signed by a new key as well, and retires the old one. */
export async function rotate(client: pg.ClientBase, signer: NoteSigner): Promise<void> {
  const { rows } = await client.query<{ size: string; root: Buffer }>("SELECT size, root FROM security_event_tree");
  const tree = rows[0] as { size: string; root: Buffer };
  const text = formatCheckpoint({ origin: signer.name, size: Number(tree.size), root: tree.root });
  await client.query("SELECT seclog_rotate_key($1, $2, $3, $4, $5, $6)", [
    tree.size,
    tree.root,
    signer.name,
    signer.keyId,
    signer.vkey,
    signatureLine(text, signer),
  ]);
}

/** A client with the sealer's login, in UTC. */
export async function sealerClient(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("SET timezone = 'UTC'");
  return client;
}
