/** Checks the partitions that retention dropped on record: none of their events may remain. */

import { linesOf } from "./copy-rows.ts";
import { canonicalTime, copyValues } from "./copy-values.ts";
import { countText, type EventName, eventText, exactInteger, type Findings } from "./findings.ts";
import type { EndedPartition } from "./raw-log.ts";
import { type OwnEvent, partitionsOf, type Removals } from "./removals.ts";

/**
 * `created_at` is when the row's transaction began, and the row may arrive just after the partition was dropped. Rows
 * from the last minute before the drop are therefore not held against it: no writer's transaction takes that long.
 */
const LONGEST_WRITE_MS = 60_000;

/** The partitions that the own source's events record as dropped, by the later event if two name the same one. */
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

/** Reads the answer to the query `remaining`. Events that a removal took and that are back are counted elsewhere. */
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
      `removal ${removal} says that ${name} was dropped, but ${countText(count, "event")} stored in it before that ${count === 1 ? "is" : "are"} still there, such as ${eventText(first)}: single events were removed under its name`,
    );
  }
}
