/** Collects what a verification found, each finding as one sentence for an auditor. */

/** The kind of a finding, in one word. */
export type FindingKind =
  /** An event or a quarantined record is not what was sealed. */
  | "changed"
  /** An event has a number under which another one was sealed. */
  | "moved"
  | "removed"
  | "inserted"
  /** An event's personal part is blank, and no record says who erased it. */
  | "erased"
  /** The record of an erasure or of retention is not what was sealed. */
  | "removal"
  /** A number that its source had stored has no event, or no range covers it. */
  | "hole"
  /** The stored tree is not the signed one. */
  | "tree"
  /** A checkpoint or its signature is wrong, or the checkpoint is missing. */
  | "checkpoint"
  /** The log has fewer leaves than a checkpoint that was kept elsewhere. */
  | "rollback"
  /** The log's history differs from a signed checkpoint's. */
  | "rewritten";

/** One thing that is not as it was sealed. */
export interface Finding {
  readonly kind: FindingKind;
  readonly sentence: string;
  /** Its place in the tree, from 0. */
  readonly leaf?: number;
  readonly source?: string;
  /** As text beyond 2^53, because JSON parsers round such numbers. */
  readonly seq?: number | string;
  /** The last of a run of numbers that begins with `seq`. */
  readonly last_seq?: number | string;
  readonly event_id?: string;
}

/** What names an event, as its row claims. */
export interface EventName {
  readonly source: string;
  /** Anything that the column holds, up to 2^63. */
  readonly seq: number | bigint;
  readonly id: string;
  /** `2026-11-22T19:43:22.123456Z`, or whatever an attacker wrote there. */
  readonly occurredAt: string;
  readonly type: string;
}

/** A run of numbers of one source whose events were removed. */
export interface RemovedRun {
  readonly source: string;
  readonly first: number;
  last: number;
  readonly leaf: number;
}

/** Findings that are kept; the rest are only counted. */
export const MOST_FINDINGS = 10_000;

/** The findings of one verification. */
export class Findings {
  readonly #kept: Finding[] = [];
  #removed: RemovedRun[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(kind: FindingKind, sentence: string, place: Omit<Finding, "kind" | "sentence"> = {}): void {
    this.#count++;
    if (this.#kept.length < MOST_FINDINGS) this.#kept.push({ kind, sentence, ...place });
  }

  /** Adds removed numbers. Consecutive ones become one finding. */
  removed(run: RemovedRun): void {
    const last = this.#removed.at(-1);
    if (last?.source === run.source && last.last === run.first - 1) last.last = run.last;
    else if (this.#removed.length < MOST_FINDINGS) this.#removed.push({ ...run });
    else this.#count++;
  }

  /** Turns the removed numbers into findings, after everything was read. @param sealed each source's last sealed number */
  endRemoved(sealed: ReadonlyMap<string, number>): void {
    for (const { source, first, last, leaf } of this.#removed) {
      const place = { leaf, source, seq: first, last_seq: last };
      const count = last - first + 1;
      if (first === 1 && last === sealed.get(source) && count > 1) {
        this.add("removed", `all ${countText(count, "event")} of ${sourceName(source)} were removed`, place);
      } else {
        const text =
          count === 1
            ? `the event with number ${first}`
            : `the ${count.toLocaleString("en")} events with ${numbersText(first, last)}`;
        this.add(
          "removed",
          `${text} of ${sourceName(source)} ${count === 1 ? `was removed (sealed as leaf ${leaf})` : `were removed (sealed from leaf ${leaf} on)`}`,
          place,
        );
      }
    }
    this.#removed = [];
  }

  /** Counts findings like earlier ones, which are too many to keep. */
  more(count: number): void {
    this.#count += count;
  }

  /** Findings about the whole log first, the rest in the order of their leaves. */
  list(): readonly Finding[] {
    return this.#kept.sort((a, b) => (a.leaf ?? -1) - (b.leaf ?? -1));
  }
}

/** `source …5c8f12ab34cd`: the end of a UUIDv7 distinguishes sources; its beginning is a time. */
export function sourceName(source: string): string {
  return `source …${source.slice(-12)}`;
}

/** An integer of a table, exactly. Returns 0, which no event has, for any other text: an export can hold anything. */
export function exactInteger(digits: string | null | undefined): bigint {
  return typeof digits === "string" && /^-?\d{1,19}$/.test(digits) ? BigInt(digits) : 0n;
}

/** A number as a finding reports it: as text where a double would round it. */
export function placeNumber(exact: bigint): number | string {
  const value = Number(exact);
  return Number.isSafeInteger(value) ? value : String(exact);
}

/** `number 17` or `numbers 17 to 25`. */
export function numbersText(first: number | bigint, last: number | bigint): string {
  return first === last ? `number ${first}` : `numbers ${first} to ${last}`;
}

export function eventText({ source, seq, id, occurredAt, type }: EventName): string {
  return `event ${id} (${sourceName(source)}, number ${seq}, ${minuteText(occurredAt)}, ${type})`;
}

/** `2026-11-22 19:43 UTC`. */
function minuteText(time: string): string {
  return /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(time) ? `${time.slice(0, 16).replace("T", " ")} UTC` : time.slice(0, 40);
}

/** Why a row with the own source's id is not one of its events. */
export const NOT_OWN = "it has the id of the log's own source, but its retention is not 'own'";

/**
 * What follows the name of a row that has the number of another one. The log cannot decide which of the two the
 * application recorded: a writer that knows a source's id can insert a row under its next number, which is sealed if
 * its time is earlier.
 *
 * @param state how far the rows are sealed, as a clause
 */
export function sharedNumberText(state: string): string {
  return `shares its number with another row, ${state}: one of the two was inserted, and the log cannot decide which; compare both with the application's spool and receipts`;
}

/** `2 events`. */
export function countText(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
