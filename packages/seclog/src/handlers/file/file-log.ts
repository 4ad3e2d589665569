/**
 * Events as NDJSON in a file, rotated by size and by day.
 *
 * Beside `security.ndjson` are the rotated files `security.2026-11-22.0001.ndjson`, … and `security.ndjson.state/`,
 * which records the writing process and the position of each source.
 *
 * A batch is one append and one fdatasync. After any failure the file is closed and recovered: a torn last line is cut
 * off, and its whole lines are synced and count as stored. Only the bytes that a failed fdatasync was to cover are
 * never trusted: the kernel may have dropped those pages and still return them ("Can Applications Recover from fsync
 * Failures?", USENIX ATC 2020). They are cut off, and the file is rotated.
 */
import nodeFs from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ndjsonLine } from "../../formats/ndjson.ts";
import { type EventBatch, HandlerError } from "../../ship/handler.ts";
import { assertOwnFolder } from "../../spool/files.ts";
import { isErrno, type SpoolFs } from "../../spool/fs.ts";
import { type Ownership, OwnerWatch, RENEW_MS, release, renew, stillOwns, takeOver } from "../../spool/ownership.ts";
import { closedError, decodedEvents } from "../batches.ts";
import { fileFailure } from "./file-failure.ts";
import { type KnownPlace, Positions } from "./file-positions.ts";
import { RotatedFiles } from "./rotated-files.ts";

const { O_RDONLY, O_RDWR, O_APPEND, O_CREAT, O_DIRECTORY = 0, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = nodeFs.constants;

/** The file system calls, as a parameter so that a test can make each of them fail. */
export type FileLogFs = SpoolFs & {
  readonly promises: Pick<typeof nodeFs.promises, "lstat" | "mkdir" | "open" | "readdir" | "rename" | "unlink">;
};

/** `position.json` is rewritten after this many bytes, which bounds what is read again after a crash. */
const CATCH_UP_BYTES = 4 << 20;

/** How long another writer of the file may take to leave, in milliseconds. */
const ROLLING_RESTART_MS = 30_000;

/** The options with their defaults applied. */
export interface FileLogSettings {
  readonly path: string;
  readonly maxBytes: number;
  readonly daily: boolean;
  readonly keep: number;
  readonly holder: string;
}

interface OpenFile {
  readonly handle: FileHandle;
  readonly ino: bigint;
  /** Bytes in the file, all of them on disk. */
  size: number;
  /** The UTC day of the last write, `2026-11-22`. */
  day: string;
  /** Bytes that `position.json` does not cover yet. */
  uncovered: number;
}

/** One log file and its rotated predecessors. */
export class FileLog {
  readonly #settings: FileLogSettings;
  readonly #fs: FileLogFs;
  readonly #now: () => number;
  readonly #state: string;
  readonly #rotated: RotatedFiles;
  readonly #positions = new Positions();
  readonly #watch = new OwnerWatch();
  #owned: Ownership | undefined;
  #renewed = 0;
  /** Since when another process or log has held the file, by the clock of `now`. */
  #waitingSince: number | undefined;
  #file: OpenFile | undefined;
  /** The file whose fdatasync failed, and from where its bytes are in doubt. Set until it was cut and rotated. */
  #distrusted: { readonly ino: bigint; readonly from: number } | undefined;
  /** The previous call: batches of different sources may arrive concurrently, and run one after the other. */
  #previous: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(settings: FileLogSettings, fs: FileLogFs, now: () => number) {
    this.#settings = settings;
    this.#fs = fs;
    this.#now = now;
    this.#state = `${settings.path}.state`;
    this.#rotated = new RotatedFiles(fs, settings.path);
  }

  handle(batch: EventBatch, signal: AbortSignal): Promise<void> {
    return this.#serially(async () => {
      if (this.#closed) throw closedError();
      if (signal.aborted) throw new HandlerError("retry", "gave up before writing");
      try {
        await this.#store(batch);
      } catch (error) {
        throw error instanceof HandlerError ? error : fileFailure(error, this.#settings.path);
      }
    });
  }

  close(): Promise<void> {
    return this.#serially(async () => {
      this.#closed = true;
      const [file, owned] = [this.#file, this.#owned];
      this.#file = undefined;
      this.#owned = undefined;
      try {
        if (file !== undefined && owned !== undefined) await this.#savePositions(file);
        if (owned !== undefined) release(this.#fs, owned);
      } catch {
        // The next writer reads the lines themselves, and notices that this process has gone.
      } finally {
        await file?.handle.close().catch(() => {});
      }
    });
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#previous.then(work);
    this.#previous = result.catch(() => {});
    return result;
  }

  async #store(batch: EventBatch): Promise<void> {
    let file = await this.#ready();
    const last = this.#positions.get(batch.source.id);
    if (batch.lastSeq <= last) return;
    const events = decodedEvents(batch).slice(Math.max(0, last - batch.firstSeq + 1));
    const bytes = Buffer.from(events.map(ndjsonLine).join(""));
    if (this.#isDue(file, bytes.length)) file = await this.#rotate(file);
    await this.#append(file, bytes);
    this.#positions.advance(batch.source.id, batch.lastSeq);
    if (file.uncovered >= CATCH_UP_BYTES) await this.#savePositions(file);
  }

  async #append(file: OpenFile, bytes: Buffer): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) at += (await file.handle.write(bytes, at)).bytesWritten;
    } catch (error) {
      await this.#forget();
      throw error;
    }
    try {
      await file.handle.datasync();
    } catch (error) {
      this.#distrusted = { ino: file.ino, from: file.size };
      await this.#forget();
      // Now, before a restart could count the lines as stored. If it fails too, the next batch retries it.
      await this.#abandon().catch(() => {});
      throw error;
    }
    file.size += bytes.length;
    file.uncovered += bytes.length;
    file.day = this.#today();
  }

  /** The open file, owned and as we left it. Opens it, or recovers it after a failure or when it was moved away. */
  async #ready(): Promise<OpenFile> {
    if (this.#owned !== undefined && !stillOwns(this.#fs, this.#owned)) {
      this.#owned = undefined;
      await this.#forget();
    }
    await this.#abandon();
    if (this.#file !== undefined) {
      const there = await this.#fs.promises.lstat(this.#settings.path, { bigint: true }).catch(() => undefined);
      if (there?.ino !== this.#file.ino) await this.#forget();
      else this.#file.size = Number(there.size);
    }
    const file = this.#file ?? (await this.#recover());
    if (this.#owned !== undefined && this.#now() - this.#renewed > RENEW_MS) {
      this.#renewed = this.#now();
      renew(this.#fs, this.#owned);
    }
    return file;
  }

  /** Takes the file over: reads its positions, cuts off a torn last line, and syncs the rest. */
  async #recover(): Promise<OpenFile> {
    await this.#own();
    const active = await this.#openActive();
    try {
      const end = await this.#catchUp(this.#positions.decode(await this.#readPositions()));
      const { ino, size, mtimeMs } = await active.stat({ bigint: true });
      if (end < size) await active.truncate(end);
      await active.datasync().catch((error: unknown) => {
        this.#distrusted = { ino, from: end };
        throw error;
      });
      const day = end > 0 ? utcDay(Number(mtimeMs)) : this.#today();
      const file: OpenFile = { handle: active, ino, size: end, day, uncovered: 0 };
      await this.#savePositions(file);
      this.#file = file;
      return file;
    } catch (error) {
      await active.close().catch(() => {});
      throw error;
    }
  }

  /**
   * Reads every line after the known place, or every line of all files when none contains that place.
   *
   * @returns where the active file's last whole line ends
   */
  async #catchUp(known: KnownPlace | undefined): Promise<number> {
    const paths = [...(await this.#rotated.paths()), this.#settings.path];
    const found = await Promise.all(
      paths.map(async (path) => {
        const { ino, size } = await this.#fs.promises.lstat(path, { bigint: true });
        return known !== undefined && String(ino) === known.ino && known.offset <= size;
      }),
    );
    const first = found.indexOf(true);
    let end = 0;
    for (const path of paths.slice(Math.max(0, first))) {
      const file = await this.#open(path, O_RDONLY);
      try {
        end = await this.#positions.catchUp(file, path === paths[first] ? (known?.offset ?? 0) : 0);
      } finally {
        await file.close();
      }
    }
    return end;
  }

  async #own(): Promise<void> {
    if (this.#owned !== undefined) return;
    await this.#fs.promises.mkdir(this.#state, { recursive: true, mode: 0o700 });
    assertOwnFolder(this.#fs, this.#state);
    this.#owned = takeOver(this.#fs, this.#state, this.#settings.holder, this.#watch);
    const now = this.#now();
    const since = this.#owned === undefined ? (this.#waitingSince ?? now) : undefined;
    this.#waitingSince = since;
    if (since === undefined) return;
    // In a rolling restart the other process is about to leave, so retry. If it stays, the configuration is wrong.
    throw new HandlerError(
      now - since < ROLLING_RESTART_MS ? "retry" : "destination",
      `${this.#settings.path} is written by another process or log: wait for it to close, or give each its own path`,
    );
  }

  async #openActive(): Promise<FileHandle> {
    const { path } = this.#settings;
    const file = await this.#open(path, O_RDWR | O_APPEND | O_CREAT);
    try {
      // Two handlers, each with its own name for the file, would cut off each other's lines.
      if ((await file.stat()).nlink > 1) {
        throw new HandlerError("destination", `${path} has other names (hard links): copy it, and remove this one`);
      }
      await this.#syncDirectory(dirname(path));
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Opens a regular file. Does not follow a symbolic link, which in a directory that others may write could lead
   * anywhere, and does not wait for the other end of a FIFO.
   */
  async #open(path: string, flags: number): Promise<FileHandle> {
    const file = await this.#fs.promises.open(path, flags | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      if ((await file.stat()).isFile()) return file;
      throw new HandlerError("destination", `${path} is not a regular file: name another path`);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  #isDue(file: OpenFile, more: number): boolean {
    if (file.size === 0) return false;
    return file.size + more > this.#settings.maxBytes || (this.#settings.daily && file.day !== this.#today());
  }

  /** Starts a new file. After a crash at any point `#recover` finds the old one by its inode. */
  async #rotate(file: OpenFile): Promise<OpenFile> {
    await this.#forget();
    await this.#rotated.add(file.day);
    const next = await this.#recover();
    await this.#rotated.prune(this.#settings.keep);
    return next;
  }

  /** Cuts off the bytes that a failed fdatasync left in doubt, and rotates the file: it is never synced again. */
  async #abandon(): Promise<void> {
    const distrusted = this.#distrusted;
    if (distrusted === undefined) return;
    const active = await this.#openActive();
    try {
      const { ino, size, mtimeMs } = await active.stat({ bigint: true });
      if (ino === distrusted.ino) {
        if (size > distrusted.from) await active.truncate(distrusted.from);
        if (distrusted.from > 0) await this.#rotated.add(utcDay(Number(mtimeMs)));
        else await this.#fs.promises.unlink(this.#settings.path);
      }
      this.#distrusted = undefined;
    } finally {
      await active.close().catch(() => {});
    }
  }

  /** Closes the file, ignoring errors; the next batch recovers it. */
  async #forget(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close().catch(() => {});
  }

  async #readPositions(): Promise<string> {
    try {
      const file = await this.#open(join(this.#state, "position.json"), O_RDONLY);
      try {
        return await file.readFile("utf8");
      } finally {
        await file.close();
      }
    } catch (error) {
      if (isErrno(error, "ENOENT")) return "";
      throw error;
    }
  }

  async #savePositions(file: OpenFile): Promise<void> {
    const path = join(this.#state, "position.json");
    // Left by a crash. It is removed, never opened for writing: it may be a link.
    await this.#fs.promises.unlink(`${path}.new`).catch(() => {});
    const temporary = await this.#fs.promises.open(`${path}.new`, "wx", 0o600);
    try {
      await temporary.writeFile(this.#positions.encode({ ino: String(file.ino), offset: file.size }));
      await temporary.datasync();
    } finally {
      await temporary.close();
    }
    await this.#fs.promises.rename(`${path}.new`, path);
    await this.#syncDirectory(this.#state);
    file.uncovered = 0;
  }

  async #syncDirectory(path: string): Promise<void> {
    const directory = await this.#fs.promises.open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  #today(): string {
    return utcDay(this.#now());
  }
}

function utcDay(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10);
}
