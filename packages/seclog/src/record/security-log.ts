import type { EventDefinitions } from "../event/definition.ts";
import type { SeclogError } from "../event/errors.ts";
import type { Level } from "../event/level.ts";
import type { EventInput, EventType } from "./facts.ts";
import type { Health } from "./health.ts";

/**
 * What a call to `recordSecurityEvent` gives back. The promises are made when they are first read, and one
 * that nobody awaits never becomes an unhandled rejection. One that was read keeps the process alive until it settles, as
 * `flush()` and `close()` do; a log that nobody waits for keeps no process alive.
 */
export interface Receipt {
  /** The event's UUIDv7, or `null` when it was not recorded: below the level, the spool was full, or the log closed. */
  readonly id: string | null;
  /**
   * Resolves when the event is as safe as its durability says (`"process"`: written; `"disk"`, `"strict"`:
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
   * durability `"strict"`), never waits for the network, and works without a request. Bound: may be passed around.
   *
   * @throws SeclogError for events of durability `"strict"` only, when the event is not on disk: `SECLOG_SPOOL_WRITE`,
   *   `SECLOG_SPOOL_LOST`, `SECLOG_CLOSED`, and `SECLOG_SPOOL_FULL` unless `onFull` is `"drop"`
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
