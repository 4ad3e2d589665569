/**
 * The tree as it grows, leaf by leaf, compared with every root that it must have.
 *
 * It grows from the tiles. Where a row does not match its tile, a second tree grows beside it, from the rows, until the
 * next signed root shows which of the two was changed:
 *
 * ```
 *  agree ── a row differs ──► two trees ── root is the tiles' ──► agree: the rows were changed
 *    ▲                            ├─────── root is the rows'  ──► agree: the tiles were changed, continue from the rows
 *    └────────────────────────────┴─────── root is neither's  ──► broken: no later root can be right
 * ```
 */
import type { ExpectedRoot } from "./checkpoints.ts";
import type { VerifyContext } from "./context.ts";
import { type Difference, judgeDifferences } from "./differences.ts";
import { countText, sourceName } from "./findings.ts";
import { type CompactRange, HASH_BYTES, TILE_WIDTH, tileRoot } from "./hashing.ts";
import type { WindowLeaves } from "./leaf-ranges.ts";
import { judgePersonal } from "./personal-part.ts";
import { rangeOf, type Tiles, UpperLevels } from "./tiles.ts";
import type { Window } from "./window.ts";

export class GrowingTree {
  readonly #context: VerifyContext;
  #range: CompactRange;
  /** The tree from the rows, kept from the first difference until a signed root decides. */
  #byRows: CompactRange | undefined;
  readonly #upper: UpperLevels;
  /** Judged at the next signed root. */
  #differences: Difference[] = [];
  #uncounted = 0;
  /** The last size at which the tree had the signed root. */
  #good: number;
  /** After a signed root that neither tiles nor rows produce, no later one can be right. */
  #broken = false;
  #uncompared = 0;

  /** @param before how many leaves were verified before @param edge the last tiles of their tree */
  constructor(before: number, edge: Tiles, context: VerifyContext) {
    this.#range = rangeOf(before, edge);
    this.#upper = new UpperLevels(before, edge);
    this.#good = before;
    this.#context = context;
  }

  /** Leaves so far. */
  get size(): number {
    return this.#range.size;
  }

  /** The root so far, as 32 Latin-1 characters. */
  root(): string {
    return this.#range.root();
  }

  /** Signed roots that could not be compared, because the tree already differs before them. */
  get uncompared(): number {
    return this.#uncompared;
  }

  /** Compares the leaves that were verified before with the root that they had then. */
  begin(root: string): void {
    if (this.root() === root) return;
    this.#context.findings.add(
      "rewritten",
      `history before leaf ${this.size} was rewritten: the tiles no longer produce the root of the checkpoint given with --from; verify without --from to see what was changed`,
    );
    this.#broken = true;
  }

  /** Adds the differences of a window. @param unknown the tiles of level 0 that are missing or too short */
  addDifferences({ differences, uncounted }: Window, unknown: ReadonlySet<number>): void {
    for (const difference of differences) {
      this.#differences.push({ ...difference, unknown: unknown.has(Math.floor(difference.leaf / TILE_WIDTH)) });
    }
    this.#uncounted += uncounted;
  }

  /** Grows the tree from leaf `at` to before `stop`. */
  grow(at: number, stop: number, { start, hashes, rowHashes }: Window, tiles: Tiles): number {
    const range = this.#range;
    const hashAt = (leaf: number): string =>
      hashes.toString("latin1", (leaf - start) * HASH_BYTES, (leaf - start + 1) * HASH_BYTES);
    for (let leaf = at; leaf < stop; ) {
      const end = Math.min(leaf - (leaf % TILE_WIDTH) + TILE_WIDTH, stop);
      if (this.#byRows === undefined && rowHashes.size > 0) {
        for (let n = leaf; n < end && this.#byRows === undefined; n++) {
          if (rowHashes.has(n)) this.#byRows = range.clone();
        }
      }
      if (this.#byRows !== undefined) {
        for (let n = leaf; n < end; n++) this.#byRows.append(rowHashes.get(n) ?? hashAt(n));
      }
      if (end - leaf === TILE_WIDTH) {
        const root = tileRoot(hashes, (leaf - start) * HASH_BYTES);
        range.append(root, TILE_WIDTH);
        this.#upper.append(root, tiles, this.#context.findings);
      } else {
        for (let n = leaf; n < end; n++) range.append(hashAt(n));
        if (end % TILE_WIDTH === 0) this.#upper.append(range.lastTile, tiles, this.#context.findings);
      }
      leaf = end;
    }
    return stop;
  }

  /** Compares the tree so far with a root that it must have. */
  compare(expected: ExpectedRoot, leaves: WindowLeaves): void {
    const { size, root, trusted, file, signers } = expected;
    const { findings } = this.#context;
    const at = { leaf: size };
    if (this.#range.root() === root) {
      if (!trusted) return;
      this.#resolve(size, "tiles");
      this.#byRows = undefined;
      this.#good = size;
      return;
    }
    if (trusted && this.#byRows?.root() === root) {
      this.#resolve(size, "rows");
      this.#range = this.#byRows;
      this.#byRows = undefined;
      this.#good = size;
      return;
    }
    if (file !== undefined) {
      findings.add(
        "rewritten",
        `history before leaf ${size} was rewritten: the checkpoint of ${size} leaves in ${file}, signed by ${signers}, has a different root`,
        at,
      );
    } else if (!trusted) {
      if (signers !== "") return;
      findings.add(
        "checkpoint",
        `the checkpoint of ${size} leaves has a different root from the tree: one of the two was changed`,
        at,
      );
    } else if (this.#broken) this.#uncompared++;
    else {
      const numbers = leaves.text(this.#good, size);
      findings.add(
        "rewritten",
        `the tree was changed between leaf ${this.#good} and leaf ${size - 1}: the checkpoint of ${size} leaves, signed by ${signers}, has a different root; these leaves are ${numbers}`,
        at,
      );
      this.#resolve(size, "tiles");
      this.#byRows = undefined;
      this.#broken = true;
    }
  }

  /** Compares the tree's last tiles, in the window where it ends. */
  endTiles(window: number, size: number, tiles: Tiles): void {
    this.#upper.end(window, size, tiles, this.#context.findings);
  }

  /** Judges the differences after the last signed root as if the tiles were right: nothing shows otherwise. */
  end(): void {
    this.#resolve(Number.POSITIVE_INFINITY, "tiles");
  }

  /** Judges the differences before leaf `size`. @param right which of the two the signed root confirmed */
  #resolve(size: number, right: "tiles" | "rows"): void {
    if (this.#differences.length === 0) return;
    const { findings, tally, own, ownSource } = this.#context;
    const judged = this.#differences.filter(({ leaf }) => leaf < size);
    this.#differences = this.#differences.filter(({ leaf }) => leaf >= size);
    if (right === "tiles") {
      judgeDifferences(
        judged.filter(({ unknown }) => unknown !== true),
        findings,
      );
      findings.more(this.#uncounted);
      this.#uncounted = 0;
      return;
    }
    const present = judged.filter((difference) => difference.found !== undefined);
    judgeDifferences(
      judged.filter(({ found: row, unknown }) => row === undefined && unknown !== true),
      findings,
    );
    const byTile = new Map<number, Difference[]>();
    for (const difference of present) {
      const tile = Math.floor(difference.leaf / TILE_WIDTH);
      const same = byTile.get(tile);
      if (same === undefined) byTile.set(tile, [difference]);
      else same.push(difference);
    }
    for (const [tile, [first, ...others]] of byTile) {
      // Its missing tile has been reported.
      if (first === undefined || first.unknown === true) continue;
      const { leaf, source, seq } = first;
      const more = others.length === 0 ? "" : ` and ${countText(others.length, "other")}`;
      findings.add(
        "tree",
        `the stored tree was changed, not the events: the hash of number ${seq} of ${sourceName(source)} (leaf ${leaf})${more} in tile/0/${String(tile).padStart(3, "0")} ${others.length === 0 ? "does" : "do"} not match the checkpoint of ${size} leaves`,
        { leaf, source, seq },
      );
    }
    for (const { leaf, source, seq, found: row } of present) {
      if (row?.name === undefined) continue;
      if (row.personal === "erased") tally.erased++;
      else tally.kept++;
      judgePersonal(row.personal, row.name, leaf, this.#context);
      const event = source === ownSource ? own.get(seq) : undefined;
      if (event !== undefined && row.personal === "kept") event.state = "intact";
    }
  }
}
