/** Checkpoints that were kept elsewhere: what finds a tail that was cut off, and a history that was rewritten. */
import { countText, type Findings } from "./findings.ts";
import type { OpenedCheckpoint } from "./note.ts";

/** A checkpoint, and the file that it was in. */
export interface KeptCheckpoint {
  readonly checkpoint: OpenedCheckpoint;
  readonly file: string;
}

/** Those after the checkpoint to begin with, in the order of their sizes. */
export class KeptCheckpoints {
  readonly #kept: readonly KeptCheckpoint[];
  #next = 0;

  /**
   * @param from what verification begins with: below it nothing can be compared, and one of its size is compared with it
   * @param notes gets what could not be compared
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
        `Kept elsewhere from before the checkpoint given with --from, and not compared: ${countText(before.length, "checkpoint")}.`,
      );
    }
    const sorted = [...kept].sort((a, b) => a.checkpoint.size - b.checkpoint.size);
    for (const { checkpoint, file } of sorted) {
      if (checkpoint.size !== from?.size || checkpoint.root === from.root) continue;
      findings.add(
        "rewritten",
        `the checkpoint of ${checkpoint.size} leaves in ${file} has another root than the one given with --from: the log has shown two histories`,
      );
    }
    this.#kept = sorted.filter(({ checkpoint }) => checkpoint.size > begin);
  }

  /** The size of the largest; 0 without one. */
  get largest(): number {
    return this.#kept.at(-1)?.checkpoint.size ?? 0;
  }

  /** The next ones, up to this size: each is returned once. */
  *upTo(size: number): Generator<KeptCheckpoint> {
    for (let next = this.#kept[this.#next]; next !== undefined && next.checkpoint.size <= size; ) {
      this.#next++;
      yield next;
      next = this.#kept[this.#next];
    }
  }
}
