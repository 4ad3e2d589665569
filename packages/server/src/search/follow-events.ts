import { setTimeout as sleep } from "node:timers/promises";
import { errorMessage, SeclogError } from "seclog";
import type { EventFollower } from "./event-follower.ts";
import type { EventRow } from "./event-rows.ts";

/** Options of {@link followEvents}. */
export interface FollowOptions {
  /** The pause between two looks, in milliseconds. */
  readonly intervalMs: number;
  /** Ends the generator, which throws the signal's reason or an `AbortError`. */
  readonly signal: AbortSignal;
  /** Called at the first failure of the database; retries follow until it recovers. */
  readonly onLost?: (message: string) => void;
  /** Called when the database has recovered. No event was missed. */
  readonly onBack?: () => void;
}

/** The shortest pause after a failure. */
const RECONNECT_MS = 2_000;

/** Yields every event that arrives from now on, until `signal` aborts. Survives database failures, such as a restart. */
export async function* followEvents(
  follower: EventFollower,
  { intervalMs, signal, onLost, onBack }: FollowOptions,
): AsyncGenerator<readonly EventRow[]> {
  for (let lost = false; ; ) {
    let pause = intervalMs;
    try {
      for (const pages = follower.look(); ; ) {
        const page = await pages.next();
        if (page.done) break;
        yield page.value;
      }
      if (lost) onBack?.();
      lost = false;
    } catch (error) {
      if (!(error instanceof SeclogError) || signal.aborted) throw error;
      if (!lost) onLost?.(errorMessage(error));
      lost = true;
      pause = Math.max(intervalMs, RECONNECT_MS);
    }
    await sleep(pause, undefined, { signal });
  }
}
