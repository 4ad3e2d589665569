/**
 * Confirms that the events which a source's position covers are stored.
 *
 * The position may be ahead of a batch because a reply was lost, because the spool is an older copy, or because another
 * process ships the source. But a client with the source's key could also have moved it over events that were never
 * stored. So the handler does not trust the position alone: it asks for these very events by their ids, which only the
 * spool and the stored rows have.
 */
import { createHash } from "node:crypto";
import { HandlerError } from "../ship/handler.ts";
import type { Session } from "./session.ts";

/** Events per statement. */
const AT_ONCE = 2_000;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** An id that no event has, for a record whose own cannot be read. */
const NIL_UUID = "00000000-0000-0000-0000-000000000000";

/** How to find events without reading the log: the values of each, in lists for the statement's parameters. */
export interface Identities {
  readonly ids: readonly string[];
  readonly times: readonly string[];
  /** SHA-256 of each record, which identifies it in quarantine. */
  readonly digests: readonly string[];
}

/**
 * The number up to which the records from `firstSeq` on are stored, or in quarantine, or were removed by retention;
 * `firstSeq - 1` when not even the first one is.
 *
 * @param statement asks for some of them; see `source-store.ts`
 */
export async function confirmedUpTo(
  session: Session,
  firstSeq: number,
  records: readonly Uint8Array[],
  statement: (firstSeq: number, identities: Identities) => readonly [text: string, values: unknown[]],
): Promise<number> {
  for (let from = 0; from < records.length; from += AT_ONCE) {
    const identities = records.slice(from, from + AT_ONCE).map(identityOf);
    const [row] = await session.query(
      ...statement(firstSeq + from, {
        ids: identities.map(({ id }) => id),
        times: identities.map(({ occurredAt }) => occurredAt),
        digests: identities.map(({ digest }) => digest),
      }),
    );
    const confirmed = Number((row as { last_seq: string }).last_seq);
    if (confirmed < firstSeq + from + identities.length - 1) return confirmed;
  }
  return firstSeq + records.length - 1;
}

/** @param confirmed the last number known to be stored */
export function seizedError(id: string, position: number, confirmed: number): HandlerError {
  return new HandlerError(
    "destination",
    `PostgreSQL: source ${id} stands at ${position} there, but event ${confirmed + 1} is not stored: a client with the ` +
      "source's key moved its position, a relay passed the number as lost, or rows were deleted; see docs/operations.md",
    { code: "SECLOG_SOURCE_SEIZED" },
  );
}

/** A row that is not this event has taken one of the numbers `from` to `to`. */
export function clashError(id: string, from: number, to: number, cause: unknown): HandlerError {
  const numbers = from === to ? `number ${from}` : `one of the numbers ${from} to ${to}`;
  const message = `PostgreSQL: ${numbers} of source ${id} has a row with the same time that is not this event's: another client inserted it, with a writer's login`;
  return new HandlerError("event", message, { cause });
}

interface Identity {
  readonly id: string;
  readonly occurredAt: string;
  /** SHA-256 of the record, which identifies it in quarantine. */
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
    // Damaged, or not an event: if the database has it, then in quarantine.
  }
  return { id: NIL_UUID, occurredAt: "-infinity", digest };
}

/** Whether PostgreSQL accepts it as a time: not `2026-02-30`. */
function isTime(text: unknown): text is string {
  if (typeof text !== "string" || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(text)) return false;
  const time = new Date(text);
  return !Number.isNaN(time.getTime()) && text > "0001" && time.toISOString().slice(0, 19) === text.slice(0, 19);
}
