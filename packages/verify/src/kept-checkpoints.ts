/** Checkpoints that were kept elsewhere. They reveal a tail that was cut off and a history that was rewritten. */
import { countText, type Findings } from "./findings.ts";
import type { OpenedCheckpoint } from "./note.ts";

/** A checkpoint and its file. */
export interface KeptCheckpoint {
  readonly checkpoint: OpenedCheckpoint;
  readonly file: string;
}

/** The kept checkpoints after the one to begin with, in the order of their sizes. */
export class KeptCheckpoints {
  readonly #kept: readonly KeptCheckpoint[];
  #next = 0;

  /**
   * @param from the checkpoint to begin with: smaller ones cannot be compared, and one of the same size is compared
   *   with it
   * @param notes receives a note of those that could not be compared
   */
  constructor(
    kept: readonly KeptCheckpoint[],
    from: OpenedCheckpoint | undefined,
    findings: Findings,
    notes: string[],
  ) {
    const begin = from?.size ?? 0;
    const before = kept.filter(({ checkpoint }) => checkpoint.size > 0 && checkpoint.size < begin);
    if (before.length > 0) {
      notes.push(
        `${countText(before.length, "checkpoint")} kept elsewhere ${before.length === 1 ? "is" : "are"} older than the one given with --from and could not be compared.`,
      );
    }
    const sorted = [...kept].sort((a, b) => a.checkpoint.size - b.checkpoint.size);
    for (const { checkpoint, file } of sorted) {
      if (checkpoint.size !== from?.size || checkpoint.root === from.root) continue;
      findings.add(
        "rewritten",
        `the checkpoint of ${checkpoint.size} leaves in ${file} has a different root from the one given with --from: the log has shown two histories`,
      );
    }
    this.#kept = sorted.filter(({ checkpoint }) => checkpoint.size > begin);
  }

  /** The largest size; 0 without one. */
  get largest(): number {
    return this.#kept.at(-1)?.checkpoint.size ?? 0;
  }

  /** The next checkpoints up to this size, each once. */
  *upTo(size: number): Generator<KeptCheckpoint> {
    for (let next = this.#kept[this.#next]; next !== undefined && next.checkpoint.size <= size; ) {
      this.#next++;
      yield next;
      next = this.#kept[this.#next];
    }
  }
}
