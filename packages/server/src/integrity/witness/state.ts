/**
 * A witness's state on disk. Each log has a folder, named by the SHA-256 of its origin, with one file, `checkpoint.<n>`:
 * the newest cosigned checkpoint with its signatures. The next one is `checkpoint.<n + 1>`:
 *
 *   open(tmp, O_EXCL) write fsync close ─► link(tmp, checkpoint.<n+1>) ─► fsync(folder) ─► nothing higher? ─► respond
 *                                          └ EEXIST: another was faster                    └ higher: withdraw
 *
 * The hard link is the compare-and-set: it creates the whole file at once, and only if the number is free. So even two
 * processes that cannot see each other, in two containers on one volume, never both continue the same checkpoint. A process
 * that slept while others created and removed its number finds a higher one. Killed before the link, it has changed nothing;
 * killed after it, the checkpoint stands, and no client has its signature yet.
 */
import { createHash, randomBytes } from "node:crypto";
import nodeFs from "node:fs";
import { join } from "node:path";
import { SeclogError } from "seclog";
import { type Checkpoint, NoteError, type NoteVerifier, openNote, parseCheckpoint } from "seclog/merkle";
import { makeFolder } from "../../files/make-folder.ts";

/** The file system calls in use: a parameter, so that a test can make any of them fail. */
export type WitnessFs = Pick<
  typeof nodeFs,
  "closeSync" | "fsyncSync" | "linkSync" | "openSync" | "readFileSync" | "readdirSync" | "unlinkSync" | "writeSync"
>;

/** The newest checkpoint of a log. */
export interface Cosigned extends Checkpoint {
  /** Counts the replacements of the log's state; pass it to {@link WitnessState.replace}. */
  readonly revision: number;
  /** The checkpoint with the log's signature and the witness's. */
  readonly note: string;
}

/** A log's name in paths: the SHA-256 of its origin, in hexadecimal. */
export function originHash(origin: string): string {
  return createHash("sha256").update(origin).digest("hex");
}

export class WitnessState {
  readonly #directory: string;
  readonly #fs: WitnessFs;

  constructor(directory: string, fs: WitnessFs = nodeFs) {
    this.#directory = directory;
    this.#fs = fs;
  }

  /**
   * Call this first: it creates the log's folder, removes the leftovers of a killed process, and checks the stored
   * checkpoint. A witness that lost its state would sign anything.
   *
   * @throws SeclogError `SECLOG_CONFIG` if the state is unusable
   */
  prepare(origin: string, known: readonly NoteVerifier[]): void {
    const folder = this.#folder(origin);
    makeFolder(folder);
    this.#sync(this.#directory);
    for (const name of this.#fs.readdirSync(folder)) {
      if (name.startsWith("tmp.")) this.#remove(join(folder, name));
    }
    try {
      const latest = this.latest(origin);
      if (latest !== undefined) openNote(latest.note, known);
    } catch (error) {
      if (!(error instanceof NoteError)) throw error;
      throw new SeclogError(
        "SECLOG_CONFIG",
        `the witness's state of ${origin} is damaged (${folder}): ${error.message}; restore it, or make a new key and a new state`,
        { cause: error },
      );
    }
  }

  /** The newest cosigned checkpoint. @throws NoteError if the file is damaged */
  latest(origin: string): Cosigned | undefined {
    const folder = this.#folder(origin);
    for (;;) {
      const revision = this.#highest(folder);
      if (revision === 0) return undefined;
      let note: string;
      try {
        note = this.#fs.readFileSync(join(folder, fileName(revision)), "utf8");
      } catch (error) {
        // Another process has replaced it meanwhile.
        if ((error as NodeJS.ErrnoException).code === "ENOENT") continue;
        throw error;
      }
      const checkpoint = parseCheckpoint(note.slice(0, note.indexOf("\n\n") + 1));
      if (checkpoint.origin !== origin) throw new NoteError(`it is a checkpoint of ${checkpoint.origin}`);
      return { ...checkpoint, revision, note };
    }
  }

  /**
   * Replaces the newest cosigned checkpoint. Once it returns `true`, the new one is durable and may leave the process.
   *
   * @param revision of the checkpoint to replace, 0 for the first one
   * @returns `false` if another process was faster
   */
  replace(origin: string, revision: number, note: string): boolean {
    const folder = this.#folder(origin);
    const next = revision + 1;
    const temporary = join(folder, `tmp.${process.pid}.${randomBytes(6).toString("hex")}`);
    try {
      this.#write(temporary, note);
      try {
        this.#fs.linkSync(temporary, join(folder, fileName(next)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
        throw error;
      }
      this.#sync(folder);
    } finally {
      this.#remove(temporary);
    }
    if (this.#highest(folder) !== next) {
      this.#remove(join(folder, fileName(next)));
      return false;
    }
    for (const old of this.#revisions(folder)) {
      if (old < next) this.#remove(join(folder, fileName(old)));
    }
    return true;
  }

  #folder(origin: string): string {
    return join(this.#directory, originHash(origin));
  }

  #revisions(folder: string): number[] {
    return this.#fs
      .readdirSync(folder)
      .map((name) => (/^checkpoint\.[1-9]\d{0,14}$/.test(name) ? Number(name.slice("checkpoint.".length)) : 0));
  }

  #highest(folder: string): number {
    return Math.max(0, ...this.#revisions(folder));
  }

  #write(path: string, text: string): void {
    const file = this.#fs.openSync(path, "wx", 0o600);
    try {
      const bytes = Buffer.from(text);
      for (let written = 0; written < bytes.length; ) {
        written += this.#fs.writeSync(file, bytes, written, bytes.length - written);
      }
      this.#fs.fsyncSync(file);
    } finally {
      this.#fs.closeSync(file);
    }
  }

  #sync(folder: string): void {
    const file = this.#fs.openSync(folder, "r");
    try {
      this.#fs.fsyncSync(file);
    } finally {
      this.#fs.closeSync(file);
    }
  }

  /** A file that cannot be removed does no harm: the highest number counts. */
  #remove(path: string): void {
    try {
      this.#fs.unlinkSync(path);
    } catch {}
  }
}

function fileName(revision: number): string {
  return `checkpoint.${revision}`;
}
