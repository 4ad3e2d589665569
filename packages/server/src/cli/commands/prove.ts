import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import type pg from "pg";
import { SeclogError } from "seclog";
import { formatTlogProof, inclusionProof, leafHash, verifyInclusion } from "seclog/merkle";
import { EVENT_SELECT, type EventRow } from "seclog/postgres";
import { ENTRY_COLUMNS, eventEntry, personalLine } from "seclog/postgres/schema";
import { requireUrl } from "../../config/environment.ts";
import { commandLine } from "../../config/program.ts";
import { databaseError } from "../../database/failure.ts";
import { Session } from "../../database/session.ts";
import { storedCheckpoint, storedTiles } from "../../integrity/stored-tree.ts";
import { note, print } from "../../terminal/print.ts";

interface ProveCommandOptions {
  readonly out?: string;
  readonly redact?: true;
}

/** `seclog prove`. */
export function addProve(program: Command): void {
  program
    .command("prove <event-id>")
    .description("write a proof that an event is in the log, to be checked offline with seclog verify-proof")
    .option("--out <file>", "the file to write (default: standard output)")
    .option("--redact", "leave the personal part out: who, from where, and the event's data")
    .action(prove);
}

async function prove(id: string, options: ProveCommandOptions): Promise<void> {
  const event = id.toLowerCase();
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(event)) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `${JSON.stringify(id.slice(0, 100))} is no event's id: it is a UUID, as ${commandLine("query --json")} shows it`,
    );
  }
  const url = requireUrl("reader");
  let session: Session | undefined;
  try {
    session = await Session.open({ role: "reader", url, purpose: "seclog prove", access: "READ ONLY" });
    const proof = await session.transaction((client) => proofOf(client, event, options.redact === true), {
      isolation: "REPEATABLE READ",
    });
    if (options.out === undefined) await print(proof);
    else {
      writeFileSync(options.out, proof);
      note(`wrote ${options.out}; check it with: ${commandLine(`verify-proof ${options.out} --vkey KEY`)}`);
    }
  } catch (error) {
    throw databaseError(error, "reader");
  } finally {
    await session?.end();
  }
}

/** The proof's text (https://c2sp.org/tlog-proof), for the first row with the id that is what was sealed. */
async function proofOf(client: pg.Client, id: string, redact: boolean): Promise<string> {
  const rows = await rowsOf(client, id);
  const checkpoint = await storedCheckpoint(client);
  let isChanged = false;
  for (const row of rows) {
    const index = await leafIndex(client, row.raw_source_id, row.raw_seq);
    if (index === undefined || checkpoint === undefined || index >= checkpoint.size) continue;
    const entry = eventEntry(ENTRY_COLUMNS.map((column) => row[`raw_${column}`] as string | null));
    const leaf = leafHash(entry);
    const proof = await inclusionProof(index, checkpoint.size, storedTiles(client));
    if (!verifyInclusion(leaf, index, checkpoint.size, proof, checkpoint.root)) {
      // Or it is a row that a writer put beside the one that was sealed.
      isChanged = true;
      continue;
    }
    const extra = [entry];
    if (!redact && row.salt !== null) extra.push(row.salt.toString("hex"), committedLine(id, row, row.salt));
    return formatTlogProof({ extra: Buffer.from(extra.join("\n")), index, proof, checkpoint: checkpoint.note });
  }
  if (isChanged) {
    throw new SeclogError(
      "SECLOG_PROOF",
      `event ${id} is not what was sealed with its number: either somebody changed it, or a row that somebody inserted was sealed in its place; run ${commandLine("verify")}, and compare with the application's spool and receipts`,
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
    `there is no event ${id}: correct the id, or look for it with ${commandLine("query")}`,
  );
}

/** The personal line, held against the commitment: a proof that does not hold helps nobody. */
function committedLine(id: string, row: ProvenRow, salt: Buffer): string {
  const line = personalLine(row);
  const commitment = createHash("sha256").update(salt).update(line).digest("hex");
  if (row["raw_commitment"] === `\\x${commitment}` && !line.includes("\n")) return line;
  throw new SeclogError(
    "SECLOG_PROOF",
    `the personal part of event ${id} is not what it commits to, or not in canonical form: run ${commandLine("verify")}, or prove the event without it (--redact)`,
  );
}

type ProvenRow = EventRow & {
  readonly raw_source_id: string;
  readonly raw_seq: string;
  readonly salt: Buffer | null;
};

/** The rows with the id that were stored first: whoever may write can copy an id, but not before there is one. */
async function rowsOf(client: pg.Client, id: string): Promise<readonly ProvenRow[]> {
  const raw = ENTRY_COLUMNS.map((column) => `log.${column}::text AS raw_${column}`).join(", ");
  const select = `SELECT ${EVENT_SELECT}, ${raw}, salt FROM public.security_event_log AS log WHERE id = $1`;
  // An id's first 48 bits are the event's milliseconds: only that month's partitions are looked at.
  const ms = Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
  const near = await client.query<ProvenRow>(
    `${select} AND occurred_at BETWEEN to_timestamp($2::float8 / 1000) - interval '1 second'
      AND to_timestamp($2::float8 / 1000) + interval '1 second' ${FIRST}`,
    [id, Math.min(ms, LATEST_MS)],
  );
  // Unless somebody else than Seclog drew it.
  return near.rows.length > 0 ? near.rows : (await client.query<ProvenRow>(`${select} ${FIRST}`, [id])).rows;
}

const FIRST = "ORDER BY log.created_at LIMIT 20";

/** PostgreSQL has no later time. */
const LATEST_MS = 9_000_000_000_000_000 / 1000;

async function leafIndex(client: pg.Client, source: string, seq: string): Promise<number | undefined> {
  const { rows } = await client.query<{ index: string }>(
    `SELECT (first_leaf + $2::bigint - first_seq)::text AS index FROM public.security_event_seal
      WHERE source_id = $1 AND first_seq <= $2::bigint AND last_seq >= $2::bigint`,
    [source, seq],
  );
  return rows[0] === undefined ? undefined : Number(rows[0].index);
}
