/** Keeps the rollups up to date, and makes them anew. */
import { setTimeout as sleep } from "node:timers/promises";
import type { OwnerConnection } from "../database/owner.ts";
import type { Queries } from "../database/session.ts";

/** How many numbers to count at a time: well below a second. */
const BATCH = 20_000;

/** How long to wait after everything is counted, and after a failure, in milliseconds. */
const PAUSE_MS = 1_000;
const FAILURE_MS = 10_000;

export interface KeepRollupsOptions {
  /** The sealer's connection. */
  readonly pool: Queries;
  /** Counts what is stored now, then ends. */
  readonly once: boolean;
  readonly signal: AbortSignal;
  /** Receives why it could not count; it tries again, except with `once`. */
  readonly onFailure: (error: unknown) => void;
}

/** Counts stored events until the signal aborts. Never rejects: counting must not stop sealing. */
export async function keepRollups({ pool, once, signal, onFailure }: KeepRollupsOptions): Promise<void> {
  while (!signal.aborted) {
    let pause = PAUSE_MS;
    try {
      const { rows } = await pool.query<{ passed: string }>("SELECT public.seclog_roll($1)::text AS passed", [BATCH]);
      if (rows[0]?.passed !== "0") continue;
    } catch (error) {
      onFailure(error);
      pause = FAILURE_MS;
    }
    if (once) return;
    await sleep(pause, undefined, { signal }).catch(() => {});
  }
}

/**
 * Counts every stored event, and reports how many so far.
 *
 * @param anew whether to forget what is counted before
 * @returns how many numbers it counted
 */
export async function countAll(
  owner: OwnerConnection,
  {
    anew,
    signal,
    onProgress,
  }: { readonly anew: boolean; readonly signal: AbortSignal; readonly onProgress: (numbers: number) => void },
): Promise<number> {
  if (anew) await owner.transaction("COMMIT", (client) => client.query("SELECT public.seclog_unroll()"));
  for (let total = 0; ; onProgress(total)) {
    signal.throwIfAborted();
    const passed = await owner.transaction("COMMIT", async (client) => {
      const { rows } = await client.query<{ passed: string }>("SELECT public.seclog_roll($1)::text AS passed", [BATCH]);
      return Number(rows[0]?.passed ?? 0);
    });
    if (passed === 0) return total;
    total += passed;
  }
}
