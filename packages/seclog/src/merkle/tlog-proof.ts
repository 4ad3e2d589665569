/**
 * Proofs in a file of their own (https://c2sp.org/tlog-proof): that an entry is in a log, verifiable with the log's key
 * alone.
 */
import { type Checkpoint, parseCheckpoint } from "./checkpoint.ts";
import { HASH_BYTES } from "./hash.ts";
import { fromBase64, NoteError, type NoteVerifier, openNote, parseNote } from "./note.ts";
import { type Proof, verifyInclusion } from "./proof.ts";

const FIRST_LINE = "c2sp.org/tlog-proof@v1";

/** A proof that leaf `index` is in the tree of the checkpoint. */
export interface TlogProof {
  /** What the application needs to rebuild the leaf. Not authenticated: only what hashes to the leaf is. */
  readonly extra?: Uint8Array;
  readonly index: number;
  readonly proof: Proof;
  /** The signed checkpoint, with the witnesses' signatures. */
  readonly checkpoint: string;
}

/** Writes the file. */
export function formatTlogProof({ extra, index, proof, checkpoint }: TlogProof): string {
  const lines = [
    FIRST_LINE,
    ...(extra === undefined ? [] : [`extra ${Buffer.from(extra).toString("base64")}`]),
    `index ${index}`,
    ...proof.map((hash) => Buffer.from(hash).toString("base64")),
  ];
  return `${lines.join("\n")}\n\n${checkpoint}`;
}

/**
 * Reads the file. Trust nothing in it before {@link verifyTlogProof}.
 *
 * @throws NoteError
 */
export function parseTlogProof(text: string): TlogProof {
  const end = text.indexOf("\n\n");
  const [first, ...lines] = text.slice(0, Math.max(0, end)).split("\n");
  if (first !== FIRST_LINE) throw new NoteError(`not a proof: its first line is not ${FIRST_LINE}`);
  const [, encoded] = /^extra (.+)$/.exec(lines[0] ?? "") ?? [];
  const extra = encoded === undefined ? undefined : fromBase64(encoded);
  if (encoded !== undefined) {
    if (extra === undefined) throw new NoteError("the proof's extra line is not Base64");
    lines.shift();
  }
  const [, digits = ""] = /^index (0|[1-9]\d*)$/.exec(lines.shift() ?? "") ?? [];
  const index = Number(digits);
  if (digits === "" || !Number.isSafeInteger(index)) throw new NoteError("the proof has no index");
  // 2^53 leaves make a path of 53 hashes.
  if (lines.length > 53) throw new NoteError("the proof is too long");
  const proof = lines.map((line) => {
    const hash = fromBase64(line);
    if (hash?.length !== HASH_BYTES)
      throw new NoteError(`the proof has a line that is not a hash: ${line.slice(0, 100)}`);
    return hash;
  });
  return { ...(extra === undefined ? {} : { extra }), index, proof, checkpoint: text.slice(end + 2) };
}

/**
 * Checks that the leaf is in the log: the checkpoint is signed by the log's key and belongs to that log, and the proof
 * leads from the leaf to its root.
 *
 * @param leaf the leaf's hash, made from what is claimed to be in the log
 * @param log the log's keys: name and origin are the same
 * @param witnesses witnesses whose signatures are checked as well; a false one of a known witness is an error
 * @returns the checkpoint, and the witnesses that signed it
 * @throws NoteError that names what does not hold
 */
export function verifyTlogProof(
  leaf: Uint8Array,
  { index, proof, checkpoint }: TlogProof,
  log: readonly NoteVerifier[],
  witnesses: readonly NoteVerifier[] = [],
): { readonly checkpoint: Checkpoint; readonly witnesses: readonly NoteVerifier[] } {
  // Not trusted yet: it only selects the keys to check. A key speaks for the log of its name, and for no other.
  const opened = parseCheckpoint(parseNote(checkpoint).text);
  const own = log.filter(({ name }) => name === opened.origin);
  const { verified } = openNote(checkpoint, [...own, ...witnesses]);
  if (!own.some((verifier) => verified.includes(verifier))) {
    throw new NoteError(`the checkpoint is of ${opened.origin}, and no key of that log has signed it`);
  }
  if (!verifyInclusion(leaf, index, opened.size, proof, opened.root)) {
    throw new NoteError(
      `the proof does not lead from the leaf to the root of ${opened.origin} at ${opened.size} leaves`,
    );
  }
  return { checkpoint: opened, witnesses: witnesses.filter((witness) => verified.includes(witness)) };
}
