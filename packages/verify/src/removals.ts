/** Checks the removals on record (`security_event_removed`) against the own source's events that record them. */

import { copyValues } from "./copy-values.ts";
import { countText, type Findings } from "./findings.ts";
import { sha256 } from "./hashing.ts";

/** How content is removed: a personal part is blanked, or whole partitions are dropped. */
export type RemovalKind = "erased" | "pruned";

/** The type of event that records each kind of removal. */
const RECORDED_BY: { readonly [K in RemovalKind]: string } = { erased: "log_erased", pruned: "log_retention" };

/** An event of the log's own source. */
export interface OwnEvent {
  readonly type: string;
  readonly data: string | undefined;
  /** When it occurred, and its actor. */
  readonly at: string;
  readonly by: string | undefined;
  readonly leaf: number | undefined;
  /** `late` means not sealed yet. */
  state: "intact" | "changed" | "late";
}

/** A removal as it is on record. `--json` prints it as it is. */
export interface RemovalReport {
  /** The number of the event of the log's own source that records it. */
  readonly number: number;
  readonly kind: string;
  /** `null` if that event does not exist. */
  readonly recorded_at: string | null;
  readonly actor_id: string | null;
  readonly rows: number;
  readonly sources: number;
  readonly reason: string | null;
  /** The partitions that retention dropped. */
  readonly partitions: readonly string[];
  /** Whether the event that records it is sealed. */
  readonly sealed: boolean;
}

interface Removal {
  readonly kinds: Set<string>;
  readonly lines: string[];
  rows: number;
  /** Rows of the log's own source among them. */
  own: number;
  /** Whether it, or a number that it took, lies after what was verified before. */
  matters: boolean;
}

/** Ranges of one source's numbers: each from `starts[i]` to before `ends[i]`. */
interface Numbers {
  readonly starts: number[];
  readonly ends: number[];
}

/** All removals on record. */
export class Removals {
  readonly #ownSource: string;
  readonly #removals = new Map<number, Removal>();
  readonly #numbers = { erased: new Map<string, [number, number][]>(), pruned: new Map<string, [number, number][]>() };
  readonly #merged = { erased: new Map<string, Numbers>(), pruned: new Map<string, Numbers>() };

  /** @param ownSource the log's own source, whose events are never removed */
  constructor(ownSource: string) {
    this.#ownSource = ownSource;
  }

  /**
   * Adds a row of the table.
   *
   * @param positions each source's last number that was verified before, and is not verified again
   */
  add(line: string, positions: ReadonlyMap<string, number>): void {
    const [own, kind, source, numbers] = copyValues(line).map((value) => value ?? "") as [
      string,
      string,
      string,
      string,
    ];
    const seq = Number(own);
    const before = positions.get(source) ?? 0;
    const removal = this.#removals.get(seq) ?? {
      kinds: new Set(),
      lines: [],
      rows: 0,
      own: 0,
      matters: seq > (positions.get(this.#ownSource) ?? 0),
    };
    this.#removals.set(seq, removal);
    removal.kinds.add(kind);
    removal.lines.push(`${source} ${numbers}\n`);
    const ranges = multirange(numbers);
    for (const [first, end] of ranges) {
      removal.rows += end - first;
      if (source === this.#ownSource) removal.own += end - first;
      if (end - 1 > before) removal.matters = true;
    }
    if (source === this.#ownSource || (kind !== "erased" && kind !== "pruned")) return;
    const kept = this.#numbers[kind].get(source) ?? [];
    for (const range of ranges) if (range[1] - 1 > before) kept.push(range);
    if (kept.length > 0) this.#numbers[kind].set(source, kept);
  }

  /**
   * Forgets the removals that were verified before, once all rows have been added.
   *
   * @param known the last number of the own source that was verified before
   * @returns the removals up to `known` that are needed again, because they took numbers that were sealed later
   */
  neededAgain(known: number): number[] {
    for (const [seq, { matters }] of this.#removals) if (!matters) this.#removals.delete(seq);
    return [...this.#removals.keys()].filter((seq) => seq <= known);
  }

  /** Whether any number of the source was removed. */
  has(source: string): boolean {
    return this.#numbers.erased.has(source) || this.#numbers.pruned.has(source);
  }

  /** Whether a removal of this kind took this number. */
  covers(kind: RemovalKind | "any", source: string, seq: number): boolean {
    if (kind === "any") return this.covers("erased", source, seq) || this.covers("pruned", source, seq);
    const numbers = this.#numbersOf(kind, source);
    if (numbers === undefined) return false;
    let low = 0;
    let high = numbers.starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((numbers.starts[middle] as number) <= seq) low = middle + 1;
      else high = middle;
    }
    return low > 0 && seq < (numbers.ends[low - 1] as number);
  }

  #numbersOf(kind: RemovalKind, source: string): Numbers | undefined {
    const known = this.#merged[kind].get(source);
    if (known !== undefined) return known;
    const ranges = this.#numbers[kind].get(source);
    if (ranges === undefined) return undefined;
    const numbers: Numbers = { starts: [], ends: [] };
    for (const [first, end] of ranges.sort((a, b) => a[0] - b[0])) {
      const last = numbers.ends.length - 1;
      if (last >= 0 && first <= (numbers.ends[last] as number)) {
        numbers.ends[last] = Math.max(numbers.ends[last] as number, end);
      } else {
        numbers.starts.push(first);
        numbers.ends.push(end);
      }
    }
    this.#merged[kind].set(source, numbers);
    return numbers;
  }

  /** Checks every removal against the event that records it, and every such event against its removal. */
  check(
    own: ReadonlyMap<number, OwnEvent>,
    findings: Findings,
    notes: string[],
  ): { erasures: number; prunings: number } {
    const found = { erasures: 0, prunings: 0 };
    for (const [seq, removal] of this.#removals) {
      const event = own.get(seq);
      const what = `the record of removal ${seq} (${countText(removal.rows, "row")})`;
      const at = event?.leaf === undefined ? {} : { leaf: event.leaf };
      if (removal.kinds.has("erased")) found.erasures++;
      else found.prunings++;
      if (removal.own > 0) {
        findings.add(
          "removal",
          `${what} names ${countText(removal.own, "event")} of the log's own source: those are never removed`,
          at,
        );
      }
      if (event === undefined) {
        findings.add(
          "removal",
          `${what} names event ${seq} of the log's own source, which does not exist: the record is forged`,
        );
      } else if (event.state === "changed") {
        findings.add("removal", `${what} proves nothing: the event that records it was changed`, at);
      } else if (![...removal.kinds].every((kind) => RECORDED_BY[kind as RemovalKind] === event.type)) {
        findings.add("removal", `${what} is of another kind than its event, ${event.type}: the record is forged`, at);
      } else if (digestOf(event) !== digest(removal.lines)) {
        findings.add("removal", `${what} does not match its event: numbers were added to it, or removed from it`, at);
      } else if (removal.kinds.has("pruned") && partitionsOf(event).length === 0) {
        findings.add(
          "removal",
          `${what} names no partition, but retention drops whole partitions: single events were removed under its name`,
          at,
        );
      } else if (event.state === "late") {
        notes.push(
          `Removal ${seq} (${countText(removal.rows, "row")}) is recorded by an event that is not sealed yet: verify again when it is.`,
        );
      }
    }
    for (const [seq, event] of own) {
      if (this.#removals.has(seq) || event.state === "changed") continue;
      const recorded = digestOf(event);
      if (recorded !== undefined && recorded !== digest([])) {
        const at = event.leaf === undefined ? {} : { leaf: event.leaf };
        findings.add(
          "removal",
          `the record of removal ${seq} was removed, but its event, ${event.type}, is still there`,
          at,
        );
      }
    }
    return found;
  }

  /** Every removal on record, in order, including dropped partitions that were empty. */
  list(own: ReadonlyMap<number, OwnEvent>): RemovalReport[] {
    const empty = [...own].filter(([, event]) => partitionsOf(event).length > 0).map(([seq]) => seq);
    const numbers = new Set([...this.#removals.keys(), ...empty]);
    return [...numbers]
      .sort((a, b) => a - b)
      .map((number) => {
        const { kinds, rows, lines } = this.#removals.get(number) ?? { kinds: ["pruned"], rows: 0, lines: [] };
        const event = own.get(number);
        const { reason } = event === undefined ? {} : members(event);
        return {
          number,
          kind: [...kinds].join(" and "),
          recorded_at: event?.at ?? null,
          actor_id: event?.by ?? null,
          rows,
          sources: lines.length,
          reason: typeof reason === "string" ? reason : null,
          partitions: event === undefined ? [] : partitionsOf(event),
          sealed: event?.leaf !== undefined,
        };
      });
  }
}

/** The members of an event's data. */
function members({ data }: OwnEvent): { readonly [name: string]: unknown } {
  try {
    const value: unknown = JSON.parse(data ?? "{}");
    return typeof value === "object" && value !== null ? (value as { readonly [name: string]: unknown }) : {};
  } catch {
    return {};
  }
}

/** The partitions that this event records as dropped. */
export function partitionsOf(event: OwnEvent): string[] {
  const { partitions } = event.type === RECORDED_BY.pruned ? members(event) : {};
  return Array.isArray(partitions) ? partitions.filter((name) => typeof name === "string") : [];
}

/** The digest in the event of the removal that it records; `undefined` if it records none. */
function digestOf(event: OwnEvent): string | undefined {
  if (!Object.values(RECORDED_BY).includes(event.type)) return undefined;
  const { sha256: recorded } = members(event);
  return typeof recorded === "string" ? recorded : undefined;
}

/** SHA-256 over the sorted lines, one for each source. */
function digest(lines: readonly string[]): string {
  return Buffer.from(sha256([...lines].sort().join("")), "latin1").toString("hex");
}

/** Parses an int8multirange, `{[1,6),[8,9)}`. Returns nothing for any other text: its digest will not match. */
function multirange(text: string): [number, number][] {
  if (!/^\{(?:\[\d+,\d+\)(?:,\[\d+,\d+\))*)?\}$/.test(text)) return [];
  return [...text.matchAll(/\[(\d+),(\d+)\)/g)].map(([, first, end]) => [Number(first), Number(end)]);
}
