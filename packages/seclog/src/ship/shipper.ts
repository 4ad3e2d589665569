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

/** What the shipper tells whoever runs it. */
export interface ShipperObserver {
  /** A handler has everything of a source up to `lane.acknowledged`. */
  acknowledged(lane: Lane): void;
  /** @param lane absent when it is not for one handler that something failed */
  failed(lane: Lane | undefined, kind: FailureKind, error: SeclogError): void;
  /** A handler's store claims to have of a source what it has not: the events go on as another source's. */
  seized(lane: Lane, successor: Successor, error: SeclogError): void;
  /** A handler could not take a record, or the spool has it no more: it is in quarantine now. Of damage in a row only the first is told. */
  quarantined(lane: Lane, record: QuarantinedRecord): void;
  /** Positions are kept again, after that failed. */
  kept(): void;
  /** Every handler has all of a dead process's source. */
  finished(source: ShipSource): void;
}

/** A source on its way. */
interface Shipment {
  readonly lanes: readonly Lane[];
  done: Promise<void>;
  /** For each lane the number that its cursor says. */
  readonly kept: number[];
  /** What up to this number is only needed for, was let go. */
  released: number;
  /** Why the last try to keep cursors or to let go failed. */
  unkept: HealthError | undefined;
  /** It is not to be had any more. */
  dropped: boolean;
}

/** How often cursors are kept and passed segments deleted, in milliseconds. */
const KEEP_MS = 250;

/** The same after that failed. */
const KEEP_AGAIN_MS = 1_000;

/** Carries every source to every handler. One per thread; knows nothing of threads. */
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
   * @param progress told which calls are under way
   * @param before what the handlers had done when the shipper began that this one goes on for
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
    // First, for a lane may tell of itself at once.
    this.#sources.set(source, entry);
    // What the cursors say that they had before may still be there.
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
   * Ends the way of a dead process's source that is not to be had any more: it counts neither as shipped nor as kept. Resolves
   * when no handler is given anything of it any more.
   */
  async drop(source: ShipSource): Promise<void> {
    const entry = this.#sources.get(source);
    if (entry === undefined) return;
    entry.dropped = true;
    for (const lane of entry.lanes) lane.stop();
    await entry.done;
  }

  /**
   * Whether a handler takes nothing of this source until somebody acts, or it cannot be read; or whether others have all of it,
   * and those that do not are in trouble.
   */
  isHeldUp(source: ShipSource): boolean {
    const lanes = this.#sources.get(source)?.lanes ?? [];
    if (lanes.some(({ status, readable }) => status === "stopped" || !readable)) return true;
    return (
      lanes.some(({ ended }) => ended) &&
      lanes.every(({ ended, status }) => ended || status === "retrying" || status === "stalled")
    );
  }

  /** Looks again what may go of a source, although no handler has come further: a segment was closed. */
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

  /** Aborts what is under way, waits for it and keeps the cursors. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const lane of this.#lanes()) lane.stop();
    await Promise.all([...this.#sources.values()].map((entry) => entry.done));
    clearTimeout(this.#keepTimer);
    this.#keep();
  }

  /** Closes the handlers, once it has stopped. Waits a few seconds for them at most. */
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

  /** Keeps the cursors, then lets go of what all handlers have: what is deleted must not be asked for after a crash. */
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
    // Without a further acknowledgement, too: a spool that is full of what could not be deleted takes no event that would bring one.
    if (this.unkept !== undefined) this.#keepIn(KEEP_AGAIN_MS);
  }
}

function cannotKeep({ id }: ShipSource, cause: unknown): SeclogError {
  return new SeclogError(
    "SECLOG_SPOOL_DIRECTORY",
    `what was shipped of ${id} cannot be let go (${errorMessage(cause)}): mend that, or the spool fills`,
    { cause },
  );
}
