/** Maps the leaves of a window to sources and numbers, and checks the ranges of `security_event_seal` for that. */

import { copyValues } from "./copy-values.ts";
import { countText, type Findings, numbersText, sourceName } from "./findings.ts";
import type { Interval } from "./raw-log.ts";
import { sourceWords } from "./row-reader.ts";

/** The part of a range that lies in the window. */
interface Piece {
  readonly leaf: number;
  readonly source: string;
  readonly seq: number;
  readonly count: number;
}

/** Consecutive numbers of a source whose leaves are in the window. */
export interface LeafInterval extends Interval {
  /** The source's id as `RowReader` compares it. */
  readonly words: Int32Array;
  /** Index of its first number in {@link WindowLeaves.offsets}. */
  readonly base: number;
}

/** The ranges of the whole log, in order. */
export class LeafRanges {
  /** The number with which each source's next range must begin. */
  readonly next: Map<string, number> = new Map();
  readonly #from: number;
  #end: number;
  #first = true;
  #last = -1;

  /** @param from the leaf to begin with @param positions each source's last number before that leaf */
  constructor(from: number, positions: ReadonlyMap<string, number>) {
    this.#from = from;
    this.#end = from;
    for (const [source, last] of positions) this.next.set(source, last + 1);
  }

  /** Maps the leaves from `start` to before `end`. A range that two windows share is checked once. */
  inWindow(lines: readonly string[], start: number, end: number, findings: Findings): WindowLeaves {
    const pieces: Piece[] = [];
    // Leaves before it are mapped: overlapping ranges must not add up to more than the window.
    let taken = start;
    for (const line of lines) {
      const [first, source, low, high] = copyValues(line) as [string, string, string, string];
      const range = { leaf: Number(first), source, seq: Number(low), count: Number(high) - Number(low) + 1 };
      if (![range.leaf, range.seq, range.seq + range.count].every(Number.isSafeInteger) || range.count < 1) {
        findings.add(
          "hole",
          `a range of ${sourceName(source)} runs from number ${low} to ${high}, which no log can have: security_event_seal was changed`,
        );
        continue;
      }
      if (range.leaf + range.count <= Math.max(start, this.#from)) continue;
      if (range.leaf !== this.#last) this.#follow(range, findings);
      this.#last = range.leaf;
      const skipped = Math.max(0, taken - range.leaf);
      const count = Math.min(range.leaf + range.count, end) - range.leaf - skipped;
      if (count < 1) continue;
      taken = range.leaf + skipped + count;
      pieces.push({ leaf: range.leaf + skipped, source, seq: range.seq + skipped, count });
    }
    if (this.#end < end) {
      findings.add(
        "hole",
        `no range covers leaves ${this.#end} to ${end - 1}: rows of security_event_seal were removed`,
        { leaf: this.#end },
      );
      this.#end = end;
    }
    return new WindowLeaves(pieces, start, end);
  }

  #follow(range: Piece, findings: Findings): void {
    const { leaf, source, seq, count } = range;
    const at = { leaf, source, seq };
    // The first range may begin before the leaf to begin with.
    const begun = this.#first ? Math.max(0, this.#end - leaf) : 0;
    this.#first = false;
    if (leaf + begun !== this.#end) {
      findings.add(
        "hole",
        leaf > this.#end
          ? `no range covers leaves ${this.#end} to ${leaf - 1}: rows of security_event_seal were removed or changed`
          : `two ranges of security_event_seal cover the leaves from ${leaf} on: it was changed`,
        at,
      );
    }
    const next = this.next.get(source) ?? 1;
    if (seq + begun > next) {
      findings.add(
        "hole",
        `${sourceName(source)} has a hole: no range covers ${numbersText(next, seq - 1)}; security_event_seal was changed`,
        at,
      );
    } else if (seq + begun < next) {
      findings.add(
        "hole",
        `two ranges cover ${numbersText(seq, Math.min(next, seq + count) - 1)} of ${sourceName(source)}: security_event_seal was changed`,
        at,
      );
    }
    this.next.set(source, Math.max(next, seq + count));
    this.#end = Math.max(this.#end, leaf + count);
  }
}

/** Maps the leaves of one window to numbers, and numbers to leaves. */
export class WindowLeaves {
  readonly intervals: readonly LeafInterval[];
  /** Each number's leaf, as an offset in the window; indexed from {@link LeafInterval.base}. */
  readonly offsets: Int32Array;
  readonly #pieces: readonly Piece[];
  readonly #bySource = new Map<string, LeafInterval[]>();

  constructor(pieces: readonly Piece[], start: number, end: number) {
    this.#pieces = pieces;
    const intervals: LeafInterval[] = [];
    let base = 0;
    const grouped = new Map<string, Piece[]>();
    for (const piece of pieces) {
      const same = grouped.get(piece.source);
      if (same === undefined) grouped.set(piece.source, [piece]);
      else same.push(piece);
    }
    this.offsets = new Int32Array(end - start);
    for (const [source, parts] of grouped) {
      let open: { first: number; last: number; base: number } | undefined;
      const close = (): void => {
        if (open === undefined) return;
        const interval = { source, words: sourceWords(source), first: open.first, last: open.last, base: open.base };
        intervals.push(interval);
        const same = this.#bySource.get(source);
        if (same === undefined) this.#bySource.set(source, [interval]);
        else same.push(interval);
      };
      for (const { leaf, seq, count } of parts) {
        if (open === undefined || seq !== open.last + 1) {
          close();
          open = { first: seq, last: seq - 1, base };
        }
        for (let i = 0; i < count; i++) this.offsets[base++] = leaf + i - start;
        open.last = seq + count - 1;
      }
      close();
    }
    for (const same of this.#bySource.values()) same.sort((a, b) => a.first - b.first);
    this.intervals = intervals;
  }

  /** The interval with this number. */
  interval(source: string, seq: number): LeafInterval | undefined {
    const intervals = this.#bySource.get(source) ?? [];
    let low = 0;
    let high = intervals.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((intervals[middle] as LeafInterval).first <= seq) low = middle + 1;
      else high = middle;
    }
    const interval = intervals[low - 1];
    return interval === undefined || seq > interval.last ? undefined : interval;
  }

  /** The source and number of a leaf. */
  at(leaf: number): { readonly source: string; readonly seq: number } | undefined {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#pieces[middle] as Piece).leaf <= leaf) low = middle + 1;
      else high = middle;
    }
    const piece = this.#pieces[low - 1];
    if (piece === undefined || leaf >= piece.leaf + piece.count) return undefined;
    return { source: piece.source, seq: piece.seq + leaf - piece.leaf };
  }

  /** The numbers of the leaves from `first` to before `end`, in words. */
  text(first: number, end: number): string {
    const parts = this.#pieces
      .filter(({ leaf, count }) => leaf < end && leaf + count > first)
      .map(({ leaf, source, seq, count }) => {
        const from = seq + Math.max(0, first - leaf);
        return `${numbersText(from, seq + Math.min(count, end - leaf) - 1)} of ${sourceName(source)}`;
      });
    const more = parts.length - 5;
    return parts.slice(0, 5).join(", ") + (more > 0 ? ` and ${countText(more, "range")} more` : "");
  }
}
