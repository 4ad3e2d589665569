/** What retention has ended on record: partitions, which go whole. */

import { linesOf } from "./copy-rows.ts";
import { canonicalTime, copyValues } from "./copy-values.ts";
import { countText, type EventName, eventText, exactInteger, type Findings } from "./findings.ts";
import type { EndedPartition } from "./raw-log.ts";
import { type OwnEvent, partitionsOf, type Removals } from "./removals.ts";

/**
 * A row bears the time at which its transaction began, and comes into no partition that is dropped meanwhile: so much earlier may a
 * row say that it was stored although the partition was gone. No writer's transaction takes so long.
 */
const LONGEST_WRITE_MS = 60_000;

/** The partitions that sealed events, or those that wait for it, say were dropped. Of two that dropped the same, the later. */
export function endedPartitions(own: ReadonlyMap<number, OwnEvent>): EndedPartition[] {
  const ended = new Map<string, EndedPartition>();
  for (const [removal, event] of [...own].sort(([a], [b]) => a - b)) {
    const at = Date.parse(event.at);
    if (event.state === "changed" || Number.isNaN(at)) continue;
    for (const name of partitionsOf(event)) {
      const [, retention, year, month] =
        /^security_event_log_(short|standard|long)_(\d{4})_(0[1-9]|1[0-2])$/.exec(name) ?? [];
      if (retention === undefined) continue;
      const since = new Date(`${year}-${month}-01T00:00:00Z`);
      const until = new Date(since);
      until.setUTCMonth(since.getUTCMonth() + 1);
      const before = new Date(at - LONGEST_WRITE_MS);
      ended.set(name, {
        name,
        removal,
        retention,
        since: since.toISOString(),
        until: until.toISOString(),
        before: before.toISOString(),
      });
    }
  }
  return [...ended.values()];
}

/** Reads the answer to the question `remaining`. What a removal took and is there again is counted elsewhere. */
export async function checkEnded(
  pieces: AsyncIterable<Buffer>,
  ended: readonly EndedPartition[],
  removals: Removals,
  findings: Findings,
): Promise<void> {
  const remaining = new Map<number, { count: number; first: EventName }>();
  for await (const line of linesOf(pieces)) {
    const [place, source, number, id, occurredAt, type] = copyValues(line).map((value) => value ?? "");
    const seq = exactInteger(number);
    if (removals.covers("pruned", source ?? "", Number(seq))) continue;
    const name: EventName = {
      source: source ?? "",
      seq,
      id: id ?? "",
      occurredAt: canonicalTime(occurredAt ?? ""),
      type: type ?? "",
    };
    const known = remaining.get(Number(place));
    if (known === undefined) remaining.set(Number(place), { count: 1, first: name });
    else {
      known.count++;
      if (name.source < known.first.source || (name.source === known.first.source && seq < known.first.seq))
        known.first = name;
    }
  }
  for (const [place, { count, first }] of remaining) {
    const { name, removal } = ended[place] as EndedPartition;
    findings.add(
      "removal",
      `removal ${removal} says that ${name} was dropped, and ${countText(count, "event")} stored in it before ${count === 1 ? "is" : "are"} there, as ${eventText(first)}: single events were removed under its name`,
    );
  }
}
