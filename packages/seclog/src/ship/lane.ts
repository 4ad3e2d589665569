import { type ErrorCode, errorMessage, SeclogError } from "../event/errors.ts";
import { nextTurn, sleep } from "../runtime/timers.ts";
import type { SpoolRead } from "../spool/reader.ts";
import {
  type EventBatch,
  eventBatch,
  type FailureKind,
  HandlerError,
  type QuarantinedRecord,
  type SecurityEventHandler,
} from "./handler.ts";
import { monotonic } from "./progress.ts";
import type { ShipSource } from "./ship-source.ts";
import { type Successor, succeedBatch, succeedQuarantined, succeedSource, successorOf } from "./successor.ts";
import { timedCall, UnsettledError } from "./timed-call.ts";

/** What one handler did, over all sources. */
export interface HandlerTally {
  shipped: number;
  retries: number;
  quarantined: number;
  lastError: { readonly message: string; readonly code: ErrorCode; readonly at: Date } | undefined;
  /** When each call began that has not settled, on the monotonic clock, the oldest first. */
  readonly calls: Set<{ readonly since: number }>;
}

/** What a lane reports to its shipper. */
export interface LaneObserver {
  /** A call of the handler began or settled: `tally.calls` is another. */
  calling(lane: Lane): void;
  acknowledged(lane: Lane): void;
  failed(lane: Lane, kind: FailureKind, error: SeclogError): void;
  /** The handler's store claims events that it does not have: from now on it receives them under the successor. */
  seized(lane: Lane, successor: Successor, error: SeclogError): void;
  /** @param again the previous number was damaged too: store this one likewise, without reporting it */
  quarantined(lane: Lane, record: QuarantinedRecord, again: boolean): Promise<void>;
}

const SEIZED = "SECLOG_SOURCE_SEIZED";

/** The most payload bytes in one batch. */
const BATCH_BYTES = 4 * 1024 * 1024;

const DEFAULT_BATCH = 1_000;

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = { retry: 30_000, event: 30_000, destination: 60_000 } as const;

/**
 * Ships one source's events to one handler, in order. It promises that `acknowledged` only ever passes events that the
 * handler has stored or that were quarantined; saving that position and releasing segments is the shipper's work.
 *
 * Up to `inFlight` batches are under way. When one fails, the lane waits for those behind it and goes back
 * to the event after the last acknowledged one. What happens then depends on the failure:
 * `retry` and `destination` pause, longer each time, with jitter; `event` narrows the batch: half the size, one at a
 * time, until the event that cannot be stored is alone and goes to the quarantine; each success doubles the size again.
 */
export class Lane {
  readonly source: ShipSource;
  readonly handler: SecurityEventHandler;
  readonly tally: HandlerTally;
  /** Whether the handler takes this source's events at the moment. */
  status: "ok" | "retrying" | "stalled" | "stopped" = "ok";
  /** Whether the source could be read when that was last tried. */
  readable = true;
  /** It has reached the end of a dead process's source. */
  ended = false;
  /** The last number that the handler is known to have; 0 before `run` has read its cursor. */
  acknowledged = 0;
  readonly #observer: LaneObserver;
  readonly #stop = new AbortController();
  /** The calls under way, to be aborted together. */
  readonly #calls = new Set<AbortController>();
  #wake: (() => void) | undefined;
  #woken = false;
  #pauses = 0;
  /** The source under which the handler receives what follows its `after`. */
  #successor: Successor | undefined;
  /** The batch size while an event is looked for, and the number where the search ends. */
  #narrow: { size: number; until: number } | undefined;

  constructor(source: ShipSource, handler: SecurityEventHandler, tally: HandlerTally, observer: LaneObserver) {
    this.source = source;
    this.handler = handler;
    this.tally = tally;
    this.#observer = observer;
  }

  /** New events may be there. */
  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Aborts what is under way; `run` settles soon after. The events stay in the spool. */
  stop(): void {
    this.#stop.abort();
    for (const controller of this.#calls) controller.abort();
    this.wake();
  }

  /** Ships until stopped or, for a dead process's source, until its end. Resolves; never rejects. */
  async run(): Promise<void> {
    let begun = false;
    while (!this.#stop.signal.aborted) {
      try {
        if (!begun) {
          this.#successor = this.source.loadSuccessor(this.handler.name);
          const after = this.#successor?.after ?? 0;
          // A cursor is kept from time to time, and a successor at once.
          const kept = Math.max(this.source.loadCursor(this.handler.name), after);
          if (kept > after && !(await this.#confirm(kept))) continue;
          this.acknowledged = kept;
        }
        begun = true;
        this.ended = await this.#ship();
        if (this.ended) return;
      } catch (error) {
        // Reading the spool failed, not the handler.
        this.readable = false;
        await this.#pause("retry", asSeclogError(error));
      }
    }
  }

  /**
   * Asks the handler, if it has `confirm`, whether it has everything up to the cursor's number: a cursor is a file that
   * may have been edited, and events are deleted by it. Returns false if it has not, or if the lane was stopped; it has
   * then paused.
   */
  async #confirm(kept: number): Promise<boolean> {
    if (this.handler.confirm === undefined) return true;
    const source = this.#batchSource(kept);
    const given = this.#successor === undefined ? source : succeedSource(this.#successor, source);
    const failure = await this.#call(async (signal) => this.handler.confirm?.(given, signal));
    if (failure === undefined) return true;
    if (!this.#stop.signal.aborted) await this.#pause(failure.kind === "event" ? "destination" : failure.kind, failure);
    return false;
  }

  /** Ships until something fails. Returns true at the end of a dead process's source. */
  async #ship(): Promise<boolean> {
    const reader = this.source.openReader(this.acknowledged);
    const underWay: Delivery[] = [];
    try {
      while (!this.#stop.signal.aborted) {
        const window = this.#narrow === undefined ? (this.handler.inFlight ?? 1) : 1;
        if (underWay.length < window) {
          this.#woken = false;
          const size = this.#narrow?.size ?? this.handler.batchSize ?? DEFAULT_BATCH;
          const read = reader.read(this.source.limit(), size, BATCH_BYTES);
          this.readable = true;
          if (read.kind === "records") {
            underWay.push(this.#deliver(eventBatch(this.#batchSource(), read.firstSeq, read.records)));
            continue;
          }
          if (read.kind === "damage") {
            if ((await this.#settleAll(underWay)) || (await this.#quarantineDamage(read))) return false;
            continue;
          }
          if (underWay.length === 0) {
            this.#nothingToDo();
            if (this.source.limit() === undefined) return true;
            await this.#waitForMore();
            continue;
          }
          await Promise.race([underWay[0]?.result, this.#waitForMore()]);
          if (underWay[0]?.settled !== true) continue;
        }
        if (await this.#settleFirst(underWay)) return false;
      }
      await this.#settleAll(underWay);
      return false;
    } catch (error) {
      // Reading failed. A batch that was delivered again while still under way would wait for its own rows.
      await this.#settleAll(underWay);
      throw error;
    } finally {
      reader.close();
    }
  }

  /** The obstacle is gone, although no event shows it. */
  #nothingToDo(): void {
    this.#pauses = 0;
    if (this.status === "ok") return;
    this.status = "ok";
    this.#observer.acknowledged(this);
  }

  #batchSource(acknowledged: number = this.acknowledged): EventBatch["source"] {
    const { id, epoch, key } = this.source;
    return { id, epoch, key, acknowledged };
  }

  #deliver(batch: EventBatch): Delivery {
    const delivery: Delivery = { batch, settled: false, result: Promise.resolve(undefined) };
    // The handler receives its own objects: it may set or delete their members, and the lane relies on its batch's
    // numbers.
    const given =
      this.#successor === undefined
        ? eventBatch(batch.source, batch.firstSeq, [...batch.records])
        : succeedBatch(this.#successor, batch);
    delivery.result = this.#call((signal) => this.handler.handle(given, signal)).then((failure) => {
      delivery.settled = true;
      return failure;
    });
    return delivery;
  }

  /** Waits for the oldest delivery. Returns true when it failed: then the lane has paused and must read again. */
  async #settleFirst(underWay: Delivery[]): Promise<boolean> {
    const delivery = underWay.shift();
    if (delivery === undefined) return false;
    const failure = await delivery.result;
    if (failure === undefined) {
      this.#acknowledge(delivery.batch.lastSeq, delivery.batch.records.length);
      return false;
    }
    this.#acknowledgePart(delivery.batch, (failure.stored ?? 0) + (this.#successor?.after ?? 0));
    // A later batch may be stored although an earlier one failed: the handler recognises it when it comes again.
    await Promise.all(underWay.map((later) => later.result));
    underWay.length = 0;
    if (this.#stop.signal.aborted) return true;
    if (failure.code === SEIZED) this.#succeed(failure);
    else if (failure.kind !== "event") await this.#pause(failure.kind, failure);
    else if (delivery.batch.records.length > 1) this.#narrowDown(delivery.batch);
    else await this.#quarantineEvent(delivery.batch, failure);
    return true;
  }

  async #settleAll(underWay: Delivery[]): Promise<boolean> {
    while (underWay.length > 0) if (await this.#settleFirst(underWay)) return true;
    return false;
  }

  #narrowDown(batch: EventBatch): void {
    this.#narrow = {
      size: Math.ceil(batch.records.length / 2),
      until: Math.max(batch.lastSeq, this.#narrow?.until ?? 0),
    };
  }

  #acknowledge(seq: number, events: number): void {
    this.#pauses = 0;
    this.acknowledged = seq;
    this.tally.shipped += events;
    this.status = "ok";
    if (this.#narrow !== undefined) {
      this.#narrow = seq >= this.#narrow.until ? undefined : { ...this.#narrow, size: this.#narrow.size * 2 };
    }
    this.#observer.acknowledged(this);
  }

  /** Acknowledges what a failed batch did store, so that progress is made over a link that keeps dying. */
  #acknowledgePart(batch: EventBatch, stored: number): void {
    const seq = Math.min(stored, batch.lastSeq);
    if (seq > this.acknowledged && seq >= batch.firstSeq) this.#acknowledge(seq, seq - batch.firstSeq + 1);
  }

  /** The store does not have the next event, though it claims to. */
  #succeed(failure: HandlerError): void {
    const next = this.#reread(this.acknowledged + 1) ?? new Uint8Array();
    const successor = successorOf(this.#successor ?? this.source, this.handler.name, this.acknowledged, next);
    this.source.saveSuccessor(this.handler.name, successor);
    this.#successor = successor;
    const message = `${failure.message}; events from ${successor.after + 1} of ${this.source.id} on are stored as those of ${successor.id}`;
    const error = new HandlerError(failure.kind, message, { code: SEIZED, cause: failure });
    this.#note(error);
    this.#observer.seized(this, successor, error);
  }

  async #quarantineEvent(batch: EventBatch, failure: HandlerError): Promise<void> {
    const record = this.#reread(batch.firstSeq) ?? batch.records[0] ?? new Uint8Array();
    await this.#quarantine(batch.firstSeq, failure.message, record, false);
  }

  /** An event as the spool has it, since the handler may have written into its copy. */
  #reread(seq: number): Uint8Array | undefined {
    const reader = this.source.openReader(seq - 1);
    try {
      const read = reader.read(this.source.limit(), 1, BATCH_BYTES);
      return read.kind === "records" && read.firstSeq === seq ? read.records[0] : undefined;
    } finally {
      reader.close();
    }
  }

  async #quarantineDamage(damage: SpoolRead & { kind: "damage" }): Promise<boolean> {
    const several =
      damage.lastSeq > damage.firstSeq ? ` (one of ${damage.lastSeq - damage.firstSeq + 1} in a row)` : "";
    for (let seq = damage.firstSeq; seq <= damage.lastSeq; seq++) {
      // There may be very many, each written and synced on this thread: yield to other work in between.
      await nextTurn();
      if (this.#stop.signal.aborted) return true;
      const bytes = seq === damage.firstSeq ? damage.bytes : new Uint8Array();
      const why =
        damage.bytes.length > 0
          ? "does not match its checksum"
          : "is missing, or was deleted before this handler was added";
      if (await this.#quarantine(seq, `the spool's record ${why}${several}`, bytes, seq > damage.firstSeq)) return true;
    }
    return false;
  }

  /** Puts a record in quarantine and passes its number. Returns true when that failed and the lane has paused. */
  async #quarantine(seq: number, reason: string, record: Uint8Array, again: boolean): Promise<boolean> {
    const quarantined: QuarantinedRecord = { source: this.#batchSource(), seq, reason: reason.slice(0, 1_000), record };
    const failure = await this.#call(async (signal) => {
      const own = { ...quarantined, source: this.#batchSource(), record: Uint8Array.from(record) };
      const given = this.#successor === undefined ? own : succeedQuarantined(this.#successor, own);
      await this.handler.quarantine?.(given, signal);
      await this.#observer.quarantined(this, quarantined, again);
    });
    if (failure?.code === SEIZED) {
      this.#succeed(failure);
      return true;
    }
    if (failure !== undefined) {
      await this.#pause(failure.kind === "event" ? "destination" : failure.kind, failure);
      return true;
    }
    this.tally.quarantined += 1;
    this.#acknowledge(seq, 0);
    return false;
  }

  async #pause(kind: FailureKind, error: SeclogError): Promise<void> {
    this.status = kind === "destination" ? "stopped" : error instanceof UnsettledError ? "stalled" : "retrying";
    this.tally.retries += 1;
    this.#note(error);
    this.#observer.failed(this, kind, error);
    const longest = Math.min(LONGEST_PAUSE_MS[kind], FIRST_PAUSE_MS * 2 ** Math.min(this.#pauses++, 16));
    // Half fixed, half random: many processes that lost the same database do not come back in step.
    const pause = longest / 2 + Math.random() * (longest / 2);
    // A pending promise keeps the process alive; a log in memory whose destination is down must not.
    await sleep(pause, undefined, { signal: this.#stop.signal, ref: false }).catch(() => {});
  }

  #note({ message, code }: SeclogError): void {
    this.tally.lastError = { message, code, at: new Date() };
  }

  /** Runs a handler's method within its time, counted among its calls. */
  async #call(method: (signal: AbortSignal) => Promise<void>): Promise<HandlerError | undefined> {
    const controller = new AbortController();
    const call = { since: monotonic() };
    this.#calls.add(controller);
    this.tally.calls.add(call);
    this.#observer.calling(this);
    if (this.#stop.signal.aborted) controller.abort();
    const failure = await timedCall(this.handler.name, controller, method);
    this.#calls.delete(controller);
    this.tally.calls.delete(call);
    this.#observer.calling(this);
    return failure;
  }

  #waitForMore(): Promise<void> {
    if (this.#woken) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }
}

interface Delivery {
  readonly batch: EventBatch;
  settled: boolean;
  result: Promise<HandlerError | undefined>;
}

function asSeclogError(thrown: unknown): SeclogError {
  return thrown instanceof SeclogError
    ? thrown
    : new SeclogError("SECLOG_SPOOL_DIRECTORY", errorMessage(thrown), { cause: thrown });
}
