/** Finds the leaves of a window that no row makes, and the rows that share a number with the sealed one. */
import type { VerifyContext } from "./context.ts";
import type { Difference } from "./differences.ts";
import { eventText, numbersText, sharedNumberText, sourceName } from "./findings.ts";
import { EVENT, NOTHING, type Window } from "./window.ts";

/** Reports the leaves that no row makes, once all rows of the window have been read. */
export function closeWindow(window: Window, context: VerifyContext): void {
  const { findings, removals, tally } = context;
  const different = new Set(window.differences.map(({ leaf }) => leaf));
  let hole: { source: string; first: number; last: number; leaf: number } | undefined;
  const closeHole = (): void => {
    if (hole === undefined) return;
    const { source, first, last, leaf } = hole;
    findings.add(
      "hole",
      `${numbersText(first, last)} of ${sourceName(source)} had no event when ${first === last ? "it was" : "they were"} sealed, although the source had stored ${first === last ? "it: it was" : "them: they were"} removed before sealing`,
      { leaf, source, seq: first, last_seq: last },
    );
    hole = undefined;
  };
  for (let offset = Math.max(0, window.from - window.start); offset < window.made.length; offset++) {
    if (window.made[offset] !== NOTHING) continue;
    const leaf = window.start + offset;
    const at = window.leaves.at(leaf);
    if (at === undefined) continue;
    const { source, seq } = at;
    const sealed = window.sealed(offset);
    if (window.isHole(leaf, source, seq)) {
      if (hole?.source === source && hole.last === seq - 1) hole.last = seq;
      else {
        closeHole();
        hole = { source, first: seq, last: seq, leaf };
      }
      for (const { found } of window.differences.filter((difference) => difference.leaf === leaf)) {
        const text =
          found?.name === undefined ? `a quarantined record (${numbersText(seq, seq)})` : eventText(found.name);
        findings.add("inserted", `${text} was inserted: its number was sealed as having no event`, {
          ...at,
          leaf,
        });
      }
      window.rowHashes.delete(leaf);
      window.made[offset] = EVENT;
    } else if (different.has(leaf)) {
      // A later signed root decides whether the row or the tile is right.
    } else if (removals.covers("pruned", source, seq)) tally.pruned++;
    else window.differ({ leaf, source, seq, sealed });
  }
  closeHole();
  // A row with the number of the one that makes the leaf.
  for (let i = window.differences.length - 1; i >= 0; i--) {
    const { leaf, source, seq, found } = window.differences[i] as Difference;
    if (window.made[leaf - window.start] === NOTHING) continue;
    window.differences.splice(i, 1);
    window.rowHashes.delete(leaf);
    if (found === undefined || window.isHole(leaf, source, seq)) continue;
    const text =
      found.name === undefined
        ? `a quarantined record (number ${seq} of ${sourceName(source)})`
        : eventText(found.name);
    findings.add("inserted", `${text} ${sharedNumberText("which was sealed with it and is still there")}`, {
      leaf,
      source,
      seq,
      ...(found.name === undefined ? {} : { event_id: found.name.id }),
    });
  }
}
