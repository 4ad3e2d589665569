import { setTimeout as sleep } from "node:timers/promises";
import { SeclogError } from "seclog";
import { commandLine } from "../../config/program.ts";
import { Session } from "../../database/session.ts";
import { type SealedStep, Sealer, type SealerOptions } from "./sealer.ts";

/** Options of {@link runSealer}. */
export interface RunSealerOptions extends SealerOptions {
  /** The sealer's connection URL. */
  readonly url: string;
  /** Returns once everything stored at the start is sealed. */
  readonly once?: boolean;
  readonly signal: AbortSignal;
  /** Called after each checkpoint; `age` returns the seconds since the oldest unsealed event was stored. It must not throw; sealing waits for it. */
  readonly onSealed: (step: SealedStep, age: () => Promise<number>) => void | Promise<void>;
  /** Called when another sealer has the turn, and when this one takes it. */
  readonly onTurn?: (sealing: boolean) => void;
  /** Receives failures that are retried. */
  readonly onTrouble?: (error: unknown) => void;
}

/** How often a waiting sealer tries to take the turn. */
const STANDBY_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
/** A sealer that is silent for so long loses its connection, and with it the locks of its step. */
const SILENCE_MS = 15_000;

/** Errors that a retry cannot fix. */
const FATAL: ReadonlySet<string> = new Set([
  "SECLOG_CONFIG",
  "SECLOG_KEY",
  "SECLOG_ROLLBACK",
  "SECLOG_TREE",
  "SECLOG_SCHEMA_MISSING",
  "SECLOG_SCHEMA_NEWER",
  "SECLOG_SCHEMA_OLDER",
]);

/**
 * Seals until `signal` aborts: waits while another sealer has the turn, takes over when that one ends, and retries after
 * database failures.
 *
 * @throws SeclogError if an operator must act: the tree must not be continued, or not with this key
 */
export async function runSealer(options: RunSealerOptions): Promise<void> {
  const { signal, once = false } = options;
  let wait = STANDBY_MS;
  while (!signal.aborted) {
    let session: Session | undefined;
    let sealer: Sealer | undefined;
    try {
      session = await Session.open({
        role: "sealer",
        url: options.url,
        purpose: "seclog seal",
        access: "READ WRITE",
        // A sealer that is suspended or cut off must not keep the tree locked.
        idleTimeout: SILENCE_MS,
        settings: SETTINGS,
      });
      const current = new Sealer(session, options);
      sealer = current;
      for (let had = false; !signal.aborted; had = true) {
        await waitForTurn(current, had, options);
        await current.makePartitions();
        const step = await current.step();
        wait = STANDBY_MS;
        if (step !== undefined) await options.onSealed(step, () => current.oldestUnsealed());
        // A source can have any amount of numbers without an event: they are sealed bit by bit, and `once` does not wait.
        if (current.isLooking) continue;
        if (once && (step === undefined || (!step.more && step.empty > 0))) return;
        if (step?.more !== true && !(once && step !== undefined)) await pause(options.intervalMs, signal);
      }
    } catch (error) {
      const judged = judge(error);
      if (once || (judged instanceof SeclogError && FATAL.has(judged.code))) throw judged;
      if (signal.aborted) return;
      options.onTrouble?.(judged);
      await pause(wait * (0.5 + Math.random() / 2), signal);
      wait = Math.min(LONGEST_WAIT_MS, wait * 2);
    } finally {
      await sealer?.endTurn().catch(() => {});
      await session?.end();
    }
  }
}

/** Forces index lookups by (source, number), whatever the statistics of a young table suggest. */
const SETTINGS = [
  "enable_seqscan = off",
  "enable_bitmapscan = off",
  "enable_hashjoin = off",
  "enable_mergejoin = off",
  "jit = off",
  "tcp_keepalives_idle = 5",
  "tcp_keepalives_interval = 3",
  "tcp_keepalives_count = 3",
] as const;

/**
 * Waits for the turn, which another sealer returns when it ends, and loses when it is silent for some seconds.
 *
 * @param had whether this sealer already had the turn
 */
async function waitForTurn(sealer: Sealer, had: boolean, { signal, once, onTurn }: RunSealerOptions): Promise<void> {
  const began = performance.now();
  let waited = false;
  while (!(await sealer.takeTurn())) {
    if (!waited) onTurn?.(false);
    waited = true;
    // A killed sealer keeps the turn for at most this long.
    if (once === true && performance.now() - began > sealer.longestTurnMs) {
      throw new SeclogError(
        "SECLOG_DATABASE",
        "another sealer is running and seals these events: stop it, or leave the work to it",
      );
    }
    await pause(STANDBY_MS, signal);
    signal.throwIfAborted();
  }
  if (waited || !had) onTurn?.(true);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}

/** Translates the refusals of the schema's functions. */
function judge(error: unknown): unknown {
  const { code, message } = error as { code?: string; message?: string };
  if (code === "SL011")
    return new SeclogError("SECLOG_KEY", `${message}: start the sealer with that key`, { cause: error });
  if (code === "SL013")
    return new SeclogError("SECLOG_TREE", `${message}: run ${commandLine("verify")}`, { cause: error });
  return error;
}
