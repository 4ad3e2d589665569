/**
 * How the log itself is doing. Counts are since the log was created.
 *
 * Whatever the reason for which nothing is shipped, `status` is not `"ok"` within ten seconds: it is judged by what handlers
 * have acknowledged, at the time of the call.
 */
export interface Health {
  /**
   * - `"degraded"`: a handler is behind and has acknowledged nothing for 5 seconds, or is being retried; events were dropped and that
   *   is not on record yet; or what dead processes left cannot be shipped.
   * - `"failing"`: nobody is at work on it. The spool refuses writes; the shipper's thread is not there, or has not answered for 5
   *   seconds; a handler stopped; or one of its calls has been under way for 60 seconds.
   */
  readonly status: "ok" | "degraded" | "failing";
  /** Why `status` is not `"ok"`: the worst of the reasons. Absent while it is. */
  readonly lastError?: HealthError;
  readonly sourceId: string;
  readonly recorded: number;
  readonly belowLevel: number;
  /** Not recorded, because the spool was full, not writable, or the log closed; or recorded and, until it closed, not written. */
  readonly dropped: number;
  /**
   * Bytes of this log's files, and of those that it ships for dead processes. A file goes as a whole, so the one that is
   * being written counts although every handler has what is in it: `behind` says how many events wait.
   */
  readonly spooledBytes: number;
  readonly handlers: readonly HandlerHealth[];
  /** What dead processes left in the spool and is not shipped to its end. Absent when there is nothing. */
  readonly leftBehind?: LeftBehind;
}

/** Why something does not go on. */
export interface HealthError {
  readonly message: string;
  /** See `docs/errors.md`. */
  readonly code: string;
  /** When it was noticed. */
  readonly at: Date;
}

/** Spools of dead processes. */
export interface LeftBehind {
  readonly sources: number;
  /** Of their segments; 0 for those that cannot be read. */
  readonly bytes: number;
  /** Why some of it is not shipped: a folder that cannot be read, or that a newer program wrote. */
  readonly lastError?: HealthError;
}

/** How one handler is doing. */
export interface HandlerHealth {
  readonly name: string;
  /**
   * `"retrying"` after a failure that may pass, `"stopped"` after one that somebody must act on, `"stalled"` when it is behind
   * and acknowledges nothing although nothing failed that would explain it.
   */
  readonly status: "ok" | "retrying" | "stalled" | "stopped";
  /** Events that it acknowledged, those included that this log ships for dead processes. */
  readonly shipped: number;
  /** Events of this log that it has not acknowledged yet. */
  readonly behind: number;
  /** When the oldest of these was recorded, to about a second; rather too early than too late. Absent when it is not behind. */
  readonly oldestUnshippedAt?: Date;
  readonly retries: number;
  readonly quarantined: number;
  /** Its last failure; while it is `"stalled"`, what is known of the reason. */
  readonly lastError?: HealthError;
}
