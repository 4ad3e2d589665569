/**
 * What a witness has cosigned, on disk. Each log has a folder, named by the SHA-256 of its origin, and in it one file,
 * `checkpoint.<n>`: the newest checkpoint that was cosigned, with the signatures. The next one is `checkpoint.<n + 1>`:
 *
 *   open(tmp, O_EXCL) write fsync close ─► link(tmp, checkpoint.<n+1>) ─► fsync(folder) ─► nothing higher? ─► answered
 *                                          └ EEXIST: another was faster                    └ higher: withdrawn
 *
 * The hard link is the compare-and-set: it makes the whole file appear at once, and only where nobody else made that
 * number. So even two processes that cannot see each other, in two containers on one volume, never both go on from the
 * same checkpoint. One that slept so long that its number was made and removed by others finds a higher one. Killed
 * anywhere: before the link nothing happened; after it, the checkpoint stands, and nobody has its signature yet.
 */
import { createHash, randomBytes } from "node:crypto";
import nodeFs from "node:fs";
import { join } from "node:path";
import { SeclogError } from "seclog";
import { type Checkpoint, NoteError, type NoteVerifier, openNote, parseCheckpoint } from "seclog/merkle";
import { makeFolder } from "../../files/make-folder.ts";

/** The calls that are made: a parameter, so that a test can let any of them fail. */
export type WitnessFs = Pick<
  typeof nodeFs,
  "closeSync" | "fsyncSync" | "linkSync" | "openSync" | "readFileSync" | "readdirSync" | "unlinkSync" | "writeSync"
>;

/** The newest checkpoint of a log. */
export interface Cosigned extends Checkpoint {
  /** How many times the log's state was replaced before; to be named when it is replaced again. */
  readonly revision: number;
  /** The checkpoint with the log's signature and the witness's. */
  readonly note: string;
}

/** The hash that stands for a log in paths: SHA-256 of its origin, in hexadecimal. */
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
   * To be called once before anything else: makes the log's folder, removes what a killed process left, and checks what
   * is kept. A witness that begins again from nothing would sign anything.
   *
   * @throws SeclogError `SECLOG_CONFIG` when the state cannot be used
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
        `what the witness keeps of ${origin} is damaged (${folder}): ${error.message}; restore it, or make a new key and a new state`,
        { cause: error },
      );
    }
  }

  /** What was cosigned last. @throws NoteError when the file is damaged */
  latest(origin: string): Cosigned | undefined {
    const folder = this.#folder(origin);
    for (;;) {
      const revision = this.#highest(folder);
      if (revision === 0) return undefined;
      let note: string;
      try {
        note = this.#fs.readFileSync(join(folder, fileName(revision)), "utf8");
      } catch (error) {
        // Another process has replaced it in between.
        if ((error as NodeJS.ErrnoException).code === "ENOENT") continue;
        throw error;
      }
      const checkpoint = parseCheckpoint(note.slice(0, note.indexOf("\n\n") + 1));
      if (checkpoint.origin !== origin) throw new NoteError(`it is a checkpoint of ${checkpoint.origin}`);
      return { ...checkpoint, revision, note };
    }
  }

  /**
   * Replaces what was cosigned last. When it returns `true` the new one is durable and may be given away.
   *
   * @param revision of what it replaces, 0 when there was none
   * @returns whether nobody else was faster
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

  /** What cannot be removed is only in the way: the highest number counts. */
  #remove(path: string): void {
    try {
      this.#fs.unlinkSync(path);
    } catch {}
  }
}

function fileName(revision: number): string {
  return `checkpoint.${revision}`;
}
