import { SeclogError } from "seclog";
import { type Checkpoint, sameHash, type TileReader } from "seclog/merkle";
import type { Queryable } from "../../database/session.ts";
import type { SignedCheckpoint } from "../stored-tree.ts";
import { storedTiles } from "../stored-tree.ts";

/** What a publisher may ask of the log. */
export interface PublishContext {
  /** For proofs of consistency. */
  readonly tiles: TileReader;
  /** How many leaves the newest stored checkpoint has: more than the one in hand when another sealer was faster. */
  newestSize(): Promise<number>;
  /** Keeps a witness's signature of the checkpoint of `size`; `line` is a line of a signed note, with its newline. */
  cosign(size: number, name: string, keyId: number, line: string): Promise<void>;
}

/**
 * A place outside the database where checkpoints are kept.
 *
 * `publish` resolves when the checkpoint is durable there, or was already; a place may be given the same one twice, and
 * leaves out those that came between. It rejects when that failed, with whatever it likes, and it MUST end soon after
 * `signal` aborts: until it has ended it is not called again. It must not block the thread.
 */
export interface Publisher {
  /** What and where, without secrets: for messages. No two of a log are the same. */
  readonly name: string;
  publish(checkpoint: SignedCheckpoint, context: PublishContext, signal: AbortSignal): Promise<void>;
}

/** The context of the log in a database, as the sealer. Not the sealer's own connection: publishing must not hold it up. */
export function storedContext(database: Queryable): PublishContext {
  return {
    tiles: storedTiles(database),
    async newestSize() {
      const { rows } = (await database.query(
        "SELECT coalesce(max(size), 0)::text AS size FROM public.security_event_checkpoint",
      )) as { rows: { size: string }[] };
      return Number(rows[0]?.size);
    },
    async cosign(size, name, keyId, line) {
      await database.query("SELECT public.seclog_cosign($1, $2, $3, $4)", [size, name, keyId, line]);
    },
  };
}

/** Whether a place needs the checkpoint: `behind` when it does, `ahead` when it has a later one of the same log. */
export type Standing = "behind" | "same" | "ahead";

/**
 * Compares a checkpoint with the one that a place has kept of the same log.
 *
 * @param where the place, for the message
 * @throws SeclogError `SECLOG_ROLLBACK` when the place has seen a log that is longer than the stored one, or another one of
 *   this size: the one alarm that only a copy outside the database can give
 */
export async function compareWithKept(
  kept: Checkpoint,
  checkpoint: Checkpoint,
  context: PublishContext,
  where: string,
): Promise<Standing> {
  if (kept.size < checkpoint.size) return "behind";
  if (kept.size === checkpoint.size) {
    if (sameHash(kept.root, checkpoint.root)) return "same";
    throw new SeclogError(
      "SECLOG_ROLLBACK",
      `${where} has another log ${kept.origin} of ${kept.size} leaves than the database: history was rewritten after a rollback (SECLOG_ROLLBACK); nothing was published there`,
    );
  }
  const newest = await context.newestSize();
  if (newest >= kept.size) return "ahead";
  throw rolledBack(where, kept.origin, kept.size, newest);
}

/** The error for a place that has seen more than the database has. */
export function rolledBack(where: string, origin: string, seen: number, stored: number): SeclogError {
  return new SeclogError(
    "SECLOG_ROLLBACK",
    `${where} has seen the log ${origin} with ${seen} leaves, and the database has ${stored}: it was rolled back, or its tail was cut (SECLOG_ROLLBACK); nothing was published there`,
  );
}
