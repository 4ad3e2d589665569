/**
 * How the log itself is doing. Counts are since the log was created.
 *
 * Whenever shipping stops, for whatever reason, `status` leaves `"ok"` within ten seconds: it is judged by what
 * handlers have acknowledged, at the time of the call.
 */
export interface Health {
  /**
   * - `"degraded"`: a handler is behind and has acknowledged nothing for 5 seconds, or is being retried; dropped events
   *   are not on record yet; or what dead processes left cannot be shipped.
   * - `"failing"`: nothing is being written or shipped. The spool refuses writes; the shipper's thread is missing, or
   *   has not answered for 5 seconds; a handler stopped; or one of its calls has been running for 60 seconds.
   */
  readonly status: "ok" | "degraded" | "failing";
  /** The most serious reason why `status` is not `"ok"`. Absent while it is. */
  readonly lastError?: HealthError;
  readonly sourceId: string;
  readonly recorded: number;
  readonly belowLevel: number;
  /**
   * Events not recorded, since the spool was full or not writable or the log closed, or not written before it closed.
   */
  readonly dropped: number;
  /**
   * Bytes of this log's files, and of those that it ships for dead processes. Files are deleted whole, so the one being
   * written counts even if every handler has its contents: `behind` says how many events wait.
   */
  readonly spooledBytes: number;
  readonly handlers: readonly HandlerHealth[];
  /** What dead processes left in the spool and has not been fully shipped. Absent if nothing. */
  readonly leftBehind?: LeftBehind;
}

/** Why something has stopped. */
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
  /** Bytes of their segments; unreadable ones count 0. */
  readonly bytes: number;
  /** Why some of it is not shipped: a folder that cannot be read, or that a newer program wrote. */
  readonly lastError?: HealthError;
}

/** How one handler is doing. */
export interface HandlerHealth {
  readonly name: string;
  /**
   * `"retrying"` after a failure that may pass, `"stopped"` after one that an operator must fix, `"stalled"` if it is
   * behind and acknowledges nothing although no failure explains that.
   */
  readonly status: "ok" | "retrying" | "stalled" | "stopped";
  /** Events that it acknowledged, including those that this log ships for dead processes. */
  readonly shipped: number;
  /** Events of this log that it has not acknowledged yet. */
  readonly behind: number;
  /** When the oldest of these was recorded, to about a second, erring on the early side. Absent if it is not behind. */
  readonly oldestUnshippedAt?: Date;
  readonly retries: number;
  readonly quarantined: number;
  /** Its last failure; while it is `"stalled"`, the reason as far as known. */
  readonly lastError?: HealthError;
}
