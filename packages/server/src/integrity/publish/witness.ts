/**
 * Submits checkpoints to a witness (https://c2sp.org/tlog-witness) and keeps its cosignatures. How far the witness is, is
 * remembered; after a start it says so itself.
 */
import { SeclogError } from "seclog";
import {
  type Checkpoint,
  consistencyProof,
  cosignatureTime,
  formatNote,
  NoteError,
  type NoteSignature,
  type NoteVerifier,
  openNote,
  parseNote,
} from "seclog/merkle";
import { answered, type Posted, post } from "../../http/post.ts";
import type { SignedCheckpoint } from "../stored-tree.ts";
import { type PublishContext, type Publisher, rolledBack } from "./publisher.ts";

/** Told a size once, the witness may be further a moment later, when another sealer has been there. */
const MOST_TRIES = 3;

/**
 * @param witness its key, of the kind `cosignature`
 * @param prefix the witness's submission prefix; http will do, since everything is signed
 */
export function witnessPublisher(witness: NoteVerifier, prefix: URL): Publisher {
  const url = new URL(`${prefix.href.replace(/\/+$/, "")}/add-checkpoint`);
  const where = `witness ${witness.name}`;
  let known = 0;

  async function submit(checkpoint: SignedCheckpoint, context: PublishContext, signal: AbortSignal): Promise<Posted> {
    // It may have seen more than we have; that it will say.
    const old = Math.min(known, checkpoint.size);
    const proof = await consistencyProof(old, checkpoint.size, context.tiles);
    const lines = proof.map((hash) => `${Buffer.from(hash).toString("base64")}\n`).join("");
    const headers = { "content-type": "text/plain; charset=utf-8", "user-agent": "seclog" };
    return await post(url, headers, `old ${old}\n${lines}\n${checkpoint.note}`, signal);
  }

  return {
    name: where,
    async publish(checkpoint, context, signal) {
      for (let tries = 1; ; tries++) {
        const answer = await submit(checkpoint, context, signal);
        const { status, body } = answer;
        if (status === 200) {
          const cosignature = openCosignature(checkpoint.note, body, witness);
          known = checkpoint.size;
          const { keyId, name } = witness;
          await context.cosign(checkpoint.size, name, keyId, lineOf(cosignature));
          return;
        }
        const size = /^(0|[1-9]\d{0,15})\n?$/.test(body) ? Number(body) : undefined;
        if ((status === 409 || status === 422) && size !== undefined && size > checkpoint.size) {
          const stored = await context.newestSize();
          // Another sealer was faster; its checkpoint is the newer one.
          if (stored >= size) return;
          throw rolledBack(where, checkpoint.origin, size, stored);
        }
        if (status === 409 && size !== undefined && size !== known && tries < MOST_TRIES) {
          known = size;
          continue;
        }
        if (status === 422) throw forked(where, checkpoint, known, answer);
        throw new SeclogError("SECLOG_PUBLISH", answered(answer));
      }
    },
  };
}

function forked(where: string, { origin, size }: Checkpoint, known: number, answer: Posted): SeclogError {
  return new SeclogError(
    "SECLOG_ROLLBACK",
    `${where} does not believe that the log ${origin} of ${size} leaves continues the one of ${known} that it has signed: the database was rolled back and went on otherwise, or is another one (SECLOG_ROLLBACK); ${answered(answer)}`,
  );
}

/** The witness's signature in its answer, checked; those of others are left alone. */
function openCosignature(note: string, lines: string, witness: NoteVerifier): NoteSignature {
  try {
    const { text } = parseNote(note);
    const { signatures } = openNote(`${text}\n${lines}`, [witness]);
    const own = signatures.find(({ name, keyId }) => name === witness.name && keyId === witness.keyId);
    if (own !== undefined && cosignatureTime(own) > 0) return own;
    throw new NoteError("the cosignature has no time");
  } catch (error) {
    if (!(error instanceof NoteError)) throw error;
    throw new SeclogError("SECLOG_PUBLISH", `what it answered is no cosignature of ${witness.vkey}: ${error.message}`);
  }
}

function lineOf(signature: NoteSignature): string {
  return formatNote({ text: "-\n", signatures: [signature] }).slice("-\n\n".length);
}
