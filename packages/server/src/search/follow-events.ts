import { setTimeout as sleep } from "node:timers/promises";
import { errorMessage, SeclogError } from "seclog";
import type { EventFollower } from "./event-follower.ts";
import type { EventRow } from "./event-rows.ts";

/** How the log is followed. */
export interface FollowOptions {
  /** How long to wait between two looks, in milliseconds. */
  readonly intervalMs: number;
  /** Ends it: the generator throws its reason, or an `AbortError`. */
  readonly signal: AbortSignal;
  /** The database failed, for the first time since it last answered; it is tried until it answers again. */
  readonly onLost?: (message: string) => void;
  /** The database answers again. Nothing was missed. */
  readonly onBack?: () => void;
}

/** After a failure the database is left alone for at least this long. */
const RECONNECT_MS = 2_000;

/** Every event that arrives from now on, until `signal` aborts. Outlives failures of the database, such as a restart. */
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
