import { SeclogError } from "../event/errors.ts";
import { clearInterval, nextTurn, setInterval } from "../runtime/timers.ts";
import { closeHandlers } from "../ship/close-handlers.ts";
import { beforeDeadline } from "../ship/deadline.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import type { ShippingHealth } from "../ship/news.ts";
import { RecordedTimes } from "../ship/recorded-times.ts";
import { ShipThread } from "../ship/ship-thread.ts";
import { type HandlerState, handlerState } from "../ship/watchdog.ts";
import { writeCursor } from "../spool/cursor.ts";
import type { SpoolFs } from "../spool/fs.ts";
import type { SpoolLimits } from "../spool/limits.ts";
import { type Ownership, RENEW_MS, release, renew } from "../spool/ownership.ts";
import { fillReserve, RESERVED_BYTES } from "../spool/reserve.ts";
import { createSource, discardSource, releaseAll, releaseWhenBack, removeSource } from "../spool/source.ts";
import { SpoolWriter } from "../spool/writer.ts";
import { closedError, type LeftOver, type Pipeline, type PipelineNews, withPositions } from "./pipeline.ts";
import { StoredPositions } from "./stored.ts";

/** A spool on disk, with all defaults filled in. */
export interface DiskSpool extends SpoolLimits {
  readonly directory: string;
}

/**
 * Headroom below `maxBytes`. Once less remains, events are refused: the rest is for the log's closing events and the
 * small state files.
 */
const RESERVE_BYTES = 256 * 1024;

/** An open segment larger than this is rotated once it is shipped, since other processes may need the space. */
const IDLE_BYTES = 1024 * 1024;

/** Writes events to the files of a source, from which a thread ships them. */
export class DiskPipeline implements Pipeline {
  readonly sourceId: string;
  readonly epoch: number;
  readonly #fs: SpoolFs;
  readonly #spool: DiskSpool;
  readonly #owned: Ownership;
  readonly #writer: SpoolWriter;
  readonly #shipping: ShipThread;
  readonly #positions: StoredPositions;
  readonly #times = new RecordedTimes();
  /**
   * Renews the owner's file. The shipper's thread does so too, in case this event loop is blocked; this timer covers a
   * thread that cannot start.
   */
  readonly #renewal: NodeJS.Timeout;
  readonly #handlers: readonly SecurityEventHandler[];
  /** The loss of the spool was reported, and what was not written handed over with it. */
  #lostReported = false;
  /** How many bytes of frames still fitted when `#bytesSeen` had been written. */
  #room = 0;
  #bytesSeen = -1;

  constructor(
    fs: SpoolFs,
    spool: DiskSpool,
    sourceId: string,
    handlers: readonly SecurityEventHandler[],
    report: (news: PipelineNews) => void,
  ) {
    this.#fs = fs;
    this.#spool = spool;
    this.sourceId = sourceId;
    this.#handlers = handlers.filter(({ worker }) => worker === undefined);
    this.#owned = createSource(fs, spool.directory, sourceId);
    this.epoch = this.#owned.epoch;
    try {
      // A process that adopts this source learns from these files which handlers still need it.
      for (const { name } of handlers) writeCursor(fs, this.#owned.directory, name, 0);
      this.#positions = new StoredPositions(handlers.map(({ required }) => required !== false));
      this.#writer = new SpoolWriter(fs, this.#owned, sourceId, spool, {
        synced: (seq) => {
          this.#shipping.available(seq);
          this.#times.next(this.#positions.acknowledgedByAll);
        },
        failed: ({ code, message }) => report({ type: "failed", handler: undefined, kind: "retry", code, message }),
        recovered: () => report({ type: "recovered" }),
        closed: (number) => this.#shipping.closed(number),
        lost: () => {
          clearInterval(this.#renewal);
          this.#positions.end(
            new SeclogError(
              "SECLOG_SPOOL_LOST",
              `the spool of ${sourceId} is gone, or another process took it over: its new owner ships the events`,
            ),
          );
          // Only once our own thread ships nothing of it.
          void this.#shipping.stop().then(() => releaseWhenBack(fs, spool.directory, sourceId));
          this.#lostReported = true;
          report({ type: "lost", pending: this.#writer.unwrittenPayloads() });
        },
      });
      this.#shipping = new ShipThread(
        { root: spool.directory, sourceId, epoch: this.epoch, key: this.#owned.key ?? "" },
        handlers,
        withPositions((news) => {
          if (news.type === "freed") this.#writer.retry();
          report(news);
        }, this.#positions),
      );
    } catch (error) {
      // A retry creates a new source, and this one would look owned by a live process until we exit.
      discardSource(fs, spool.directory, this.#owned.directory);
      throw error;
    }
    this.#renewal = setInterval(() => {
      renew(fs, this.#owned);
      // Other processes may need the space even if this one has nothing to write.
      const short = 2 * (this.bytes + this.#shipping.bytes().others) > spool.maxBytes;
      if (short || this.#writer.openBytes >= IDLE_BYTES) this.#makeRoom();
      if (!this.#writer.failing) fillReserve(fs, spool.directory);
    }, RENEW_MS).unref();
  }

  get lastSeq(): number {
    return this.#writer.lastSeq;
  }

  get stored(): number {
    return this.#positions.stored;
  }

  get failure(): SeclogError | undefined {
    return this.#writer.failing ? this.#writer.lastError : undefined;
  }

  get bytes(): number {
    const { freed, adopted } = this.#shipping.bytes();
    return this.#writer.bytesWritten - freed + adopted;
  }

  handlers(reported: readonly ShippingHealth[]): readonly HandlerState[] {
    const watched = {
      progress: this.#shipping.progress,
      times: this.#times,
      recorded: this.lastSeq,
      available: this.#writer.syncedSeq,
      trouble: this.#shipping.trouble(),
    };
    return reported.map((health, index) => handlerState(index, health, watched));
  }

  refusal(last: boolean): SeclogError | undefined {
    // Files only grow by writes, so for most events the last sum still holds.
    const waiting = this.#writer.bytesWaiting;
    if (waiting > this.#room || this.#writer.bytesWritten !== this.#bytesSeen) {
      this.#bytesSeen = this.#writer.bytesWritten;
      this.#room = this.#spool.maxBytes - RESERVED_BYTES - RESERVE_BYTES - this.bytes - this.#shipping.bytes().others;
    }
    if (waiting > this.#room + (last ? this.#reserve() : 0)) {
      this.#makeRoom();
      return new SeclogError(
        "SECLOG_SPOOL_FULL",
        `the spool in ${this.#spool.directory} has reached spool.maxBytes (${this.#spool.maxBytes}): see health() for the handler that is behind, or raise it`,
      );
    }
    if (this.#writer.memoryFull) {
      return new SeclogError(
        "SECLOG_SPOOL_WRITE",
        `the spool in ${this.#spool.directory} is not writable and its memory buffer (spool.memoryBytes, ${this.#spool.memoryBytes}) is full: fix the disk`,
      );
    }
    return undefined;
  }

  /** Extra room for the log's closing events, which report drops: other sources' usage does not count against them. */
  #reserve(): number {
    const { adopted, others } = this.#shipping.bytes();
    return RESERVE_BYTES + adopted + others;
  }

  /** Rotates once everything has been shipped: the open segment then only wastes space, but it cannot be deleted. */
  #makeRoom(): void {
    if (this.#positions.acknowledgedByAll >= this.lastSeq) this.#writer.retire();
  }

  append(seq: number, text: string): void {
    this.#writer.append(seq, text);
    this.#times.note(seq);
  }

  flushSync(): void {
    this.#writer.flushSync();
  }

  readonly written = (seq: number): Promise<void> => this.#writer.durable(seq, false);
  readonly synced = (seq: number): Promise<void> => this.#writer.durable(seq, true);
  readonly waitStored = (seq: number): Promise<void> => this.#positions.wait(seq);

  flush(deadline: number): Promise<boolean> {
    const seq = this.lastSeq;
    return beforeDeadline(
      deadline,
      this.synced(seq).then(() => this.waitStored(seq)),
    );
  }

  async close(deadline: number): Promise<void> {
    this.#writer.close();
    // If the last sync found that the spool was taken over, the writer reports it in this turn.
    await nextTurn();
    const kept = this.#writer.syncedSeq === this.lastSeq && !this.#lostReported;
    const complete = kept && (await this.#shipping.drain(deadline));
    await this.#shipping.stop();
    this.#positions.end(closedError("it is in the spool"));
    this.#end(complete);
    // Sources that a thread had adopted when it died, if it was not restarted.
    releaseAll(this.#fs, this.#spool.directory, this.sourceId);
  }

  abandon(): void {
    this.#writer.close();
    this.#end(false);
  }

  closeHandlers(): Promise<void> {
    return closeHandlers(this.#handlers);
  }

  left(): LeftOver {
    const { lastSeq, syncedSeq, lastError } = this.#writer;
    const unwritten = this.#lostReported ? [] : this.#writer.unwrittenPayloads();
    const doubtful = this.#lostReported ? 0 : lastSeq - syncedSeq - unwritten.length;
    return { unwritten, doubtful, error: lastError ?? closedError("it is in the spool") };
  }

  #end(complete: boolean): void {
    clearInterval(this.#renewal);
    try {
      if (complete) removeSource(this.#fs, this.#spool.directory, this.#owned.directory);
      else release(this.#fs, this.#owned);
    } catch {
      // The next process finds its owner dead, and adopts it.
    }
  }
}
