import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHash, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import { SeclogError } from "../event/errors.ts";

/** Bytes of a queue key. */
const KEY_BYTES = 32;

/** Bytes of a key's id in an envelope. */
export const KEY_ID_BYTES = 8;

/** Random bytes of a sealed envelope: 16 that the key is derived with, and the 12 of AES-GCM's nonce. */
export const NONCE_BYTES: number = 16 + 12;

/** Bytes of AES-GCM's tag. */
export const TAG_BYTES = 16;

const SALT_BYTES = 16;
const CIPHER = "aes-256-gcm";

/** A secret that applications and workers share, to seal envelopes. Printing it does not show the secret. */
export interface QueueKey {
  /** 16 hexadecimal digits, derived from the secret, so that operators need not name keys. */
  readonly id: string;
  readonly secret: KeyObject;
}

/**
 * A queue key of 32 random bytes, such as `openssl rand 32` writes. Not a password: its id would let anyone try words.
 *
 * @throws SeclogError `SECLOG_CONFIG` for another length
 */
export function queueKey(secret: Uint8Array): QueueKey {
  if (secret.length !== KEY_BYTES) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `a queue key has ${KEY_BYTES} random bytes, not ${secret.length}: make one with openssl rand`,
    );
  }
  const id = createHash("sha256").update("seclog queue key id\n").update(secret).digest("hex");
  return { id: id.slice(0, 2 * KEY_ID_BYTES), secret: createSecretKey(secret) };
}

/** The key that signs position messages: another one than those that seal envelopes. */
export function positionKey(key: QueueKey): Buffer {
  return Buffer.from(hkdfSync("sha256", key.secret, new Uint8Array(), "seclog position 1", KEY_BYTES));
}

/** The ciphertext of `text` with its tag. `header`, which it authenticates too, and `nonce` go beside it in clear. */
export function sealBytes(key: QueueKey, nonce: Uint8Array, header: Uint8Array, text: Uint8Array): Buffer {
  const { derived, iv } = derive(key, nonce);
  const cipher = createCipheriv(CIPHER, derived, iv, { authTagLength: TAG_BYTES }).setAAD(header);
  return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
}

/** What `sealBytes` sealed; `undefined` when anything of it, or of the header, differs, or the key is another one. */
export function openBytes(
  key: QueueKey,
  nonce: Uint8Array,
  header: Uint8Array,
  sealed: Uint8Array,
): Buffer | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  const end = sealed.length - TAG_BYTES;
  const { derived, iv } = derive(key, nonce);
  const decipher = createDecipheriv(CIPHER, derived, iv, { authTagLength: TAG_BYTES }).setAAD(header);
  decipher.setAuthTag(sealed.subarray(end));
  const text = decipher.update(sealed.subarray(0, end));
  try {
    return Buffer.concat([text, decipher.final()]);
  } catch {
    return undefined;
  }
}

/**
 * A key for one envelope. AES-GCM breaks when one key meets one nonce twice, and with random nonces of 96 bits one key
 * should seal 2^32 messages at most (NIST SP 800-38D, section 8.3): 50 days at 1,000 envelopes a second, which no process
 * can count for all others. With 128 more random bits in the key, the chance of a repetition stays below 2^-64 for 2^80
 * envelopes.
 */
function derive(key: QueueKey, nonce: Uint8Array): { readonly derived: Buffer; readonly iv: Uint8Array } {
  const salt = nonce.subarray(0, SALT_BYTES);
  const derived = Buffer.from(hkdfSync("sha256", key.secret, salt, "seclog envelope 1", KEY_BYTES));
  return { derived, iv: nonce.subarray(SALT_BYTES) };
}
