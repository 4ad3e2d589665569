/**
 * Checks a proof of one event (https://c2sp.org/tlog-proof) in the browser: the event's lines hash to a leaf, the path
 * leads from it to a root, and the log signed that root. The server is not believed in any of it.
 */
import { type Bytes, fromBase64, fromHex, hex, same, sha256, utf8 } from "./bytes.ts";
import { type Checkpoint, type LogKey, openCheckpoint } from "./note.ts";
import { ProofError } from "./proof-error.ts";

/** A step from a leaf to the root. */
export interface ProofStep {
  /** Where the sibling stands. */
  readonly side: "left" | "right";
  readonly sibling: string;
}

/** What a valid proof proves. */
export interface ProvenEvent {
  readonly checkpoint: Checkpoint;
  /** The key that signed. */
  readonly key: LogKey;
  readonly index: number;
  readonly leaf: string;
  readonly root: string;
  readonly steps: readonly ProofStep[];
  /** The event's columns, as they were sealed. */
  readonly columns: { readonly [column: string]: unknown };
  /** Whether the proof has the personal columns. */
  readonly isWhole: boolean;
}

const FIRST_LINE = "c2sp.org/tlog-proof@v1";
/** A tree of 2^53 leaves has paths of 53 hashes. */
const LONGEST_PATH = 53;

/**
 * Checks the text of a proof with the log's keys.
 *
 * @throws ProofError that says what does not hold
 */
export async function verifyProof(text: string, keys: readonly LogKey[]): Promise<ProvenEvent> {
  if (globalThis.crypto?.subtle === undefined) {
    throw new ProofError(
      "This browser offers no cryptography to this page: open the console over HTTPS, or from localhost.",
      "unable",
    );
  }
  const { extra, index, path, note } = readProof(text);
  const { core, commitment, stored, salt, personal } = readEvent(extra);
  if (salt !== undefined && personal !== undefined) {
    if (hex(await sha256(fromHex(salt), utf8(personal))) !== commitment) {
      throw new ProofError("The personal part of the event is not what it commits to: it was changed.");
    }
  }
  const { checkpoint, key } = await openCheckpoint(note, keys);
  const { size, root } = checkpoint;
  if (index >= size) throw new ProofError(`The proof is for leaf ${index}, but the checkpoint has only ${size}.`);
  const leaf = await sha256(Uint8Array.of(0), utf8(`${core}\n${commitment}\n${stored}`));
  const folded = await fold(leaf, index, size, path);
  if (folded === undefined || !same(folded.root, root)) {
    throw new ProofError(
      "The computed root is not the signed one: the event, its index or the proof was changed after it was sealed.",
    );
  }
  return {
    checkpoint,
    key,
    index,
    leaf: hex(leaf),
    root: hex(root),
    steps: folded.steps,
    columns: { ...members(core), ...members(stored), ...(personal === undefined ? {} : members(personal)) },
    isWhole: personal !== undefined,
  };
}

/** Hashes up to the root (RFC 9162, section 2.1.3.2); `undefined` if the path has another length. */
async function fold(
  leaf: Bytes,
  index: number,
  size: number,
  path: readonly Bytes[],
): Promise<{ readonly root: Bytes; readonly steps: readonly ProofStep[] } | undefined> {
  const steps: ProofStep[] = [];
  let hash = leaf;
  let [node, last] = [index, size - 1];
  for (const sibling of path) {
    if (last === 0) return undefined;
    const isRight = node % 2 === 1 || node === last;
    hash = isRight ? await sha256(Uint8Array.of(1), sibling, hash) : await sha256(Uint8Array.of(1), hash, sibling);
    steps.push({ side: isRight ? "left" : "right", sibling: hex(sibling) });
    // Where a level's last node has no sibling, it stands for itself on the next one.
    while (isRight && node % 2 === 0 && node !== 0) {
      node /= 2;
      last = Math.floor(last / 2);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? { root: hash, steps } : undefined;
}

function readProof(text: string): { extra: Bytes; index: number; path: readonly Bytes[]; note: string } {
  const end = text.indexOf("\n\n");
  const [first, extraLine = "", indexLine = "", ...lines] = text.slice(0, Math.max(0, end)).split("\n");
  if (first !== FIRST_LINE) throw new ProofError(`This is not a proof: it does not begin with ${FIRST_LINE}.`);
  const extra = extraLine.startsWith("extra ") ? fromBase64(extraLine.slice(6)) : undefined;
  if (extra === undefined) throw new ProofError("The proof names no event.");
  const [, digits] = /^index (0|[1-9]\d{0,15})$/.exec(indexLine) ?? [];
  if (digits === undefined || !Number.isSafeInteger(Number(digits))) throw new ProofError("The proof has no index.");
  if (lines.length > LONGEST_PATH) throw new ProofError("The proof has more hashes than the path in any tree.");
  const path = lines.map((line) => {
    const hash = fromBase64(line);
    if (hash?.length !== 32) throw new ProofError("The proof has a line that is not a hash.");
    return hash;
  });
  return { extra, index: Number(digits), path, note: text.slice(end + 2) };
}

/** The lines of the event: core, commitment, what the store set, and (unless redacted) salt and personal part. */
function readEvent(extra: Bytes): {
  readonly core: string;
  readonly commitment: string;
  readonly stored: string;
  readonly salt?: string;
  readonly personal?: string;
} {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(extra);
  } catch {
    throw new ProofError("The event in the proof is not UTF-8.");
  }
  const [core = "", commitment = "", stored, salt, personal, ...more] = text.split("\n");
  if (!/^[0-9a-f]{64}$/.test(commitment) || stored === undefined) {
    throw new ProofError("The event in the proof has no commitment, or does not say when it was stored.");
  }
  if (salt === undefined) return { core, commitment, stored };
  if (personal === undefined || more.length > 0 || !/^[0-9a-f]{32}$/.test(salt)) {
    throw new ProofError("The personal part of the event in the proof is malformed.");
  }
  return { core, commitment, stored, salt, personal };
}

function members(line: string): { readonly [column: string]: unknown } {
  try {
    const value = JSON.parse(line) as unknown;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Reported below.
  }
  throw new ProofError("A line of the event in the proof is not a JSON object.");
}
