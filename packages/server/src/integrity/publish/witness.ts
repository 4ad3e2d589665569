/**
 * Submits checkpoints to a witness (https://c2sp.org/tlog-witness) and stores its cosignatures. It remembers the witness's
 * size; after a start, the witness reports it.
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
import { type PostResponse, post, responseText } from "../../http/post.ts";
import type { SignedCheckpoint } from "../stored-tree.ts";
import { type PublishContext, type Publisher, rolledBack } from "./publisher.ts";

/** The witness may have moved on since it reported its size, if another sealer submitted meanwhile. */
const MOST_TRIES = 3;

/**
 * @param witness the witness's key, of the kind `cosignature`
 * @param prefix the witness's submission prefix; http suffices, since everything is signed
 */
export function witnessPublisher(witness: NoteVerifier, prefix: URL): Publisher {
  const url = new URL(`${prefix.href.replace(/\/+$/, "")}/add-checkpoint`);
  const where = `witness ${witness.name}`;
  let known = 0;

  async function submit(
    checkpoint: SignedCheckpoint,
    context: PublishContext,
    signal: AbortSignal,
  ): Promise<PostResponse> {
    // The witness may have seen more than we have, and will say so.
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
        const response = await submit(checkpoint, context, signal);
        const { status, body } = response;
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
          // Another sealer was faster and has the newer checkpoint.
          if (stored >= size) return;
          throw rolledBack(where, checkpoint.origin, size, stored);
        }
        if (status === 409 && size !== undefined && size !== known && tries < MOST_TRIES) {
          known = size;
          continue;
        }
        if (status === 422) throw forked(where, checkpoint, known, response);
        throw new SeclogError("SECLOG_PUBLISH", responseText(response));
      }
    },
  };
}

function forked(where: string, { origin, size }: Checkpoint, known: number, response: PostResponse): SeclogError {
  return new SeclogError(
    "SECLOG_ROLLBACK",
    `${where} does not accept that the log ${origin} of ${size} leaves continues the one of ${known} that it has signed: the database was rolled back and continued differently, or is another one (SECLOG_ROLLBACK); ${responseText(response)}`,
  );
}

/** The witness's own signature in its response, verified. Ignores other signatures. */
function openCosignature(note: string, lines: string, witness: NoteVerifier): NoteSignature {
  try {
    const { text } = parseNote(note);
    const { signatures } = openNote(`${text}\n${lines}`, [witness]);
    const own = signatures.find(({ name, keyId }) => name === witness.name && keyId === witness.keyId);
    if (own !== undefined && cosignatureTime(own) > 0) return own;
    throw new NoteError("the cosignature has no time");
  } catch (error) {
    if (!(error instanceof NoteError)) throw error;
    throw new SeclogError("SECLOG_PUBLISH", `the response is not a cosignature of ${witness.vkey}: ${error.message}`);
  }
}

function lineOf(signature: NoteSignature): string {
  return formatNote({ text: "-\n", signatures: [signature] }).slice("-\n\n".length);
}
