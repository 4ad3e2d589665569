/** Reads the rows that no range covers: events that wait to be sealed, and rows that were inserted. */

import { linesOf } from "./copy-rows.ts";
import { canonicalTime, copyValues } from "./copy-values.ts";
import {
  eventText,
  exactInteger,
  type Findings,
  NOT_OWN,
  numbersText,
  placeNumber,
  sharedNumberText,
  sourceName,
} from "./findings.ts";
import type { OwnEvent } from "./removals.ts";

/** The events that wait to be sealed. */
export interface Unsealed {
  readonly count: number;
  /** When the oldest was stored. */
  readonly oldest: string | null;
}

/** What earlier parts of the verification found. */
export interface UnsealedContext {
  /** Each source's last sealed number. */
  readonly sealed: ReadonlyMap<string, number>;
  /** Each source's last stored number. */
  readonly sources: ReadonlyMap<string, bigint>;
  readonly own: Map<number, OwnEvent>;
  readonly ownSource: string;
}

/** How far a source's numbers have been read, in order. Exact, because no check has bounded them yet. */
interface Progress {
  last: bigint;
  readonly gaps: [bigint, bigint][];
}

/** Reads the answer to the query `unsealed`. */
export async function readUnsealed(
  pieces: AsyncIterable<Buffer>,
  { sealed, sources, own, ownSource }: UnsealedContext,
  findings: Findings,
): Promise<Unsealed> {
  let count = 0;
  let oldest: string | null = null;
  const progress = new Map<string, Progress>();
  const quarantined = new Map<string, Set<bigint>>();
  for await (const line of linesOf(pieces)) {
    const [source = "", number, id, occurredAt, createdAt, type, data, retention, actor] = copyValues(line);
    if (source === null) continue;
    const seq = exactInteger(number);
    const last = sources.get(source);
    const isRow = id !== null && id !== undefined;
    const at = { source, seq: placeNumber(seq), ...(isRow ? { event_id: id } : {}) };
    const text = isRow
      ? eventText({ source, seq, id, occurredAt: canonicalTime(occurredAt ?? ""), type: type ?? "" })
      : `a quarantined record (number ${seq} of ${sourceName(source)})`;
    if (last === undefined) {
      findings.add("inserted", `${text} was inserted: its source does not exist`, at);
      continue;
    }
    if (seq < 1n || seq > last) {
      findings.add(
        "inserted",
        `${text} was inserted by a writer: its source's position is ${last}, which does not cover it`,
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
    const state = progress.get(source) ?? { last: BigInt(sealed.get(source) ?? 0), gaps: [] };
    progress.set(source, state);
    if (seq === state.last) findings.add("inserted", `${text} ${sharedNumberText("and neither is sealed yet")}`, at);
    else if (seq > state.last + 1n) state.gaps.push([state.last + 1n, seq - 1n]);
    if (seq > state.last) state.last = seq;
    if (source === ownSource && !own.has(Number(seq)))
      own.set(Number(seq), {
        type: type ?? "",
        data: data ?? undefined,
        at: canonicalTime(occurredAt ?? ""),
        by: actor ?? undefined,
        leaf: undefined,
        state: "late",
      });
  }
  for (const [source, last] of sources) {
    const { last: reached, gaps } = progress.get(source) ?? { last: BigInt(sealed.get(source) ?? 0), gaps: [] };
    const after: [bigint, bigint][] = reached < last ? [[reached + 1n, last]] : [];
    const aside = [...(quarantined.get(source) ?? [])].sort((a, b) => (a < b ? -1 : 1));
    let next = 0;
    for (const [first, end] of [...gaps, ...after]) {
      while (next < aside.length && (aside[next] as bigint) < first) next++;
      const begin = next;
      while (next < aside.length && (aside[next] as bigint) <= end) next++;
      missing(source, first, end, aside.slice(begin, next), findings);
    }
    if (reached > last) {
      findings.add(
        "hole",
        `${sourceName(source)} says that it has stored ${last}, but ${reached} are sealed: its position was set back`,
        { source },
      );
    }
  }
  for (const [source, last] of sealed) {
    if (sources.has(source) || last === 0) continue;
    findings.add(
      "removed",
      `${sourceName(source)}, which has ${last} sealed numbers, was removed from security_event_source`,
      { source },
    );
  }
  return { count, oldest: oldest === null ? null : canonicalTime(oldest) };
}

/** Reports the numbers from `first` to `end` that are missing. @param aside those of them that are in quarantine */
function missing(source: string, first: bigint, end: bigint, aside: readonly bigint[], findings: Findings): void {
  let from = first;
  for (const seq of [...aside, end + 1n]) {
    if (seq > from) {
      const text = numbersText(from, seq - 1n);
      findings.add(
        "hole",
        `${sourceName(source)} has stored ${text}, but ${from === seq - 1n ? "that event is missing: it was" : "those events are missing: they were"} removed before sealing`,
        {
          source,
          seq: placeNumber(from),
          last_seq: placeNumber(seq - 1n),
        },
      );
    }
    from = seq + 1n;
  }
}
