/** Events of the own source that were verified before, and are needed again: the records of what was taken before it was sealed. */
import { batchesOf, linesOf, pathTiles, type RawLog } from "./raw-log.ts";
import type { OwnEvent } from "./removals.ts";
import { RowReader, sourceWords } from "./row-reader.ts";
import { isLeafOf, readTiles, type Tiles } from "./tiles.ts";
import { ownEvent } from "./window.ts";

/**
 * Reads them again, and holds each to its leaf in the tree that was verified.
 *
 * @param numbers of the events
 * @param before the leaves of that tree, whose last tiles these are
 * @param own gets the events
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
