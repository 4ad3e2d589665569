/** Writes the proof that one event is in the log, which can be checked without the database. */
import { createHash } from "node:crypto";
import type pg from "pg";
import { SeclogError } from "seclog";
import { formatTlogProof, inclusionProof, leafHash, verifyInclusion } from "seclog/merkle";
import { EVENT_SELECT, type EventRow } from "seclog/postgres";
import { ENTRY_COLUMNS, eventEntry, personalLine } from "seclog/postgres/schema";
import { commandLine } from "../config/program.ts";
import { databaseError } from "../database/failure.ts";
import { Session } from "../database/session.ts";
import { InputError } from "../text/input-error.ts";
import { leafOf } from "./leaf-ranges.ts";
import { storedCheckpoint, storedTiles } from "./stored-tree.ts";

export interface ProveEventOptions {
  /** The reader's connection URL. */
  readonly url: string;
  /** The event's id. */
  readonly id: string;
  /** Leaves out the personal part: who, from where, and the event's data. @default false */
  readonly redact?: boolean;
}

/** A proof that an event is in the log. */
export interface EventProof {
  /** The event's id, in lower case. */
  readonly id: string;
  /** The event's leaf. */
  readonly index: number;
  /** Leaves of the checkpoint in the proof. */
  readonly size: number;
  /** Whether the personal part is left out, or was erased before. */
  readonly redacted: boolean;
  /** The text of the proof (https://c2sp.org/tlog-proof), for a file. */
  readonly proof: string;
}

/**
 * Proves that an event is a leaf of the newest checkpoint's tree.
 *
 * @throws SeclogError `SECLOG_PROOF` when the event does not exist, is not sealed yet, or is not what was sealed;
 *   `SECLOG_TREE` when the tree lacks tiles; `SECLOG_CONFIG` when the id is not a UUID, before it connects; and for every
 *   database failure
 */
export async function proveEvent({ url, id, redact = false }: ProveEventOptions): Promise<EventProof> {
  const event = checkEventId(id);
  let session: Session | undefined;
  try {
    session = await Session.open({ role: "reader", url, purpose: "seclog prove", access: "READ ONLY" });
    // One snapshot: the row, its range and the checkpoint must agree.
    return await session.transaction((client) => proofOf(client, event, redact), { isolation: "REPEATABLE READ" });
  } catch (error) {
    throw databaseError(error, "reader");
  } finally {
    await session?.end();
  }
}

/** Returns an event's id in the column's form. */
function checkEventId(id: string): string {
  const event = id.toLowerCase();
  if (/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(event)) return event;
  throw new SeclogError(
    "SECLOG_CONFIG",
    `${JSON.stringify(id.slice(0, 100))} is not an event's id: expected a UUID, as ${commandLine("query --json")} shows it`,
  );
}

/** Proves the first row with this id that is what was sealed. */
async function proofOf(client: pg.Client, id: string, redact: boolean): Promise<EventProof> {
  const rows = await rowsOf(client, id);
  const checkpoint = await storedCheckpoint(client);
  let isChanged = false;
  for (const row of rows) {
    const index = await leafOf(client, row.raw_source_id, row.raw_seq);
    if (index === undefined || checkpoint === undefined || index >= checkpoint.size) continue;
    const entry = eventEntry(ENTRY_COLUMNS.map((column) => row[`raw_${column}`] as string | null));
    const leaf = leafHash(entry);
    const proof = await inclusionProof(index, checkpoint.size, storedTiles(client));
    if (!verifyInclusion(leaf, index, checkpoint.size, proof, checkpoint.root)) {
      // Changed, or a row that a writer inserted: another row with this id may be the sealed one.
      isChanged = true;
      continue;
    }
    const extra = [entry];
    if (!redact && row.salt !== null) extra.push(row.salt.toString("hex"), committedLine(id, row, row.salt));
    return {
      id,
      index,
      size: checkpoint.size,
      redacted: extra.length === 1,
      proof: formatTlogProof({ extra: Buffer.from(extra.join("\n")), index, proof, checkpoint: checkpoint.note }),
    };
  }
  if (isChanged) {
    throw new SeclogError(
      "SECLOG_PROOF",
      `event ${id} is not what was sealed with its number: either it was changed, or an inserted row was sealed in its place; run ${commandLine("verify")}, and compare with the application's spool and receipts`,
    );
  }
  if (rows.length > 0) {
    throw new SeclogError(
      "SECLOG_PROOF",
      `event ${id} is not sealed yet: wait a moment, or run ${commandLine("seal")}`,
    );
  }
  throw new SeclogError(
    "SECLOG_PROOF",
    `event ${id} does not exist: correct the id, or look for it with ${commandLine("query")}`,
  );
}

/** Returns the personal line, checked against the commitment so that every proof that is written holds. */
function committedLine(id: string, row: ProvenRow, salt: Buffer): string {
  const line = personalLine(row);
  const commitment = createHash("sha256").update(salt).update(line).digest("hex");
  if (row["raw_commitment"] === `\\x${commitment}` && !line.includes("\n")) return line;
  throw new InputError(
    (named) =>
      `the personal part of event ${id} is not what it commits to, or not in canonical form: run ${commandLine("verify")}, or prove the event without it (${named("redact")})`,
    { code: "SECLOG_PROOF" },
  );
}

type ProvenRow = EventRow & {
  readonly raw_source_id: string;
  readonly raw_seq: string;
  readonly salt: Buffer | null;
};

/** The rows with this id, the first stored first: a hostile writer can copy an id only once it exists. */
async function rowsOf(client: pg.Client, id: string): Promise<readonly ProvenRow[]> {
  const raw = ENTRY_COLUMNS.map((column) => `log.${column}::text AS raw_${column}`).join(", ");
  const select = `SELECT ${EVENT_SELECT}, ${raw}, salt FROM public.security_event_log AS log WHERE id = $1`;
  // An id's first 48 bits are the event's time in milliseconds, so the search reads only that month's partitions.
  const ms = Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
  const near = await client.query<ProvenRow>(
    `${select} AND occurred_at BETWEEN to_timestamp($2::float8 / 1000) - interval '1 second'
      AND to_timestamp($2::float8 / 1000) + interval '1 second' ${FIRST}`,
    [id, Math.min(ms, LATEST_MS)],
  );
  // The whole log, if another program than Seclog generated the id.
  return near.rows.length > 0 ? near.rows : (await client.query<ProvenRow>(`${select} ${FIRST}`, [id])).rows;
}

const FIRST = "ORDER BY log.created_at LIMIT 20";

/** Below PostgreSQL's latest time. */
const LATEST_MS = 9_000_000_000_000_000 / 1000;
