import { setImmediate as turn } from "node:timers/promises";
import { SeclogError } from "../event/errors.ts";
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import { writeCursor } from "../spool/cursor.ts";
import { type SpoolFs, spoolFs } from "../spool/fs.ts";
import { type Ownership, RENEW_MS, release, renew } from "../spool/ownership.ts";
import { createSource, discardSource, openRoot, removeSource, unwritable } from "../spool/source.ts";
import { type SpoolLimits, SpoolWriter } from "../spool/writer.ts";
import type { SecurityEventHandler } from "./handler.ts";
import { MemoryShipping } from "./memory-shipping.ts";
import { type Shipping, type ShippingObserver, ShipThread } from "./ship-thread.ts";
import { StoredPositions } from "./stored.ts";

/** Where a log keeps its events until every handler has them. */
export type SpoolOption = "memory" | SpoolDirectoryOptions;

/** A spool on disk. */
export interface SpoolDirectoryOptions {
  /**
   * A folder on a local disk that only this user may write to; made if it is missing (0700). All processes of an
   * application share it.
   */
  readonly directory: string;
  /**
   * The most bytes that the folder may take, for all processes that share it and what dead ones left. No event is taken when
   * less than 256 KiB of it are left. Each process looks every 15 seconds what the others take, so where several write, it
   * may be more for a moment. Must be the same in all of them.
   * @default 2147483648 (2 GiB: about 3 million events)
   */
  readonly maxBytes?: number | undefined;
  /**
   * The size of one file. Room is freed by whole files.
   * @default 16777216
   */
  readonly segmentBytes?: number | undefined;
  /**
   * The most bytes that may wait in memory for a disk that refuses or stalls.
   * @default 33554432
   */
  readonly memoryBytes?: number | undefined;
}

/** {@link SpoolOption}, checked and complete. */
export type CheckedSpool = "memory" | (SpoolLimits & { readonly directory: string });

/** @throws SeclogError `SECLOG_CONFIG` that names the key */
export function spoolOptions(spool: SpoolOption): CheckedSpool {
  if (spool === "memory") return spool;
  if (typeof spool !== "object" || spool === null) {
    throw configError("createSecurityLog", "spool", 'must be { directory: "./var/seclog" } or "memory"');
  }
  rejectUnknownOptions("spool", spool, ["directory", "maxBytes", "segmentBytes", "memoryBytes"]);
  const { directory } = spool;
  if (typeof directory !== "string" || directory === "") throw configError("spool", "directory", "must name a folder");
  const MiB = 1024 * 1024;
  const segmentBytes = wholeNumber("spool", "segmentBytes", spool.segmentBytes, {
    default: 16 * MiB,
    min: MiB,
    max: 1024 * MiB,
  });
  return {
    directory,
    segmentBytes,
    maxBytes: wholeNumber("spool", "maxBytes", spool.maxBytes, { default: 2048 * MiB, min: 2 * segmentBytes }),
    memoryBytes: wholeNumber("spool", "memoryBytes", spool.memoryBytes, {
      default: 32 * MiB,
      min: MiB,
      max: 1024 * MiB,
    }),
  };
}

/** The part of a log below the call: keeps the events of one source and carries them to the handlers. */
export interface Keeping {
  readonly sourceId: string;
  readonly epoch: number;
  /** The last number that was given. */
  readonly lastSeq: number;
  /** The number up to which every required handler has the events. */
  readonly stored: number;
  /** Whether the disk refuses. */
  readonly failing: boolean;
  /** Bytes of the files, or in memory, of what is not deleted yet: some handler needs it, or it is in the open file. */
  readonly bytes: number;
  acknowledgedBy(handler: number): number;
  /**
   * Why no event can be taken now; `undefined` when one can.
   *
   * @param last whether it is one of the log's last, for which room is kept
   */
  refusal(last: boolean): SeclogError | undefined;
  /** Takes the event with the number `lastSeq + 1`. */
  append(text: string): void;
  /** Everything is on disk when this returns, or it throws. */
  flushSync(): void;
  /** Each resolves when the event is written, on disk, or stored; each may be passed around and left unhandled. */
  readonly written: (seq: number) => Promise<void>;
  readonly synced: (seq: number) => Promise<void>;
  readonly waitStored: (seq: number) => Promise<void>;
  /** Resolves to true when every required handler has all events until now, to false at the deadline (milliseconds). */
  flush(deadline: number): Promise<boolean>;
  /**
   * Writes what there is, waits up to the deadline for all handlers, also with what dead processes left, and gives
   * everything up but the handlers, which another source may go on with. Never rejects.
   */
  close(deadline: number): Promise<void>;
  /** The same without waiting, at the end of the process. */
  abandon(): void;
  /** Closes the handlers of the application's thread. Waits a few seconds for them at most. */
  closeHandlers(): Promise<void>;
  /** What was recorded and is not known to be kept, once it is closed or abandoned, and nobody was told of as `lost`. */
  left(): LeftOver;
}

/** What a log that ends could not keep. */
export interface LeftOver {
  /** Events that are nowhere. */
  readonly unwritten: readonly Uint8Array[];
  /** How many others may be kept, or not. */
  readonly doubtful: number;
  readonly error: SeclogError;
}

/** What a {@link Keeping} tells its log. */
export interface KeepingObserver extends ShippingObserver {
  recovered(): void;
  /** Another process took the spool over; these records are in memory only. */
  lost(pending: readonly Uint8Array[]): void;
}

/**
 * Opens a new source: its spool, and the shipper behind it.
 *
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY`
 */
export function openKeeping(
  spool: CheckedSpool,
  sourceId: string,
  handlers: readonly SecurityEventHandler[],
  observer: KeepingObserver,
  fs: SpoolFs = spoolFs,
): Keeping {
  if (spool === "memory") return new MemoryKeeping(sourceId, handlers, observer);
  try {
    openRoot(fs, spool.directory);
    return new DiskKeeping(fs, spool, sourceId, handlers, observer);
  } catch (error) {
    throw error instanceof SeclogError ? error : unwritable(spool.directory, error);
  }
}

/** Adds up who has what, on the way of the shipper's news to the log. */
function withPositions(observer: KeepingObserver, positions: StoredPositions): ShippingObserver {
  return {
    acknowledged: (handler, seq, health) => {
      // First the counts, so that whoever waited for the event finds those that belong to it.
      observer.acknowledged(handler, seq, health);
      positions.acknowledge(handler, seq);
    },
    health: (health) => observer.health(health),
    failed: (handler, kind, code, message) => observer.failed(handler, kind, code, message),
    quarantined: (handler, source, seq, reason, type) => observer.quarantined(handler, source, seq, reason, type),
    freed: () => observer.freed(),
  };
}

/** How long the handlers of the application's thread may take to close, in milliseconds. */
const CLOSE_HANDLERS_MS = 5_000;

/** No event is taken when less is left of the spool's limit: enough for the longest event, the log's last ones and the small files. */
const RESERVE_BYTES = 256 * 1024;

class DiskKeeping implements Keeping {
  readonly sourceId: string;
  readonly epoch: number;
  readonly #fs: SpoolFs;
  readonly #spool: Exclude<CheckedSpool, "memory">;
  readonly #owned: Ownership;
  readonly #writer: SpoolWriter;
  readonly #shipping: Shipping;
  readonly #positions: StoredPositions;
  /** Of the owner's file. The shipper's thread renews it as well, for an event loop that is blocked; this is for a thread that cannot start. */
  readonly #renewal: NodeJS.Timeout;
  readonly #handlers: readonly SecurityEventHandler[];
  /** The log knows that another process took the spool over, and has what was not written. */
  #lostTold = false;
  /** Bytes that were left for frames when so many were written. */
  #room = 0;
  #bytesSeen = -1;

  constructor(
    fs: SpoolFs,
    spool: Exclude<CheckedSpool, "memory">,
    sourceId: string,
    handlers: readonly SecurityEventHandler[],
    observer: KeepingObserver,
  ) {
    this.#fs = fs;
    this.#spool = spool;
    this.sourceId = sourceId;
    this.#handlers = handlers.filter(({ worker }) => worker === undefined);
    this.#owned = createSource(fs, spool.directory, sourceId);
    this.epoch = this.#owned.epoch;
    try {
      // So that whoever ships this source one day knows which handlers wait for it.
      for (const { name } of handlers) writeCursor(fs, this.#owned.directory, name, 0);
      this.#positions = new StoredPositions(handlers.map(({ required }) => required !== false));
      this.#writer = new SpoolWriter(fs, this.#owned, sourceId, spool, {
        synced: (seq) => this.#shipping.available(seq),
        failed: (error) => observer.failed(undefined, "retry", error.code, error.message),
        recovered: () => observer.recovered(),
        lost: () => {
          clearInterval(this.#renewal);
          this.#positions.end(
            new SeclogError(
              "SECLOG_SPOOL_LOST",
              `another process took over the spool of ${sourceId} and ships its events`,
            ),
          );
          void this.#shipping.stop();
          this.#lostTold = true;
          observer.lost(this.#writer.unwrittenPayloads());
        },
      });
      this.#shipping = new ShipThread(
        { root: spool.directory, sourceId, epoch: this.epoch, key: this.#owned.key ?? "" },
        handlers,
        withPositions(observer, this.#positions),
      );
    } catch (error) {
      // Whoever tries again makes another one, and this one would be a living process's as long as we run.
      discardSource(fs, spool.directory, this.#owned.directory);
      throw error;
    }
    this.#renewal = setInterval(() => renew(fs, this.#owned), RENEW_MS).unref();
  }

  get lastSeq(): number {
    return this.#writer.lastSeq;
  }

  get stored(): number {
    return this.#positions.stored;
  }

  get failing(): boolean {
    return this.#writer.failing;
  }

  get bytes(): number {
    const { freed, adopted } = this.#shipping.bytes();
    return this.#writer.bytesWritten - freed + adopted;
  }

  acknowledgedBy(handler: number): number {
    return this.#positions.acknowledgedBy(handler);
  }

  refusal(last: boolean): SeclogError | undefined {
    // The files grow by writes only: for most events nothing need be added up.
    const waiting = this.#writer.bytesWaiting;
    if (waiting > this.#room || this.#writer.bytesWritten !== this.#bytesSeen) {
      this.#bytesSeen = this.#writer.bytesWritten;
      this.#room = this.#spool.maxBytes - RESERVE_BYTES - this.bytes - this.#shipping.bytes().others;
    }
    if (waiting > this.#room + (last ? RESERVE_BYTES : 0)) {
      return new SeclogError(
        "SECLOG_SPOOL_FULL",
        `the spool in ${this.#spool.directory} has reached spool.maxBytes (${this.#spool.maxBytes}): see health() for the handler that is behind, or raise it`,
      );
    }
    if (this.#writer.memoryFull) {
      return new SeclogError(
        "SECLOG_SPOOL_WRITE",
        `the spool in ${this.#spool.directory} cannot be written and spool.memoryBytes (${this.#spool.memoryBytes}) are waiting: mend the disk`,
      );
    }
    return undefined;
  }

  append(text: string): void {
    this.#writer.append(text);
  }

  flushSync(): void {
    this.#writer.flushSync();
  }

  readonly written = (seq: number): Promise<void> => this.#writer.durable(seq, false);
  readonly synced = (seq: number): Promise<void> => this.#writer.durable(seq, true);
  readonly waitStored = (seq: number): Promise<void> => this.#positions.wait(seq);

  flush(deadline: number): Promise<boolean> {
    const seq = this.lastSeq;
    return within(
      deadline,
      this.synced(seq).then(() => this.waitStored(seq)),
    );
  }

  async close(deadline: number): Promise<void> {
    this.#writer.close();
    // In which the log is told when its last sync found that the spool was taken over.
    await turn();
    const kept = this.#writer.syncedSeq === this.lastSeq && !this.#lostTold;
    const complete = kept && (await this.#shipping.drain(deadline));
    await this.#shipping.stop();
    this.#positions.end(closedError("it is in the spool"));
    this.#giveUp(complete);
  }

  abandon(): void {
    this.#writer.close();
    this.#giveUp(false);
  }

  async closeHandlers(): Promise<void> {
    const closed = Promise.allSettled(this.#handlers.map((handler) => handler.close()));
    await within(
      CLOSE_HANDLERS_MS,
      closed.then(() => {}),
    );
  }

  left(): LeftOver {
    const { lastSeq, syncedSeq, lastError } = this.#writer;
    const unwritten = this.#lostTold ? [] : this.#writer.unwrittenPayloads();
    const doubtful = this.#lostTold ? 0 : lastSeq - syncedSeq - unwritten.length;
    return { unwritten, doubtful, error: lastError ?? closedError("it is in the spool") };
  }

  #giveUp(complete: boolean): void {
    clearInterval(this.#renewal);
    try {
      if (complete) removeSource(this.#fs, this.#spool.directory, this.#owned.directory);
      else release(this.#fs, this.#owned);
    } catch {
      // The next process finds it with a dead owner.
    }
  }
}

/** Whether the promise resolves within so many milliseconds; rejects as it does. */
async function within(deadline: number, promise: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, deadline, false);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The most bytes of events in memory when there is no disk. */
const MEMORY_BYTES = 64 * 1024 * 1024;

class MemoryKeeping implements Keeping {
  readonly sourceId: string;
  readonly epoch = 1;
  readonly failing = false;
  readonly #positions: StoredPositions;
  readonly #shipping: MemoryShipping;
  lastSeq = 0;

  constructor(sourceId: string, handlers: readonly SecurityEventHandler[], observer: KeepingObserver) {
    this.sourceId = sourceId;
    this.#positions = new StoredPositions(handlers.map(({ required }) => required !== false));
    this.#shipping = new MemoryShipping(sourceId, handlers, withPositions(observer, this.#positions));
  }

  get stored(): number {
    return this.#positions.stored;
  }

  get bytes(): number {
    return this.#shipping.pendingBytes;
  }

  acknowledgedBy(handler: number): number {
    return this.#positions.acknowledgedBy(handler);
  }

  refusal(last: boolean): SeclogError | undefined {
    if (last || this.bytes <= MEMORY_BYTES) return undefined;
    return new SeclogError(
      "SECLOG_SPOOL_FULL",
      `${MEMORY_BYTES} bytes of events wait in memory: see health() for the handler that is behind`,
    );
  }

  append(text: string): void {
    this.lastSeq += 1;
    this.#shipping.append(text);
  }

  flushSync(): void {
    throw new SeclogError("SECLOG_SPOOL_WRITE", 'delivery "strict" needs a spool on disk: spool is "memory"');
  }

  readonly written = (seq: number): Promise<void> => this.#positions.wait(seq);
  readonly synced = (seq: number): Promise<void> => this.#positions.wait(seq);
  readonly waitStored = (seq: number): Promise<void> => this.#positions.wait(seq);

  flush(deadline: number): Promise<boolean> {
    return within(deadline, this.waitStored(this.lastSeq));
  }

  async close(deadline: number): Promise<void> {
    await this.#shipping.drain(deadline);
    await this.#shipping.stop();
    this.#positions.end(closedError("it was in memory only"));
  }

  abandon(): void {}

  closeHandlers(): Promise<void> {
    return Promise.resolve();
  }

  left(): LeftOver {
    const doubtful = Math.max(0, this.lastSeq - this.stored);
    return { unwritten: [], doubtful, error: closedError("it was in memory only") };
  }
}

function closedError(where: string): SeclogError {
  return new SeclogError("SECLOG_CLOSED", `the log was closed before every handler had the event; ${where}`);
}
