import { join } from "node:path";
import { errorMessage, rejected, SeclogError } from "../event/errors.ts";
import { type Chunk, FrameMemory } from "./frames.ts";
import { type SpoolFs, syncDirectory } from "./fs.ts";
import { type Ownership, stillOwns } from "./ownership.ts";
import { encodeHeader, HEADER_BYTES, segmentName } from "./segment.ts";

/** The sizes of a spool, in bytes. */
export interface SpoolLimits {
  /** A new segment is begun when the next write would pass this. */
  readonly segmentBytes: number;
  /** The most that all sources of the root may take on disk. */
  readonly maxBytes: number;
  /** The most that may wait in memory for a disk that refuses or stalls. */
  readonly memoryBytes: number;
}

/** What the writer tells its log. Called from the event loop, never from within `append`. */
export interface SpoolObserver {
  /** Everything up to `seq` is on disk. */
  synced(seq: number): void;
  /** The operating system refused; the events wait in memory and the writer goes on trying. */
  failed(error: SeclogError): void;
  /** A write succeeded again after `failed`. */
  recovered(): void;
  /** Another process took the directory over: no more can be written here. The frames that are not on disk are lost to it. */
  lost(): void;
}

/** How long written events wait for company before they are synced when nobody waits for them, in milliseconds. */
const SYNC_DELAY_MS = 50;

/** So many unsynced bytes are synced without waiting. */
const SYNC_BYTES = 1024 * 1024;

/** A sync that takes longer than this means a disk that stalls; then events are dropped rather than the process blocked. */
const STALL_MS = 1_000;

/** Ownership is looked at again before a write when the last look is older, in milliseconds. */
const OWNERSHIP_MS = 1_000;

interface Segment {
  readonly fd: number;
  readonly path: string;
  readonly firstSeq: number;
  bytes: number;
}

/** A promise that many wait for. */
class Shared {
  readonly promise: Promise<void>;
  resolve: () => void = () => {};
  reject: (error: SeclogError) => void = () => {};

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Whoever reads the promise gets the rejection; when nobody does, it must not end the process.
    this.promise.catch(() => {});
  }
}

/** Writes one source's segments. The design stands at the head of `segment.ts`. */
export class SpoolWriter {
  readonly #fs: SpoolFs;
  readonly #owned: Ownership;
  readonly #sourceId: string;
  readonly #limits: SpoolLimits;
  readonly #observer: SpoolObserver;
  #segment: Segment | undefined;
  #nextSegment = 1;
  /** Segments that were rotated out and are not synced yet; closed when they are. */
  #retiring: Segment[] = [];
  /** Segments that failed; closed when no sync uses them. */
  #abandoned: Segment[] = [];
  /** How often segments were abandoned: the result of a sync that began before the last time says nothing. */
  #abandonments = 0;
  #directoryDirty = true;

  readonly #frames = new FrameMemory();
  #writtenSeq = 0;
  #syncedSeq = 0;
  #flushScheduled = false;
  #syncTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #retryDelay = 0;
  #syncing = false;
  /** The sync has not ended although the event loop turned for {@link STALL_MS}. */
  #stalled = false;
  #stallTimer: NodeJS.Timeout | undefined;
  /** Numbers up to this are covered by the sync that runs. */
  #syncingSeq = 0;
  /** Whether somebody waits for the next sync. */
  #syncWanted = false;
  #currentSync = new Shared();
  #nextSync = new Shared();
  #nextWrite = new Shared();
  #lastError: SeclogError | undefined;
  #failing = false;
  #ownershipSeen: number;
  #closed = false;

  /** Bytes in this source's segments, those that were deleted included. */
  bytesWritten = 0;

  constructor(fs: SpoolFs, owned: Ownership, sourceId: string, limits: SpoolLimits, observer: SpoolObserver) {
    this.#fs = fs;
    this.#owned = owned;
    this.#sourceId = sourceId;
    this.#limits = limits;
    this.#observer = observer;
    this.#ownershipSeen = Date.now();
    this.#openSegment(1);
  }

  /** The last number that was given. */
  get lastSeq(): number {
    return this.#frames.lastSeq;
  }

  get syncedSeq(): number {
    return this.#syncedSeq;
  }

  /** Whether the last write or sync failed and has not succeeded since. */
  get failing(): boolean {
    return this.#failing;
  }

  /**
   * Whether memory has no room for another event, because the disk refuses or stalls. When the disk is only behind, as
   * in a loop that records without ever letting the event loop turn, this call waits for it.
   */
  get memoryFull(): boolean {
    if (this.#frames.bytes <= this.#limits.memoryBytes) return false;
    if (this.#failing || this.#stalled) return true;
    try {
      this.flushSync();
      return false;
    } catch {
      return true;
    }
  }

  /**
   * Takes the event with the next number, `lastSeq + 1`. It reaches the operating system before the current turn
   * of the event loop ends.
   */
  append(text: string): void {
    if (this.#frames.append(text)) this.#writeOut();
    if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(this.#onTurnEnd);
    }
  }

  /** Resolves when the event is written (`process`) or on disk (`disk`). */
  durable(seq: number, toDisk: boolean): Promise<void> {
    if (seq <= (toDisk ? this.#syncedSeq : this.#writtenSeq)) return Promise.resolve();
    if (this.#closed) return rejected(this.#lastError ?? closedError());
    if (!toDisk) return this.#nextWrite.promise;
    if (this.#syncing && seq <= this.#syncingSeq) return this.#currentSync.promise;
    this.#syncWanted = true;
    // Taken before the sync may begin, which makes another one for those who come later.
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
   * Writes and syncs everything on this thread, for events of delivery `strict` and for the end of the process.
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
        this.#syncAll();
        break;
      } catch (error) {
        const failure = this.#abandon(error);
        if (attempt === 2) {
          this.#retryLater(failure);
          throw failure;
        }
      }
    }
    this.#markSynced(this.#writtenSeq);
    this.#nextSync.resolve();
    this.#nextSync = new Shared();
    this.#syncWanted = false;
    if (this.#syncing) this.#currentSync.resolve();
  }

  /** Writes, syncs and closes. What could not be written is reported by the rejection of its promises. */
  close(): void {
    if (this.#closed) return;
    try {
      this.flushSync();
    } catch {
      // Whoever waits learns it from the promises below.
    }
    this.#end(this.#lastError ?? closedError());
  }

  /** The events that never reached a segment, for a log that must go on with another source. */
  unwrittenPayloads(): Buffer[] {
    return this.#frames.unwrittenPayloads();
  }

  #writeOut(): void {
    this.#frames.cut();
    const waiting = this.#frames.nextUnwritten !== undefined;
    if (waiting && this.#retryTimer === undefined && !this.#closed) this.#writeChunks();
  }

  #writeChunks(): void {
    const now = Date.now();
    if (now - this.#ownershipSeen > OWNERSHIP_MS) {
      this.#ownershipSeen = now;
      if (!stillOwns(this.#fs, this.#owned)) {
        this.#lost();
        return;
      }
    }
    for (let attempt = 1; this.#frames.nextUnwritten !== undefined; attempt++) {
      try {
        for (let chunk = this.#frames.nextUnwritten; chunk !== undefined; chunk = this.#frames.nextUnwritten) {
          this.#writeChunk(chunk);
        }
      } catch (error) {
        const failure = this.#abandon(error);
        if (attempt === 2) {
          this.#retryLater(failure);
          return;
        }
      }
    }
    this.#nextWrite.resolve();
    this.#nextWrite = new Shared();
  }

  #writeChunk(chunk: Chunk): void {
    const length = chunk.to - chunk.from;
    let segment = this.#segment;
    if (segment === undefined || (segment.bytes > HEADER_BYTES && segment.bytes + length > this.#limits.segmentBytes)) {
      segment = this.#openSegment(chunk.firstSeq);
    }
    let at = chunk.from;
    while (at < chunk.to) {
      // A short write is no error: the rest goes on where it stopped, and fails if the disk is full.
      const wrote = this.#fs.writeSync(segment.fd, chunk.slab.bytes, at, chunk.to - at);
      at += wrote;
      segment.bytes += wrote;
      this.bytesWritten += wrote;
    }
    this.#frames.written();
    this.#writtenSeq = chunk.lastSeq;
  }

  #openSegment(firstSeq: number): Segment {
    const path = join(this.#owned.directory, segmentName(this.#nextSegment));
    const fd = this.#fs.openSync(path, "ax", 0o600);
    this.#nextSegment += 1;
    const segment = { fd, path, firstSeq, bytes: HEADER_BYTES };
    try {
      const header = encodeHeader(
        { sourceId: this.#sourceId, key: this.#owned.key ?? "", firstSeq, epoch: this.#owned.epoch },
        Date.now(),
      );
      if (this.#fs.writeSync(fd, header, 0, header.length) !== header.length)
        throw new Error("short write of a header");
    } catch (error) {
      this.#closeFile(segment);
      this.#unlink(segment);
      throw error;
    }
    if (this.#segment !== undefined) this.#retiring.push(this.#segment);
    this.#segment = segment;
    this.bytesWritten += HEADER_BYTES;
    this.#directoryDirty = true;
    return segment;
  }

  /** Never trusts the unsynced segments again: what is not known to be on disk will be written to a new one. */
  #abandon(cause: unknown): SeclogError {
    const failure = new SeclogError(
      "SECLOG_SPOOL_WRITE",
      `the spool in ${this.#owned.directory} cannot be written (${errorMessage(cause)}): free space or mend the disk; events wait in memory meanwhile`,
      { cause },
    );
    this.#lastError = failure;
    if (!this.#failing) {
      this.#failing = true;
      setImmediate(() => this.#observer.failed(failure));
    }
    this.#abandonments += 1;
    this.#abandoned.push(...this.#retiring, ...(this.#segment === undefined ? [] : [this.#segment]));
    this.#retiring = [];
    this.#segment = undefined;
    if (!this.#syncing) this.#closeAbandoned();
    this.#frames.unwrite();
    this.#writtenSeq = this.#syncedSeq;
    return failure;
  }

  #retryLater(failure: SeclogError): void {
    this.#nextSync.reject(failure);
    this.#nextSync = new Shared();
    this.#nextWrite.reject(failure);
    this.#nextWrite = new Shared();
    if (this.#closed) return;
    this.#retryDelay = Math.min(5_000, Math.max(50, this.#retryDelay * 2));
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.flush();
    }, this.#retryDelay);
    this.#retryTimer.unref();
  }

  #scheduleSync(): void {
    if (this.#syncing || this.#closed || !this.#frames.hasUnsynced) return;
    if (this.#syncWanted || this.#frames.unsyncedBytes > SYNC_BYTES) {
      this.#sync();
    } else if (this.#syncTimer === undefined) {
      this.#syncTimer = setTimeout(() => this.#sync(), SYNC_DELAY_MS);
      this.#syncTimer.unref();
    }
  }

  /** One grouped sync in the thread pool: the directory if files came, then every file that was written to. */
  #sync(): void {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = undefined;
    if (this.#syncing || this.#closed || !this.#frames.hasUnsynced) return;
    const upTo = this.#writtenSeq;
    const abandonments = this.#abandonments;
    const retired = this.#retiring.length;
    const files = [...this.#retiring, ...(this.#segment === undefined ? [] : [this.#segment])];
    const directoryDirty = this.#directoryDirty;
    this.#directoryDirty = false;
    this.#syncing = true;
    this.#watchForStall();
    this.#syncingSeq = upTo;
    const waiting = this.#nextSync;
    this.#currentSync = waiting;
    this.#nextSync = new Shared();
    this.#syncWanted = false;

    const finished = (error: unknown): void => {
      this.#syncing = false;
      this.#stalled = false;
      clearTimeout(this.#stallTimer);
      this.#closeAbandoned();
      if (this.#closed) {
        this.#closeFiles();
      } else if (error === null && this.#abandonments === abandonments) {
        for (const file of this.#retiring.splice(0, retired)) this.#closeFile(file);
        this.#markSynced(upTo);
        waiting.resolve();
        this.#scheduleSync();
      } else {
        if (this.#abandonments === abandonments) this.#abandon(error);
        // Whoever waited for this sync waits for the one after the rewrite.
        this.#nextSync.promise.then(waiting.resolve, waiting.reject);
        this.#syncWanted = true;
        this.flush();
      }
    };
    const syncFile = (index: number): void => {
      const file = files[index];
      if (file === undefined) finished(null);
      else this.#fs.fdatasync(file.fd, (error) => (error === null ? syncFile(index + 1) : finished(error)));
    };
    if (!directoryDirty) {
      syncFile(0);
      return;
    }
    try {
      const fd = this.#fs.openSync(this.#owned.directory, "r");
      this.#fs.fsync(fd, (error) => {
        this.#fs.closeSync(fd);
        if (error === null) syncFile(0);
        else finished(error);
      });
    } catch (error) {
      // Not from within the caller's turn: `finished` may flush again.
      setImmediate(finished, error);
    }
  }

  /**
   * A busy event loop must not be taken for a disk that stalls: there the sync is long done, and only its callback could not
   * run. So it is a timer that says it, and it asks again after the callbacks that were waiting.
   */
  #watchForStall(): void {
    this.#stallTimer = setTimeout(() => {
      setImmediate((timer) => {
        this.#stalled = this.#syncing && this.#stallTimer === timer;
      }, this.#stallTimer);
    }, STALL_MS);
    this.#stallTimer.unref();
  }

  #syncAll(): void {
    if (this.#directoryDirty) {
      syncDirectory(this.#fs, this.#owned.directory);
      this.#directoryDirty = false;
    }
    for (const file of this.#retiring) this.#fs.fdatasyncSync(file.fd);
    if (!this.#syncing) for (const file of this.#retiring.splice(0)) this.#closeFile(file);
    if (this.#segment !== undefined) this.#fs.fdatasyncSync(this.#segment.fd);
  }

  #markSynced(upTo: number): void {
    this.#frames.synced(upTo);
    if (upTo <= this.#syncedSeq) return;
    this.#syncedSeq = upTo;
    if (this.#failing && this.#frames.nextUnwritten === undefined) {
      this.#failing = false;
      this.#retryDelay = 0;
      this.#observer.recovered();
    }
    this.#observer.synced(upTo);
  }

  #lost(): void {
    this.#end(new SeclogError("SECLOG_SPOOL_LOST", `another process took over ${this.#owned.directory}`));
    setImmediate(() => this.#observer.lost());
  }

  #end(reason: SeclogError): void {
    this.#closed = true;
    this.#lastError = reason;
    clearTimeout(this.#syncTimer);
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#stallTimer);
    for (const shared of [this.#currentSync, this.#nextSync, this.#nextWrite]) shared.reject(reason);
    // A sync that runs in the thread pool still uses its descriptors: its callback closes them.
    if (!this.#syncing) this.#closeFiles();
  }

  #closeAbandoned(): void {
    for (const file of this.#abandoned.splice(0)) {
      this.#closeFile(file);
      // Nobody reads beyond what is synced, so a file that begins there is of no use and only fills the disk.
      if (file.firstSeq > this.#syncedSeq) this.#unlink(file);
    }
  }

  #closeFiles(): void {
    this.#closeAbandoned();
    for (const file of this.#retiring.splice(0)) this.#closeFile(file);
    if (this.#segment !== undefined) this.#closeFile(this.#segment);
    this.#segment = undefined;
  }

  #unlink(file: Segment): void {
    try {
      this.#fs.unlinkSync(file.path);
      this.bytesWritten -= file.bytes;
    } catch {
      // It stays until the shipper has passed it.
    }
  }

  #closeFile(file: Segment): void {
    try {
      this.#fs.closeSync(file.fd);
    } catch {
      // Its data is on disk or will be written again: a failing close changes nothing.
    }
  }
}

function closedError(): SeclogError {
  return new SeclogError("SECLOG_CLOSED", "the log was closed before the event could be written");
}
