import { createHash } from "node:crypto";
import { SeclogError } from "seclog";
import type { RelayStore } from "seclog/postgres";
import { sourceOf } from "seclog/queues";
import type { DeadLetter, DeadLetters } from "./consumer.ts";

/** A dead letter, as it is shown. */
export interface ListedLetter {
  readonly id: string;
  readonly at: Date;
  readonly code: string;
  readonly message: string;
  readonly bytes: number;
  readonly sha256: string;
  /** The source that it claims, unchecked; `undefined` if it is not an envelope. */
  readonly sourceId: string | undefined;
}

/** How many are listed, retried or dropped at once. */
const MOST_LETTERS = 1_000;

/** The oldest dead letters. */
export async function listDeadLetters(dead: DeadLetters): Promise<readonly ListedLetter[]> {
  return (await dead.list(MOST_LETTERS)).map(listed);
}

/**
 * Puts dead letters back into the queue.
 *
 * @param ids the engine's, or `"all"` for the oldest 1,000
 * @throws SeclogError `SECLOG_CONFIG` for an id that is not there
 */
export async function retryDeadLetters(
  dead: DeadLetters,
  ids: readonly string[] | "all",
): Promise<readonly ListedLetter[]> {
  const letters = await chosen(dead, ids);
  for (const { id } of letters) await dead.retry(id);
  return letters;
}

/**
 * Drops dead letters for good, and puts that on record in the log before it does so.
 *
 * @throws SeclogError as {@link retryDeadLetters}; HandlerError when the database cannot record it
 */
export async function dropDeadLetters(
  dead: DeadLetters,
  ids: readonly string[] | "all",
  record: { readonly store: RelayStore; readonly queue: string; readonly reason: string; readonly signal: AbortSignal },
): Promise<readonly ListedLetter[]> {
  const letters = await chosen(dead, ids);
  if (letters.length === 0) return letters;
  const { store, queue, reason, signal } = record;
  const sha256 = letters.map((letter) => letter.sha256);
  await store.dropped({ queue, dropped: letters.length, sha256, reason }, signal);
  for (const { id } of letters) await dead.drop(id);
  return letters;
}

async function chosen(dead: DeadLetters, ids: readonly string[] | "all"): Promise<readonly ListedLetter[]> {
  const all = await listDeadLetters(dead);
  if (ids === "all") return all;
  return ids.map((id) => {
    const letter = all.find((known) => known.id === id);
    if (letter === undefined) {
      throw new SeclogError(
        "SECLOG_CONFIG",
        `dead letter ${JSON.stringify(id)} is not among the oldest ${MOST_LETTERS}: list them with --dead-letters`,
      );
    }
    return letter;
  });
}

function listed({ id, at, code, message, bytes }: DeadLetter): ListedLetter {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { id, at: dateOf(at), code, message, bytes: bytes.length, sha256, sourceId: sourceOf(bytes) };
}

/** A stranger may have written the letter, with any time. */
function dateOf(at: number): Date {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? new Date(0) : date;
}
