/** Rotates the key that seals a log. */
import { SeclogError } from "seclog";
import { NoteError, type NoteSigner, openNote, parseNote } from "seclog/merkle";
import { commandLine } from "../config/program.ts";
import { databaseError } from "../database/failure.ts";
import { type Queries, SessionPool } from "../database/session.ts";
import { writeKeyFile } from "../keys/key-file.ts";
import { signatureLine } from "./seal/tree-store.ts";
import { storedCheckpoint } from "./stored-tree.ts";

/** What a rotation did. */
export interface KeyRotation {
  /** The public key that seals from now on. */
  readonly vkey: string;
  /** Leaves of the checkpoint that both keys signed. */
  readonly size: number;
}

export interface RotateKeyOptions {
  /** The sealer's connection URL. */
  readonly url: string;
  /** The key that seals now. */
  readonly retiring: NoteSigner;
  /** Where to write the new private key; it must not exist. */
  readonly file: string;
}

/**
 * Generates a new key and signs the newest checkpoint with both keys. From then on only the new one seals.
 *
 * @throws SeclogError `SECLOG_KEY` when nothing has been sealed yet, `retiring` does not seal this log, or the file
 *   exists; `SECLOG_TREE` when the newest checkpoint is missing; and for every database failure
 */
export async function rotateKey({ url, retiring, file }: RotateKeyOptions): Promise<KeyRotation> {
  const pool = new SessionPool({ role: "sealer", url, purpose: "seclog keys rotate", access: "READ WRITE" }, 1);
  try {
    await checkSeals(pool, retiring);
    const next = writeKeyFile(file, retiring.name);
    return { vkey: next.vkey, size: await signBoth(pool, retiring, next) };
  } catch (error) {
    throw databaseError(error, "sealer");
  } finally {
    await pool.end();
  }
}

async function checkSeals(database: Queries, signer: NoteSigner): Promise<void> {
  const newest = await storedCheckpoint(database);
  if (newest === undefined) {
    throw new SeclogError(
      "SECLOG_KEY",
      "nothing has been sealed yet, so no key has to be retired: start with the new one",
    );
  }
  try {
    openNote(newest.note, [signer]);
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    throw new SeclogError("SECLOG_KEY", `the newest checkpoint is not signed by ${signer.vkey}: ${cause.message}`, {
      cause,
    });
  }
  if (parseNote(newest.note).signatures.length > 0 && newest.origin !== signer.name) {
    throw new SeclogError(
      "SECLOG_KEY",
      `the newest checkpoint is of the log ${newest.origin}, but the key belongs to ${signer.name}: name the key of this log`,
    );
  }
}

/** Attempts, each with the newest checkpoint: a running sealer may add one in between. */
const TRIES = 20;

async function signBoth(database: Queries, old: NoteSigner, next: NoteSigner): Promise<number> {
  for (let tries = 1; ; tries++) {
    const newest = await storedCheckpoint(database);
    if (newest === undefined)
      throw new SeclogError("SECLOG_TREE", `the newest checkpoint is missing: run ${commandLine("verify")}`);
    const { text } = openNote(newest.note, [old]);
    try {
      await database.query("SELECT public.seclog_rotate_key($1, $2, $3, $4, $5, $6)", [
        newest.size,
        newest.root,
        next.name,
        next.keyId,
        next.vkey,
        signatureLine(next.sign(text)),
      ]);
      return newest.size;
    } catch (error) {
      if ((error as { code?: string }).code !== "SL010" || tries === TRIES) throw error;
    }
  }
}
