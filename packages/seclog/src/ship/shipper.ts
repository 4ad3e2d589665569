import { errorMessage, SeclogError } from "../event/errors.ts";
import type { HealthError } from "../record/health.ts";
import { clearTimeout, monotonicNow, setTimeout } from "../runtime/timers.ts";
import { closeHandlers } from "./close-handlers.ts";
import type { FailureKind, QuarantinedRecord, SecurityEventHandler } from "./handler.ts";
import { type HandlerTally, Lane } from "./lane.ts";
import type { ShippingHealth } from "./news.ts";
import type { Progress } from "./progress.ts";
import type { ShipSource } from "./ship-source.ts";
import type { Successor } from "./successor.ts";

/** What the shipper reports to its owner: the worker thread, a log in memory, or `drainSpool`. */
export interface ShipperObserver {
  /** A handler has everything of a source up to `lane.acknowledged`. */
  acknowledged(lane: Lane): void;
  /** @param lane absent if the failure does not concern one handler */
  failed(lane: Lane | undefined, kind: FailureKind, error: SeclogError): void;
  /** A handler's store claims events that it does not have: they continue under another source. */
  seized(lane: Lane, successor: Successor, error: SeclogError): void;
  /**
   * A record that a handler could not take, or that is damaged, was quarantined. Of consecutive damage only the first
   * is reported.
   */
  quarantined(lane: Lane, record: QuarantinedRecord): void;
  /** Positions are saved again, after that failed. */
  kept(): void;
  /** Every handler has all of a dead process's source. */
  finished(source: ShipSource): void;
}

/** A source that is being shipped. */
interface Shipment {
  readonly lanes: readonly Lane[];
  done: Promise<void>;
  /** For each lane, the number in its cursor. */
  readonly kept: number[];
  /** Segments with events only up to this number were released. */
  released: number;
  /** Why the last attempt to save cursors or to release segments failed. */
  unkept: HealthError | undefined;
  /** Its folder is gone. */
  dropped: boolean;
}

/** How often cursors are kept and passed segments deleted, in milliseconds. */
const KEEP_MS = 250;

/** The same after that failed. */
const KEEP_AGAIN_MS = 1_000;

/**
 * Ships every source to every handler, with one lane for each pair. It saves the lanes' cursors every 250 ms and then
 * releases what all handlers have, in that order, so that nothing deleted is read again after a crash. One per thread,
 * but it does not depend on threads; it leaves reading to `ShipSource`, and retries and quarantine to `Lane`.
 */
export class Shipper {
  readonly #handlers: readonly SecurityEventHandler[];
  readonly #observer: ShipperObserver;
  readonly #quarantine: (handler: string, record: QuarantinedRecord) => void;
  readonly #progress: Progress | undefined;
  readonly #sources = new Map<ShipSource, Shipment>();
  readonly #tallies: readonly HandlerTally[];
  #keepTimer: NodeJS.Timeout | undefined;
  #caughtUp: (() => void) | undefined;
  #stopping = false;

  /**
   * @param quarantine keeps a record for a handler that has no quarantine of its own
   * @param progress records which calls are under way
   * @param before the handlers' health when the previous shipper of these sources ended
   */
  constructor(
    handlers: readonly SecurityEventHandler[],
    observer: ShipperObserver,
    quarantine: (handler: string, record: QuarantinedRecord) => void,
    progress?: Progress,
    before: readonly ShippingHealth[] = [],
  ) {
    this.#handlers = handlers;
    this.#tallies = handlers.map((_, index) => {
      const { shipped = 0, retries = 0, quarantined = 0, lastError } = before[index] ?? {};
      return { shipped, retries, quarantined, lastError, calls: new Set() };
    });
    this.#observer = observer;
    this.#quarantine = quarantine;
    this.#progress = progress;
  }

  /** How a handler is doing, over all sources. */
  health(index: number): ShippingHealth {
    const handler = this.#handlers[index] as SecurityEventHandler;
    const lanes = this.#lanes().filter((lane) => lane.handler === handler);
    const has = (status: Lane["status"]): boolean => lanes.some((lane) => lane.status === status);
    const { shipped, retries, quarantined, lastError } = this.#tallies[index] as HandlerTally;
    const worst = (["stopped", "stalled", "retrying"] as const).find(has);
    return {
      name: handler.name,
      status: worst ?? "ok",
      shipped,
      retries,
      quarantined,
      ...(lastError === undefined ? {} : { lastError }),
    };
  }

  /** Why positions cannot be kept, or what was shipped cannot be deleted; `undefined` when that goes well. */
  get unkept(): HealthError | undefined {
    return [...this.#sources.values()].find(({ unkept }) => unkept !== undefined)?.unkept;
  }

  #lanes(): Lane[] {
    return [...this.#sources.values()].flatMap((entry) => entry.lanes);
  }

  /** Starts to ship a source. Resolves when a dead process's source was shipped to its end, on `drop` and on `stop`. */
  add(source: ShipSource): Promise<void> {
    if (this.#stopping) return Promise.resolve();
    const lanes = this.#handlers.map(
      (handler, index) =>
        new Lane(source, handler, this.#tallies[index] as HandlerTally, {
          acknowledged: (lane) => this.#acknowledged(lane),
          failed: (lane, kind, error) => this.#observer.failed(lane, kind, error),
          calling: ({ tally }) => {
            const [oldest] = tally.calls;
            this.#progress?.calling(index, oldest?.since);
          },
          seized: (lane, successor, error) => this.#observer.seized(lane, successor, error),
          quarantined: async (lane, record, again) => {
            if (handler.quarantine === undefined) this.#quarantine(handler.name, record);
            if (!again) this.#observer.quarantined(lane, record);
          },
        }),
    );
    const entry: Shipment = {
      lanes,
      done: Promise.resolve(),
      kept: lanes.map(() => 0),
      released: 0,
      unkept: undefined,
      dropped: false,
    };
    // First, since a lane may report at once.
    this.#sources.set(source, entry);
    // Segments that the cursors have passed may still exist.
    this.#keepIn(KEEP_MS);
    entry.done = Promise.all(lanes.map((lane) => lane.run())).then(() => {
      this.#keep();
      if (source.limit() === undefined && !this.#stopping) {
        this.#sources.delete(source);
        if (!entry.dropped) this.#observer.finished(source);
        // Only now does it count as drained: its last acknowledgement came before its end was read.
        this.#caughtUp?.();
      }
    });
    return entry.done;
  }

  /**
   * Stops shipping a dead process's source whose folder is gone: it counts neither as shipped nor as kept. Resolves
   * once no handler is working on its events.
   */
  async drop(source: ShipSource): Promise<void> {
    const entry = this.#sources.get(source);
    if (entry === undefined) return;
    entry.dropped = true;
    for (const lane of entry.lanes) lane.stop();
    await entry.done;
  }

  /**
   * Whether a handler is stopped until an operator acts, or the source cannot be read; or whether some handlers have
   * all of it, and all others are failing.
   */
  isHeldUp(source: ShipSource): boolean {
    const lanes = this.#sources.get(source)?.lanes ?? [];
    if (lanes.some(({ status, readable }) => status === "stopped" || !readable)) return true;
    return (
      lanes.some(({ ended }) => ended) &&
      lanes.every(({ ended, status }) => ended || status === "retrying" || status === "stalled")
    );
  }

  /** Checks again what can be released, since a segment was closed, although no handler has advanced. */
  releaseAgain(source: ShipSource): void {
    const entry = this.#sources.get(source);
    if (entry === undefined) return;
    entry.released = 0;
    this.#keepIn(KEEP_MS);
  }

  /** New events may be there. */
  wake(): void {
    for (const { lanes } of this.#sources.values()) for (const lane of lanes) lane.wake();
  }

  /** Resolves to true when every handler has everything up to its source's limit, to false at the deadline. */
  async drain(deadlineMs: number): Promise<boolean> {
    const behind = (): boolean =>
      this.#lanes().some((lane) => lane.acknowledged < (lane.source.limit() ?? Number.POSITIVE_INFINITY));
    const until = monotonicNow() + deadlineMs;
    this.wake();
    while (behind()) {
      const left = until - monotonicNow();
      if (left <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#caughtUp = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return true;
  }

  /** Aborts what is under way, waits for it and saves the cursors. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const lane of this.#lanes()) lane.stop();
    await Promise.all([...this.#sources.values()].map((entry) => entry.done));
    clearTimeout(this.#keepTimer);
    this.#keep();
  }

  /** Closes the handlers, after `stop()`, and waits at most five seconds for them. */
  closeHandlers(): Promise<void> {
    return closeHandlers(this.#handlers);
  }

  #acknowledged(lane: Lane): void {
    this.#observer.acknowledged(lane);
    this.#caughtUp?.();
    this.#keepIn(KEEP_MS);
  }

  #keepIn(pause: number): void {
    if (this.#stopping) return;
    this.#keepTimer ??= setTimeout(() => {
      this.#keepTimer = undefined;
      this.#keep();
    }, pause).unref();
  }

  /** Saves the cursors, then releases what all handlers have: after a crash, deleted events must not be read again. */
  #keep(): void {
    for (const [source, entry] of this.#sources) {
      if (entry.dropped) continue;
      const before = entry.unkept;
      entry.unkept = undefined;
      const fail = (lane: Lane | undefined, thrown: unknown): void => {
        const error = cannotKeep(source, thrown);
        const isNews = before === undefined && entry.unkept === undefined;
        entry.unkept ??= before ?? { message: error.message, code: error.code, at: new Date() };
        if (isNews) this.#observer.failed(lane, "retry", error);
      };
      for (const [index, lane] of entry.lanes.entries()) {
        const { acknowledged, handler } = lane;
        try {
          if (acknowledged !== entry.kept[index]) source.saveCursor(handler.name, acknowledged);
          entry.kept[index] = acknowledged;
        } catch (error) {
          fail(lane, error);
        }
      }
      try {
        const seq = Math.min(...entry.kept);
        if (seq <= entry.released || !Number.isFinite(seq)) continue;
        source.release(seq);
        entry.released = seq;
      } catch (error) {
        fail(undefined, error);
      }
      if (before !== undefined && entry.unkept === undefined) this.#observer.kept();
    }
    // Without a further acknowledgement, too: a spool that is full of what could not be deleted takes no event that
    // would bring one.
    if (this.unkept !== undefined) this.#keepIn(KEEP_AGAIN_MS);
  }
}

function cannotKeep({ id }: ShipSource, cause: unknown): SeclogError {
  return new SeclogError(
    "SECLOG_SPOOL_DIRECTORY",
    `the shipped files of ${id} cannot be deleted (${errorMessage(cause)}): repair the disk or the permissions, or the spool fills`,
    { cause },
  );
}
