/** What a sealer remembers between its runs: without it, a rollback of the database goes unnoticed. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { errorMessage, SeclogError } from "seclog";
import { NoteError, parseCheckpoint, parseNote } from "seclog/merkle";

/** The sealer's last signed checkpoint, kept outside the database, so that a rollback of the database shows. */
export interface SealerState {
  /** The state's place, for messages. */
  readonly path: string;
  /** The text of the last signed checkpoint; `undefined` before the first. */
  last(): string | undefined;
  /** Keeps a signed checkpoint. @throws SeclogError if that fails; then the checkpoint must not be published */
  remember(note: string): void;
}

/** Keeps the state in a file, as a signed note, which `seclog verify --checkpoint` accepts as well. */
export class SealerStateFile implements SealerState {
  readonly path: string;
  #last: string | undefined;

  /** @throws SeclogError `SECLOG_CONFIG` if the file cannot be read or does not hold a checkpoint */
  constructor(path: string) {
    this.path = path;
    try {
      const { text } = parseNote(readFileSync(path, "utf8"));
      parseCheckpoint(text);
      this.#last = text;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      const why = error instanceof NoteError ? `it does not hold a checkpoint: ${error.message}` : errorMessage(error);
      throw new SeclogError("SECLOG_CONFIG", `the sealer's state ${path} cannot be used: ${why}`, { cause: error });
    }
  }

  last(): string | undefined {
    return this.#last;
  }

  remember(note: string): void {
    const { text } = parseNote(note);
    const temporary = `${this.path}.tmp`;
    try {
      const file = openSync(temporary, "w", 0o644);
      try {
        writeSync(file, note);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, this.path);
      const folder = openSync(dirname(this.path), "r");
      try {
        fsyncSync(folder);
      } finally {
        closeSync(folder);
      }
    } catch (cause) {
      throw new SeclogError(
        "SECLOG_CONFIG",
        `the sealer's state ${this.path} cannot be written: ${errorMessage(cause)}; sealing waits until it can`,
        { cause },
      );
    }
    this.#last = text;
  }
}

/** Keeps no state beyond the process: only verification finds a rollback of the database while the sealer is down. */
export class NoSealerState implements SealerState {
  readonly path = "the sealer's state";
  #last: string | undefined;

  last(): string | undefined {
    return this.#last;
  }

  remember(note: string): void {
    this.#last = parseNote(note).text;
  }
}
