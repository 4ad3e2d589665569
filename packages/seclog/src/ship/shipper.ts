import { join } from "node:path";
import { decodeEvent } from "../event/encode.ts";
import { errorMessage, SeclogError } from "../event/errors.ts";
import type { HandlerHealth } from "../record/security-log.ts";
import { type SpoolFs, syncDirectory } from "../spool/fs.ts";
import type { FailureKind, QuarantinedRecord, SecurityEventHandler } from "./handler.ts";
import { type HandlerTally, Lane, type ShipSource } from "./lane.ts";
import { closeHandlers } from "./within.ts";

/** What the shipper tells whoever runs it. */
export interface ShipperObserver {
  /** A handler has everything of a source up to `lane.acknowledged`. */
  acknowledged(lane: Lane): void;
  /** @param lane absent when it is not for one handler that something failed */
  failed(lane: Lane | undefined, kind: FailureKind, error: SeclogError): void;
  /** A handler could not take a record, or the spool has it no more: it is in quarantine now. Of damage in a row only the first is told. */
  quarantined(lane: Lane, record: QuarantinedRecord): void;
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
  /** The last try to keep cursors or to let go failed, and that was told. */
  keepFailed: boolean;
  /** It is not to be had any more. */
  dropped: boolean;
}

/** The part of a handler's health that its shipper knows. */
export type ShippingHealth = Omit<HandlerHealth, "behind">;

/** How often cursors are kept and passed segments deleted, in milliseconds. */
const KEEP_MS = 250;

/** The same after that failed. */
const KEEP_AGAIN_MS = 1_000;

/** Carries every source to every handler. One per thread; knows nothing of threads. */
export class Shipper {
  readonly #handlers: readonly SecurityEventHandler[];
  readonly #observer: ShipperObserver;
  readonly #quarantine: (handler: string, record: QuarantinedRecord) => void;
  readonly #sources = new Map<ShipSource, Shipment>();
  readonly #tallies: readonly HandlerTally[];
  #keepTimer: NodeJS.Timeout | undefined;
  #caughtUp: (() => void) | undefined;
  #stopping = false;

  /** @param quarantine keeps a record for a handler that has no quarantine of its own */
  constructor(
    handlers: readonly SecurityEventHandler[],
    observer: ShipperObserver,
    quarantine: (handler: string, record: QuarantinedRecord) => void,
  ) {
    this.#handlers = handlers;
    this.#tallies = handlers.map(() => ({ shipped: 0, retries: 0, quarantined: 0, lastError: undefined }));
    this.#observer = observer;
    this.#quarantine = quarantine;
  }

  /** How a handler is doing, over all sources. */
  health(index: number): ShippingHealth {
    const handler = this.#handlers[index] as SecurityEventHandler;
    const lanes = this.#lanes().filter((lane) => lane.handler === handler);
    const has = (status: Lane["status"]): boolean => lanes.some((lane) => lane.status === status);
    const { lastError, ...counts } = this.#tallies[index] as HandlerTally;
    return {
      name: handler.name,
      status: has("stopped") ? "stopped" : has("retrying") ? "retrying" : "ok",
      ...counts,
      ...(lastError === undefined ? {} : { lastError }),
    };
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
      keepFailed: false,
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
    return lanes.some(({ ended }) => ended) && lanes.every(({ ended, status }) => ended || status === "retrying");
  }

  /** Looks again what may go of a source, although no handler has come further: a segment was begun. */
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
    const until = performance.now() + deadlineMs;
    this.wake();
    while (behind()) {
      const left = until - performance.now();
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
      const before = entry.keepFailed;
      entry.keepFailed = false;
      for (const [index, lane] of entry.lanes.entries()) {
        const { acknowledged, handler } = lane;
        try {
          if (acknowledged !== entry.kept[index]) source.saveCursor(handler.name, acknowledged);
          entry.kept[index] = acknowledged;
        } catch (error) {
          if (!before && !entry.keepFailed) this.#observer.failed(lane, "retry", cannotKeep(source, error));
          entry.keepFailed = true;
        }
      }
      try {
        const seq = Math.min(...entry.kept);
        if (seq <= entry.released || !Number.isFinite(seq)) continue;
        source.release(seq);
        entry.released = seq;
      } catch (error) {
        if (!before && !entry.keepFailed) this.#observer.failed(undefined, "retry", cannotKeep(source, error));
        entry.keepFailed = true;
      }
    }
    // Without a further acknowledgement, too: a spool that is full of what could not be deleted takes no event that would bring one.
    if ([...this.#sources.values()].some(({ keepFailed }) => keepFailed)) this.#keepIn(KEEP_AGAIN_MS);
  }
}

function cannotKeep({ id }: ShipSource, cause: unknown): SeclogError {
  return new SeclogError(
    "SECLOG_SPOOL_DIRECTORY",
    `what was shipped of ${id} cannot be let go (${errorMessage(cause)}): mend that, or the spool fills`,
    { cause },
  );
}

/** The type of a quarantined event, when its bytes still say it. */
export function quarantinedType(record: QuarantinedRecord): string | undefined {
  try {
    return decodeEvent(record.record).type;
  } catch {
    return undefined;
  }
}

/**
 * A line of `quarantine.ndjson` in the spool's root, on disk when this returns: for handlers that have no quarantine of
 * their own. What a full disk or a crash left of another line is not continued.
 */
export function keepQuarantined(fs: SpoolFs, root: string, handler: string, record: QuarantinedRecord): void {
  const line = JSON.stringify({
    at: new Date().toISOString(),
    handler,
    source_id: record.source.id,
    seq: record.seq,
    reason: record.reason,
    record_base64: Buffer.from(record.record).toString("base64"),
  });
  const fd = fs.openSync(join(root, "quarantine.ndjson"), "a+", 0o600);
  try {
    const { size } = fs.fstatSync(fd);
    // Before anything is in it: whoever finds it empty cannot know whether its name is on disk.
    if (size === 0) syncDirectory(fs, root);
    const bytes = Buffer.from(`${size === 0 || endsLine(fs, fd, size) ? "" : "\n"}${line}\n`);
    for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at, bytes.length - at);
    fs.fdatasyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function endsLine(fs: SpoolFs, fd: number, size: number): boolean {
  const last = Buffer.alloc(1);
  fs.readSync(fd, last, 0, 1, size - 1);
  return last.toString() === "\n";
}
