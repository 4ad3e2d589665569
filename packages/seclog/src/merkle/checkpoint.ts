/**
 * Checkpoints (https://c2sp.org/tlog-checkpoint): a log's statement of its size and root, as the text of a signed note.
 */
import { HASH_BYTES } from "./hash.ts";
import { fromBase64, NoteError } from "./note.ts";

/** The tree that a checkpoint states. */
export interface Checkpoint {
  /** The log's name: a URL without its scheme, such as `log.example.com/shop`. */
  readonly origin: string;
  /** Leaves in the tree. */
  readonly size: number;
  readonly root: Uint8Array;
}

/** The text to sign. @throws NoteError for an invalid origin or root */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  const text = `${origin}\n${size}\n${Buffer.from(root).toString("base64")}\n`;
  parseCheckpoint(text);
  return text;
}

/**
 * Reads the text of a note that {@link openNote} has opened. Extension lines are allowed and ignored, since nothing
 * vouches for them.
 *
 * @throws NoteError
 */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = "", digits = "", encoded = "", ...more] = text.split("\n");
  const size = Number(digits);
  const root = fromBase64(encoded);
  const isCount = /^(?:0|[1-9]\d*)$/.test(digits) && Number.isSafeInteger(size);
  const ends = more.length > 0 && more.at(-1) === "" && !more.slice(0, -1).includes("");
  if (origin === "" || !isCount || root?.length !== HASH_BYTES || !ends) {
    throw new NoteError(`not a checkpoint: ${JSON.stringify(text.slice(0, 200))}`);
  }
  return { origin, size, root };
}
