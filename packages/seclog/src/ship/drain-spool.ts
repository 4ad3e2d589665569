import { randomUUID } from "node:crypto";
import { resolve } from "node:path";
import { errorMessage, type SeclogError } from "../event/errors.ts";
import { clearInterval, setInterval } from "../runtime/timers.ts";
import { assertOwnFolder } from "../spool/files.ts";
import { type SpoolFs, spoolFs } from "../spool/fs.ts";
import { OwnerWatch, RENEW_MS } from "../spool/ownership.ts";
import { listSources, releaseWhenBack, sourceIsOwned } from "../spool/source.ts";
import { Adoption } from "./adopt.ts";
import type { FailureKind, SecurityEventHandler } from "./handler.ts";
import { keepQuarantined } from "./quarantine.ts";
import { Shipper } from "./shipper.ts";

/** How often it looks what became of sources and of the owners that are watched, in milliseconds. */
const LOOK_MS = 1_000;

/** How often to look again at what could not be taken over, once nothing else is left. */
const MORE_LOOKS = 3;

/** What {@link drainSpool} needs. */
export interface DrainOptions {
  /** The spool's root, as `spool.directory` names it. */
  readonly directory: string;
  /**
   * Where the events go. Their names must be those that the application used, or they get every event again. They are
   * closed at the end.
   */
  readonly handlers: readonly SecurityEventHandler[];
  /** Gives up; what was not shipped stays. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DrainResult) => void;
  /** Receives every failure; retryable ones are retried until `signal` aborts. */
  readonly onFailure?: (failure: {
    readonly handler: string | undefined;
    readonly kind: FailureKind;
    readonly code: string;
    readonly message: string;
  }) => void;
  /** @default node:fs */
  readonly fs?: SpoolFs;
}

/** What {@link drainSpool} did. */
export interface DrainResult {
  /** Dead processes' sources that were found, and how many of them all handlers have whole. */
  readonly sources: number;
  readonly finished: number;
  /** Names of handlers that the dead processes had and that are not among `handlers`: what they need was kept. */
  readonly waiting: readonly string[];
  /** Sources that running processes own and ship themselves. */
  readonly owned: number;
  /** Events acknowledged, summed over the handlers, and put in quarantine. */
  readonly shipped: number;
  readonly quarantined: number;
}

/**
 * Ships what dead processes left in a spool, and removes what all their handlers have. Sources of running processes are
 * left alone. Resolves when nothing is left, or when `signal` aborts.
 *
 * @throws SeclogError the first failure of kind `destination` (an operator must act), `SECLOG_SPOOL_DIRECTORY`, or,
 *   when the rest has been shipped, `SECLOG_SPOOL_NEWER`, or `SECLOG_SPOOL_DIRECTORY` for what cannot be taken over,
 *   also a few seconds later, and what was shipped and cannot be removed
 */
export async function drainSpool(options: DrainOptions): Promise<DrainResult> {
  const { handlers, signal, onProgress, onFailure } = options;
  const directory = resolve(options.directory);
  const fs = options.fs ?? spoolFs;
  if (listSources(fs, directory).length > 0) assertOwnFolder(fs, directory);
  let sources = 0;
  let finished = 0;
  const watch = new OwnerWatch();
  const holder = randomUUID();
  const countOwned = (by?: OwnerWatch): number =>
    listSources(fs, directory).filter((id) => sourceIsOwned(fs, directory, id, by)).length;
  let owned = countOwned();
  let stopReason: SeclogError | undefined;
  /** Why a source was left alone; the others are shipped first. */
  let refused: SeclogError | undefined;
  let wake = (): void => {};
  const result = (): DrainResult => {
    const health = handlers.map((_, index) => shipper.health(index));
    return {
      sources,
      finished,
      owned,
      waiting: adoption.waiting,
      shipped: health.reduce((sum, handler) => sum + handler.shipped, 0),
      quarantined: health.reduce((sum, handler) => sum + handler.quarantined, 0),
    };
  };
  const shipper = new Shipper(
    handlers,
    {
      acknowledged: () => onProgress?.(result()),
      failed: (lane, kind, error) => {
        onFailure?.({ handler: lane?.handler.name, kind, code: error.code, message: error.message });
        if (kind !== "destination") return;
        stopReason ??= error;
        wake();
      },
      seized: (lane, _, { code, message }) => {
        onFailure?.({ handler: lane.handler.name, kind: "retry", code, message });
      },
      quarantined: () => onProgress?.(result()),
      kept: () => {},
      finished: (source) => {
        finished += 1;
        adoption.finished(source);
        sources += adoption.look();
        onProgress?.(result());
        wake();
      },
    },
    (handler, record) => keepQuarantined(fs, directory, handler, record),
  );
  const adoption = new Adoption(
    fs,
    directory,
    holder,
    shipper,
    {
      only: handlers.map(({ name }) => name),
      bytes: () => {},
      failed: (error, kind) => {
        onFailure?.({ handler: undefined, kind, code: error.code, message: errorMessage(error) });
        if (kind === "destination") refused ??= error;
      },
    },
    watch,
  );
  const renewal = setInterval(() => adoption.renew(), RENEW_MS);
  // Owners on other machines that seem dead are watched to be sure, and a folder may be gone.
  const looking = setInterval(() => {
    sources += adoption.look();
    wake();
  }, LOOK_MS);
  signal?.addEventListener("abort", () => wake(), { once: true });
  try {
    sources += adoption.look();
    const watched = adoption.undecided > 0;
    let looks = MORE_LOOKS;
    const isAtWork = (): boolean => adoption.size + adoption.undecided > 0;
    const hasMore = (): boolean => isAtWork() || (adoption.refused !== undefined && looks-- > 0);
    while (stopReason === undefined && signal?.aborted !== true && hasMore()) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (watched) owned = countOwned(watch);
    refused ??= adoption.refused ?? adoption.tidy();
  } finally {
    clearInterval(renewal);
    clearInterval(looking);
    await shipper.stop();
    if (adoption.release()) releaseWhenBack(fs, directory, holder);
    await shipper.closeHandlers();
  }
  const failure = stopReason ?? refused;
  if (failure !== undefined) throw failure;
  return result();
}
