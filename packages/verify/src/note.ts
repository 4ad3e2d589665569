/**
 * Reads signed notes (https://c2sp.org/signed-note), checkpoints (https://c2sp.org/tlog-checkpoint) and cosignatures
 * (https://c2sp.org/tlog-cosignature) as strictly as their specifications allow. Written independently of
 * `seclog/merkle`.
 */
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { HASH_BYTES } from "./hashing.ts";

/** A file or a log that does not verify or cannot be read. The message is a sentence for people. */
export class VerifyError extends Error {
  override readonly name: string = "VerifyError";
}

/** A named key, file or folder that cannot be used: the remedy is to name another one. */
export class InputError extends VerifyError {
  override readonly name = "InputError";
}

/** A public key of a log or of a witness. */
export interface Vkey {
  readonly name: string;
  /** Eight hexadecimal digits. */
  readonly id: string;
  /** The whole key, `name+id+key`. */
  readonly text: string;
  readonly kind: "log" | "witness";
  readonly key: KeyObject;
}

/** What a log states about its tree. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  /** 32 Latin-1 characters. */
  readonly root: string;
}

/** A checkpoint, and the known keys whose signatures on it are valid. */
export interface OpenedCheckpoint extends Checkpoint {
  readonly note: string;
  readonly signers: readonly Vkey[];
  /** The signers whose keys are not known, as `name+id`. */
  readonly unknown: readonly string[];
}

/** The DER prefix of an Ed25519 public key (RFC 8410). */
const SPKI_PREFIX = "302a300506032b6570032100";
const LOG_KEY = 1;
const WITNESS_KEY = 4;
/** The specification requires at least 16; more than this would only keep a verifier busy. */
const MOST_SIGNATURES = 100;
const NAME = /^[^\s+\p{Z}\p{C}]+$/u;

/** Parses a public key, `name+id+key`. @throws VerifyError */
export function readVkey(text: string): Vkey {
  const [name = "", id = "", ...rest] = text.split("+");
  const bytes = base64(rest.join("+"));
  if (!NAME.test(name) || !/^[0-9a-f]{8}$/.test(id) || bytes === undefined) {
    throw new VerifyError(
      `${JSON.stringify(text.slice(0, 200))} is not a key: expected name+id+key, as seclog keys show prints it`,
    );
  }
  const type = bytes[0];
  if ((type !== LOG_KEY && type !== WITNESS_KEY) || bytes.length !== 33) {
    throw new VerifyError(`the key of ${name} is of an unknown kind: expected an Ed25519 key of a log or a witness`);
  }
  const made = createHash("sha256").update(`${name}\n`).update(bytes).digest("hex").slice(0, 8);
  if (made !== id) throw new VerifyError(`the key ${text} does not match its id ${id}: one of its characters is wrong`);
  const der = Buffer.concat([Buffer.from(SPKI_PREFIX, "hex"), bytes.subarray(1)]);
  const key = createPublicKey({ key: der, format: "der", type: "spki" });
  return { name, id, text, kind: type === LOG_KEY ? "log" : "witness", key };
}

/**
 * Opens a checkpoint's note. Signatures of unknown keys are ignored; an invalid one of a known key refuses the whole
 * note.
 *
 * @throws VerifyError when the note or the checkpoint is malformed or a known key's signature is invalid, and, unless
 *   `unsigned` is `"allow"`, when no known key has signed it
 */
export function openCheckpoint(
  note: string,
  keys: readonly Vkey[],
  unsigned: "refuse" | "allow" = "refuse",
): OpenedCheckpoint {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the specification forbids exactly these
  if (/[\u0000-\u0009\u000b-\u001f]|\p{Cs}|\ufffd/u.test(note)) {
    throw new VerifyError("the note has a control character, or is not UTF-8");
  }
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || !note.endsWith("\n") || end + 2 === note.length) {
    throw new VerifyError("the note has no signatures: they come after an empty line");
  }
  const text = note.slice(0, end + 1);
  const lines = note.slice(end + 2, -1).split("\n");
  if (lines.length > MOST_SIGNATURES) throw new VerifyError(`the note has more than ${MOST_SIGNATURES} signatures`);
  const signers: Vkey[] = [];
  const unknown: string[] = [];
  for (const line of lines) {
    const [dash, name = "", encoded = "", ...more] = line.split(" ");
    const bytes = base64(encoded);
    if (dash !== "\u2014" || !NAME.test(name) || bytes === undefined || bytes.length < 5 || more.length > 0) {
      throw new VerifyError(`the note has a line that is not a signature: ${JSON.stringify(line.slice(0, 200))}`);
    }
    const id = bytes.toString("hex", 0, 4);
    const key = keys.find((known) => known.name === name && known.id === id);
    if (key === undefined) {
      unknown.push(`${name}+${id}`);
      continue;
    }
    if (!isSignature(key, text, bytes.subarray(4))) throw new VerifyError(`the signature of ${name}+${id} is invalid`);
    if (!signers.includes(key)) signers.push(key);
  }
  if (signers.length === 0 && unsigned === "refuse") {
    throw new VerifyError(
      `none of the keys named has signed the note; it is signed by ${unknown.slice(0, 5).join(", ")}`,
    );
  }
  return { ...readCheckpoint(text), note, signers, unknown };
}

/** The text of a note as a checkpoint. @throws VerifyError */
function readCheckpoint(text: string): Checkpoint {
  const [origin = "", digits = "", encoded = "", ...extensions] = text.slice(0, -1).split("\n");
  const root = base64(encoded);
  if (origin === "" || extensions.includes("")) throw new VerifyError("this is not a checkpoint: a line is empty");
  if (!/^(?:0|[1-9]\d{0,15})$/.test(digits) || !Number.isSafeInteger(Number(digits))) {
    throw new VerifyError(`this is not a checkpoint: ${JSON.stringify(digits.slice(0, 40))} is not a number of leaves`);
  }
  if (root?.length !== HASH_BYTES) throw new VerifyError("this is not a checkpoint: its third line is not a hash");
  return { origin, size: Number(digits), root: root.toString("latin1") };
}

function isSignature(key: Vkey, text: string, signature: Buffer): boolean {
  if (key.kind === "log") return signature.length === 64 && verify(null, Buffer.from(text), key.key, signature);
  if (signature.length !== 72) return false;
  const time = signature.readBigUInt64BE(0);
  if (time > 0x7fffffffffffffffn) return false;
  return verify(null, Buffer.from(`cosignature/v1\ntime ${time}\n${text}`), key.key, signature.subarray(8));
}

/** Splits a text into its notes, which may have empty lines between them. */
export function splitNotes(text: string): string[] {
  const notes: string[] = [];
  let lines: string[] = [];
  let signed = false;
  for (const line of text.split("\n")) {
    const isLine = line.startsWith("\u2014 ");
    if (signed && !isLine) {
      notes.push(`${lines.join("\n")}\n`);
      lines = [];
      signed = false;
    }
    if (line === "" && lines.length === 0) continue;
    lines.push(line);
    signed = isLine;
  }
  if (lines.some((line) => line !== "")) notes.push(`${lines.join("\n")}\n`);
  return notes;
}

/** Decodes standard Base64 with padding (RFC 4648, section 4); returns `undefined` for anything else. */
export function base64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return text !== "" && bytes.toString("base64") === text ? bytes : undefined;
}
