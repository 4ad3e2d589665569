/** Rows that are not what the tiles have, and leaves without a row: what happened to them. */
import { type EventName, eventText, type Findings, sourceName } from "./findings.ts";
import { leafHash } from "./hashing.ts";
import type { PersonalState } from "./row-reader.ts";

/** A leaf that no row makes, or a row that makes another. Judged when a signed root has said whether the tile is right. */
export interface Suspect {
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

/** What a batch of suspects turned out to be, when the tile is right about them: what the rows' sentences are. */
export function judgeSuspects(suspects: readonly Suspect[], findings: Findings): void {
  const bySealed = new Map(suspects.map((suspect) => [suspect.sealed, suspect]));
  const moved = movedFrom(suspects, bySealed);
  const gone = new Map<string, Suspect[]>();
  for (const suspect of suspects) {
    const { leaf, source, seq, found } = suspect;
    const at = { leaf, source, seq };
    if (found === undefined) {
      const same = gone.get(source);
      if (same === undefined) gone.set(source, [suspect]);
      else same.push(suspect);
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
    const origin = moved.get(suspect);
    if (origin !== undefined) {
      const other = moved.get(origin);
      const how = other === suspect ? "the two were swapped" : "it was moved";
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

/** Rows are tried in each other's places up to so many. */
const MOST_TRIED = 60;

/** By suspect: the one in whose place its row was sealed. */
function movedFrom(suspects: readonly Suspect[], bySealed: ReadonlyMap<string, Suspect>): Map<Suspect, Suspect> {
  const moved = new Map<Suspect, Suspect>();
  const places = suspects.slice(0, MOST_TRIED);
  for (const [n, suspect] of suspects.entries()) {
    const { found } = suspect;
    if (found === undefined) continue;
    const same = bySealed.get(found.hash);
    if (same !== undefined && same !== suspect) {
      moved.set(suspect, same);
      continue;
    }
    if (n >= MOST_TRIED) continue;
    for (const place of places) {
      if (place === suspect) continue;
      // The row says its number itself: with the number of the other place, does it make that place's leaf?
      const there = found.entry
        .replace(`"seq":${suspect.seq},`, `"seq":${place.seq},`)
        .replace(`"source_id":"${suspect.source}"`, `"source_id":"${place.source}"`);
      if (leafHash(there) === place.sealed) {
        moved.set(suspect, place);
        break;
      }
    }
  }
  return moved;
}

/** Numbers that follow each other are one finding. */
function removedRuns(source: string, leaves: readonly Suspect[], findings: Findings): void {
  const sorted = [...leaves].sort((a, b) => a.seq - b.seq);
  let first: Suspect | undefined;
  let last: Suspect | undefined;
  const close = (): void => {
    if (first === undefined || last === undefined) return;
    findings.removed({ source, first: first.seq, last: last.seq, leaf: first.leaf });
  };
  for (const suspect of sorted) {
    if (last === undefined || suspect.seq !== last.seq + 1) {
      close();
      first = suspect;
    }
    last = suspect;
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
