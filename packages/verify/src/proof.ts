/** Checks a proof of one event (https://c2sp.org/tlog-proof) offline, with nothing but the log's key. */
import { HASH_BYTES, hex, leafHash, pathLeads, sha256 } from "./hashing.ts";
import { base64, type OpenedCheckpoint, openCheckpoint, VerifyError, type Vkey } from "./note.ts";
import { requireLogKeys, requireWitnessKeys } from "./trust.ts";

/** What a valid proof proves. */
export interface ProvenEvent {
  /** Signed by a key of the log and by every witness named. */
  readonly checkpoint: OpenedCheckpoint;
  readonly index: number;
  /** The event's non-personal columns. */
  readonly core: { readonly [column: string]: unknown };
  /** The personal columns; absent if the proof leaves them out. */
  readonly personal?: { readonly [column: string]: unknown };
}

const FIRST_LINE = "c2sp.org/tlog-proof@v1";
/** A tree of 2^53 leaves has paths of 53 hashes. */
const LONGEST_PATH = 53;

/**
 * Checks the text of a proof.
 *
 * @param keys the log's keys; at least one must have signed the checkpoint
 * @param witnesses the keys of witnesses; all must have signed it
 * @throws InputError when the keys are not those of one log, or the witnesses' keys not those of witnesses
 * @throws VerifyError that says why the proof does not hold
 */
export function verifyProof(text: string, keys: readonly Vkey[], witnesses: readonly Vkey[] = []): ProvenEvent {
  requireLogKeys(keys);
  requireWitnessKeys(witnesses);
  const { extra, index, path, note } = readProof(text);
  const { core, commitment, stored, salt, personal } = readExtra(extra);
  // The commitment first, so that a changed event is reported as that.
  if (salt !== undefined && personal !== undefined) {
    const made = hex(sha256(Buffer.concat([salt, Buffer.from(personal)])));
    if (made !== commitment) {
      throw new VerifyError(
        "the personal part of the event, or its salt, is not what the event commits to: it was changed",
      );
    }
  }
  const checkpoint = openCheckpoint(note, [...keys, ...witnesses]);
  const own = checkpoint.signers.filter((key) => keys.includes(key) && key.name === checkpoint.origin);
  if (own.length === 0) {
    throw new VerifyError(
      `the checkpoint belongs to the log ${checkpoint.origin}, and no named key of that log has signed it`,
    );
  }
  const { size, root } = checkpoint;
  if (index >= size)
    throw new VerifyError(`the proof is for leaf ${index}, but its checkpoint has only ${size} leaves`);
  if (!pathLeads(leafHash(`${core}\n${commitment}\n${stored}`), index, size, path, root)) {
    throw new VerifyError(
      `the proof does not lead from the event to the root that ${checkpoint.origin} has signed: the event, its index ${index} or the proof was changed`,
    );
  }
  const silent = witnesses.filter((key) => !checkpoint.signers.includes(key));
  if (silent.length > 0) {
    throw new VerifyError(`the witness ${silent.map(({ name }) => name).join(", ")} has not signed the checkpoint`);
  }
  return {
    checkpoint,
    index,
    core: { ...members(core, "first"), ...members(stored, "third") },
    ...(personal === undefined ? {} : { personal: members(personal, "personal") }),
  };
}

function readProof(text: string): { extra: Buffer; index: number; path: string[]; note: string } {
  const end = text.indexOf("\n\n");
  const [first, ...lines] = text.slice(0, Math.max(0, end)).split("\n");
  if (first !== FIRST_LINE)
    throw new VerifyError(`this is not a proof, or only part of one: it does not begin with ${FIRST_LINE}`);
  const extraLine = lines.shift() ?? "";
  const extra = extraLine.startsWith("extra ") ? base64(extraLine.slice(6)) : undefined;
  if (extra === undefined)
    throw new VerifyError("the proof names no event: its second line is not `extra` with Base64");
  const [, digits] = /^index (0|[1-9]\d{0,15})$/.exec(lines.shift() ?? "") ?? [];
  if (digits === undefined || !Number.isSafeInteger(Number(digits)))
    throw new VerifyError("the proof's third line is not an `index`");
  if (lines.length > LONGEST_PATH)
    throw new VerifyError(`the proof has ${lines.length} hashes, more than the path in any tree`);
  const path = lines.map((line) => {
    const hash = base64(line);
    if (hash?.length === HASH_BYTES) return hash.toString("latin1");
    throw new VerifyError(`the proof has a line that is not a hash: ${JSON.stringify(line.slice(0, 100))}`);
  });
  return { extra, index: Number(digits), path, note: text.slice(end + 2) };
}

/** The event in the `extra` line. */
interface ProofEvent {
  readonly core: string;
  readonly commitment: string;
  /** The columns that the store sets: when it was stored, and how long it is kept. */
  readonly stored: string;
  /** A redacted proof leaves out the salt and the personal line. */
  readonly salt?: Buffer;
  readonly personal?: string;
}

function readExtra(extra: Buffer): ProofEvent {
  const text = extra.toString();
  if (Buffer.compare(Buffer.from(text), extra) !== 0) throw new VerifyError("the event in the proof is not UTF-8");
  const [core = "", commitment = "", stored, salt, personal, ...more] = text.split("\n");
  if (!/^[0-9a-f]{64}$/.test(commitment)) throw new VerifyError("the event in the proof has no commitment");
  if (stored === undefined) throw new VerifyError("the event in the proof does not say when it was stored");
  if (salt === undefined) return { core, commitment, stored };
  if (personal === undefined || more.length > 0 || !/^[0-9a-f]{32}$/.test(salt)) {
    throw new VerifyError("the personal part of the event in the proof is malformed: expected a salt and one line");
  }
  return { core, commitment, stored, salt: Buffer.from(salt, "hex"), personal };
}

function members(line: string, which: string): { readonly [column: string]: unknown } {
  try {
    const value = JSON.parse(line) as unknown;
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as { [column: string]: unknown };
  } catch {
    // Reported below.
  }
  throw new VerifyError(`the ${which} line of the event in the proof is not a JSON object`);
}
