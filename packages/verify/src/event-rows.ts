/** Checks the event rows of a window against its leaves. */
import type { VerifyContext } from "./context.ts";
import { batchesOf } from "./copy-rows.ts";
import { nameOf } from "./differences.ts";
import { eventText, NOT_OWN } from "./findings.ts";
import { HASH_BYTES, isHashAt } from "./hashing.ts";
import type { LeafInterval } from "./leaf-ranges.ts";
import { ownEvent } from "./own-records.ts";
import { judgePersonal } from "./personal-part.ts";
import { RowReader } from "./row-reader.ts";
import { EVENT, NOTHING, type Window } from "./window.ts";

/** Reads rows in one pass, and looks closely only at those that are not simply what was sealed. */
export class EventRows {
  readonly #window: Window;
  readonly #context: VerifyContext;
  readonly #reader = new RowReader();
  #current: LeafInterval | undefined;
  /** Whether a removal on record took numbers of the current interval's source. */
  #isReduced = false;

  constructor(window: Window, context: VerifyContext) {
    this.#window = window;
    this.#context = context;
  }

  /** Reads the rows of the window's intervals, in any order. */
  async read(pieces: AsyncIterable<Buffer>): Promise<void> {
    for await (const batch of batchesOf(pieces)) this.#rows(batch);
  }

  #rows(batch: Buffer): void {
    const reader = this.#reader;
    const { tally, ownSource } = this.#context;
    const { hashes, leaves, made } = this.#window;
    const { offsets } = leaves;
    const firstOffset = this.#window.from - this.#window.start;
    for (let start = 0; start < batch.length; ) {
      start = reader.read(batch, start);
      tally.hashed += reader.hashed;
      let current = this.#current;
      if (
        current === undefined ||
        !reader.isOf(current.words) ||
        reader.seq < current.first ||
        reader.seq > current.last
      ) {
        current = leaves.interval(reader.source(), reader.seq);
        // An export may hold rows that were not asked for.
        if (current === undefined) continue;
        this.#current = current;
        this.#isReduced = this.#context.removals.has(current.source);
      }
      const offset = offsets[current.base + reader.seq - current.first] as number;
      if (offset < firstOffset) continue;
      const byte = offset * HASH_BYTES;
      const isSealed = isHashAt(hashes, byte, reader.leaf);
      if (current.source === ownSource) {
        if (!reader.isOwn()) {
          this.#addForeign(offset, current.source);
          continue;
        }
        this.#keepOwn(offset, isSealed);
      }
      if (isSealed && made[offset] === NOTHING && reader.personal === "kept") {
        made[offset] = EVENT;
        tally.kept++;
        if (this.#isReduced && this.#context.removals.covers("any", current.source, reader.seq)) tally.returned++;
      } else this.#judge(offset, current.source, isSealed);
    }
  }

  /** Judges a row that is not simply what was sealed. */
  #judge(offset: number, source: string, isSealed: boolean): void {
    const { findings, tally } = this.#context;
    const { seq, personal } = this.#reader;
    const leaf = this.#window.start + offset;
    const name = nameOf(this.#reader.entry(), source, seq);
    const at = { leaf, source, seq, event_id: name.id };
    if (!isSealed) {
      this.#window.differ({
        leaf,
        source,
        seq,
        sealed: this.#window.sealed(offset),
        found: { hash: this.#reader.leaf, entry: this.#reader.entry(), personal, name },
      });
    } else if (this.#window.made[offset] !== NOTHING) {
      findings.add("inserted", `${eventText(name)} was inserted: another row already makes its leaf`, at);
    } else {
      this.#window.made[offset] = EVENT;
      if (personal === "erased") tally.erased++;
      else tally.kept++;
      judgePersonal(personal, name, leaf, this.#context);
    }
  }

  /** Reports a row with the own source's id that the database did not make. It makes no leaf, whatever its number. */
  #addForeign(offset: number, source: string): void {
    const { seq } = this.#reader;
    const name = nameOf(this.#reader.entry(), source, seq);
    const at = { leaf: this.#window.start + offset, source, seq, event_id: name.id };
    this.#context.findings.add("inserted", `${eventText(name)} was inserted: ${NOT_OWN}`, at);
  }

  #keepOwn(offset: number, isSealed: boolean): void {
    const known = this.#context.own.get(this.#reader.seq);
    if (known?.state === "intact") return;
    this.#context.own.set(this.#reader.seq, ownEvent(this.#reader, this.#window.start + offset, isSealed));
  }
}
