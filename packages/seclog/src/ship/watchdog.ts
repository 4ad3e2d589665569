import type { ErrorCode } from "../event/errors.ts";
import type { HandlerHealth } from "../record/health.ts";
import { wallNow } from "../runtime/timers.ts";
import type { ShippingHealth } from "./news.ts";
import { monotonic, type Progress } from "./progress.ts";
import type { RecordedTimes } from "./recorded-times.ts";

/** How long a handler that is behind may acknowledge nothing before it is stalled, in milliseconds. */
export const STALL_MS = 5_000;

/** How long a call may run before it counts as hung, in milliseconds. PostgreSQL's own limits are shorter. */
const HUNG_MS = 60_000;

/** Why something has stopped. */
export interface Trouble {
  readonly code: ErrorCode;
  readonly message: string;
  readonly at: Date;
}

/** The health of a handler, and whether its backlog has stopped moving. */
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
  /** Why nothing ships: the thread is missing, or does not respond. */
  readonly trouble: Trouble | undefined;
}

/**
 * Judges a handler by what it has acknowledged rather than by what it reports: whatever the reason for which nothing is
 * acknowledged, known or not, it shows. Computed on request, from a monotonic clock and shared memory, so that it is
 * right also while timers, the event loop or the shipper's thread stand still.
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
  // A handler that is being retried has reported why it is behind. A call that never settles is not retried.
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
