/** Public keys as a user passes them, and what each kind of key signs. */
import { SeclogError } from "seclog";
import { KEY_TYPES, NoteError, type NoteVerifier, parseVkey } from "seclog/merkle";

/** A log's key signs checkpoints, a witness's key cosigns them. */
export type KeyKind = keyof typeof KEY_TYPES;

const KIND_NAMES: { readonly [K in KeyKind]: string } = {
  ed25519: "a log's key (Ed25519)",
  cosignature: "a witness's key (Ed25519 cosignature)",
};

/** The kind of a key, from its vkey: the byte before the key itself. */
export function keyKind(vkey: string): KeyKind {
  // Base64 may also contain a plus; names never do.
  const encoded = vkey.split("+").slice(2).join("+");
  return Buffer.from(encoded, "base64")[0] === KEY_TYPES.cosignature ? "cosignature" : "ed25519";
}

/**
 * Parses an option's public key.
 *
 * @param option the option's name, for the message
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function publicKey(option: string, vkey: string, kind: KeyKind): NoteVerifier {
  let verifier: NoteVerifier;
  try {
    verifier = parseVkey(vkey);
  } catch (error) {
    if (!(error instanceof NoteError)) throw error;
    throw new SeclogError("SECLOG_CONFIG", `${option}: ${error.message}`);
  }
  const given = keyKind(vkey);
  if (given !== kind) {
    throw new SeclogError("SECLOG_CONFIG", `${option}: ${vkey} is ${KIND_NAMES[given]}, not ${KIND_NAMES[kind]}`);
  }
  return verifier;
}
