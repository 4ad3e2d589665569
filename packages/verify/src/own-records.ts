/** Reads again those verified events of the own source that record removals of numbers that were sealed later. */
import { batchesOf, linesOf } from "./copy-rows.ts";
import { nameOf } from "./differences.ts";
import type { RawLog } from "./raw-log.ts";
import type { OwnEvent } from "./removals.ts";
import { RowReader, sourceWords } from "./row-reader.ts";
import { pathTiles } from "./tile-names.ts";
import { isLeafOf, readTiles, type Tiles } from "./tiles.ts";

/**
 * Reads the events and checks each against its leaf in the tree that was verified.
 *
 * @param numbers the events' numbers
 * @param before how many leaves that tree has, and its last tiles
 * @param own receives the events
 */
export async function readOwnRecords(
  log: RawLog,
  ownSource: string,
  numbers: readonly number[],
  { before, edge }: { readonly before: number; readonly edge: Tiles },
  own: Map<number, OwnEvent>,
): Promise<void> {
  const wanted = [...numbers].sort((a, b) => a - b);
  let next = 0;
  const leaves = new Map<number, number>();
  for await (const line of linesOf(log.read({ name: "own-ranges", own: ownSource, before }))) {
    const [leaf = 0, first = 0, last = 0] = line.split("\t").map(Number);
    while (next < wanted.length && (wanted[next] as number) < first) next++;
    for (; next < wanted.length && (wanted[next] as number) <= last; next++) {
      const seq = wanted[next] as number;
      leaves.set(seq, leaf + seq - first);
    }
  }
  const names = [...leaves.values()].flatMap((leaf) => pathTiles(leaf, before));
  const once = [...new Map(names.map((name) => [`${name.level}/${name.tile}`, name])).values()];
  const tiles = new Map([...(await readTiles(log.read({ name: "own-tiles", tiles: once }))), ...edge]);
  const reader = new RowReader();
  const words = sourceWords(ownSource);
  const intervals = [...leaves.keys()].map((seq) => ({ source: ownSource, first: seq, last: seq }));
  if (intervals.length === 0) return;
  for await (const batch of batchesOf(log.read({ name: "own-events", intervals }))) {
    for (let start = 0; start < batch.length; ) {
      start = reader.read(batch, start);
      const leaf = leaves.get(reader.seq);
      if (leaf === undefined || !reader.isOf(words) || !reader.isOwn() || own.get(reader.seq)?.state === "intact")
        continue;
      own.set(reader.seq, ownEvent(reader, leaf, isLeafOf(leaf, reader.leaf, before, tiles)));
    }
  }
}

/** The event of the own source that `reader` has just read. @param isSealed whether it makes its leaf */
export function ownEvent(reader: RowReader, leaf: number, isSealed: boolean): OwnEvent {
  const { type, occurredAt: at } = nameOf(reader.entry(), "", 0);
  const state = isSealed && reader.personal === "kept" ? "intact" : "changed";
  try {
    const line = JSON.parse(reader.personalLine()) as { readonly data?: unknown; readonly actor_id?: unknown };
    const by = typeof line.actor_id === "string" ? line.actor_id : undefined;
    return { type, data: line.data === undefined ? undefined : JSON.stringify(line.data), at, by, leaf, state };
  } catch {
    return { type: "?", data: undefined, at, by: undefined, leaf, state };
  }
}
