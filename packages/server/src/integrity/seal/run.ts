import { setTimeout as sleep } from "node:timers/promises";
import { SeclogError } from "seclog";
import { commandLine } from "../../config/program.ts";
import { Session } from "../../database/session.ts";
import { type SealedStep, Sealer, type SealerOptions } from "./sealer.ts";

/** Options of {@link runSealer}. */
export interface RunSealerOptions extends SealerOptions {
  /** The sealer's connection URL. */
  readonly url: string;
  /** Ends when everything is sealed that was there. */
  readonly once?: boolean;
  readonly signal: AbortSignal;
  /** After each checkpoint, with the age in seconds of the oldest event that is not sealed; it must not throw, and sealing waits for it. */
  readonly onSealed: (step: SealedStep, age: () => Promise<number>) => void | Promise<void>;
  /** Another sealer is at work, or this one is now. */
  readonly onTurn?: (sealing: boolean) => void;
  /** What failed and is tried again. */
  readonly onTrouble?: (error: unknown) => void;
}

/** How often a sealer that waits looks whether the other one has gone. */
const STANDBY_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
/** A sealer that says nothing for so long loses its connection, and what a step of it has locked. */
const SILENCE_MS = 15_000;

/** What no second try puts right. */
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
 * Seals until it is told to end: waits while another sealer is at work, takes over when that one has gone, and tries again
 * after failures of the database.
 *
 * @throws SeclogError for what must be looked at by somebody: the tree must not be continued, or not with this key
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
        // Whoever is stopped or cut off must not keep the tree locked.
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
        // Numbers without an event can be any amount: they are sealed little by little, and a run that ends does not wait.
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

/** Rows are found by (source, number), whatever the statistics of a young table say. */
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
 * Waits until it is this sealer's turn, which the others leave to it when they end, or when they say nothing for some seconds.
 *
 * @param had whether it was this one's turn before
 */
async function waitForTurn(sealer: Sealer, had: boolean, { signal, once, onTurn }: RunSealerOptions): Promise<void> {
  const began = performance.now();
  let waited = false;
  while (!(await sealer.takeTurn())) {
    if (!waited) onTurn?.(false);
    waited = true;
    // One that was killed keeps its turn for as long as this at most.
    if (once === true && performance.now() - began > sealer.longestTurnMs) {
      throw new SeclogError("SECLOG_DATABASE", "another sealer is at work: it seals what there is");
    }
    await pause(STANDBY_MS, signal);
    signal.throwIfAborted();
  }
  if (waited || !had) onTurn?.(true);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}

/** What the database's own refusals mean. */
function judge(error: unknown): unknown {
  const { code, message } = error as { code?: string; message?: string };
  if (code === "SL011")
    return new SeclogError("SECLOG_KEY", `${message}: start the sealer with that key`, { cause: error });
  if (code === "SL013")
    return new SeclogError("SECLOG_TREE", `${message}: run ${commandLine("verify")}`, { cause: error });
  return error;
}
