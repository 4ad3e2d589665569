/** Seals a log and publishes its checkpoints. */
import { databaseError } from "../database/failure.ts";
import { SessionPool } from "../database/session.ts";
import { keepRollups } from "../search/roll-up.ts";
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
  /** Receives why stored events could not be counted; it is retried. */
  readonly onNotCounted?: (error: unknown) => void;
}

/** How long publishing the last checkpoints may take at the end. */
const FLUSH_MS = 30_000;

/**
 * Seals as {@link runSealer} does, and publishes on a connection of its own, so that a witness that needs a proof does not
 * delay sealing. At the end it publishes what is waiting. Beside that, on a third one, it counts stored events by hour.
 *
 * @throws SeclogError as `runSealer`; also for every database failure that is not retried
 */
export async function sealAndPublish(options: SealAndPublishOptions): Promise<void> {
  const { url, publishers, everyMs, onNotPublished, onSealed, onTrouble } = options;
  const pool = new SessionPool({ role: "sealer", url, purpose: "seclog seal, publishing", access: "READ WRITE" }, 1);
  const counting = new SessionPool({ role: "sealer", url, purpose: "seclog seal, counting", access: "READ WRITE" }, 1);
  const ending = new AbortController();
  const onFailure = (error: unknown): void => options.onNotCounted?.(databaseError(error, "sealer"));
  const counts = keepRollups({
    pool: counting,
    once: options.once === true,
    signal: AbortSignal.any([options.signal, ending.signal]),
    onFailure,
  });
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
    if (options.once !== true) ending.abort();
    await counts;
    await counting.end();
    await pool.end();
  }
}
