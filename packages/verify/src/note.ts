/**
 * Reads signed notes (https://c2sp.org/signed-note), checkpoints (https://c2sp.org/tlog-checkpoint) and cosignatures
 * (https://c2sp.org/tlog-cosignature) as strictly as their specifications allow. Written apart from `seclog/merkle`.
 */
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { HASH_BYTES } from "./hashing.ts";

/** What cannot be believed or read, in a sentence for people. */
export class VerifyError extends Error {
  override readonly name: string = "VerifyError";
}

/** A key, a file or a folder that was named cannot be used: naming another one helps. */
export class InputError extends VerifyError {
  override readonly name = "InputError";
}

/** A key that somebody named: of a log, or of a witness. */
export interface Vkey {
  readonly name: string;
  /** Eight hexadecimal digits. */
  readonly id: string;
  readonly text: string;
  readonly kind: "log" | "witness";
  readonly key: KeyObject;
}

/** What a log says of itself. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  /** 32 Latin-1 characters. */
  readonly root: string;
}

/** A checkpoint, and those of the known keys that have signed it, each truly. */
export interface OpenedCheckpoint extends Checkpoint {
  readonly note: string;
  readonly signers: readonly Vkey[];
  /** Whose signatures were not looked at, as `name+id`. */
  readonly unknown: readonly string[];
}

/** DER before the 32 bytes of an Ed25519 public key (RFC 8410). */
const SPKI_PREFIX = "302a300506032b6570032100";
const LOG_KEY = 1;
const WITNESS_KEY = 4;
/** The specification asks for 16 at least; more than this only keeps a verifier busy. */
const MOST_SIGNATURES = 100;
const NAME = /^[^\s+\p{Z}\p{C}]+$/u;

/** @throws VerifyError */
export function readVkey(text: string): Vkey {
  const [name = "", id = "", ...rest] = text.split("+");
  const bytes = base64(rest.join("+"));
  if (!NAME.test(name) || !/^[0-9a-f]{8}$/.test(id) || bytes === undefined) {
    throw new VerifyError(
      `${JSON.stringify(text.slice(0, 200))} is no key: name+id+key is expected, as seclog keys show prints it`,
    );
  }
  const type = bytes[0];
  if ((type !== LOG_KEY && type !== WITNESS_KEY) || bytes.length !== 33) {
    throw new VerifyError(`the key of ${name} is of a kind that is not known here: Ed25519 of a log, or of a witness`);
  }
  const made = createHash("sha256").update(`${name}\n`).update(bytes).digest("hex").slice(0, 8);
  if (made !== id) throw new VerifyError(`the key ${text} does not have the id ${id}: a character of it is wrong`);
  const der = Buffer.concat([Buffer.from(SPKI_PREFIX, "hex"), bytes.subarray(1)]);
  const key = createPublicKey({ key: der, format: "der", type: "spki" });
  return { name, id, text, kind: type === LOG_KEY ? "log" : "witness", key };
}

/**
 * Opens a checkpoint's note. Signatures of keys that are not known are not looked at; a false one of a known key refuses
 * the whole note.
 *
 * @throws VerifyError also when no known key has signed it, unless `unsigned` is allowed
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
      throw new VerifyError(`the note has a line that is no signature: ${JSON.stringify(line.slice(0, 200))}`);
    }
    const id = bytes.toString("hex", 0, 4);
    const key = keys.find((known) => known.name === name && known.id === id);
    if (key === undefined) {
      unknown.push(`${name}+${id}`);
      continue;
    }
    if (!isSignature(key, text, bytes.subarray(4))) throw new VerifyError(`the signature of ${name}+${id} is false`);
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
  if (origin === "" || extensions.includes("")) throw new VerifyError("that is no checkpoint: a line is empty");
  if (!/^(?:0|[1-9]\d{0,15})$/.test(digits) || !Number.isSafeInteger(Number(digits))) {
    throw new VerifyError(`that is no checkpoint: ${JSON.stringify(digits.slice(0, 40))} is no number of leaves`);
  }
  if (root?.length !== HASH_BYTES) throw new VerifyError("that is no checkpoint: its third line is no hash");
  return { origin, size: Number(digits), root: root.toString("latin1") };
}

function isSignature(key: Vkey, text: string, signature: Buffer): boolean {
  if (key.kind === "log") return signature.length === 64 && verify(null, Buffer.from(text), key.key, signature);
  if (signature.length !== 72) return false;
  const time = signature.readBigUInt64BE(0);
  if (time > 0x7fffffffffffffffn) return false;
  return verify(null, Buffer.from(`cosignature/v1\ntime ${time}\n${text}`), key.key, signature.subarray(8));
}

/** Notes one after the other, with or without empty lines between them. */
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

/** Standard Base64 with its padding (RFC 4648, section 4), and nothing else. */
export function base64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return text !== "" && bytes.toString("base64") === text ? bytes : undefined;
}
