/** The contract of publishers, and how a checkpoint compares with the one that was published before it. */
import { SeclogError } from "seclog";
import { type Checkpoint, sameHash, type TileReader } from "seclog/merkle";
import type { Queryable } from "../../database/session.ts";
import type { SignedCheckpoint } from "../stored-tree.ts";
import { storedTiles } from "../stored-tree.ts";

/** A publisher's access to the log. */
export interface PublishContext {
  /** For proofs of consistency. */
  readonly tiles: TileReader;
  /** The size of the newest stored checkpoint: larger than the one to publish if another sealer was faster. */
  newestSize(): Promise<number>;
  /** Stores a witness's signature of the checkpoint with `size` leaves; `line` is a line of a signed note, with its newline. */
  cosign(size: number, name: string, keyId: number, line: string): Promise<void>;
}

/**
 * A place outside the database that keeps checkpoints.
 *
 * `publish` resolves once the checkpoint is durable there, or if it was already; it may receive the same one twice, and not
 * every checkpoint. It rejects on failure, with any error. It MUST end soon after `signal` aborts: until then there is no
 * further call. It MUST NOT block the thread.
 */
export interface Publisher {
  /** The kind and the place, without secrets, for messages; unique within a log. */
  readonly name: string;
  publish(checkpoint: SignedCheckpoint, context: PublishContext, signal: AbortSignal): Promise<void>;
}

/** The context of a log in a database, as the sealer. Pass another connection than the sealer's, which publishing must not delay. */
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

/** Whether a place needs the checkpoint: `behind` if it does, `ahead` if it has a later one of the same log. */
export type Standing = "behind" | "same" | "ahead";

/**
 * Compares a checkpoint with the one that a place keeps of the same log.
 *
 * @param where the place, for the message
 * @throws SeclogError `SECLOG_ROLLBACK` if the place has seen a longer log than the stored one, or another one of this size:
 *   an alarm that only a copy outside the database can raise
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
      `${where} has a different log ${kept.origin} of ${kept.size} leaves than the database: history was rewritten after a rollback (SECLOG_ROLLBACK); nothing was published there`,
    );
  }
  const newest = await context.newestSize();
  if (newest >= kept.size) return "ahead";
  throw rolledBack(where, kept.origin, kept.size, newest);
}

/** The error if a place has seen more leaves than the database has. */
export function rolledBack(where: string, origin: string, seen: number, stored: number): SeclogError {
  return new SeclogError(
    "SECLOG_ROLLBACK",
    `${where} has seen the log ${origin} with ${seen} leaves, and the database has ${stored}: it was rolled back or truncated (SECLOG_ROLLBACK); nothing was published there`,
  );
}
