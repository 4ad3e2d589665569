/** Explains rows that do not match their tiles, and leaves without a row: changed, moved or removed. */
import { type EventName, eventText, type Findings, sourceName } from "./findings.ts";
import { leafHash } from "./hashing.ts";
import type { PersonalState } from "./row-reader.ts";

/** A leaf that no row makes, or whose row makes another. Judged once a signed root shows whether the tile is right. */
export interface Difference {
  readonly leaf: number;
  readonly source: string;
  readonly seq: number;
  /** The hash in the tile. */
  readonly sealed: string;
  /** Whether the tile is missing or too short: nothing then says what the row should be. */
  readonly unknown?: boolean;
  /** The row; absent if none has the number. */
  readonly found?: {
    readonly hash: string;
    readonly entry: string;
    readonly personal: PersonalState;
    /** Absent for a quarantined record. */
    readonly name?: EventName;
  };
}

/** Reports a batch of differences whose tiles are right. */
export function judgeDifferences(differences: readonly Difference[], findings: Findings): void {
  const bySealed = new Map(differences.map((difference) => [difference.sealed, difference]));
  const moved = movedFrom(differences, bySealed);
  const gone = new Map<string, Difference[]>();
  for (const difference of differences) {
    const { leaf, source, seq, found } = difference;
    const at = { leaf, source, seq };
    if (found === undefined) {
      const same = gone.get(source);
      if (same === undefined) gone.set(source, [difference]);
      else same.push(difference);
      continue;
    }
    if (found.name === undefined) {
      findings.add(
        "changed",
        `the quarantined record with number ${seq} of ${sourceName(source)} was changed: its time or its commitment is not what was sealed`,
        at,
      );
      continue;
    }
    const named = { ...at, event_id: found.name.id };
    const origin = moved.get(difference);
    if (origin !== undefined) {
      const other = moved.get(origin);
      const how = other === difference ? "the two were swapped" : "it was moved";
      findings.add(
        "moved",
        `${eventText(found.name)} was sealed as number ${origin.seq} of ${sourceName(origin.source)}: ${how}`,
        named,
      );
      continue;
    }
    const part =
      found.personal === "kept"
        ? "its non-personal columns, or its personal part together with its commitment, are not what was sealed"
        : found.personal === "erased"
          ? "its non-personal columns are not what was sealed"
          : "its personal part does not match its commitment, and its columns are not what was sealed";
    findings.add("changed", `${eventText(found.name)} was changed: ${part}`, named);
  }
  for (const [source, leaves] of gone) removedRuns(source, leaves, findings);
}

/** Rows that are tried in each other's places: the work grows with the square. */
const MOST_TRIED = 60;

/** For each difference whose row was moved: the difference at the leaf as which that row was sealed. */
function movedFrom(
  differences: readonly Difference[],
  bySealed: ReadonlyMap<string, Difference>,
): Map<Difference, Difference> {
  const moved = new Map<Difference, Difference>();
  const candidates = differences.slice(0, MOST_TRIED);
  for (const [n, difference] of differences.entries()) {
    const { found } = difference;
    if (found === undefined) continue;
    const same = bySealed.get(found.hash);
    if (same !== undefined && same !== difference) {
      moved.set(difference, same);
      continue;
    }
    if (n >= MOST_TRIED) continue;
    for (const other of candidates) {
      if (other === difference) continue;
      // The entry holds its own number: with the other's number, does it make the other's leaf?
      const there = found.entry
        .replace(`"seq":${difference.seq},`, `"seq":${other.seq},`)
        .replace(`"source_id":"${difference.source}"`, `"source_id":"${other.source}"`);
      if (leafHash(there) === other.sealed) {
        moved.set(difference, other);
        break;
      }
    }
  }
  return moved;
}

/** Reports consecutive removed numbers as one run. */
function removedRuns(source: string, leaves: readonly Difference[], findings: Findings): void {
  const sorted = [...leaves].sort((a, b) => a.seq - b.seq);
  let first: Difference | undefined;
  let last: Difference | undefined;
  const close = (): void => {
    if (first === undefined || last === undefined) return;
    findings.removed({ source, first: first.seq, last: last.seq, leaf: first.leaf });
  };
  for (const difference of sorted) {
    if (last === undefined || difference.seq !== last.seq + 1) {
      close();
      first = difference;
    }
    last = difference;
  }
  close();
}

/** The name of the event in an entry, `?` where an attacker left no string. */
export function nameOf(entry: string, source: string, seq: number): EventName {
  const member = (name: string): string => {
    try {
      const value = (JSON.parse(entry.slice(0, entry.indexOf("\n"))) as { [name: string]: unknown })[name];
      return typeof value === "string" ? value : "?";
    } catch {
      return "?";
    }
  };
  return { source, seq, id: member("id"), occurredAt: member("occurred_at"), type: member("event_type") };
}
