/** Reads the keys and checkpoint files that the options of a verification name. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { InputError, type OpenedCheckpoint, openCheckpoint, readVkey, splitNotes, type Vkey } from "../note.ts";

/**
 * The log's keys, from the values of `--vkey`.
 *
 * @throws InputError when one cannot be read, is a witness's key, or belongs to another log than the first
 */
export function readKeys(texts: readonly string[]): Vkey[] {
  const keys = texts.map((text) => readKey("--vkey", text));
  const [first] = keys;
  for (const key of keys) {
    if (key.kind === "witness") throw new InputError(`--vkey ${key.text} is a witness's key, not a log's`);
    if (key.name !== first?.name) {
      throw new InputError(`the keys are of two logs, ${first?.name} and ${key.name}: verify one at a time`);
    }
  }
  return keys;
}

/** The witnesses' keys, from the values of `--witness`. @throws InputError when one cannot be read or is a log's key */
export function readWitnesses(texts: readonly string[]): Vkey[] {
  return texts.map((text) => {
    const key = readKey("--witness", text);
    if (key.kind === "witness") return key;
    throw new InputError(`--witness ${key.text} is a log's key, not a witness's`);
  });
}

function readKey(option: string, text: string): Vkey {
  try {
    return readVkey(text.trim());
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

/**
 * The checkpoints in a file, in any number.
 *
 * @throws InputError when the file has none, or one that no named key has signed
 */
export function readCheckpoints(file: string, keys: readonly Vkey[]): OpenedCheckpoint[] {
  const notes = splitNotes(readText(file));
  if (notes.length === 0) throw new InputError(`${file} has no checkpoint`);
  return notes.map((text, index) => {
    try {
      const opened = openCheckpoint(text, keys);
      if (opened.origin === keys[0]?.name) return opened;
      throw new InputError(`it belongs to the log ${opened.origin}, but the keys belong to ${keys[0]?.name}`);
    } catch (error) {
      throw new InputError(`checkpoint ${index + 1} of ${file} cannot be trusted: ${messageOf(error)}`);
    }
  });
}

/** The checkpoint in the file that `--from` names. @throws InputError when the file does not have exactly one */
export function readStart(file: string, keys: readonly Vkey[]): OpenedCheckpoint {
  const [checkpoint, ...more] = readCheckpoints(file, keys);
  if (checkpoint !== undefined && more.length === 0) return checkpoint;
  throw new InputError(`${file} has ${more.length + 1} checkpoints: --from takes one`);
}

/**
 * Writes the checkpoint that the next `--from` trusts; `-` is standard output. A crash leaves the old file or the new
 * one, never part of one.
 */
export function saveCheckpoint(file: string, note: string): void {
  if (file === "-") {
    process.stdout.write(note);
    return;
  }
  try {
    const temporary = `${file}.${process.pid}.tmp`;
    writeFileSync(temporary, note);
    renameSync(temporary, file);
  } catch (error) {
    throw new Error(`verified, but ${file} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
