/** Rows that no range covers: events that wait to be sealed, and what somebody put there. */

import { canonicalTime, copyValues } from "./copy-values.ts";
import { besideText, eventText, type Findings, NOT_OWN, numbersText, sourceName } from "./findings.ts";
import { linesOf } from "./raw-log.ts";
import type { OwnEvent } from "./removals.ts";

/** What waits to be sealed. */
export interface Unsealed {
  readonly count: number;
  /** Since when the oldest is in the database. */
  readonly oldest: string | null;
}

/** What the rest of the log says. */
export interface UnsealedContext {
  /** By source: its last number that is sealed. */
  readonly sealed: ReadonlyMap<string, number>;
  /** By source: its last number that is stored. */
  readonly sources: ReadonlyMap<string, number>;
  readonly own: Map<number, OwnEvent>;
  readonly ownSource: string;
}

/** A source's numbers as they come, in their order. */
interface Progress {
  last: number;
  readonly gaps: [number, number][];
}

/** Reads the answer to the question `unsealed`. */
export async function readUnsealed(
  pieces: AsyncIterable<Buffer>,
  { sealed, sources, own, ownSource }: UnsealedContext,
  findings: Findings,
): Promise<Unsealed> {
  let count = 0;
  let oldest: string | null = null;
  const progress = new Map<string, Progress>();
  const quarantined = new Map<string, Set<number>>();
  for await (const line of linesOf(pieces)) {
    const [source = "", number, id, occurredAt, createdAt, type, data, retention, actor] = copyValues(line);
    if (source === null) continue;
    const seq = Number(number);
    const last = sources.get(source);
    const isRow = id !== null && id !== undefined;
    const at = { source, seq, ...(isRow ? { event_id: id } : {}) };
    const text = isRow
      ? eventText({ source, seq, id, occurredAt: canonicalTime(occurredAt ?? ""), type: type ?? "" })
      : `a record in quarantine (number ${seq} of ${sourceName(source)})`;
    if (last === undefined) {
      findings.add("inserted", `${text} was inserted: there is no such source`, at);
      continue;
    }
    if (seq < 1 || seq > last) {
      findings.add(
        "inserted",
        `${text} was inserted by a writer: its source has stored ${last}, no position covers it`,
        at,
      );
      continue;
    }
    if (isRow && source === ownSource && retention !== "own") {
      findings.add("inserted", `${text} was inserted: ${NOT_OWN}`, at);
      continue;
    }
    count++;
    if (oldest === null || (createdAt ?? "") < oldest) oldest = createdAt ?? null;
    if (!isRow) {
      quarantined.set(source, (quarantined.get(source) ?? new Set()).add(seq));
      continue;
    }
    const state = progress.get(source) ?? { last: sealed.get(source) ?? 0, gaps: [] };
    progress.set(source, state);
    if (seq === state.last)
      findings.add("inserted", `${text} ${besideText("has that number, and neither is sealed yet")}`, at);
    else if (seq > state.last + 1) state.gaps.push([state.last + 1, seq - 1]);
    state.last = Math.max(state.last, seq);
    if (source === ownSource && !own.has(seq))
      own.set(seq, {
        type: type ?? "",
        data: data ?? undefined,
        at: canonicalTime(occurredAt ?? ""),
        by: actor ?? undefined,
        leaf: undefined,
        state: "late",
      });
  }
  for (const [source, last] of sources) {
    const { last: reached, gaps } = progress.get(source) ?? { last: sealed.get(source) ?? 0, gaps: [] };
    const after: [number, number][] = reached < last ? [[reached + 1, last]] : [];
    const aside = [...(quarantined.get(source) ?? [])].sort((a, b) => a - b);
    let next = 0;
    for (const [first, end] of [...gaps, ...after]) {
      while (next < aside.length && (aside[next] as number) < first) next++;
      const begin = next;
      while (next < aside.length && (aside[next] as number) <= end) next++;
      missing(source, first, end, aside.slice(begin, next), findings);
    }
    if (reached > last) {
      findings.add(
        "hole",
        `${sourceName(source)} says that it has stored ${last}, and ${reached} are sealed: its position was set back`,
        { source },
      );
    }
  }
  for (const [source, last] of sealed) {
    if (sources.has(source) || last === 0) continue;
    findings.add(
      "removed",
      `${sourceName(source)}, of which ${last} numbers are sealed, is no longer in security_event_source`,
      { source },
    );
  }
  return { count, oldest: oldest === null ? null : canonicalTime(oldest) };
}

/** Names the numbers from `first` to `end` that are not in quarantine either: `aside` are those that are. */
function missing(source: string, first: number, end: number, aside: readonly number[], findings: Findings): void {
  let from = first;
  for (const seq of [...aside, end + 1]) {
    if (seq > from) {
      const text = numbersText(from, seq - 1);
      findings.add(
        "hole",
        `${sourceName(source)} has stored ${text}, of which there is no event: removed before ${from === seq - 1 ? "it was" : "they were"} sealed`,
        {
          source,
          seq: from,
          last_seq: seq - 1,
        },
      );
    }
    from = seq + 1;
  }
}
