import type { Catalogue, DataOf } from "../event/catalogue.ts";
import type { EventDefinitions } from "../event/definition.ts";
import type { SeclogError } from "../event/errors.ts";
import type { Outcome } from "../event/event.ts";
import type { Level } from "../event/level.ts";

/** Who did it or what it was done to: an id, or an id with its kind. Ids are cut at 256 characters. */
export type Party = string | number | bigint | { readonly id: string | number | bigint; readonly type?: string };

/** Facts that any event may carry and that have columns of their own; `null` says no more than leaving them out. Everything else goes to `data`. */
export interface EventFacts {
  /** Who did it. Without it, `userid` is taken, then the request context's actor. */
  readonly actor?: Party | null | undefined;
  /** What it was done to. */
  readonly target?: Party | null | undefined;
  /** @default the type's own */
  readonly outcome?: Outcome | null | undefined;
  /** The response's status. */
  readonly statusCode?: number | null | undefined;
  /** What the path does allow: a list, or the `Allow` header as it is. */
  readonly allowedMethods?: string | number | readonly string[] | null | undefined;
  /** The route's template, when the request does not know it. */
  readonly route?: string | null | undefined;
  /** For how many occurrences this event stands. */
  readonly count?: number | null | undefined;
  /** The first of `count` occurrences. */
  readonly startedAt?: Date | null | undefined;
  /** The last of `count` occurrences. */
  readonly endedAt?: Date | null | undefined;
}

/** What is known of the data of an event of type `T`: the type's own, and the common facts. Anything else may be added. */
export type EventInput<T extends string, Events extends EventDefinitions> = DataOf<T, Events> & EventFacts;

/** The types of the catalogue and of the application's own definitions. */
export type EventType<Events extends EventDefinitions> = (keyof Catalogue & string) | (keyof Events & string);

/**
 * What a call to `recordSecurityEvent` gives back. The promises are made when they are first read, and one
 * that nobody awaits never becomes an unhandled rejection. One that was read keeps the process alive until it settles, as
 * `flush()` and `close()` do; a log that nobody waits for keeps no process alive.
 */
export interface Receipt {
  /** The event's UUIDv7, or `null` when it was not recorded: below the level, the spool was full, or the log closed. */
  readonly id: string | null;
  /**
   * Resolves when the event is as safe as its delivery says (`"process"`: written; `"disk"`, `"strict"`:
   * fdatasync), or at once when it is below the level. With `spool: "memory"`: when it is stored.
   *
   * Rejects when that cannot be: with `SECLOG_SPOOL_FULL` or `SECLOG_SPOOL_DIRECTORY`, or `SECLOG_CLOSED` of a log with a disk,
   * the event was not taken. With `SECLOG_SPOOL_WRITE`, `SECLOG_SPOOL_LOST`, or `SECLOG_CLOSED` of one in memory it is not
   * known to be safe, and may be stored all the same when the disk takes it later: recorded again, it could be there twice.
   */
  readonly durable: Promise<void>;
  /**
   * Resolves when every required handler has the event, also after retries of any length.
   *
   * Rejects as `durable` does, and with `SECLOG_CLOSED` when the log is closed first (the event stays in the spool).
   */
  readonly stored: Promise<void>;
}

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

/**
 * A failure of the log's own, for the `diagnostics` callback: never within `recordSecurityEvent` but in a turn of the event
 * loop behind it, at most one a second of each code and handler.
 */
export interface Diagnostic {
  readonly level: "info" | "warning" | "error";
  readonly code: SeclogError["code"] | "SECLOG_RECOVERED";
  readonly message: string;
  readonly handler?: string;
  /** How many of the same were held back since the last one. */
  readonly suppressed?: number;
}

/** A named log. Made by `createSecurityLog`. */
export interface SecurityLog<Events extends EventDefinitions = Record<never, never>> extends AsyncDisposable {
  readonly name: string;
  /** This log's source id, as the events carry it. */
  readonly sourceId: string;
  /**
   * Records that something happened. Never throws for what the data or the disk can do (except events of
   * delivery `"strict"`), never waits for the network, and works without a request. Bound: may be passed around.
   *
   * @throws SeclogError for events of delivery `"strict"` only, when the event is not on disk: `SECLOG_SPOOL_WRITE`,
   *   `SECLOG_SPOOL_LOST`, `SECLOG_CLOSED`, and `SECLOG_SPOOL_FULL` unless `whenFull` is `"drop-newest"`
   * @param type a name of the catalogue or of the log's own definitions. Another name is a compile error, and at run time
   *   is recorded and flagged.
   * @param request a Node, Express, Fastify, Koa, Hono or Fetch request or context; without one, the current one
   *   that a capture middleware knows.
   */
  readonly recordSecurityEvent: <T extends EventType<Events>, Data extends object>(
    type: T,
    request?: object | null,
    data?: Data & EventInput<T, Events>,
  ) => Receipt;
  /**
   * Events below it are not recorded. It may be set while the log runs; that is itself recorded, as `log_level_changed`,
   * whatever the level, so that nobody lowers the guard unseen. It holds for this log in this process, until it is closed.
   *
   * @throws SeclogError `SECLOG_CONFIG` when it is set to anything but a level: nothing has changed then
   */
  level: Level;
  /** Whether an event of this type would be recorded at the log's level. */
  isEnabled(type: EventType<Events>): boolean;
  /**
   * Resolves when everything recorded until now is stored by every required handler.
   *
   * @param options.deadline the most milliseconds to wait; then it rejects with `SECLOG_DEADLINE`. At most a day, which is
   *   also meant by `Infinity`; anything else is `SECLOG_CONFIG`. @default 10000
   */
  flush(options?: { readonly deadline?: number }): Promise<void>;
  /**
   * Stops recording, waits for the handlers up to the deadline, and gives the spool up. What was not shipped
   * stays on disk for the next process or `seclog ship`; what no disk took is counted as dropped, and told to `diagnostics`.
   * Never rejects; a second call gets the same promise. It takes a few seconds more than the deadline when a handler does
   * not stop.
   *
   * @param options.deadline the most milliseconds to wait for handlers. At most a day, which is also meant by `Infinity`; for
   *   anything else the default is taken, and `diagnostics` told `SECLOG_CONFIG`. @default 5000
   */
  close(options?: { readonly deadline?: number }): Promise<void>;
  health(): Health;
}
