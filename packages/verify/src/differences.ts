/** Rows that are not what the tiles have, and leaves without a row: what happened to them. */
import { type EventName, eventText, type Findings, sourceName } from "./findings.ts";
import { leafHash } from "./hashing.ts";
import type { PersonalState } from "./row-reader.ts";

/** A leaf that no row makes, or a row that makes another. Judged when a signed root has said whether the tile is right. */
export interface Difference {
  readonly leaf: number;
  readonly source: string;
  readonly seq: number;
  /** The leaf that the tile has. */
  readonly sealed: string;
  /** Whether there is no such tile: nothing can be said of the row by itself. */
  readonly unknown?: boolean;
  /** What stands there; absent where nothing does. */
  readonly found?: {
    readonly hash: string;
    readonly entry: string;
    readonly personal: PersonalState;
    /** Absent for a record in quarantine. */
    readonly name?: EventName;
  };
}

/** What a batch of differences turned out to be, when the tile is right about them: what the rows' sentences are. */
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
        `the record in quarantine with number ${seq} of ${sourceName(source)} was changed: it is not what was sealed`,
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
        ? "its columns besides the personal ones, or those together with their commitment, are not what was sealed"
        : found.personal === "erased"
          ? "its columns besides the personal ones are not what was sealed"
          : "its columns and its commitment do not belong together, and are not what was sealed";
    findings.add("changed", `${eventText(found.name)} was changed: ${part}`, named);
  }
  for (const [source, leaves] of gone) removedRuns(source, leaves, findings);
}

/** At most so many rows are tried as each other's leaves: the work is their square. */
const MOST_TRIED = 60;

/** By difference: the one as whose leaf its row was sealed. */
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
      // The row says its number itself: with the other's number, does it make the other's leaf?
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

/** Numbers that follow each other are one finding. */
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

/** The name of the event in an entry; whoever changed it may have left anything there. */
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
