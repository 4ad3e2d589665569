import { monotonic } from "./progress.ts";

/** How far marks are apart at first, in milliseconds. */
const APART_MS = 1_000;

/** Beyond this number, every second mark is dropped, and new ones are set half as often. */
const MOST_MARKS = 512;

interface Mark {
  readonly seq: number;
  readonly at: number;
}

/**
 * When events were recorded, to about a second: a mark now and then rather than a clock read for each. In an outage of
 * hours the marks become coarser, and an event seems older than it is, never younger, by at most a two-hundredth of the
 * outage.
 */
export class RecordedTimes {
  #marks: Mark[] = [];
  #apart = APART_MS;
  #marked = false;

  /** An event was recorded. Costs next to nothing: only one per sync is considered. */
  note(seq: number): void {
    if (this.#marked) return;
    this.#marked = true;
    const at = monotonic();
    const last = this.#marks.at(-1);
    if (last !== undefined && at - last.at < this.#apart) return;
    this.#marks.push({ seq, at });
    if (this.#marks.length <= MOST_MARKS) return;
    this.#marks = this.#marks.filter((_, index) => index % 2 === 0);
    this.#apart *= 2;
  }

  /** The earlier events were synced: considers the next one, and forgets marks that every handler has passed. */
  next(acknowledged: number): void {
    this.#marked = false;
    const passed = this.#marks.findIndex(({ seq }) => seq > acknowledged + 1);
    if (passed > 1) this.#marks.splice(0, passed - 1);
    else if (passed < 0) this.#marks.splice(0, this.#marks.length - 1);
    if (this.#marks.length <= 1) this.#apart = APART_MS;
  }

  /** When the event was recorded, by the monotonic clock; 0 for the log's first moment. */
  of(seq: number): number {
    return this.#marks.findLast((mark) => mark.seq <= seq)?.at ?? 0;
  }
}
