import { decodeEvent } from "../event/encode.ts";
import { SeclogError } from "../event/errors.ts";
import type { SecurityEvent } from "../event/event.ts";

/** The source of the events, and the credentials to ship them. */
export interface BatchSource {
  /** The source's id, a UUIDv7. */
  readonly id: string;
  /** The shipper's fencing token. Each new owner of a spool has a higher one; a store refuses a lower one. */
  readonly epoch: number;
  /**
   * 32 random hexadecimal digits that only the spool contains: a store may require them before it moves the source's
   * position.
   */
  readonly key: string;
  /**
   * The highest seq that this handler is known to have acknowledged, 0 for none. A store that has less was rolled back.
   */
  readonly acknowledged: number;
}

/** Consecutive events of one source, in order: `lastSeq - firstSeq + 1` of them. */
export interface EventBatch {
  readonly source: BatchSource;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** The canonical bytes of each event (`event/encode.ts`), read-only and valid until `handle` settles. */
  readonly records: readonly Uint8Array[];
  /** The events, decoded when first read. */
  readonly events: readonly SecurityEvent[];
}

/** An event that a handler cannot store, or a damaged record of the spool. */
export interface QuarantinedRecord {
  readonly source: BatchSource;
  readonly seq: number;
  /** Why, in words, at most 1,000 characters. */
  readonly reason: string;
  /** The bytes as they were found. */
  readonly record: Uint8Array;
}

/**
 * A place where events go.
 *
 * - `handle` MUST take events in the order of the source and MUST be idempotent by (source, seq): after a
 *   crash or a lost response it receives events that it may already have.
 * - It MUST resolve only when the events are safe there, and MUST reject when they may not be.
 * - It rejects with {@link HandlerError} to say what kind of failure it is; any other error counts as
 *   `"retry"`. A failure is reported to the log's diagnostics and never reaches a request.
 * - When `signal` aborts, the handler SHOULD stop soon; the events stay in the spool.
 */
export interface SecurityEventHandler {
  /** Names the handler's position in the spool: keep it when a configuration changes. `[a-z0-9_-]`, at most 40. */
  readonly name: string;
  handle(batch: EventBatch, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
  /**
   * Whether a receipt's `stored` waits for it.
   * @default true
   */
  readonly required?: boolean;
  /**
   * How many batches of one source may be passed to `handle` before the first resolves. They come in order and
   * MUST become durable in order.
   * @default 1
   */
  readonly inFlight?: number;
  /**
   * The most events in one batch.
   * @default 1000
   */
  readonly batchSize?: number;
  /**
   * Stores a placeholder for an event that `handle` rejected for good, so that the sequence continues without a gap.
   * Same rules as `handle`. Without it the record goes to `quarantine.ndjson` in the spool's directory.
   */
  quarantine?(record: QuarantinedRecord, signal: AbortSignal): Promise<void>;
  /**
   * Resolves when the destination has the source's events up to `source.acknowledged`, and rejects as `handle` does
   * when it has fewer. Called before shipping resumes from a position that only a file in the spool's folder states,
   * since events are deleted by it and every process that may write there can edit it. For a handler without this
   * method, the file is trusted.
   */
  confirm?(source: BatchSource, signal: AbortSignal): Promise<void>;
  /**
   * What only one handler at a time may write to, such as the path of a file. A log does not start with a handler whose
   * `exclusive` belongs to another open log of this process, or to another of its own handlers.
   */
  readonly exclusive?: string;
  /**
   * How to make the same handler in the shipper's worker thread: `module` is the URL of a {@link HandlerModule}, whose
   * `createHandler(options)` returns it or a promise of it; `options` must survive a structured clone. When it rejects,
   * the thread ends and another one tries again. Absent for a handler that holds something that cannot be cloned (a
   * pool, a function): it runs on the main thread, in slices.
   *
   * The URL must be that of a file which holds the handler and nothing else. Not `import.meta.url` of a module that is
   * bundled: there it names the application itself.
   */
  readonly worker?: { readonly module: string; readonly options: unknown };
}

/** A module that makes a handler in the shipper's thread. */
export interface HandlerModule {
  createHandler(options: unknown): SecurityEventHandler | Promise<SecurityEventHandler>;
}

/**
 * What a handler's failure means for the shipper:
 * - `"retry"`: nothing is wrong with the events; try again after a pause.
 * - `"event"`: an event of the batch can never be stored; the shipper halves the batch until it has it alone.
 * - `"destination"`: an operator must act (wrong password, missing table): stop, alarm, keep spooling. Retried rarely.
 */
export type FailureKind = "retry" | "event" | "destination";

/**
 * A handler's failure, with what it means. The code `SECLOG_SOURCE_SEIZED` says that the destination counts events as
 * stored that it does not have: those behind {@link HandlerError.stored} come again, under another source
 * (ship/successor.ts).
 */
export class HandlerError extends SeclogError {
  readonly kind: FailureKind;
  /** The source's events up to this number are stored regardless, if the handler knows. */
  stored: number | undefined;

  constructor(
    kind: FailureKind,
    message: string,
    options?: { readonly cause?: unknown; readonly code?: SeclogError["code"] },
  ) {
    super(options?.code ?? DEFAULT_CODE[kind], message, options);
    this.name = "HandlerError";
    this.kind = kind;
  }
}

const DEFAULT_CODE = {
  retry: "SECLOG_HANDLER_RETRY",
  event: "SECLOG_EVENT_REJECTED",
  destination: "SECLOG_HANDLER_STOPPED",
} as const satisfies { readonly [K in FailureKind]: SeclogError["code"] };

/** A batch over canonical records; `events` are decoded on first use, once. */
export function eventBatch(source: BatchSource, firstSeq: number, records: readonly Uint8Array[]): EventBatch {
  let events: readonly SecurityEvent[] | undefined;
  return {
    source,
    firstSeq,
    lastSeq: firstSeq + records.length - 1,
    records,
    get events() {
      events ??= records.map(decodeEvent);
      return events;
    },
  };
}
