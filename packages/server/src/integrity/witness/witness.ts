/**
 * A witness (https://c2sp.org/tlog-witness): it remembers the newest checkpoint of each log, and signs a newer one only if
 * that continues it. A verifier that trusts the witness then knows that the log shows everyone the same history.
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
import { type HttpRequest, type HttpResponse, textResponse } from "../../http/service.ts";
import { originHash, type WitnessState } from "./state.ts";

/** The largest request to read: room for 63 hashes and a note with a hundred signatures. */
export const MOST_REQUEST_BYTES: number = 64 * 1024;

/** Enough for any honest tree. */
const MOST_PROOF_LINES = 63;

export interface WitnessOptions {
  /** The witness's key, of the kind `cosignature`. */
  readonly signer: NoteSigner;
  /** The keys of the watched logs; a log's origin is the name of its keys. */
  readonly logs: readonly NoteVerifier[];
  readonly state: WitnessState;
  /**
   * Receives a checkpoint that a watched log has signed without a valid proof that it continues the cosigned one. `proven`
   * if two roots of one size exist: then the log has lied. Otherwise the client may just have sent a wrong proof.
   */
  readonly onInconsistent: (why: string, note: string, proven: boolean) => void;
  /** Receives each cosigned checkpoint. */
  readonly onCosigned?: (checkpoint: Checkpoint) => void;
}

export class Witness {
  readonly #options: WitnessOptions;
  readonly #origins = new Map<string, NoteVerifier[]>();
  readonly #hashes = new Map<string, string>();

  /** @throws SeclogError `SECLOG_CONFIG` if the state is unusable */
  constructor(options: WitnessOptions) {
    this.#options = options;
    for (const log of options.logs) this.#origins.set(log.name, [...(this.#origins.get(log.name) ?? []), log]);
    for (const [origin, keys] of this.#origins) {
      this.#hashes.set(originHash(origin), origin);
      options.state.prepare(origin, [options.signer, ...keys]);
    }
  }

  respond({ method, path, body }: HttpRequest): HttpResponse {
    if (path === "/add-checkpoint") {
      return method === "POST" ? this.#addCheckpoint(body) : notAllowed("POST");
    }
    const [, hash = ""] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(path) ?? [];
    if (hash === "") return textResponse(404, "not found");
    return method === "GET" || method === "HEAD" ? this.#latest(hash) : notAllowed("GET, HEAD");
  }

  #latest(hash: string): HttpResponse {
    const origin = this.#hashes.get(hash);
    const latest = origin === undefined ? undefined : this.#options.state.latest(origin);
    if (latest === undefined) return textResponse(404, "this witness has cosigned no checkpoint of that log");
    return {
      status: 200,
      headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-cache" },
      body: latest.note,
    };
  }

  /**
   * Checks in the order of the specification. Nothing here awaits: no other request runs between reading the last cosigned
   * checkpoint and replacing it, and the state detects other processes.
   */
  #addCheckpoint(body: Buffer): HttpResponse {
    const { state, signer, onInconsistent, onCosigned } = this.#options;
    const request = parseRequest(body);
    if (request === undefined) return textResponse(400, "not an add-checkpoint request");
    const { old, proof, note, checkpoint } = request;
    const { origin, size, root } = checkpoint;

    const keys = this.#origins.get(origin);
    if (keys === undefined) return textResponse(404, "this witness does not watch that log");
    let opened: ReturnType<typeof openNote>;
    try {
      opened = openNote(note, keys);
    } catch (error) {
      if (!(error instanceof NoteError)) throw error;
      return textResponse(403, error.message);
    }
    if (old > size) return textResponse(400, "the old size is larger than the checkpoint's");

    const latest = state.latest(origin) ?? { size: 0, root: EMPTY_ROOT, revision: 0 };
    if (old !== latest.size) return conflict(latest.size);
    if (!verifyConsistency(old, latest.root, size, root, proof)) {
      const proven = old === size && !sameHash(latest.root, root);
      const why = proven
        ? `${origin} has signed two trees of ${size} leaves, which proves that it shows different histories`
        : `a checkpoint of ${origin} with ${size} leaves was refused without a valid proof that it continues the cosigned one of ${old}`;
      onInconsistent(why, note, proven);
      return textResponse(422, "the consistency proof does not hold");
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

function conflict(size: number): HttpResponse {
  return { status: 409, headers: { "content-type": "text/x.tlog.size" }, body: `${size}\n` };
}

function notAllowed(allow: string): HttpResponse {
  return textResponse(405, `only ${allow} here`, { allow });
}

interface AddCheckpoint {
  readonly old: number;
  readonly proof: readonly Uint8Array[];
  /** The checkpoint with its signatures, none of them verified. */
  readonly note: string;
  readonly checkpoint: Checkpoint;
}

/** Parses a request; `undefined` if it does not have the specified form. */
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
