import type { EventDefinitions } from "../event/definition.ts";
import type { SeclogError } from "../event/errors.ts";
import type { Level } from "../event/level.ts";
import type { EventInput, EventType } from "./facts.ts";
import type { Health } from "./health.ts";

/**
 * The result of `recordSecurityEvent`. Its promises are created when first read, and one that is never awaited does not
 * cause an unhandled rejection. A promise that was read keeps the process alive until it settles, as do `flush()` and
 * `close()`; an idle log does not.
 */
export interface Receipt {
  /** The event's UUIDv7, or `null` if it was not recorded: below the level, or the spool was full or the log closed. */
  readonly id: string | null;
  /**
   * Resolves when the event is as safe as its durability requires (`"process"`: written; `"disk"`, `"strict"`:
   * fdatasync), or at once if it is below the level. With `spool: "memory"`: when it is stored.
   *
   * Rejects if that fails. With `SECLOG_SPOOL_FULL` or `SECLOG_SPOOL_DIRECTORY`, or `SECLOG_CLOSED` from a log on disk,
   * the event was refused. With `SECLOG_SPOOL_WRITE`, `SECLOG_SPOOL_LOST`, or `SECLOG_CLOSED` from a log in memory, it
   * may be lost, or still be stored later: recording it again could store it twice.
   */
  readonly durable: Promise<void>;
  /**
   * Resolves when every required handler has the event, however long that takes.
   *
   * Rejects like `durable`, and with `SECLOG_CLOSED` if the log is closed first (the event stays in the spool).
   */
  readonly stored: Promise<void>;
}

/**
 * A failure of the log itself, for the `diagnostics` callback: delivered after `recordSecurityEvent`, in a later turn
 * of the event loop, at most once a second for each code and handler.
 */
export interface Diagnostic {
  readonly level: "info" | "warning" | "error";
  readonly code: SeclogError["code"] | "SECLOG_RECOVERED";
  readonly message: string;
  readonly handler?: string;
  /** How many with the same code and handler were suppressed since the last one. */
  readonly suppressed?: number;
}

/** A named log. Created by `createSecurityLog`. */
export interface SecurityLog<Events extends EventDefinitions = Record<never, never>> extends AsyncDisposable {
  readonly name: string;
  /** This log's source id, as the events carry it. */
  readonly sourceId: string;
  /**
   * Records an event. Never throws because of its data or the disk (except for events of
   * durability `"strict"`), never waits for the network, and works without a request. Bound: may be passed around.
   *
   * @throws SeclogError only for events of durability `"strict"`, if the event is not on disk: `SECLOG_SPOOL_WRITE`,
   *   `SECLOG_SPOOL_LOST`, `SECLOG_CLOSED`, and `SECLOG_SPOOL_FULL` unless `onFull` is `"drop"`
   * @param type a type of the catalogue or of the log's own definitions. Any other is a compile error, and at run time
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
   * Events below this level are not recorded. Setting it on an open log records `log_level_changed`, whatever the
   * level, so that the guard cannot be lowered unseen. It applies to this log in this process, until it closes.
   *
   * @throws SeclogError `SECLOG_CONFIG` if it is set to anything but a level, which changes nothing
   */
  level: Level;
  /** Whether an event of this type would be recorded at the log's level. */
  isEnabled(type: EventType<Events>): boolean;
  /**
   * Resolves when every required handler has stored everything recorded so far.
   *
   * @param options.deadline the most milliseconds to wait before it rejects with `SECLOG_DEADLINE`. At most a day,
   *   which is also meant by `Infinity`; anything else is `SECLOG_CONFIG`. @default 10000
   */
  flush(options?: { readonly deadline?: number }): Promise<void>;
  /**
   * Stops recording, waits for the handlers up to the deadline, and releases the spool. What was not shipped stays on
   * disk for the next process or `seclog ship`; what was not written counts as dropped and is reported to
   * `diagnostics`. Never rejects; a second call returns the same promise. It takes a few seconds longer than the
   * deadline if a handler does not stop.
   *
   * @param options.deadline the most milliseconds to wait for handlers. At most a day, which is also meant by
   *   `Infinity`; for anything else the default applies, and `diagnostics` receives `SECLOG_CONFIG`. @default 5000
   */
  close(options?: { readonly deadline?: number }): Promise<void>;
  health(): Health;
}
