/**
 * A witness (https://c2sp.org/tlog-witness): it remembers the newest checkpoint that it has seen of each log, and signs a
 * newer one only when that continues it. Whoever trusts the witness knows then that the log showed everybody the same.
 */
import {
  type Checkpoint,
  EMPTY_ROOT,
  formatNote,
  HASH_BYTES,
  NoteError,
  type NoteSigner,
  type NoteVerifier,
  openNote,
  parseCheckpoint,
  parseNote,
  type SignedNote,
  sameHash,
  verifyConsistency,
} from "seclog/merkle";
import { type HttpAnswer, type HttpQuestion, textAnswer } from "../../http/service.ts";
import { originHash, type WitnessState } from "./state.ts";

/** The largest request that is read: 63 hashes and a note with a hundred signatures have room in it. */
export const MOST_REQUEST_BYTES: number = 64 * 1024;

/** More no honest tree needs. */
const MOST_PROOF_LINES = 63;

export interface WitnessOptions {
  /** Its key, of the kind `cosignature`. */
  readonly signer: NoteSigner;
  /** The keys of the logs that it watches; a log's origin is its keys' name. */
  readonly logs: readonly NoteVerifier[];
  readonly state: WitnessState;
  /**
   * Told of a checkpoint that a watched log has signed and that was not shown to continue what was cosigned. `proven`
   * where two roots of one size are: then the log has lied. Else whoever asked may just have sent a wrong proof.
   */
  readonly onInconsistent: (why: string, note: string, proven: boolean) => void;
  /** Told of each checkpoint that was cosigned. */
  readonly onCosigned?: (checkpoint: Checkpoint) => void;
}

export class Witness {
  readonly #options: WitnessOptions;
  readonly #origins = new Map<string, NoteVerifier[]>();
  readonly #hashes = new Map<string, string>();

  /** @throws SeclogError `SECLOG_CONFIG` when what it kept cannot be used */
  constructor(options: WitnessOptions) {
    this.#options = options;
    for (const log of options.logs) this.#origins.set(log.name, [...(this.#origins.get(log.name) ?? []), log]);
    for (const [origin, keys] of this.#origins) {
      this.#hashes.set(originHash(origin), origin);
      options.state.prepare(origin, [options.signer, ...keys]);
    }
  }

  answer({ method, path, body }: HttpQuestion): HttpAnswer {
    if (path === "/add-checkpoint") {
      return method === "POST" ? this.#addCheckpoint(body) : notAllowed("POST");
    }
    const [, hash = ""] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(path) ?? [];
    if (hash === "") return textAnswer(404, "there is no such page");
    return method === "GET" || method === "HEAD" ? this.#latest(hash) : notAllowed("GET, HEAD");
  }

  #latest(hash: string): HttpAnswer {
    const origin = this.#hashes.get(hash);
    const latest = origin === undefined ? undefined : this.#options.state.latest(origin);
    if (latest === undefined) return textAnswer(404, "no checkpoint of that log was cosigned here");
    return {
      status: 200,
      headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-cache" },
      body: latest.note,
    };
  }

  /**
   * The checks in the order of the specification. Nothing in here waits: from the look at what was cosigned last to its
   * replacement no other request has a turn, and what another process does is noticed by the state.
   */
  #addCheckpoint(body: Buffer): HttpAnswer {
    const { state, signer, onInconsistent, onCosigned } = this.#options;
    const request = parseRequest(body);
    if (request === undefined) return textAnswer(400, "that is no add-checkpoint request");
    const { old, proof, note, checkpoint } = request;
    const { origin, size, root } = checkpoint;

    const keys = this.#origins.get(origin);
    if (keys === undefined) return textAnswer(404, "this witness does not watch that log");
    let opened: ReturnType<typeof openNote>;
    try {
      opened = openNote(note, keys);
    } catch (error) {
      if (!(error instanceof NoteError)) throw error;
      return textAnswer(403, error.message);
    }
    if (old > size) return textAnswer(400, "the old size is larger than the checkpoint's");

    const latest = state.latest(origin) ?? { size: 0, root: EMPTY_ROOT, revision: 0 };
    if (old !== latest.size) return conflict(latest.size);
    if (!verifyConsistency(old, latest.root, size, root, proof)) {
      const proven = old === size && !sameHash(latest.root, root);
      const why = proven
        ? `${origin} has signed two trees of ${size} leaves, which proves that it shows different logs`
        : `a checkpoint of ${origin} with ${size} leaves was refused: it was not shown to continue the cosigned one of ${old}`;
      onInconsistent(why, note, proven);
      return textAnswer(422, "the proof of consistency does not hold");
    }

    const cosignature = signer.sign(opened.text);
    const logLines = opened.signatures.filter((line) =>
      opened.verified.some((key) => key.name === line.name && key.keyId === line.keyId),
    );
    const kept = formatNote({ text: opened.text, signatures: [...logLines, cosignature] });
    if (!state.replace(origin, latest.revision, kept)) return conflict(state.latest(origin)?.size ?? 0);
    onCosigned?.(checkpoint);
    const line = formatNote({ text: opened.text, signatures: [cosignature] }).slice(opened.text.length + 1);
    return { status: 200, headers: { "content-type": "text/plain; charset=utf-8" }, body: line };
  }
}

function conflict(size: number): HttpAnswer {
  return { status: 409, headers: { "content-type": "text/x.tlog.size" }, body: `${size}\n` };
}

function notAllowed(allow: string): HttpAnswer {
  return textAnswer(405, `only ${allow} here`, { allow });
}

interface AddCheckpoint {
  readonly old: number;
  readonly proof: readonly Uint8Array[];
  /** The checkpoint with its signatures, of which none was looked at. */
  readonly note: string;
  readonly checkpoint: Checkpoint;
}

/** Takes a request apart; `undefined` when it has not the form that the specification asks for. */
function parseRequest(body: Buffer): AddCheckpoint | undefined {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return undefined;
  }
  const end = text.indexOf("\n\n");
  if (end < 0) return undefined;
  const [first = "", ...lines] = text.slice(0, end).split("\n");
  const [, digits] = /^old (0|[1-9]\d*)$/.exec(first) ?? [];
  const old = Number(digits);
  if (digits === undefined || !Number.isSafeInteger(old) || lines.length > MOST_PROOF_LINES) return undefined;
  const proof = lines.map((line) => Buffer.from(line, "base64"));
  if (!proof.every((hash, i) => hash.length === HASH_BYTES && hash.toString("base64") === lines[i])) return undefined;
  const note = text.slice(end + 2);
  try {
    const parsed: SignedNote = parseNote(note);
    return { old, proof, note, checkpoint: parseCheckpoint(parsed.text) };
  } catch (error) {
    if (error instanceof NoteError) return undefined;
    throw error;
  }
}
