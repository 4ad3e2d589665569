import { rejected, type SeclogError } from "../event/errors.ts";
import { clearTimeout, setImmediate, setTimeout } from "../runtime/timers.ts";
import { FrameMemory } from "./frames.ts";
import type { SpoolFs } from "./fs.ts";
import type { SpoolLimits } from "./limits.ts";
import type { SpoolObserver } from "./observer.ts";
import { OwnedDirectory } from "./owned-directory.ts";
import type { Ownership } from "./ownership.ts";
import { isNoRoom } from "./reserve.ts";
import { SegmentFiles } from "./segment-files.ts";
import { Shared } from "./shared.ts";
import { StallWatch } from "./stall-watch.ts";
import { closedError, refusedError, takenError, unwrittenError } from "./write-errors.ts";

/** How long written events wait to share a sync with later ones, if no call awaits them, in milliseconds. */
const SYNC_DELAY_MS = 50;

/** Beyond this many unsynced bytes, the sync starts without waiting. */
const SYNC_BYTES = 1024 * 1024;

/**
 * Decides when one source's frames go from memory to the operating system and to the disk, retries when they are
 * refused, and settles the promises of those calls that wait. It acknowledges only what was synced while the directory
 * was still ours. Files are left to `SegmentFiles`, frames to `FrameMemory`; the head of `segment.ts` has the design.
 */
export class SpoolWriter {
  readonly #owned: OwnedDirectory;
  readonly #limits: SpoolLimits;
  readonly #observer: SpoolObserver;
  readonly #frames = new FrameMemory();
  readonly #files: SegmentFiles;
  /** The last number that was written while the directory was ours. */
  #writtenSeq = 0;
  /** The last number that was reported as on disk. */
  #reportedSeq = 0;
  #flushScheduled = false;
  #syncTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #retryDelay = 0;
  readonly #stall: StallWatch;
  /** The running sync covers numbers up to this. */
  #syncingSeq = 0;
  /** Whether a call waits for the next sync. */
  #syncWanted = false;
  #currentSync = new Shared();
  #nextSync = new Shared();
  #nextWrite = new Shared();
  #lastError: SeclogError | undefined;
  #failing = false;
  /** Consecutive failed syncs. */
  #failedSyncs = 0;
  #closed = false;

  constructor(fs: SpoolFs, owned: Ownership, sourceId: string, limits: SpoolLimits, observer: SpoolObserver) {
    this.#owned = new OwnedDirectory(fs, owned);
    this.#limits = limits;
    this.#observer = observer;
    this.#files = new SegmentFiles(fs, owned, sourceId, limits.segmentBytes);
    this.#stall = new StallWatch(() => this.#files.syncing);
  }

  /** The last number assigned. */
  get lastSeq(): number {
    return this.#frames.lastSeq;
  }

  /** The last number that is on disk, in a directory that was ours after the sync. */
  get syncedSeq(): number {
    return this.#reportedSeq;
  }

  /** Bytes in this source's segments, including deleted ones. */
  get bytesWritten(): number {
    return this.#files.bytes;
  }

  /** Bytes of the segment that is written to. */
  get openBytes(): number {
    return this.#files.openBytes;
  }

  /** Bytes of frames that are still to be written to one. */
  get bytesWaiting(): number {
    return this.#frames.bytes - this.#frames.unsyncedBytes;
  }

  /** Why the last write or sync failed, or why writing has ended. */
  get lastError(): SeclogError | undefined {
    return this.#lastError;
  }

  /** Whether the last write or sync failed and has not succeeded since. */
  get failing(): boolean {
    return this.#failing;
  }

  /**
   * Whether memory is full, because the disk refuses or stalls. If the disk is only behind, as
   * in a loop that records without letting the event loop turn, this call waits for it.
   */
  get memoryFull(): boolean {
    if (this.#frames.bytes <= this.#limits.memoryBytes) return false;
    if (this.#failing || this.#stall.stalled) return true;
    try {
      this.flushSync();
      return false;
    } catch {
      return true;
    }
  }

  /**
   * Appends the event with the number after `lastSeq`. It reaches the operating system before the current turn of the
   * event loop ends.
   */
  append(seq: number, text: string): void {
    if (this.#frames.append(seq, text)) this.#writeOut();
    if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(this.#onTurnEnd);
    }
  }

  /** Resolves when the event is written (`process`) or on disk (`disk`). */
  durable(seq: number, toDisk: boolean): Promise<void> {
    if (seq <= (toDisk ? this.#reportedSeq : this.#writtenSeq)) return Promise.resolve();
    if (this.#closed) return rejected(this.#lastError ?? closedError());
    // A call that waits for a refusing disk keeps the process alive until the retry.
    this.#retryTimer?.ref();
    if (!toDisk) return this.#nextWrite.promise;
    if (this.#files.syncing && seq <= this.#syncingSeq) return this.#currentSync.promise;
    this.#syncWanted = true;
    // Read it before the sync may start, which replaces it for later calls.
    const { promise } = this.#nextSync;
    if (!this.#flushScheduled) this.#scheduleSync();
    return promise;
  }

  readonly #onTurnEnd = (): void => {
    this.#flushScheduled = false;
    if (this.#closed) return;
    this.flush();
  };

  /** Writes what was appended to the operating system now. Failures are kept for the retry, not thrown. */
  flush(): void {
    this.#writeOut();
    this.#scheduleSync();
  }

  /**
   * Writes and syncs everything on this thread, for events of durability `strict` and for the end of the process.
   *
   * @throws SeclogError `SECLOG_SPOOL_WRITE` when the operating system refuses twice, `SECLOG_SPOOL_LOST`
   */
  flushSync(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    for (let attempt = 1; ; attempt++) {
      this.#writeOut();
      if (this.#frames.nextUnwritten !== undefined || this.#closed) throw this.#lastError ?? closedError();
      try {
        this.#files.syncNow();
        break;
      } catch (error) {
        const failure = this.#abandon(error);
        if (attempt === 2) {
          this.#retryLater(failure);
          throw failure;
        }
      }
    }
    if (!this.#owned.isOurs()) throw this.#lost();
    this.#reportSynced();
    this.#nextSync.resolve();
    this.#nextSync = new Shared();
    this.#syncWanted = false;
    if (this.#files.syncing) this.#currentSync.resolve();
  }

  /** Writes, syncs and closes. The promises of events that could not be written reject. */
  close(): void {
    if (this.#closed) return;
    let reason = closedError();
    try {
      this.flushSync();
    } catch {
      // The waiting promises are rejected below.
      if (this.#lastError !== undefined) reason = unwrittenError(this.#owned.path, this.#lastError.cause);
    }
    // The flush may have found that the directory is not ours, which ends the writer too.
    if (!this.#closed) this.#end(reason);
  }

  /** Lets the shipper delete the open segment once it is shipped: the next event starts a new one. */
  retire(): void {
    this.#frames.cut();
    const waiting = this.#frames.nextUnwritten !== undefined || this.#frames.hasUnsynced;
    if (waiting || this.#closed || this.#failing) return;
    if (!this.#owned.wasOurs()) this.#lost();
    else if (this.#files.retire()) this.#observer.closed(this.#files.closedNumber);
  }

  /** There may be room again: retries now what was refused. */
  retry(): void {
    if (this.#retryTimer === undefined) return;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.flush();
  }

  /** The events that no segment can contain, for a log that continues with another source. */
  unwrittenPayloads(): Buffer[] {
    return this.#frames.payloadsAfter(this.#files.triedSeq);
  }

  #writeOut(): void {
    this.#frames.cut();
    const waiting = this.#frames.nextUnwritten !== undefined;
    if (waiting && this.#retryTimer === undefined && !this.#closed) this.#writeChunks();
  }

  #writeChunks(): void {
    if (!this.#owned.wasOurs()) {
      this.#lost();
      return;
    }
    for (let attempt = 1; this.#frames.nextUnwritten !== undefined; attempt++) {
      try {
        for (let chunk = this.#frames.nextUnwritten; chunk !== undefined; chunk = this.#frames.nextUnwritten) {
          this.#files.write(chunk);
          this.#frames.written();
        }
      } catch (error) {
        if (isNoRoom(error) && !this.#stall.stalled) this.#keepWhole();
        const failure = this.#abandon(error);
        if (attempt === 2) {
          this.#retryLater(failure);
          return;
        }
      }
    }
    // A process may be stopped for minutes at any instruction, even just before the write. If the directory was ours
    // after it, the next owner reads what was written. If not, the new owner may or may not have read it: it is neither
    // acknowledged nor written again, which could store it twice.
    if (!this.#owned.wasOurs()) {
      this.#lost();
      return;
    }
    this.#writtenSeq = this.#files.writtenSeq;
    this.#nextWrite.resolve();
    this.#nextWrite = new Shared();
  }

  #abandon(cause: unknown): SeclogError {
    const failure = refusedError(this.#owned.path, cause);
    this.#lastError = failure;
    this.#files.abandon();
    setImmediate(() => this.#observer.closed(this.#files.closedNumber));
    this.#writtenSeq = this.#files.writtenSeq;
    this.#frames.unwrite();
    // A failed sync whose events another one has put on disk cost nothing, and no later success
    // would end the failure.
    if (!this.#failing && this.#frames.nextUnwritten !== undefined) {
      this.#failing = true;
      setImmediate(() => this.#observer.failed(failure));
    }
    return failure;
  }

  /** A full disk keeps what it accepted. Writing that again would keep its segment too, and the disk full. */
  #keepWhole(): void {
    try {
      this.#files.keepWhole();
    } catch {
      return;
    }
    this.#frames.synced(this.#files.syncedSeq);
    // Not from within `append`.
    setImmediate(() => {
      if (this.#closed) return;
      if (!this.#owned.isOurs()) {
        this.#lost();
        return;
      }
      this.#reportSynced();
    });
  }

  #retryLater(failure: SeclogError): void {
    this.#nextSync.reject(failure);
    this.#nextSync = new Shared();
    this.#nextWrite.reject(failure);
    this.#nextWrite = new Shared();
    if (this.#closed) return;
    this.#retryDelay = Math.min(5_000, Math.max(50, this.#retryDelay * 2));
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.flush();
    }, this.#retryDelay);
    this.#retryTimer.unref();
  }

  #scheduleSync(): void {
    if (this.#files.syncing || this.#closed || !this.#frames.hasUnsynced) return;
    if (this.#syncWanted || this.#frames.unsyncedBytes > SYNC_BYTES) {
      this.#sync();
    } else if (this.#syncTimer === undefined) {
      this.#syncTimer = setTimeout(() => this.#sync(), SYNC_DELAY_MS);
      this.#syncTimer.unref();
    }
  }

  /** One sync for all waiting calls. */
  #sync(): void {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = undefined;
    if (this.#files.syncing) return;
    // The previous sync may have ended in the middle of a turn, so calls may wait for events that are not
    // yet written.
    this.#writeOut();
    if (this.#closed || !this.#frames.hasUnsynced) return;
    this.#syncingSeq = this.#files.writtenSeq;
    this.#stall.begin();
    const waiting = this.#nextSync;
    this.#currentSync = waiting;
    this.#nextSync = new Shared();
    this.#syncWanted = false;

    this.#files.sync((error, abandoned) => {
      this.#stall.end();
      if (this.#closed) return;
      if (error === null && !abandoned) {
        // The new owner has read what was on disk before. Later events may be in a file that it deletes.
        if (!this.#owned.isOurs()) {
          this.#lost();
          return;
        }
        this.#reportSynced();
        waiting.resolve();
        this.#scheduleSync();
      } else {
        // Calls that waited for this sync wait for the one after the rewrite.
        this.#nextSync.promise.then(waiting.resolve, waiting.reject);
        this.#syncWanted = true;
        if (!abandoned) {
          const failure = this.#abandon(error);
          this.#failedSyncs += 1;
          // Retry at once first: some disks refuse once, which no caller needs to see.
          if (this.#failedSyncs > 2) this.#retryLater(failure);
        }
        this.flush();
      }
    });
  }

  #reportSynced(): void {
    const { syncedSeq } = this.#files;
    this.#frames.synced(syncedSeq);
    this.#failedSyncs = 0;
    if (syncedSeq === this.#reportedSeq) return;
    this.#reportedSeq = syncedSeq;
    // Progress, if only as fast as space is freed.
    this.#retryDelay = 0;
    if (this.#failing && this.#frames.nextUnwritten === undefined) {
      this.#failing = false;
      this.#observer.recovered();
    }
    this.#observer.synced(syncedSeq);
  }

  #lost(): SeclogError {
    const reason = takenError(this.#owned.path);
    this.#end(reason);
    setImmediate(() => this.#observer.lost());
    return reason;
  }

  #end(reason: SeclogError): void {
    this.#closed = true;
    this.#lastError = reason;
    clearTimeout(this.#syncTimer);
    clearTimeout(this.#retryTimer);
    this.#stall.end();
    for (const shared of [this.#currentSync, this.#nextSync, this.#nextWrite]) shared.reject(reason);
    this.#files.close();
  }
}
