/**
 * Verifies a whole log (docs/design/integrity.md) against signed checkpoints, window by window:
 *
 * ```
 *  rows ─► leaves ══╗ compared one by one
 *  tiles of level 0 ╩═► compact range ─► root ══ compared with every checkpoint, stored or kept elsewhere
 *        └─► tiles of level 1, 2, … compared with those stored
 * ```
 *
 * Where a row and its tile differ, the next signed root shows which of the two was changed. Nothing here shares code
 * with the write path.
 */
import { type ExpectedRoot, Signers } from "./checkpoints.ts";
import type { VerifyContext } from "./context.ts";
import { linesOf } from "./copy-rows.ts";
import { byteaValue, copyValues } from "./copy-values.ts";
import { EventRows } from "./event-rows.ts";
import { countText, exactInteger, Findings } from "./findings.ts";
import { GrowingTree } from "./growing-tree.ts";
import { hex, TILE_WIDTH } from "./hashing.ts";
import { type KeptCheckpoint, KeptCheckpoints } from "./kept-checkpoints.ts";
import { LeafRanges } from "./leaf-ranges.ts";
import { type OpenedCheckpoint, VerifyError, type Vkey } from "./note.ts";
import { readOwnRecords } from "./own-records.ts";
import { checkEnded, endedPartitions } from "./partitions.ts";
import { readQuarantine } from "./quarantine.ts";
import type { RawLog } from "./raw-log.ts";
import { Removals } from "./removals.ts";
import { WINDOW_LEAVES } from "./tile-names.ts";
import { readTiles, windowHashes } from "./tiles.ts";
import { requireLogKeys, requireTrusted } from "./trust.ts";
import { closeWindow } from "./unmade-leaves.ts";
import { readUnsealed, type Unsealed } from "./unsealed.ts";
import type { VerifyReport } from "./verify-report.ts";
import { Window } from "./window.ts";

export interface VerifyLogOptions {
  /** The log's keys in the order of their rotation, all with the log's origin as their name. */
  readonly keys: readonly Vkey[];
  /** Checkpoints that were kept elsewhere, and their files. @default none */
  readonly elsewhere?: readonly KeptCheckpoint[];
  /** The checkpoint of an earlier verification: only later leaves are read. @default from the first leaf */
  readonly from?: OpenedCheckpoint | undefined;
  /** Called for each window of 65,536 leaves with how many have been verified. */
  readonly progress?: (done: number, size: number) => void;
}

/**
 * Verifies a log.
 *
 * @throws InputError when the keys are not those of one log, or none of them has signed a checkpoint that is given
 * @throws VerifyError when it cannot be read as a log
 */
export async function verifyLog(log: RawLog, options: VerifyLogOptions): Promise<VerifyReport> {
  const { keys, elsewhere = [], from } = options;
  requireLogKeys(keys);
  return await new Verification(log, {
    ...options,
    elsewhere: elsewhere.map(({ checkpoint, file }) => {
      return { checkpoint: requireTrusted(checkpoint, keys, `the checkpoint kept in ${file}`), file };
    }),
    from: from === undefined ? undefined : requireTrusted(from, keys, "the checkpoint to begin with"),
  }).run();
}

class Verification {
  readonly #log: RawLog;
  readonly #options: VerifyLogOptions;
  readonly #findings = new Findings();
  readonly #notes: string[] = [];
  readonly #signers: Signers;
  readonly #elsewhere: KeptCheckpoints;
  /** The first leaf to verify. */
  readonly #from: number;

  constructor(log: RawLog, options: VerifyLogOptions) {
    this.#log = log;
    this.#options = options;
    this.#from = options.from?.size ?? 0;
    this.#signers = new Signers(options.keys, this.#findings, options.from);
    this.#elsewhere = new KeptCheckpoints(options.elsewhere ?? [], options.from, this.#findings, this.#notes);
  }

  async run(): Promise<VerifyReport> {
    const from = this.#from;
    const [first = ""] = await this.#lines({ name: "tree" });
    const [digits = "", rootText, ownSource = "", readAt = ""] = copyValues(first);
    if (!(Number(digits) >= 0) || ownSource === "" || ownSource === null) {
      throw new VerifyError("security_event_tree has no valid row: this is not a log that can be verified");
    }
    const root = byteaValue(rootText ?? "").toString("latin1");
    const size = await this.#bounded(digits ?? "");
    const sources = new Map<string, bigint>();
    for await (const line of linesOf(this.#log.read({ name: "sources" }))) {
      const [source = "", last] = line.split("\t");
      sources.set(source, exactInteger(last));
    }
    const context: VerifyContext = {
      findings: this.#findings,
      removals: new Removals(ownSource),
      tally: { kept: 0, erased: 0, pruned: 0, quarantined: 0, returned: 0, hashed: 0 },
      own: new Map(),
      ownSource,
    };
    const { findings, removals, own } = context;
    const kept = Math.max(from, this.#elsewhere.largest);
    if (kept > size) this.#rolledBack(size, kept);

    const isContinued = from > 0 && from <= size;
    const edge = isContinued ? await readTiles(this.#log.read({ name: "edge", before: from })) : new Map();
    const tree = new GrowingTree(isContinued ? from : 0, edge, context);
    const positions = new Map<string, number>();
    if (isContinued) {
      tree.begin(this.#options.from?.root ?? "");
      for (const line of await this.#lines({ name: "positions", before: from })) {
        const [source = "", last] = line.split("\t");
        positions.set(source, Number(last));
      }
    }
    for await (const line of linesOf(this.#log.read({ name: "removed" }))) removals.add(line, positions);
    const again = removals.neededAgain(positions.get(ownSource) ?? 0);
    if (again.length > 0) await readOwnRecords(this.#log, ownSource, again, { before: from, edge }, own);

    const ranges = new LeafRanges(Math.min(from, size), positions);
    if (from < size) {
      for (let window = Math.floor(from / WINDOW_LEAVES); window * WINDOW_LEAVES < size; window++) {
        await this.#window(window, size, ranges, tree, context);
      }
    }
    tree.end();
    if (tree.uncompared > 0) {
      this.#notes.push(
        `${countText(tree.uncompared, "later checkpoint")} could not be compared, because the tree already differs before them.`,
      );
    }
    if (size > from) this.#signers.end(size);
    if (tree.size === size && tree.root() !== root) {
      findings.add(
        "tree",
        `security_event_tree has a different root from the tiles of its ${size} leaves: it was changed`,
      );
    }
    await this.#beyond(size);

    const sealed = new Map([...ranges.next].map(([source, next]) => [source, next - 1]));
    const unsealed = await readUnsealed(
      this.#log.read({ name: "unsealed", sealed, own: ownSource }),
      { sealed, sources, own, ownSource },
      findings,
    );
    findings.endRemoved(from === 0 ? sealed : new Map());
    const ended = endedPartitions(own);
    if (ended.length > 0) await checkEnded(this.#log.read({ name: "remaining", ended }), ended, removals, findings);
    const removed = removals.check(own, findings, this.#notes);
    return this.#report({ size, root, readAt: readAt ?? "", sources: sources.size, unsealed, removed }, context);
  }

  /** The size of the tree, bounded by what there is to read: its row is not signed and can claim any number. */
  async #bounded(digits: string): Promise<number> {
    const claimed = Number(digits);
    const [line = ""] = await this.#lines({ name: "ends" });
    const ends = line.split("\t");
    const [signed = 0, placed = 0, tiles = 0] = ends.map(Number);
    // Up to half of the tiles may have been removed: each is reported where it is missing.
    const size = Math.min(claimed, Math.max(signed, placed), 2 * TILE_WIDTH * tiles + WINDOW_LEAVES);
    if (size < claimed) {
      const exact = (text?: string): string => exactInteger(text).toLocaleString("en");
      this.#findings.add(
        "tree",
        `security_event_tree claims ${exact(digits)} leaves, but the ranges cover ${exact(ends[1])}, the newest checkpoint has ${exact(ends[0])}, and there are ${countText(tiles, "tile")} of level 0: it was changed, or the rest was removed`,
      );
    }
    return size;
  }

  async #lines(part: Parameters<RawLog["read"]>[0]): Promise<string[]> {
    const lines: string[] = [];
    for await (const line of linesOf(this.#log.read(part))) lines.push(line);
    return lines;
  }

  #rolledBack(size: number, kept: number): void {
    this.#findings.add(
      "rollback",
      `the database has ${size.toLocaleString("en")} leaves, but a checkpoint kept elsewhere has ${kept.toLocaleString("en")}: the tail was cut off, or the database was rolled back`,
    );
  }

  async #window(
    window: number,
    size: number,
    ranges: LeafRanges,
    tree: GrowingTree,
    context: VerifyContext,
  ): Promise<void> {
    const { findings } = context;
    const start = window * WINDOW_LEAVES;
    const end = Math.min(start + WINDOW_LEAVES, size);
    const from = Math.max(start, this.#from);
    this.#options.progress?.(from, size);
    const leaves = ranges.inWindow(await this.#lines({ name: "ranges", window }), start, end, findings);
    const tiles = await readTiles(this.#log.read({ name: "tiles", window, size }));
    const unknown = new Set<number>();
    const hashes = windowHashes(tiles, window, size, unknown, findings);
    const expected = await this.#expected(window, from, end, size);
    const read = new Window(start, from, hashes, leaves);
    const { intervals } = leaves;
    if (intervals.length > 0) {
      await new EventRows(read, context).read(this.#log.read({ name: "events", window, intervals }));
      await readQuarantine(this.#log.read({ name: "quarantine", window, intervals }), read, context);
    }
    closeWindow(read, context);
    tree.addDifferences(read, unknown);
    let at = from;
    for (const checkpoint of expected) {
      at = tree.grow(at, checkpoint.size, read, tiles);
      tree.compare(checkpoint, leaves);
    }
    tree.grow(at, end, read, tiles);
    if (end === size) tree.endTiles(window, size, tiles);
  }

  /** The roots that the tree must have in the window, in the order of their sizes. */
  async #expected(window: number, from: number, end: number, size: number): Promise<ExpectedRoot[]> {
    const expected: ExpectedRoot[] = [];
    const elsewhereUpTo = (most: number): void => {
      for (const { checkpoint, file } of this.#elsewhere.upTo(most)) {
        expected.push(this.#signers.elsewhere(checkpoint, file));
      }
    };
    for await (const line of linesOf(this.#log.read({ name: "checkpoints", window, after: from, size }))) {
      const stored = this.#signers.stored(line);
      elsewhereUpTo(stored.size - 1);
      expected.push(stored);
      elsewhereUpTo(stored.size);
    }
    elsewhereUpTo(end);
    return expected;
  }

  async #beyond(size: number): Promise<void> {
    for (const line of await this.#lines({ name: "beyond", size })) {
      const [kind, place] = line.split("\t");
      const what = { range: "a range from leaf", checkpoint: "a checkpoint of size", tile: "a tile with number" }[
        kind ?? ""
      ];
      this.#findings.add(
        "tree",
        `${what ?? kind} ${place} lies beyond the tree of ${size} leaves: the tree was cut, or this was added`,
      );
    }
  }

  #report(
    read: {
      readonly size: number;
      readonly root: string;
      readonly readAt: string;
      readonly sources: number;
      readonly unsealed: Unsealed;
      readonly removed: { readonly erasures: number; readonly prunings: number };
    },
    context: VerifyContext,
  ): VerifyReport {
    const { size, unsealed, removed } = read;
    const { removals, own, tally } = context;
    const { kept, erased, pruned, quarantined, returned, hashed } = tally;
    const { unnamed, newest } = this.#signers;
    if (returned > 0) {
      this.#notes.push(
        `${countText(returned, "event")} on record as erased or pruned ${returned === 1 ? "is" : "are"} there again: a backup was restored, or the removal was undone.`,
      );
    }
    if (unnamed > 0)
      this.#notes.push(
        `${countText(unnamed, "checkpoint")} from before the first named key ${unnamed === 1 ? "is" : "are"} signed only by keys that were not named; later checkpoints cover the same leaves.`,
      );
    const all = this.#findings.list();
    return {
      intact: this.#findings.count === 0,
      origin: this.#options.keys[0]?.name ?? "",
      size,
      from: this.#from,
      root: hex(read.root),
      read_at: read.readAt,
      sealed_at: newest?.createdAt ?? null,
      events: kept,
      sources: read.sources,
      quarantined,
      erased,
      erasures: removed.erasures,
      pruned,
      prunings: removed.prunings,
      removals: removals.list(own),
      unsealed: unsealed.count,
      oldest_unsealed_at: unsealed.oldest,
      checkpoints: this.#signers.verified,
      checkpoints_of_other_keys: unnamed,
      checkpoints_elsewhere: this.#options.elsewhere?.length ?? 0,
      keys: this.#signers.keys(),
      findings: all,
      findings_total: this.#findings.count,
      notes: this.#notes,
      newest_note: newest?.note ?? this.#options.from?.note ?? null,
      hashed_bytes: hashed,
    };
  }
}
