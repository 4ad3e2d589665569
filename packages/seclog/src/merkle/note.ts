/**
 * Signed notes (https://c2sp.org/signed-note): a text, an empty line, and a line for each signature. Two kinds of keys:
 * Ed25519, which signs the text, and a witness's Ed25519, which signs the time as well
 * (https://c2sp.org/tlog-cosignature). Signatures of other kinds are kept but not trusted.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";

/** The kinds of keys, by the byte that identifies them in key ids and vkeys. */
export const KEY_TYPES = { ed25519: 0x01, cosignature: 0x04 } as const;

/** More signatures are refused, so that a note cannot keep a verifier busy; the specification requires at least 16. */
const MAX_SIGNATURES = 100;

/** One signature line. */
export interface NoteSignature {
  readonly name: string;
  /** Identifies the key and its kind, together with the name. */
  readonly keyId: number;
  /** The bytes after the key's id: 64 of Ed25519, with 8 bytes of time before them from a witness. */
  readonly signature: Uint8Array;
}

/** A note whose signatures are not checked yet. */
export interface SignedNote {
  /** The signed text, with its last newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** Checks the signatures of one key. */
export interface NoteVerifier {
  readonly name: string;
  readonly keyId: number;
  /** The key as text: `name+id+base64`. */
  readonly vkey: string;
  verify(text: string, signature: Uint8Array): boolean;
}

/** Makes the signatures of one key. */
export interface NoteSigner extends NoteVerifier {
  sign(text: string): NoteSignature;
}

/** An invalid note, key or checkpoint. */
export class NoteError extends Error {
  override readonly name = "NoteError";
  readonly code = "SECLOG_NOTE";
}

/**
 * Splits a note into its parts. Trust nothing in it before {@link openNote}.
 *
 * @throws NoteError
 */
export function parseNote(note: string): SignedNote {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the specification forbids exactly these
  if (/[\u0000-\u0009\u000b-\u001f]|\p{Cs}/u.test(note)) throw new NoteError("the note has a control character");
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || !note.endsWith("\n"))
    throw new NoteError("the note has no signatures: an empty line comes before them");
  const text = note.slice(0, end + 1);
  const lines = note
    .slice(end + 2)
    .split("\n")
    .slice(0, -1);
  if (lines.length === 0) throw new NoteError("the note has no signatures");
  if (lines.length > MAX_SIGNATURES) throw new NoteError(`the note has more than ${MAX_SIGNATURES} signatures`);
  const signatures = lines.map((line) => {
    const [, name = "", encoded = ""] = /^\u2014 (\S+) (\S+)$/u.exec(line) ?? [];
    const bytes = fromBase64(encoded);
    if (!isKeyName(name) || bytes === undefined || bytes.length < 5) {
      throw new NoteError(`the note has a line that is not a signature: ${JSON.stringify(line.slice(0, 200))}`);
    }
    return { name, keyId: bytes.readUInt32BE(0), signature: bytes.subarray(4) };
  });
  return { text, signatures };
}

/**
 * Checks a note with the known keys: at least one of them must have signed, and none of their signatures may be false.
 * Signatures of other keys are ignored.
 *
 * @returns the text, and the keys whose signatures are valid
 * @throws NoteError
 */
export function openNote(
  note: string,
  verifiers: readonly NoteVerifier[],
): SignedNote & { readonly verified: readonly NoteVerifier[] } {
  const parsed = parseNote(note);
  const verified = new Set<NoteVerifier>();
  for (const { name, keyId, signature } of parsed.signatures) {
    const known = verifiers.find((verifier) => verifier.name === name && verifier.keyId === keyId);
    if (known === undefined) continue;
    if (!known.verify(parsed.text, signature)) throw new NoteError(`the signature of ${known.vkey} is false`);
    verified.add(known);
  }
  if (verified.size === 0) {
    const names = parsed.signatures.map(({ name, keyId }) => `${name}+${hex(keyId)}`).join(", ");
    throw new NoteError(`none of the known keys has signed the note; it is signed by ${names}`);
  }
  return { ...parsed, verified: [...verified] };
}

/**
 * Signs a text.
 *
 * @param text ends with a newline and has no other control characters
 * @throws NoteError
 */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  return formatNote({ text, signatures: signers.map((signer) => signer.sign(text)) });
}

/** Writes a note. @throws NoteError when reading it back would differ */
export function formatNote({ text, signatures }: SignedNote): string {
  const lines = signatures.map(({ name, keyId, signature }) => {
    const id = Buffer.alloc(4);
    id.writeUInt32BE(keyId);
    return `\u2014 ${name} ${Buffer.concat([id, signature]).toString("base64")}\n`;
  });
  const note = `${text}\n${lines.join("")}`;
  if (parseNote(note).text !== text) throw new NoteError("the text does not end with a newline");
  return note;
}

/**
 * The verifier for a vkey: `name+hex id+base64(type ‖ public key)`, of an Ed25519 key or a witness's.
 *
 * @throws NoteError
 */
export function parseVkey(vkey: string): NoteVerifier {
  const { name, id, bytes } = parseKey(/^([^+]+)\+([0-9a-f]{8})\+(.+)$/u, vkey, "a vkey (name+id+key)");
  const type = bytes[0];
  const raw = bytes.subarray(1);
  if ((type !== KEY_TYPES.ed25519 && type !== KEY_TYPES.cosignature) || raw.length !== 32) {
    throw new NoteError(`the key of ${name} is of an unknown kind: Ed25519, plain or a witness's, is known`);
  }
  const verifier = verifierOf(name, type, raw);
  if (hex(verifier.keyId) !== id) throw new NoteError(`the id of ${vkey} does not belong to its name and key`);
  return verifier;
}

/**
 * The signer for a private key in text form: `PRIVATE+KEY+name+hex id+base64(type ‖ seed)`, as Go's sumdb/note writes
 * it.
 *
 * @param now the time of a witness's signature, in Unix seconds
 * @throws NoteError, which never shows the key
 */
export function parsePrivateKey(text: string, now: () => number = () => Math.floor(Date.now() / 1000)): NoteSigner {
  const what = "a private key (PRIVATE+KEY+name+id+key)";
  const { name, id, bytes } = parseKey(/^PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+(.+)$/u, text.trim(), what, true);
  const type = bytes[0];
  const seed = bytes.subarray(1);
  if ((type !== KEY_TYPES.ed25519 && type !== KEY_TYPES.cosignature) || seed.length !== 32) {
    throw new NoteError(`the private key of ${name} is of an unknown kind`);
  }
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" });
  const raw = rawPublicKey(key);
  const verifier = verifierOf(name, type, raw);
  if (hex(verifier.keyId) !== id) throw new NoteError(`the id of the private key of ${name} does not belong to it`);
  return {
    ...verifier,
    sign(note) {
      if (type === KEY_TYPES.ed25519) {
        return { name, keyId: verifier.keyId, signature: sign(null, Buffer.from(note), key) };
      }
      const time = Buffer.alloc(8);
      time.writeBigUInt64BE(BigInt(now()));
      const signature = Buffer.concat([time, sign(null, cosigned(note, time), key)]);
      return { name, keyId: verifier.keyId, signature };
    },
  };
}

/**
 * Writes the private half of a new key pair, for {@link parsePrivateKey}.
 *
 * @param name a URL without its scheme, such as `log.example.com/shop`: no spaces, no `+`
 * @param seed 32 random bytes: the private key (RFC 8032)
 * @throws NoteError for an invalid name
 */
export function formatPrivateKey(name: string, seed: Uint8Array, type: keyof typeof KEY_TYPES = "ed25519"): string {
  if (!isKeyName(name)) throw new NoteError(`${JSON.stringify(name)} is not a key's name: use no spaces and no +`);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" });
  const code = KEY_TYPES[type];
  const id = hex(keyIdOf(name, code, rawPublicKey(key)));
  return `PRIVATE+KEY+${name}+${id}+${Buffer.concat([Uint8Array.of(code), seed]).toString("base64")}`;
}

/** The time of a witness's signature, in Unix seconds. */
export function cosignatureTime({ signature }: NoteSignature): number {
  return Number(Buffer.from(signature).readBigUInt64BE(0));
}

/** DER before the 32 bytes of an Ed25519 private and public key (RFC 8410). */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI = Buffer.from("302a300506032b6570032100", "hex");

function verifierOf(name: string, type: number, raw: Uint8Array): NoteVerifier {
  const key = createPublicKey({ key: Buffer.concat([SPKI, raw]), format: "der", type: "spki" });
  const keyId = keyIdOf(name, type, raw);
  return {
    name,
    keyId,
    vkey: `${name}+${hex(keyId)}+${Buffer.concat([Uint8Array.of(type), raw]).toString("base64")}`,
    verify(text, signature) {
      if (type === KEY_TYPES.ed25519) return signature.length === 64 && verify(null, Buffer.from(text), key, signature);
      if (signature.length !== 72) return false;
      const time = Buffer.from(signature.subarray(0, 8));
      if (time.readBigUInt64BE(0) >= 2n ** 63n) return false;
      return verify(null, cosigned(text, time), key, signature.subarray(8));
    },
  };
}

/** The bytes that a witness signs. */
function cosigned(text: string, time: Buffer): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${time.readBigUInt64BE(0)}\n${text}`);
}

function keyIdOf(name: string, type: number, raw: Uint8Array): number {
  return createHash("sha256").update(`${name}\n`).update(Uint8Array.of(type)).update(raw).digest().readUInt32BE(0);
}

function rawPublicKey(key: KeyObject): Uint8Array {
  return createPublicKey(key).export({ format: "der", type: "spki" }).subarray(SPKI.length);
}

function parseKey(
  pattern: RegExp,
  text: string,
  what: string,
  secret = false,
): { name: string; id: string; bytes: Buffer } {
  const [, name = "", id = "", encoded = ""] = pattern.exec(text) ?? [];
  const bytes = fromBase64(encoded);
  if (!isKeyName(name) || bytes === undefined) {
    throw new NoteError(secret ? `that is not ${what}` : `${JSON.stringify(text.slice(0, 200))} is not ${what}`);
  }
  return { name, id, bytes };
}

function isKeyName(name: string): boolean {
  return /^[^\s+\p{Z}\p{Cc}\p{Cs}]+$/u.test(name);
}

function hex(keyId: number): string {
  return keyId.toString(16).padStart(8, "0");
}

/**
 * Standard Base64 with its padding and nothing else (RFC 4648, section 4); `undefined` for anything else, which Node
 * would accept.
 */
export function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.length > 0 && bytes.toString("base64") === text ? bytes : undefined;
}
