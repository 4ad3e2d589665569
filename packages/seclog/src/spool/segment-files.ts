import { join } from "node:path";
import { setImmediate, wallNow } from "../runtime/timers.ts";
import { openFile } from "./files.ts";
import type { Chunk } from "./frames.ts";
import { isErrno, openDirectory, type SpoolFs, syncDirectory } from "./fs.ts";
import type { Ownership } from "./ownership.ts";
import { encodeHeader, HEADER_BYTES, segmentName } from "./segment.ts";

interface Segment {
  /** Written, and synced by the thread pool. */
  readonly fd: number;
  /**
   * Synced by this thread. The kernel reports a failure once to each open file: with a shared one, a sync here would
   * succeed after a failed one in the thread pool whose callback has not run yet.
   */
  ownFd: number | undefined;
  readonly path: string;
  readonly number: number;
  readonly firstSeq: number;
  /** The last number that was written whole. */
  lastSeq: number;
  bytes: number;
  /** Bytes up to the end of that frame. */
  wholeBytes: number;
  closed: boolean;
}

/** The result of a write that did not begin. */
const NOTHING_WRITTEN = ["ENOSPC", "EDQUOT", "EFBIG", "EROFS"];

/** One source's segments as files: the one being written, those that wait for their last sync, those that failed. */
export class SegmentFiles {
  readonly #fs: SpoolFs;
  readonly #owned: Ownership;
  readonly #sourceId: string;
  readonly #segmentBytes: number;
  #segment: Segment | undefined;
  #nextSegment = 1;
  /** Segments rotated out but not synced yet; closed when they are. */
  #retiring: Segment[] = [];
  /** The segments of each failed attempt, and what was on disk then; closed when no sync uses them. */
  #abandoned: { readonly files: readonly Segment[]; readonly syncedSeq: number }[] = [];
  /** Failed, closed segments, all of which has to be written again. */
  #spare: Segment[] = [];
  /** The last number in any failed segment that is not deleted. */
  #spareSeq = 0;
  /** How often segments were abandoned: the result of a sync that began before the last time proves nothing. */
  #abandonments = 0;
  #directoryDirty = true;
  /** The segments of the sync that runs in the thread pool. */
  #inSync: readonly Segment[] | undefined;
  #closed = false;

  /** The last number that was written and not abandoned. */
  writtenSeq = 0;

  /** The last number of which any segment may hold bytes, whatever the operating system reported. */
  triedSeq = 0;

  /** The last number that is on disk. */
  syncedSeq = 0;

  /** Bytes in all segments, including those that the shipper deleted. */
  bytes = 0;

  constructor(fs: SpoolFs, owned: Ownership, sourceId: string, segmentBytes: number) {
    this.#fs = fs;
    this.#owned = owned;
    this.#sourceId = sourceId;
    this.#segmentBytes = segmentBytes;
    this.#open(1);
  }

  /** The number of the newest segment that is no longer written. */
  get closedNumber(): number {
    return (this.#segment?.number ?? this.#nextSegment) - 1;
  }

  /** Bytes of the segment being written. */
  get openBytes(): number {
    return this.#segment?.bytes ?? 0;
  }

  /** Whether a sync runs in the thread pool. */
  get syncing(): boolean {
    return this.#inSync !== undefined;
  }

  /** Writes frames, to a new segment when they would pass the limit. After an error, call {@link abandon}. */
  write(chunk: Chunk): void {
    const length = chunk.to - chunk.from;
    let segment = this.#segment;
    if (segment === undefined || (segment.bytes > HEADER_BYTES && segment.bytes + length > this.#segmentBytes)) {
      segment = this.#open(chunk.firstSeq);
    }
    let at = chunk.from;
    while (at < chunk.to) {
      // A short write is not an error: the rest continues where it stopped, and fails if the disk is full.
      const wrote = this.#writeFrom(segment.fd, chunk, at);
      at += wrote;
      segment.bytes += wrote;
      this.bytes += wrote;
    }
    segment.lastSeq = chunk.lastSeq;
    segment.wholeBytes = segment.bytes;
    this.writtenSeq = chunk.lastSeq;
  }

  #writeFrom(fd: number, chunk: Chunk, at: number): number {
    const before = this.triedSeq;
    this.triedSeq = Math.max(before, chunk.lastSeq);
    try {
      return this.#fs.writeSync(fd, chunk.slab.bytes, at, chunk.to - at);
    } catch (error) {
      if (at === chunk.from && NOTHING_WRITTEN.some((code) => isErrno(error, code))) this.triedSeq = before;
      throw error;
    }
  }

  /** Syncs what was written, on this thread. After an error, call {@link abandon}. */
  syncNow(): void {
    if (this.#directoryDirty) {
      syncDirectory(this.#fs, this.#owned.directory);
      this.#directoryDirty = false;
    }
    for (const file of this.#retiring) this.#syncFile(file);
    if (!this.syncing) for (const file of this.#retiring.splice(0)) this.#closeFile(file);
    if (this.#segment !== undefined) this.#syncFile(this.#segment);
    this.syncedSeq = this.writtenSeq;
    this.#removeSpare();
  }

  /**
   * Syncs what was written, in the thread pool: the directory if it has new files, then every file that was written.
   *
   * @param done receives `null` or the error, and whether segments were abandoned meanwhile: then it proves nothing
   */
  sync(done: (error: unknown, abandoned: boolean) => void): void {
    const upTo = this.writtenSeq;
    const abandonments = this.#abandonments;
    const retired = this.#retiring.length;
    const files = [...this.#retiring, ...(this.#segment === undefined ? [] : [this.#segment])];
    const newest = this.#nextSegment;
    this.#inSync = files;

    const finished = (error: unknown): void => {
      this.#inSync = undefined;
      this.#closeAbandoned();
      const abandoned = this.#abandonments !== abandonments;
      if (this.#closed) {
        this.#closeFiles();
      } else if (error === null && !abandoned) {
        for (const file of this.#retiring.splice(0, retired)) this.#closeFile(file);
        // `syncNow` may have got further meanwhile.
        this.syncedSeq = Math.max(this.syncedSeq, upTo);
        this.#removeSpare();
      }
      done(error, abandoned);
    };
    const syncFile = (index: number): void => {
      const file = files[index];
      if (file === undefined) finished(null);
      else this.#fs.fdatasync(file.fd, (error) => (error === null ? syncFile(index + 1) : finished(error)));
    };
    if (!this.#directoryDirty) {
      syncFile(0);
      return;
    }
    try {
      const fd = openDirectory(this.#fs, this.#owned.directory);
      this.#fs.fsync(fd, (error) => {
        this.#close(fd);
        if (error !== null) {
          finished(error);
          return;
        }
        // Only now: `syncNow` may run meanwhile, and must not rely on what is still under way.
        if (this.#nextSegment === newest) this.#directoryDirty = false;
        syncFile(0);
      });
    } catch (error) {
      // Not within the caller's turn: `done` may write again.
      setImmediate(finished, error);
    }
  }

  /**
   * Never trusts the unsynced segments again: what is not known to be on disk is written to a new one. Until that is
   * synced they stay: while the machine is up they have what was written, in case the process dies.
   */
  abandon(): void {
    this.#abandonments += 1;
    const files = [...this.#retiring, ...(this.#segment === undefined ? [] : [this.#segment])];
    this.#abandoned.push({ files, syncedSeq: this.syncedSeq });
    this.#retiring = [];
    this.#segment = undefined;
    if (this.#inSync === undefined) this.#closeAbandoned();
    else this.#tidyAbandoned(this.#inSync);
    this.writtenSeq = this.syncedSeq;
  }

  /**
   * Called after a write without room, before {@link abandon}: syncs what was written whole, so that shipping and
   * deleting it makes room. The torn rest is cut off, or it could not be determined that the whole segment is shipped.
   *
   * @throws the operating system's error: then what is not known to be on disk has to be written again
   */
  keepWhole(): void {
    const segment = this.#segment;
    if (segment !== undefined && segment.bytes > segment.wholeBytes) {
      this.#fs.ftruncateSync(segment.fd, segment.wholeBytes);
      this.bytes -= segment.bytes - segment.wholeBytes;
      segment.bytes = segment.wholeBytes;
    }
    this.syncNow();
    if (segment === undefined || segment.wholeBytes > HEADER_BYTES) return;
    // An empty segment would only take room.
    this.#closeFile(segment);
    this.#unlink(segment);
    this.#segment = undefined;
  }

  /**
   * Ends the segment before it is full, so that the shipper can delete it, if all of it is on disk. The next write
   * starts a new one, so this needs no room. Returns whether it did.
   */
  retire(): boolean {
    const segment = this.#segment;
    if (segment === undefined || segment.bytes <= HEADER_BYTES) return false;
    if (this.syncing || this.syncedSeq !== this.writtenSeq) return false;
    this.#segment = undefined;
    // Left open until the next sync, they would keep their room.
    for (const file of [...this.#retiring.splice(0), segment]) this.#closeFile(file);
    return true;
  }

  /** A sync in the thread pool still uses its descriptors, and closes them at its end. */
  close(): void {
    this.#closed = true;
    if (!this.syncing) this.#closeFiles();
  }

  #open(firstSeq: number): Segment {
    const number = this.#nextSegment;
    const path = join(this.#owned.directory, segmentName(number));
    const fd = this.#fs.openSync(path, "ax", 0o600);
    this.#nextSegment += 1;
    const segment: Segment = {
      fd,
      ownFd: undefined,
      path,
      number,
      firstSeq,
      lastSeq: firstSeq - 1,
      bytes: 0,
      wholeBytes: HEADER_BYTES,
      closed: false,
    };
    try {
      segment.ownFd = openFile(this.#fs, path, "read");
      const header = encodeHeader(
        { sourceId: this.#sourceId, key: this.#owned.key ?? "", firstSeq, epoch: this.#owned.epoch },
        wallNow(),
      );
      segment.bytes = this.#fs.writeSync(fd, header, 0, header.length);
      this.bytes += segment.bytes;
      if (segment.bytes !== header.length) throw new Error("short write of a header");
    } catch (error) {
      this.#closeFile(segment);
      this.#unlink(segment);
      throw error;
    }
    if (this.#segment !== undefined) this.#retiring.push(this.#segment);
    this.#segment = segment;
    this.#directoryDirty = true;
    return segment;
  }

  #closeAbandoned(): void {
    for (const { files, syncedSeq } of this.#abandoned.splice(0)) {
      for (const file of files) this.#closeFile(file);
      const lastSeq = files.at(-1)?.lastSeq ?? 0;
      const spare = files.filter(({ firstSeq }) => firstSeq > syncedSeq);
      // Only the attempt that got furthest is worth its disk space.
      if (lastSeq <= this.#spareSeq) {
        for (const file of spare) this.#unlink(file);
      } else {
        for (const file of this.#spare) this.#unlink(file);
        this.#spare = spare;
        this.#spareSeq = lastSeq;
      }
    }
    this.#removeSpare();
  }

  /**
   * A hanging sync must not cost files and descriptors for each attempt. Of those that it does not use, one is enough.
   */
  #tidyAbandoned(inSync: readonly Segment[]): void {
    const last = ({ files }: { files: readonly Segment[] }): number => files.at(-1)?.lastSeq ?? 0;
    const free = this.#abandoned.filter(({ files }) => !files.some((file) => inSync.includes(file)));
    const [best] = free.toSorted((a, b) => last(b) - last(a));
    for (const each of free) {
      for (const file of each.files) this.#closeFile(file);
      if (each === best) continue;
      for (const file of each.files) if (file.firstSeq > each.syncedSeq) this.#unlink(file);
    }
    this.#abandoned = this.#abandoned.filter((each) => each === best || !free.includes(each));
  }

  /** Removes the failed segments all of which is on disk in others. */
  #removeSpare(): void {
    if (this.#spare.length === 0) return;
    const isNeeded = ({ lastSeq }: Segment): boolean => lastSeq > this.syncedSeq;
    for (const file of this.#spare.filter((each) => !isNeeded(each))) this.#unlink(file);
    this.#spare = this.#spare.filter(isNeeded);
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
      this.bytes -= file.bytes;
    } catch {
      // It stays until the shipper has passed it.
    }
  }

  #syncFile({ ownFd }: Segment): void {
    if (ownFd !== undefined) this.#fs.fdatasyncSync(ownFd);
  }

  #closeFile(file: Segment): void {
    if (file.closed) return;
    file.closed = true;
    this.#close(file.fd);
    if (file.ownFd !== undefined) this.#close(file.ownFd);
  }

  #close(fd: number): void {
    try {
      this.#fs.closeSync(fd);
    } catch {
      // Its data is on disk or will be written again: a failed close changes nothing.
    }
  }
}
