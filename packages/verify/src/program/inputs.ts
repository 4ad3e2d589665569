/** Reads the keys and checkpoint files that the options of a verification name. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { KeptCheckpoint } from "../kept-checkpoints.ts";
import { InputError, type OpenedCheckpoint, openCheckpoint, readVkey, splitNotes, type Vkey } from "../note.ts";
import { requireLogKeys, requireTrusted, requireWitnessKeys } from "../trust.ts";

/** The options of a verification that name keys and files, as both programs have them. */
export interface VerificationInputs {
  readonly vkey: readonly string[];
  readonly checkpoint?: readonly string[] | undefined;
  readonly from?: string | undefined;
  readonly save?: string | undefined;
  readonly json?: boolean | undefined;
}

/** What {@link readVerification} reads. */
export interface Verification {
  readonly keys: readonly Vkey[];
  readonly elsewhere: readonly KeptCheckpoint[];
  readonly from: OpenedCheckpoint | undefined;
}

/** Reads the keys and files that the options name. @throws InputError when one cannot be used, or two need one stream */
export function readVerification({ vkey, checkpoint = [], from, save, json }: VerificationInputs): Verification {
  const keys = readKeys(vkey);
  if ([from, ...checkpoint].filter((file) => file === "-").length > 1) {
    throw new InputError("standard input can be read once: name it, as -, for one of --checkpoint and --from");
  }
  if (save === "-" && json) {
    throw new InputError(
      "--save - and --json both print to standard output: name a file, or read newest_note of --json",
    );
  }
  const start = from === undefined ? undefined : readStart(from, keys);
  const elsewhere = checkpoint.flatMap((file) => readCheckpoints(file, keys).map((one) => ({ checkpoint: one, file })));
  return { keys, elsewhere, from: start };
}

/** The log's keys, from the values of `--vkey`. @throws InputError as {@link requireLogKeys}, or when one cannot be read */
export function readKeys(texts: readonly string[]): Vkey[] {
  const keys = texts.map((text) => readKey("--vkey", text));
  named("--vkey", () => requireLogKeys(keys));
  return keys;
}

/** The witnesses' keys, from the values of `--witness`. @throws InputError as {@link requireWitnessKeys}, or when one cannot be read */
export function readWitnesses(texts: readonly string[]): Vkey[] {
  const keys = texts.map((text) => readKey("--witness", text));
  named("--witness", () => requireWitnessKeys(keys));
  return keys;
}

function readKey(option: string, text: string): Vkey {
  return named(option, () => readVkey(text.trim()));
}

/** Names the option in an error. */
function named<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new InputError(`${option}: ${messageOf(error)}`);
  }
}

/** The text of a file; `-` is standard input. @throws InputError when the file cannot be read */
export function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new InputError(`${file} cannot be read: ${messageOf(error)}`);
  }
}

/** The checkpoints in a file, in any number. @throws InputError when it has none, or one that no named key has signed */
function readCheckpoints(file: string, keys: readonly Vkey[]): OpenedCheckpoint[] {
  const notes = splitNotes(readText(file));
  if (notes.length === 0) throw new InputError(`${file} has no checkpoint`);
  return notes.map((note, index) => {
    const name = `checkpoint ${index + 1} of ${file}`;
    let opened: OpenedCheckpoint;
    try {
      opened = openCheckpoint(note, keys);
    } catch (error) {
      throw new InputError(`${name} cannot be trusted: ${messageOf(error)}`);
    }
    return requireTrusted(opened, keys, name);
  });
}

/** The checkpoint in the file that `--from` names. @throws InputError when the file does not have exactly one */
function readStart(file: string, keys: readonly Vkey[]): OpenedCheckpoint {
  const [checkpoint, ...more] = readCheckpoints(file, keys);
  if (checkpoint !== undefined && more.length === 0) return checkpoint;
  throw new InputError(`${file} has ${more.length + 1} checkpoints: --from takes one`);
}

/**
 * Writes the checkpoint that the next `--from` trusts. A crash leaves the old file or the new one, never part of one.
 *
 * @throws Error that says that the log is intact nevertheless
 */
export function saveCheckpoint(file: string, note: string): void {
  try {
    const temporary = `${file}.${process.pid}.tmp`;
    writeFileSync(temporary, note);
    renameSync(temporary, file);
  } catch (error) {
    throw new Error(
      `the log is intact, but its checkpoint was not saved: ${file} cannot be written: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
