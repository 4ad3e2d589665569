import { join } from "node:path";
import { setImmediate, wallNow } from "../runtime/timers.ts";
import { openFile } from "./files.ts";
import type { Chunk } from "./frames.ts";
import { isErrno, openDirectory, type SpoolFs, syncDirectory } from "./fs.ts";
import type { Ownership } from "./ownership.ts";
import { encodeHeader, HEADER_BYTES, segmentName } from "./segment.ts";

interface Segment {
  /** Written to, and synced by the thread pool. */
  readonly fd: number;
  /**
   * Synced by this thread. The kernel tells a failure once to each open file: were there one for both, a sync here
   * would succeed after one in the thread pool has failed whose callback has not run yet.
   */
  ownFd: number | undefined;
  readonly path: string;
  readonly number: number;
  readonly firstSeq: number;
  /** The last number that was written whole. */
  lastSeq: number;
  bytes: number;
  /** Bytes up to the end of that one. */
  wholeBytes: number;
  closed: boolean;
}

/** What a write says when it has not begun. */
const NOTHING_WRITTEN = ["ENOSPC", "EDQUOT", "EFBIG", "EROFS"];

/** The segments of one source as files: the one that is written to, those that wait for their last sync, those that failed. */
export class SegmentFiles {
  readonly #fs: SpoolFs;
  readonly #owned: Ownership;
  readonly #sourceId: string;
  readonly #segmentBytes: number;
  #segment: Segment | undefined;
  #nextSegment = 1;
  /** Segments that were rotated out and are not synced yet; closed when they are. */
  #retiring: Segment[] = [];
  /** The segments of each try that failed, and what was on disk then; closed when no sync uses them. */
  #abandoned: { readonly files: readonly Segment[]; readonly syncedSeq: number }[] = [];
  /** Segments that failed and are closed, of which all has to be written again. */
  #spare: Segment[] = [];
  /** The last number that a segment has which failed and is not deleted. */
  #spareSeq = 0;
  /** How often segments were abandoned: the result of a sync that began before the last time says nothing. */
  #abandonments = 0;
  #directoryDirty = true;
  /** What the sync that runs in the thread pool goes through. */
  #inSync: readonly Segment[] | undefined;
  #closed = false;

  /** The last number that was written and not abandoned. */
  writtenSeq = 0;

  /** The last number of which a segment may have something, whatever the operating system said. */
  triedSeq = 0;

  /** The last number that is on disk. */
  syncedSeq = 0;

  /** Bytes in all segments, those that the shipper deleted included. */
  bytes = 0;

  constructor(fs: SpoolFs, owned: Ownership, sourceId: string, segmentBytes: number) {
    this.#fs = fs;
    this.#owned = owned;
    this.#sourceId = sourceId;
    this.#segmentBytes = segmentBytes;
    this.#open(1);
  }

  /** The number of the newest segment that nothing will be written to any more. */
  get closedNumber(): number {
    return (this.#segment?.number ?? this.#nextSegment) - 1;
  }

  /** Bytes of the segment that is written to. */
  get openBytes(): number {
    return this.#segment?.bytes ?? 0;
  }

  /** Whether a sync runs in the thread pool. */
  get syncing(): boolean {
    return this.#inSync !== undefined;
  }

  /** Writes frames, to a new segment when they would pass the limit. What was thrown calls for {@link abandon}. */
  write(chunk: Chunk): void {
    const length = chunk.to - chunk.from;
    let segment = this.#segment;
    if (segment === undefined || (segment.bytes > HEADER_BYTES && segment.bytes + length > this.#segmentBytes)) {
      segment = this.#open(chunk.firstSeq);
    }
    let at = chunk.from;
    while (at < chunk.to) {
      // A short write is no error: the rest goes on where it stopped, and fails if the disk is full.
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

  /** Syncs what was written, on this thread. What was thrown calls for {@link abandon}. */
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
   * Syncs what was written, in the thread pool: the directory if files came, then every file that was written to.
   *
   * @param done gets `null` or the error, and whether segments were abandoned meanwhile: then it says nothing
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
        // `syncNow` may have come further meanwhile.
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
        // Not before: `syncNow` may come meanwhile, and must not believe what is still under way.
        if (this.#nextSegment === newest) this.#directoryDirty = false;
        syncFile(0);
      });
    } catch (error) {
      // Not from within the caller's turn: `done` may write again.
      setImmediate(finished, error);
    }
  }

  /**
   * Never trusts the unsynced segments again: what is not known to be on disk is to be written to a new one. Until that is
   * synced they stay: while the machine is up they have what was written, should the process die.
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
   * After a write that had no room: what was written whole is synced, so that it can be shipped and deleted, which makes the
   * room. The torn rest is cut off, or nobody could tell that all of the segment is shipped. {@link abandon} comes next.
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
    // With nothing in it, it would only take room.
    this.#closeFile(segment);
    this.#unlink(segment);
    this.#segment = undefined;
  }

  /**
   * Ends the segment though it has room, so that the shipper can delete it: when all is on disk. The next write begins another
   * one, so this needs no room. Gives whether it did.
   */
  retire(): boolean {
    const segment = this.#segment;
    if (segment === undefined || segment.bytes <= HEADER_BYTES) return false;
    if (this.syncing || this.syncedSeq !== this.writtenSeq) return false;
    this.#segment = undefined;
    // Were they open until the next sync, their room would not be free before.
    for (const file of [...this.#retiring.splice(0), segment]) this.#closeFile(file);
    return true;
  }

  /** A sync that runs in the thread pool still uses its descriptors: then its end closes them. */
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
      // A try that came no further than the ones before would only fill the disk, and so would those before one that did.
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

  /** A sync that hangs must not cost files and descriptors for each try. Of those that it does not use one try is enough. */
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

  /** Removes the failed segments of which all is on disk in others. */
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
      // Its data is on disk or will be written again: a failing close changes nothing.
    }
  }
}
