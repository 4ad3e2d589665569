/** Seals a log and publishes its checkpoints. */
import { databaseError } from "../database/failure.ts";
import { SessionPool } from "../database/session.ts";
import { type Publisher, storedContext } from "./publish/publisher.ts";
import { Publishing } from "./publish/publishing.ts";
import { type RunSealerOptions, runSealer } from "./seal/run.ts";

export interface SealAndPublishOptions extends RunSealerOptions {
  /** The places that keep checkpoints. */
  readonly publishers: readonly Publisher[];
  /** The least time between two publications at one place, in milliseconds. */
  readonly everyMs: number;
  /** Receives why a checkpoint could not be published; it is retried. */
  readonly onNotPublished: (error: Error) => void;
}

/** How long publishing the last checkpoints may take at the end. */
const FLUSH_MS = 30_000;

/**
 * Seals as {@link runSealer} does, and publishes on a connection of its own, so that a witness that needs a proof does not
 * delay sealing. At the end it publishes what is waiting.
 *
 * @throws SeclogError as `runSealer`; also for every database failure that is not retried
 */
export async function sealAndPublish(options: SealAndPublishOptions): Promise<void> {
  const { url, publishers, everyMs, onNotPublished, onSealed, onTrouble } = options;
  const pool = new SessionPool({ role: "sealer", url, purpose: "seclog seal, publishing", access: "READ WRITE" }, 1);
  try {
    const publishing = new Publishing(publishers, {
      context: storedContext(pool),
      everyMs,
      onFailure: (_, error) => onNotPublished(error),
    });
    try {
      await runSealer({
        ...options,
        onSealed: (step, age) => {
          publishing.offer(step.checkpoint);
          return onSealed(step, age);
        },
        onTrouble: (error) => onTrouble?.(databaseError(error, "sealer")),
      });
    } catch (error) {
      throw databaseError(error, "sealer");
    } finally {
      await publishing.flush(FLUSH_MS);
    }
  } finally {
    await pool.end();
  }
}
