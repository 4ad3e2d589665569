/** Signed notes (https://c2sp.org/signed-note) and the checkpoints in them (https://c2sp.org/tlog-checkpoint). */
import { type Bytes, fromBase64, hex, sha256, utf8 } from "./bytes.ts";
import { ProofError } from "./proof-error.ts";

/** The kind of key that seals a log. Witnesses have another one. */
const ED25519 = 0x01;
const HASH_BYTES = 32;

/** A log's public key. */
export interface LogKey {
  /** The log's origin. */
  readonly name: string;
  /** Eight hexadecimal digits. */
  readonly id: string;
  readonly raw: Bytes;
  readonly vkey: string;
}

/** What the log signed. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Bytes;
}

/**
 * Reads a key as text: `name+id+base64`.
 *
 * @throws ProofError
 */
export async function readLogKey(text: string): Promise<LogKey> {
  const vkey = text.trim();
  const [, name = "", id = "", encoded = ""] = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/u.exec(vkey) ?? [];
  const bytes = fromBase64(encoded);
  if (name === "" || bytes?.length !== 1 + HASH_BYTES || bytes[0] !== ED25519) {
    throw new ProofError("This is not a log's key. It looks like log.example.com/shop+8c1f00aa+AZ…: paste all of it.");
  }
  const made = hex((await sha256(utf8(`${name}\n`), bytes)).subarray(0, 4));
  if (made !== id) throw new ProofError(`The key of ${name} is damaged: its id should be ${made}, not ${id}.`);
  return { name, id, raw: bytes.subarray(1), vkey };
}

/**
 * Opens a checkpoint: a key of its log must have signed it, and none of these signatures may be false.
 *
 * @returns what was signed, and by which key
 * @throws ProofError
 */
export async function openCheckpoint(
  note: string,
  keys: readonly LogKey[],
): Promise<{ readonly checkpoint: Checkpoint; readonly key: LogKey }> {
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || !note.endsWith("\n")) throw new ProofError("The checkpoint has no signatures.");
  const text = note.slice(0, end + 1);
  const checkpoint = readCheckpoint(text);
  let signer: LogKey | undefined;
  const lines = note.slice(end + 2, -1).split("\n");
  for (const line of lines.slice(0, 100)) {
    const [, name, encoded = ""] = /^\u2014 (\S+) (\S+)$/u.exec(line) ?? [];
    const bytes = fromBase64(encoded);
    if (name === undefined || bytes === undefined || bytes.length < 5) {
      throw new ProofError("The checkpoint has a line that is not a signature.");
    }
    const id = hex(bytes.subarray(0, 4));
    const key = keys.find((each) => each.name === name && each.name === checkpoint.origin && each.id === id);
    if (key === undefined) continue;
    if (!(await isSigned(utf8(text), bytes.subarray(4), key))) {
      throw new ProofError(`The signature of ${key.name}+${key.id} is false: the checkpoint was changed.`);
    }
    signer = key;
  }
  if (signer !== undefined) return { checkpoint, key: signer };
  const trusted = keys.map((key) => `${key.name}+${key.id}`).join(", ");
  throw new ProofError(
    `No trusted key signed the checkpoint of ${checkpoint.origin}. Trusted: ${trusted === "" ? "none" : trusted}.`,
  );
}

function readCheckpoint(text: string): Checkpoint {
  const [origin = "", digits = "", encoded = ""] = text.split("\n");
  const root = fromBase64(encoded);
  const size = Number(digits);
  if (origin === "" || !/^(?:0|[1-9]\d*)$/.test(digits) || !Number.isSafeInteger(size) || root?.length !== HASH_BYTES) {
    throw new ProofError("The proof has no checkpoint: expected an origin, a size and a root.");
  }
  return { origin, size, root };
}

async function isSigned(text: Bytes, signature: Bytes, { raw }: LogKey): Promise<boolean> {
  if (signature.length !== 64) return false;
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  } catch {
    throw new ProofError(
      "This browser cannot check Ed25519 signatures: Chromium 137, Firefox 129 and Safari 17 and later can.",
      "unable",
    );
  }
  return await crypto.subtle.verify("Ed25519", key, signature, text);
}
