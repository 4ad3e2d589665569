import type { ErrorCode } from "../event/errors.ts";
import type { HandlerHealth } from "../record/health.ts";
import { wallNow } from "../runtime/timers.ts";
import type { ShippingHealth } from "./news.ts";
import { monotonic, type Progress } from "./progress.ts";
import type { RecordedTimes } from "./recorded-times.ts";

/** A handler that is behind and acknowledges nothing for so long is stalled, in milliseconds. */
export const STALL_MS = 5_000;

/** A call that has not settled for so long is taken for one that never will, in milliseconds. PostgreSQL's own limits are shorter. */
const HUNG_MS = 60_000;

/** Why something does not go on. */
export interface Trouble {
  readonly code: ErrorCode;
  readonly message: string;
  readonly at: Date;
}

/** How a handler is doing, and whether nobody is at work on what it is behind with. */
export interface HandlerState {
  readonly health: HandlerHealth;
  readonly failing: boolean;
}

/** What the watchdog looks at. */
export interface Watched {
  readonly progress: Progress;
  readonly times: RecordedTimes;
  /** The last number that was recorded, and the last that may be shipped. */
  readonly recorded: number;
  readonly available: number;
  /** Why nobody ships: the thread is not there, or does not answer. */
  readonly trouble: Trouble | undefined;
}

/**
 * Says how a handler is doing from what it has achieved rather than from what it reports: whatever the reason for which nothing is
 * acknowledged, known or not, it shows. Computed when asked, from a monotonic clock and shared memory, so that it is right
 * also while timers, the event loop or the shipper's thread stand still.
 *
 * @param reported what the shipper reported last
 */
export function handlerState(index: number, reported: ShippingHealth, watched: Watched): HandlerState {
  const { progress, times, recorded } = watched;
  const now = monotonic();
  const acknowledged = progress.acknowledged(index);
  const behind = Math.max(0, recorded - acknowledged);
  const recordedAt = behind > 0 ? times.of(acknowledged + 1) : now;
  const health: HandlerHealth = {
    ...reported,
    behind,
    ...(behind > 0 ? { oldestUnshippedAt: new Date(wallNow() - (now - recordedAt)) } : {}),
  };
  const stalled = (lastError: Trouble, failing: boolean): HandlerState => ({
    health: { ...health, status: "stalled", lastError },
    failing,
  });
  if (reported.status === "stopped") return { health, failing: true };
  if (watched.trouble !== undefined) return stalled(watched.trouble, true);
  if (reported.status === "stalled") return { health, failing: true };

  const idle = now - Math.max(recordedAt, progress.movedAt(index));
  const callingSince = progress.callingSince(index);
  const calling = callingSince === 0 ? 0 : now - callingSince;
  // Who fails and is tried again is known to be behind, and why. A call that never settles is not tried again.
  const limit = reported.status === "retrying" ? HUNG_MS : STALL_MS;
  if (calling < limit && (idle < limit || reported.status === "retrying")) return { health, failing: false };
  const message = `nothing was acknowledged for ${seconds(Math.max(idle, calling))}: ${reason()}`;
  return stalled(
    { code: "SECLOG_STALLED", message, at: new Date() },
    calling >= HUNG_MS || (idle >= HUNG_MS && reported.status === "ok"),
  );

  function reason(): string {
    if (calling > 0) return `the call of ${reported.name} has been under way for ${seconds(calling)}`;
    if (watched.available <= acknowledged) return `the disk of the spool has not confirmed event ${acknowledged + 1}`;
    return `the shipper has not taken up event ${acknowledged + 1}`;
  }
}

/** `12 s` of 12,345 milliseconds. */
export function seconds(milliseconds: number): string {
  return `${Math.floor(milliseconds / 1_000)} s`;
}
