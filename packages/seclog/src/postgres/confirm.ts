/**
 * Whether what a source's position covers is really stored.
 *
 * The position may be ahead of a batch because an answer was lost, or the spool is an older copy, or another process ships the
 * source; or because somebody who has the source's key moved it over events that were never stored. So the position alone is
 * not believed: the database is asked for these very events, by their ids, which only the spool and the stored rows have.
 */
import { createHash } from "node:crypto";
import { type BatchSource, HandlerError } from "../ship/handler.ts";
import type { Session } from "./session.ts";

/** Events that are asked for in one statement. */
const AT_ONCE = 2_000;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** An id that no event has: of a record that does not say who it is. */
const NOBODY = "00000000-0000-0000-0000-000000000000";

/**
 * The number up to which the records from `firstSeq` on are stored, or in quarantine, or were removed by retention;
 * `firstSeq - 1` when not even the first one is.
 */
export async function confirmedUpTo(
  session: Session,
  { id, epoch, key }: BatchSource,
  firstSeq: number,
  records: readonly Uint8Array[],
): Promise<number> {
  for (let from = 0; from < records.length; from += AT_ONCE) {
    const asked = records.slice(from, from + AT_ONCE).map(identityOf);
    const [row] = await session.query("SELECT public.seclog_confirm($1, $2, $3, $4, $5, $6, $7) AS last_seq", [
      id,
      epoch,
      key,
      firstSeq + from,
      asked.map((identity) => identity.id),
      asked.map((identity) => identity.occurredAt),
      asked.map((identity) => identity.digest),
    ]);
    const confirmed = Number((row as { last_seq: string }).last_seq);
    if (confirmed < firstSeq + from + asked.length - 1) return confirmed;
  }
  return firstSeq + records.length - 1;
}

/** @param confirmed the last number that is stored */
export function seizedError({ id }: BatchSource, position: number, confirmed: number): HandlerError {
  return new HandlerError(
    "destination",
    `PostgreSQL: source ${id} stands at ${position} there, but event ${confirmed + 1} is not stored: somebody who has the ` +
      "source's key moved its position, or rows were deleted; see docs/operations.md",
    { code: "SECLOG_SOURCE_SEIZED" },
  );
}

interface Identity {
  readonly id: string;
  readonly occurredAt: string;
  /** SHA-256 of the record, by which it is known in the quarantine. */
  readonly digest: string;
}

function identityOf(record: Uint8Array): Identity {
  const digest = createHash("sha256").update(record).digest("hex");
  const end = record.indexOf(0x0a);
  try {
    const line = JSON.parse(Buffer.from(record.subarray(0, Math.max(0, end))).toString()) as {
      readonly id?: unknown;
      readonly occurred_at?: unknown;
    };
    const { id, occurred_at: occurredAt } = line;
    if (typeof id === "string" && UUID.test(id) && isTime(occurredAt)) return { id, occurredAt, digest };
  } catch {
    // Damaged, or no event: the store has it in quarantine, if at all.
  }
  return { id: NOBODY, occurredAt: "-infinity", digest };
}

/** Whether it is a time that PostgreSQL takes: `2026-02-30` is none. */
function isTime(text: unknown): text is string {
  if (typeof text !== "string" || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(text)) return false;
  const time = new Date(text);
  return !Number.isNaN(time.getTime()) && text > "0001" && time.toISOString().slice(0, 19) === text.slice(0, 19);
}
