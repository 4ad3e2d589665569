/** Files that hold a private key: only their owner may read them, and none is ever overwritten. */
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { errorMessage, SeclogError } from "seclog";
import { formatPrivateKey, type KEY_TYPES, NoteError, type NoteSigner, parsePrivateKey } from "seclog/merkle";
import { commandLine } from "../config/program.ts";
import { quoted } from "../text/words.ts";

/**
 * Reads a private key from a file and returns its signer.
 *
 * @throws SeclogError `SECLOG_KEY` if other users may read the file, or it does not hold a private key
 */
export function readKeyFile(path: string): NoteSigner {
  let text: string;
  try {
    const stat = statSync(path);
    const { mode } = stat;
    // Reading a FIFO would block the process, and its signal handlers with it.
    if (!stat.isFile()) throw new SeclogError("SECLOG_KEY", `${path} is not a regular file: name the key file itself`);
    if ((mode & 0o077) !== 0) {
      throw new SeclogError(
        "SECLOG_KEY",
        `${path} is readable by other users: chmod 600 it and rotate the key, which may have been copied`,
      );
    }
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof SeclogError) throw cause;
    throw new SeclogError("SECLOG_KEY", `the key file ${path} cannot be read: ${errorMessage(cause)}`, { cause });
  }
  return parseKey(text, `the file ${path}`);
}

/** The signer of a private key as text; `from` names the text's origin. @throws SeclogError `SECLOG_KEY` that never quotes the text */
export function parseKey(text: string, from: string): NoteSigner {
  try {
    return parsePrivateKey(text.trim());
  } catch (error) {
    if (!(error instanceof NoteError)) throw error;
    throw new SeclogError(
      "SECLOG_KEY",
      `${from} does not hold a key: ${error.message}; make one with ${commandLine("keys generate")}`,
    );
  }
}

/**
 * Makes the first key of a log or a witness, as {@link writeKeyFile} does.
 *
 * @throws SeclogError `SECLOG_KEY` also if the name has a scheme, which verifiers would take for another log's name
 */
export function makeKeyFile(path: string, name: string, type: keyof typeof KEY_TYPES): NoteSigner {
  const [scheme] = /^[a-z][a-z0-9+.-]*:\/\//i.exec(name) ?? [];
  if (scheme === undefined) return writeKeyFile(path, name, type);
  throw new SeclogError("SECLOG_KEY", `the name ${quoted(name)} begins with a scheme: leave out ${scheme}`);
}

/**
 * Generates a private key and writes it to a new file that only its owner can read, synced before use.
 *
 * @throws SeclogError `SECLOG_KEY` if the file exists, or the name is not valid for a key
 */
export function writeKeyFile(path: string, name: string, type: keyof typeof KEY_TYPES = "ed25519"): NoteSigner {
  let text: string;
  try {
    text = formatPrivateKey(name, randomBytes(32), type);
  } catch (error) {
    if (!(error instanceof NoteError)) throw error;
    throw new SeclogError("SECLOG_KEY", error.message);
  }
  try {
    const file = openSync(path, "wx", 0o600);
    try {
      writeSync(file, `${text}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === "EEXIST";
    throw new SeclogError(
      "SECLOG_KEY",
      exists
        ? `${path} exists, and a key is never overwritten: name another file`
        : `${path} cannot be written: ${errorMessage(cause)}`,
      { cause },
    );
  }
  return parseKey(text, path);
}
