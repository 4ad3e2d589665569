/** What a verification found, in words. */

/** What is wrong, as one word. */
export type FindingKind =
  /** An event or a record in quarantine is not what was sealed. */
  | "changed"
  /** It stands where another one was sealed. */
  | "moved"
  | "removed"
  | "inserted"
  /** Its personal part is blank, and nothing says who erased it. */
  | "erased"
  /** The record of an erasure or of retention is not what was sealed. */
  | "removal"
  /** A number that no event has although its source had stored it, or that no range covers. */
  | "hole"
  /** The stored tree is not the one that was signed. */
  | "tree"
  /** A checkpoint or its signature. */
  | "checkpoint"
  /** The log has less than a checkpoint that was kept elsewhere. */
  | "rollback"
  /** The log's history is another one than a signed checkpoint's. */
  | "rewritten";

/** One thing that is not as it was sealed. */
export interface Finding {
  readonly kind: FindingKind;
  readonly sentence: string;
  /** Where it stands in the tree. */
  readonly leaf?: number;
  readonly source?: string;
  /** Text beyond 2^53, where JSON's readers round. */
  readonly seq?: number | string;
  /** The last of several numbers. */
  readonly last_seq?: number | string;
  readonly event_id?: string;
}

/** An event, as far as its row says. */
export interface EventName {
  readonly source: string;
  /** A row may have any number that its column holds: up to 2^63. */
  readonly seq: number | bigint;
  readonly id: string;
  /** `2026-11-22T19:43:22.123456Z`, or anything that somebody wrote there. */
  readonly occurredAt: string;
  readonly type: string;
}

/** Numbers of a source whose events are gone. */
export interface RemovedRun {
  readonly source: string;
  readonly first: number;
  last: number;
  readonly leaf: number;
}

/** So many are kept; beyond that they are counted. */
const MOST_FINDINGS = 10_000;

/** Collects findings. */
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

  /** Numbers that were removed; those that follow each other are one finding, and those of a whole source are named so. */
  removed(run: RemovedRun): void {
    const last = this.#removed.at(-1);
    if (last?.source === run.source && last.last === run.first - 1) last.last = run.last;
    else if (this.#removed.length < MOST_FINDINGS) this.#removed.push({ ...run });
    else this.#count++;
  }

  /** Turns what was removed into findings, when everything has been read. @param sealed by source: its last number */
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
          `${text} of ${sourceName(source)} ${count === 1 ? "was" : "were"} removed (sealed from leaf ${leaf} on)`,
          place,
        );
      }
    }
    this.#removed = [];
  }

  /** More of what was found already, in such numbers that they are only counted. */
  more(count: number): void {
    this.#count += count;
  }

  /** What concerns the whole log first, then in the order of the leaves. */
  list(): readonly Finding[] {
    return this.#kept.sort((a, b) => (a.leaf ?? -1) - (b.leaf ?? -1));
  }
}

/** `source …5c8f12ab34cd`: a UUIDv7 begins with when it was made, its end tells sources apart. */
export function sourceName(source: string): string {
  return `source …${source.slice(-12)}`;
}

/** An integer of a table, exactly; 0, which no event has, for what is none: an export may say anything. */
export function exactInteger(digits: string | null | undefined): bigint {
  return typeof digits === "string" && /^-?\d{1,19}$/.test(digits) ? BigInt(digits) : 0n;
}

/** The number of a finding's place. */
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

/** Why a row under the own source's id is none of its events. */
export const NOT_OWN = "it has the id of the log's own source, whose events are kept as 'own', and it is not";

/**
 * What follows the name of a row that claims the number of another one. Which of the two the application recorded, the log cannot
 * tell: whoever knows a source's id may insert a row under its next number, and that one is sealed if its time is earlier.
 *
 * @param other what is known of the other row
 */
export function besideText(other: string): string {
  return `stands beside another one, which ${other}: either it was inserted, or the other one was before it came; compare both with the application's spool and receipts`;
}

/** `2 events`. */
export function countText(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
