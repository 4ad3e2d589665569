/**
 * Verifies a whole log (docs/design/integrity.md) against signed checkpoints, window by window:
 *
 * ```
 *  rows ─► leaves ══╗ compared one by one
 *  tiles of level 0 ╩═► compact range ─► root ══ compared with every checkpoint, stored or kept elsewhere
 *        └─► tiles of level 1, 2, … compared with those stored
 * ```
 *
 * Where a row and its tile differ, the next signed root says which of them was changed. Nothing here shares code with the
 * write path.
 */
import { type ExpectedRoot, Signers } from "./checkpoints.ts";
import { byteaValue, copyValues } from "./copy-values.ts";
import { type Difference, judgeDifferences } from "./differences.ts";
import { countText, exactInteger, type Finding, Findings, sourceName } from "./findings.ts";
import { CompactRange, HASH_BYTES, hex, TILE_WIDTH, tileRoot } from "./hashing.ts";
import { LeafRanges, type WindowLeaves } from "./leaf-ranges.ts";
import { type OpenedCheckpoint, VerifyError, type Vkey } from "./note.ts";
import { readOwnRecords } from "./own-records.ts";
import { checkEnded, endedPartitions } from "./partitions.ts";
import { linesOf, type RawLog, WINDOW_LEAVES } from "./raw-log.ts";
import { type OwnEvent, type RemovalReport, Removals } from "./removals.ts";
import { rangeOf, readTiles, type Tiles, UpperLevels, windowHashes } from "./tiles.ts";
import { readUnsealed, type Unsealed } from "./unsealed.ts";
import { judgePersonal, type Tally, Window, type WindowContext } from "./window.ts";

export interface VerifyLogOptions {
  /** The log's keys in the order of their rotation. All of one name, which is the log's origin. */
  readonly keys: readonly Vkey[];
  /** Checkpoints that were kept elsewhere, and the files that they were in. */
  readonly elsewhere?: readonly { readonly checkpoint: OpenedCheckpoint; readonly file: string }[];
  /** What was verified before: only what came after it is read. */
  readonly from?: OpenedCheckpoint | undefined;
  /** Told now and then how many leaves have been verified. */
  readonly progress?: (done: number, size: number) => void;
}

/** What a verification has found out. `--json` prints it as it is. */
export interface VerifyReport {
  readonly intact: boolean;
  readonly origin: string;
  /** Leaves in the tree, and the first of those that were looked at. */
  readonly size: number;
  readonly from: number;
  /** In hexadecimal. */
  readonly root: string;
  /** When the snapshot was taken, and when its newest checkpoint was, by the database's clock. */
  readonly read_at: string;
  readonly sealed_at: string | null;
  /** Events that are there, as they were sealed; quarantined records and erased events are not among them. */
  readonly events: number;
  readonly sources: number;
  readonly quarantined: number;
  readonly erased: number;
  readonly erasures: number;
  readonly pruned: number;
  readonly prunings: number;
  /** What was taken away on record. */
  readonly removals: readonly RemovalReport[];
  /** Events that no range covers yet, and since when the oldest of them is there. */
  readonly unsealed: number;
  readonly oldest_unsealed_at: string | null;
  readonly checkpoints: number;
  /** Checkpoints below the first that a named key has signed. */
  readonly checkpoints_of_other_keys: number;
  readonly checkpoints_elsewhere: number;
  readonly keys: readonly {
    readonly vkey: string;
    readonly first_size: number | null;
    readonly last_size: number | null;
  }[];
  /** The first findings. */
  readonly findings: readonly Finding[];
  readonly findings_total: number;
  /** What is not wrong, and worth knowing. */
  readonly notes: readonly string[];
  /** The newest checkpoint that was verified, as a signed note; `null` where there is none. */
  readonly newest_note: string | null;
  /** Bytes of events that were hashed. */
  readonly hashed_bytes: number;
}

/** @throws VerifyError when the log cannot be read as one */
export function verifyLog(log: RawLog, options: VerifyLogOptions): Promise<VerifyReport> {
  return new Verification(log, options).run();
}

class Verification {
  readonly #log: RawLog;
  readonly #options: VerifyLogOptions;
  readonly #findings = new Findings();
  readonly #notes: string[] = [];
  #removals = new Removals("");
  readonly #own = new Map<number, OwnEvent>();
  readonly #tally: Tally = { kept: 0, erased: 0, pruned: 0, quarantined: 0, back: 0, hashed: 0 };
  readonly #signers: Signers;
  /** Leaves before it were verified before, and the last tiles of their tree. */
  readonly #from: number;
  #edge: Tiles = new Map();
  #range = new CompactRange();
  /** The tree as the rows make it; only while they and the tiles differ, from the last root that was right on. */
  #byRows: CompactRange | undefined;
  #upper = new UpperLevels(0, new Map());
  /** Judged when a signed root has come after them. */
  #differences: Difference[] = [];
  #uncounted = 0;
  /** The last size at which a signed root was the tree's. */
  #good = 0;
  /** After a stored root that neither tiles nor rows lead to, none can be right. */
  #broken = false;
  #uncompared = 0;
  /** Kept elsewhere, in the order of their sizes, and how many of them were compared. */
  #elsewhere: { readonly checkpoint: OpenedCheckpoint; readonly file: string }[];
  #compared = 0;

  constructor(log: RawLog, options: VerifyLogOptions) {
    this.#log = log;
    this.#options = options;
    this.#from = options.from?.size ?? 0;
    this.#good = this.#from;
    this.#signers = new Signers(options.keys, this.#findings, options.from);
    this.#elsewhere = [...(options.elsewhere ?? [])].sort((a, b) => a.checkpoint.size - b.checkpoint.size);
  }

  async run(): Promise<VerifyReport> {
    const [first = ""] = await this.#lines({ name: "tree" });
    const [digits = "", rootText, ownSource = "", readAt = ""] = copyValues(first);
    const said = Number(digits);
    const root = byteaValue(rootText ?? "").toString("latin1");
    if (!(said >= 0) || ownSource === "" || ownSource === null) {
      throw new VerifyError("security_event_tree has no row: this is no log that can be verified");
    }
    const size = await this.#bounded(digits ?? "");
    this.#removals = new Removals(ownSource);
    this.#elsewhereBefore();
    const sources = new Map<string, bigint>();
    for await (const line of linesOf(this.#log.read({ name: "sources" }))) {
      const [source = "", last] = line.split("\t");
      sources.set(source, exactInteger(last));
    }
    const kept = Math.max(this.#from, this.#elsewhere.at(-1)?.checkpoint.size ?? 0);
    const positions = new Map<string, number>();
    if (kept > size) this.#rolledBack(size, kept);
    if (this.#from > 0 && this.#from <= size) await this.#goOn(positions);
    for await (const line of linesOf(this.#log.read({ name: "removed" }))) {
      this.#removals.add(line, positions);
    }
    const again = this.#removals.again(positions.get(ownSource) ?? 0);
    if (again.length > 0) {
      await readOwnRecords(this.#log, ownSource, again, { before: this.#from, edge: this.#edge }, this.#own);
    }
    const ranges = new LeafRanges(Math.min(this.#from, size), positions);
    for (let window = Math.floor(this.#from / WINDOW_LEAVES); window * WINDOW_LEAVES < size; window++) {
      if (this.#from >= size) break;
      await this.#window(window, size, ranges, ownSource);
    }
    this.#resolve(Number.POSITIVE_INFINITY, "tiles");
    if (this.#uncompared > 0) {
      this.#notes.push(
        `${countText(this.#uncompared, "later checkpoint")} could not be compared, since the tree differs before.`,
      );
    }
    if (size > this.#from) this.#signers.end(size);
    if (this.#range.size === size && this.#range.root() !== root) {
      this.#findings.add(
        "tree",
        `security_event_tree says another root than the tiles of its ${size} leaves have: it was changed`,
      );
    }
    await this.#beyond(size);
    const sealed = new Map([...ranges.next].map(([source, next]) => [source, next - 1]));
    const unsealed = await readUnsealed(
      this.#log.read({ name: "unsealed", sealed, own: ownSource }),
      { sealed, sources, own: this.#own, ownSource },
      this.#findings,
    );
    this.#findings.endRemoved(this.#from === 0 ? sealed : new Map());
    const ended = endedPartitions(this.#own);
    if (ended.length > 0) {
      await checkEnded(this.#log.read({ name: "remaining", ended }), ended, this.#removals, this.#findings);
    }
    const removals = this.#removals.check(this.#own, this.#findings, this.#notes);
    return this.#report({ size, root, readAt: readAt ?? "", sources: sources.size, unsealed, removals });
  }

  /** The size, as far as there is something to read: what the tree's row says can be any number, and nobody has signed it. */
  async #bounded(digits: string): Promise<number> {
    const said = Number(digits);
    const [line = ""] = await this.#lines({ name: "ends" });
    const ends = line.split("\t");
    const [signed = 0, placed = 0, tiles = 0] = ends.map(Number);
    // A tile that was removed is found where it is missing.
    const size = Math.min(said, Math.max(signed, placed), 2 * TILE_WIDTH * tiles + WINDOW_LEAVES);
    if (size < said) {
      const exact = (text?: string): string => exactInteger(text).toLocaleString("en");
      this.#findings.add(
        "tree",
        `security_event_tree says that there are ${exact(digits)} leaves; the last range ends with ${exact(ends[1])}, the newest checkpoint has ${exact(ends[0])}, and there are ${countText(tiles, "tile")}: it was changed, or they were removed`,
      );
    }
    return size;
  }

  async #lines(part: Parameters<RawLog["read"]>[0]): Promise<string[]> {
    const lines: string[] = [];
    for await (const line of linesOf(this.#log.read(part))) lines.push(line);
    return lines;
  }

  /** What is below the checkpoint to begin with cannot be compared; what is of its size is compared with that. */
  #elsewhereBefore(): void {
    const { from } = this.#options;
    const before = this.#elsewhere.filter(({ checkpoint }) => checkpoint.size > 0 && checkpoint.size < this.#from);
    if (before.length > 0) {
      this.#notes.push(
        `Kept elsewhere from before the checkpoint given with --from, and not compared: ${countText(before.length, "checkpoint")}.`,
      );
    }
    for (const { checkpoint, file } of this.#elsewhere) {
      if (checkpoint.size !== from?.size || checkpoint.root === from.root) continue;
      this.#findings.add(
        "rewritten",
        `the checkpoint of ${checkpoint.size} leaves in ${file} has another root than the one given with --from: the log has shown two histories`,
      );
    }
    this.#elsewhere = this.#elsewhere.filter(({ checkpoint }) => checkpoint.size > this.#from);
  }

  #rolledBack(size: number, kept: number): void {
    this.#findings.add(
      "rollback",
      `the database has ${size.toLocaleString("en")} leaves, a checkpoint kept elsewhere has ${kept.toLocaleString("en")}: the tail was cut off, or the database was rolled back`,
    );
  }

  /** Begins with the tree that was verified before. */
  async #goOn(positions: Map<string, number>): Promise<void> {
    const edge = await readTiles(this.#log.read({ name: "edge", before: this.#from }));
    this.#edge = edge;
    this.#range = rangeOf(this.#from, edge);
    this.#upper = new UpperLevels(this.#from, edge);
    if (this.#range.root() !== this.#options.from?.root) {
      this.#findings.add(
        "rewritten",
        `history before leaf ${this.#from} was rewritten: the tiles no longer have the root of the checkpoint given with --from; verify without it to see what was changed`,
      );
      this.#broken = true;
    }
    for await (const line of linesOf(this.#log.read({ name: "positions", before: this.#from }))) {
      const [source = "", last] = line.split("\t");
      positions.set(source, Number(last));
    }
  }

  async #window(window: number, size: number, ranges: LeafRanges, ownSource: string): Promise<void> {
    const findings = this.#findings;
    const start = window * WINDOW_LEAVES;
    const end = Math.min(start + WINDOW_LEAVES, size);
    const from = Math.max(start, this.#from);
    this.#options.progress?.(from, size);
    const leaves = ranges.inWindow(await this.#lines({ name: "ranges", window }), start, end, findings);
    const tiles = await readTiles(this.#log.read({ name: "tiles", window, size }));
    const unknown = new Set<number>();
    const hashes = windowHashes(tiles, window, size, unknown, findings);
    const expected = await this.#expected(window, from, end, size);
    const context: WindowContext = {
      findings,
      removals: this.#removals,
      tally: this.#tally,
      own: this.#own,
      ownSource,
    };
    const rows = new Window(start, from, hashes, leaves, context);
    if (leaves.intervals.length > 0) {
      const { intervals } = leaves;
      await rows.events(this.#log.read({ name: "events", window, intervals }));
      await rows.quarantine(this.#log.read({ name: "quarantine", window, intervals }));
    }
    rows.end();
    const isUnknown = ({ leaf }: Difference): boolean => unknown.has(Math.floor(leaf / TILE_WIDTH));
    for (const difference of rows.differences)
      this.#differences.push({ ...difference, unknown: isUnknown(difference) });
    this.#uncounted += rows.uncounted;
    let at = from;
    for (const checkpoint of expected) {
      at = this.#feed(at, checkpoint.size, start, hashes, rows.rowHashes, tiles);
      this.#compare(checkpoint, leaves, context);
    }
    this.#feed(at, end, start, hashes, rows.rowHashes, tiles);
    if (end === size) this.#upper.end(window, size, tiles, findings);
  }

  /** The roots that must come up in the window, in the order of their sizes. */
  async #expected(window: number, from: number, end: number, size: number): Promise<ExpectedRoot[]> {
    const expected: ExpectedRoot[] = [];
    const elsewhereUpTo = (most: number): void => {
      for (; ; this.#compared++) {
        const next = this.#elsewhere[this.#compared];
        if (next === undefined || next.checkpoint.size > most) return;
        expected.push(this.#signers.elsewhere(next.checkpoint, next.file));
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

  /** Lets the tree grow from leaf `at` to before `stop`. */
  #feed(
    at: number,
    stop: number,
    start: number,
    hashes: Buffer,
    rowHashes: ReadonlyMap<number, string>,
    tiles: Tiles,
  ): number {
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
        this.#upper.append(root, tiles, this.#findings);
      } else {
        for (let n = leaf; n < end; n++) range.append(hashAt(n));
        if (end % TILE_WIDTH === 0) this.#upper.append(range.lastTile, tiles, this.#findings);
      }
      leaf = end;
    }
    return stop;
  }

  /** Compares the tree as it stands with a root that it must have. */
  #compare(expected: ExpectedRoot, leaves: WindowLeaves, context: WindowContext): void {
    const { size, root, trusted, file, signers } = expected;
    const findings = this.#findings;
    const at = { leaf: size };
    if (this.#range.root() === root) {
      if (!trusted) return;
      this.#resolve(size, "tiles");
      this.#byRows = undefined;
      this.#good = size;
      return;
    }
    if (trusted && this.#byRows?.root() === root) {
      this.#resolve(size, "rows", { leaves, context });
      this.#range = this.#byRows;
      this.#byRows = undefined;
      this.#good = size;
      return;
    }
    if (file !== undefined) {
      findings.add(
        "rewritten",
        `history before leaf ${size} was rewritten: the checkpoint of that size in ${file}, signed by ${signers}, has another root than the database`,
        at,
      );
    } else if (!trusted) {
      if (signers !== "") return;
      findings.add(
        "checkpoint",
        `the checkpoint of ${size} leaves has another root than the tree: one of them was changed`,
        at,
      );
    } else if (this.#broken) this.#uncompared++;
    else {
      const numbers = leaves.text(this.#good, size);
      findings.add(
        "rewritten",
        `the tree was changed between leaf ${this.#good} and leaf ${size - 1}: the checkpoint of ${size} leaves, signed by ${signers}, has another root; these are ${numbers}`,
        at,
      );
      this.#resolve(size, "tiles");
      this.#byRows = undefined;
      this.#broken = true;
    }
  }

  /** Judges the differences before leaf `size`: either their tiles or their rows are what was signed. */
  #resolve(
    size: number,
    right: "tiles" | "rows",
    found?: { readonly leaves: WindowLeaves; readonly context: WindowContext },
  ): void {
    if (this.#differences.length === 0) return;
    const judged = this.#differences.filter(({ leaf }) => leaf < size);
    this.#differences = this.#differences.filter(({ leaf }) => leaf >= size);
    if (right === "tiles") {
      judgeDifferences(
        judged.filter(({ unknown }) => unknown !== true),
        this.#findings,
      );
      this.#findings.more(this.#uncounted);
      this.#uncounted = 0;
      return;
    }
    const present = judged.filter((difference) => difference.found !== undefined);
    judgeDifferences(
      judged.filter(({ found: row, unknown }) => row === undefined && unknown !== true),
      this.#findings,
    );
    const byTile = new Map<number, Difference[]>();
    for (const difference of present) {
      const tile = Math.floor(difference.leaf / TILE_WIDTH);
      const same = byTile.get(tile);
      if (same === undefined) byTile.set(tile, [difference]);
      else same.push(difference);
    }
    for (const [tile, [first, ...others]] of byTile) {
      // That its tile is missing was said.
      if (first === undefined || first.unknown === true) continue;
      const { leaf, source, seq } = first;
      const more = others.length === 0 ? "" : ` and ${countText(others.length, "other")}`;
      this.#findings.add(
        "tree",
        `the stored tree was changed, not the events: the hash of number ${seq} of ${sourceName(source)} (leaf ${leaf})${more} in tile/0/${String(tile).padStart(3, "0")} is not the one that the checkpoint of ${size} leaves stands for`,
        { leaf, source, seq },
      );
    }
    for (const { leaf, source, seq, found: row } of present) {
      if (row?.name === undefined || found === undefined) continue;
      if (row.personal === "erased") this.#tally.erased++;
      else this.#tally.kept++;
      judgePersonal(row.personal, row.name, leaf, found.context);
      const own = source === found.context.ownSource ? this.#own.get(seq) : undefined;
      if (own !== undefined && row.personal === "kept") own.state = "intact";
    }
  }

  async #beyond(size: number): Promise<void> {
    for (const line of await this.#lines({ name: "beyond", size })) {
      const [kind, place] = line.split("\t");
      const what = { range: "a range from leaf", checkpoint: "a checkpoint of size", tile: "a tile with number" }[
        kind ?? ""
      ];
      this.#findings.add(
        "tree",
        `there is ${what ?? kind} ${place}, beyond the tree of ${size} leaves: the tree was cut, or something was added to it`,
      );
    }
  }

  #report(read: {
    readonly size: number;
    readonly root: string;
    readonly readAt: string;
    readonly sources: number;
    readonly unsealed: Unsealed;
    readonly removals: { readonly erasures: number; readonly prunings: number };
  }): VerifyReport {
    const { size, unsealed, removals } = read;
    const { kept, erased, pruned, quarantined, back, hashed } = this.#tally;
    const { unnamed, newest } = this.#signers;
    if (back > 0) {
      this.#notes.push(
        `On record as erased or pruned, and there again: ${countText(back, "event")}; a backup was restored, or the removal undone.`,
      );
    }
    if (unnamed > 0)
      this.#notes.push(
        `${countText(unnamed, "checkpoint")} before the first of the keys named ${unnamed === 1 ? "is" : "are"} signed by a key that was not named; the later ones vouch for what they stand for.`,
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
      erasures: removals.erasures,
      pruned,
      prunings: removals.prunings,
      removals: this.#removals.list(this.#own),
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
