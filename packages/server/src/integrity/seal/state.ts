import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { errorMessage, SeclogError } from "seclog";
import { NoteError, parseCheckpoint, parseNote } from "seclog/merkle";

/** What the sealer signed last, outside the database, so that a rollback of the database shows. */
export interface SealerState {
  /** Where it is, for messages. */
  readonly path: string;
  /** The text of the checkpoint that was signed last; `undefined` when none was. */
  last(): string | undefined;
  /** Keeps a signed checkpoint. @throws SeclogError when it cannot be kept: it must not be published then */
  remember(note: string): void;
}

/** Keeps it in a file, as a signed note: what `seclog verify --checkpoint` takes as well. */
export class SealerStateFile implements SealerState {
  readonly path: string;
  #last: string | undefined;

  /** @throws SeclogError `SECLOG_CONFIG` when the file cannot be read or holds no checkpoint */
  constructor(path: string) {
    this.path = path;
    try {
      const { text } = parseNote(readFileSync(path, "utf8"));
      parseCheckpoint(text);
      this.#last = text;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      const why = error instanceof NoteError ? `it holds no checkpoint: ${error.message}` : errorMessage(error);
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
        `the sealer's state ${this.path} cannot be written: ${errorMessage(cause)}; sealing waits`,
        { cause },
      );
    }
    this.#last = text;
  }
}

/** No state beyond the process: a rollback of the database while the sealer is down is found by verification only. */
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
