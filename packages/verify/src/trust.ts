/**
 * What a verification trusts: keys that a caller names, and checkpoints that those keys signed. Every caller passes here,
 * so that none can leave out a check and still read `intact`.
 */
import { InputError, type OpenedCheckpoint, type Vkey } from "./note.ts";

/**
 * Checks the keys of one log.
 *
 * @throws InputError when there are none, one is named twice or belongs to a witness, or they belong to several logs
 */
export function requireLogKeys(keys: readonly Vkey[]): void {
  const [first] = keys;
  if (first === undefined) throw new InputError("no key of the log: without one, nothing can be verified");
  requireDistinct(keys);
  for (const key of keys) {
    if (key.kind === "witness") throw new InputError(`the key ${key.text} belongs to a witness, not to a log`);
    if (key.name !== first.name) {
      throw new InputError(`the keys belong to two logs, ${first.name} and ${key.name}: verify one at a time`);
    }
  }
}

/** Checks the keys of witnesses. @throws InputError when one is named twice, or belongs to a log */
export function requireWitnessKeys(keys: readonly Vkey[]): void {
  requireDistinct(keys);
  for (const key of keys) {
    if (key.kind === "log") throw new InputError(`the key ${key.text} belongs to a log, not to a witness`);
  }
}

function requireDistinct(keys: readonly Vkey[]): void {
  const seen = new Set<string>();
  for (const { text } of keys) {
    if (seen.has(text)) throw new InputError(`the key ${text} is named twice: name each key once`);
    seen.add(text);
  }
}

/**
 * Checks who signed a checkpoint that was opened elsewhere, and returns it with the signers among these keys.
 *
 * @param name how the error calls it
 * @throws InputError when none of the keys has signed it, or it belongs to another log
 */
export function requireTrusted(checkpoint: OpenedCheckpoint, keys: readonly Vkey[], name: string): OpenedCheckpoint {
  const { origin, signers } = checkpoint;
  const known = keys.filter(({ text }) => signers.some((signer) => signer.text === text));
  if (known.length === 0) throw new InputError(`${name} cannot be trusted: none of the keys named has signed it`);
  const log = keys[0]?.name;
  if (origin === log) return { ...checkpoint, signers: known };
  throw new InputError(`${name} cannot be trusted: it belongs to the log ${origin}, but the keys belong to ${log}`);
}
