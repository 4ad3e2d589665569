/** One window: which of its leaves the rows make, and which rows make none. */

import { createHash, type Hash } from "node:crypto";
import { byteaValue, canonicalTime, copyValues } from "./copy-values.ts";
import { type Difference, nameOf } from "./differences.ts";
import { besideText, type EventName, eventText, type Findings, NOT_OWN, numbersText, sourceName } from "./findings.ts";
import { HASH_BYTES, isHashAt, leafHash } from "./hashing.ts";
import type { LeafInterval, WindowLeaves } from "./leaf-ranges.ts";
import { batchesOf, linesOf } from "./raw-log.ts";
import type { OwnEvent, Removals } from "./removals.ts";
import { type PersonalState, RowReader } from "./row-reader.ts";

/** What the windows have in common. */
export interface Tally {
  /** Events whose leaf is right and whose personal part is there. */
  kept: number;
  erased: number;
  pruned: number;
  quarantined: number;
  /** Events that were removed on record, and are there. */
  back: number;
  /** Bytes of events that were hashed. */
  hashed: number;
}

/** So many differences are kept with what is known of them; the others are counted. */
const MOST_DIFFERENCES = 5_000;

const NONE = 0;
const EVENT = 1;
const QUARANTINED = 2;

export interface WindowContext {
  readonly findings: Findings;
  readonly removals: Removals;
  readonly tally: Tally;
  /** Events of the log's own source, by number. */
  readonly own: Map<number, OwnEvent>;
  readonly ownSource: string;
}

export class Window {
  /** By leaf: what the row that stands there makes, where that is not what the tile has. */
  readonly rowHashes: Map<number, string> = new Map();
  readonly differences: Difference[] = [];
  /** Differences that were not kept. */
  uncounted = 0;
  readonly #start: number;
  readonly #from: number;
  readonly #hashes: Buffer;
  readonly #leaves: WindowLeaves;
  readonly #context: WindowContext;
  /** By leaf: what made it. */
  readonly #made: Uint8Array;
  readonly #reader = new RowReader();

  /**
   * @param start the window's first leaf
   * @param from the first leaf that is looked at
   * @param hashes the leaves as the tiles have them
   */
  constructor(start: number, from: number, hashes: Buffer, leaves: WindowLeaves, context: WindowContext) {
    this.#start = start;
    this.#from = from;
    this.#hashes = hashes;
    this.#leaves = leaves;
    this.#context = context;
    this.#made = new Uint8Array(hashes.length / HASH_BYTES);
  }

  /** Takes the rows of the window's intervals, in any order. */
  async events(pieces: AsyncIterable<Buffer>): Promise<void> {
    for await (const batch of batchesOf(pieces)) this.rows(batch);
  }

  #current: LeafInterval | undefined;
  /** Whether something of the current interval's source was removed on record. */
  #isReduced = false;

  /** Takes whole rows. */
  rows(batch: Buffer): void {
    const reader = this.#reader;
    const { tally, ownSource } = this.#context;
    const { offsets } = this.#leaves;
    const hashes = this.#hashes;
    for (let start = 0; start < batch.length; ) {
      start = reader.read(batch, start);
      tally.hashed += reader.hashed;
      let current = this.#current;
      if (
        current === undefined ||
        !reader.isOf(current.words) ||
        reader.seq < current.first ||
        reader.seq > current.last
      ) {
        current = this.#leaves.interval(reader.source(), reader.seq);
        // An export may have more than was asked for.
        if (current === undefined) continue;
        this.#current = current;
        this.#isReduced = this.#context.removals.has(current.source);
      }
      const offset = offsets[current.base + reader.seq - current.first] as number;
      if (offset < this.#from - this.#start) continue;
      const byte = offset * HASH_BYTES;
      const isSealed = isHashAt(hashes, byte, reader.leaf);
      if (current.source === ownSource) {
        if (!reader.isOwn()) {
          this.#strayed(offset, current.source);
          continue;
        }
        this.#keepOwn(offset, isSealed);
      }
      if (isSealed && this.#made[offset] === NONE && reader.personal === "kept") {
        this.#made[offset] = EVENT;
        tally.kept++;
        if (this.#isReduced && this.#context.removals.covers("any", current.source, reader.seq)) tally.back++;
      } else this.#odd(offset, current.source, isSealed);
    }
  }

  /** A row that is not simply what was sealed. */
  #odd(offset: number, source: string, isSealed: boolean): void {
    const { findings, tally } = this.#context;
    const { seq, personal } = this.#reader;
    const leaf = this.#start + offset;
    const name = nameOf(this.#reader.entry(), source, seq);
    const at = { leaf, source, seq, event_id: name.id };
    if (!isSealed) {
      this.#differ({
        leaf,
        source,
        seq,
        sealed: this.#sealed(offset),
        found: { hash: this.#reader.leaf, entry: this.#reader.entry(), personal, name },
      });
    } else if (this.#made[offset] !== NONE) {
      findings.add("inserted", `${eventText(name)} was inserted: that number is there already`, at);
    } else {
      this.#made[offset] = EVENT;
      if (personal === "erased") tally.erased++;
      else tally.kept++;
      judgePersonal(personal, name, leaf, this.#context);
    }
  }

  /** A row under the own source's id that the database has not made: it counts as nothing, whatever its number. */
  #strayed(offset: number, source: string): void {
    const { seq } = this.#reader;
    const name = nameOf(this.#reader.entry(), source, seq);
    const at = { leaf: this.#start + offset, source, seq, event_id: name.id };
    this.#context.findings.add("inserted", `${eventText(name)} was inserted: ${NOT_OWN}`, at);
  }

  #differ(difference: Difference): void {
    if (difference.found !== undefined) this.rowHashes.set(difference.leaf, difference.found.hash);
    if (this.differences.length < MOST_DIFFERENCES) this.differences.push(difference);
    else this.uncounted++;
  }

  #sealed(offset: number): string {
    return this.#hashes.toString("latin1", offset * HASH_BYTES, (offset + 1) * HASH_BYTES);
  }

  #keepOwn(offset: number, isSealed: boolean): void {
    const known = this.#context.own.get(this.#reader.seq);
    if (known?.state === "intact") return;
    this.#context.own.set(this.#reader.seq, ownEvent(this.#reader, this.#start + offset, isSealed));
  }

  /** Takes the records in quarantine. */
  async quarantine(pieces: AsyncIterable<Buffer>): Promise<void> {
    const { findings, removals, tally } = this.#context;
    /** Of a record whose pieces follow each other. */
    let content: Hash | undefined;
    for await (const line of linesOf(pieces)) {
      const [source = "", number = "", createdAt = "", salt, commitment, reason, record, isPart] = copyValues(line);
      content ??= createHash("sha256")
        .update(byteaValue(salt ?? ""))
        .update(`${reason}\0`);
      content.update(byteaValue(record ?? ""));
      if (isPart === "t") continue;
      const made = content.digest("hex");
      content = undefined;
      const seq = Number(number);
      const interval = this.#leaves.interval(source ?? "", seq);
      if (interval === undefined) continue;
      const offset = this.#leaves.offsets[interval.base + seq - interval.first] as number;
      const leaf = this.#start + offset;
      if (leaf < this.#from) continue;
      const digits = byteaValue(commitment ?? "").toString("hex");
      const entry = `{"created_at":"${canonicalTime(createdAt ?? "")}","quarantined":true,"seq":${number},"source_id":"${source}"}\n${digits}`;
      const hash = leafHash(entry);
      const what = `the record in quarantine with number ${seq} of ${sourceName(interval.source)}`;
      const at = { leaf, source: interval.source, seq };
      const isKept = salt !== null && byteaValue(salt ?? "").length === 16 && made === digits;
      if (hash !== this.#sealed(offset)) {
        const personal = salt === null ? "erased" : isKept ? "kept" : "changed";
        this.#differ({ ...at, sealed: this.#sealed(offset), found: { hash, entry, personal } });
        continue;
      }
      if (this.#made[offset] !== NONE) {
        findings.add("inserted", `${what} was inserted: that number is there already`, at);
        continue;
      }
      this.#made[offset] = QUARANTINED;
      if (salt === null) {
        tally.erased++;
        if (!removals.covers("erased", interval.source, seq)) {
          findings.add("erased", `${what} was erased, and no record says by whom`, at);
        } else if (reason !== "erased" || record !== "\\x") {
          findings.add("changed", `${what} was changed: it was erased, and something stands there`, at);
        }
      } else if (isKept) tally.quarantined++;
      else findings.add("changed", `${what} was changed: its reason or its bytes are not what was sealed`, at);
    }
  }

  /** When all rows were taken: the leaves that none has made. */
  end(): void {
    const { findings, removals, tally } = this.#context;
    const different = new Set(this.differences.map(({ leaf }) => leaf));
    let hole: { source: string; first: number; last: number; leaf: number } | undefined;
    const closeHole = (): void => {
      if (hole === undefined) return;
      const { source, first, last, leaf } = hole;
      findings.add(
        "hole",
        `${numbersText(first, last)} of ${sourceName(source)} had no event when ${first === last ? "it was" : "they were"} sealed, though the source had stored ${first === last ? "it" : "them"}: removed before that`,
        { leaf, source, seq: first, last_seq: last },
      );
      hole = undefined;
    };
    for (let offset = Math.max(0, this.#from - this.#start); offset < this.#made.length; offset++) {
      if (this.#made[offset] !== NONE) continue;
      const leaf = this.#start + offset;
      const at = this.#leaves.at(leaf);
      if (at === undefined) continue;
      const { source, seq } = at;
      const sealed = this.#sealed(offset);
      if (sealed === leafHash(`{"missing":true,"seq":${seq},"source_id":"${source}"}`)) {
        if (hole?.source === source && hole.last === seq - 1) hole.last = seq;
        else {
          closeHole();
          hole = { source, first: seq, last: seq, leaf };
        }
        for (const { found } of this.differences.filter((difference) => difference.leaf === leaf)) {
          const text =
            found?.name === undefined ? `a record in quarantine (${numbersText(seq, seq)})` : eventText(found.name);
          findings.add("inserted", `${text} was inserted: when its number was sealed, it had no event`, {
            ...at,
            leaf,
          });
        }
        this.rowHashes.delete(leaf);
        this.#made[offset] = EVENT;
      } else if (different.has(leaf)) {
        // Judged later.
      } else if (removals.covers("pruned", source, seq)) tally.pruned++;
      else this.#differ({ leaf, source, seq, sealed });
    }
    closeHole();
    // A row beside the one that makes the leaf.
    for (let i = this.differences.length - 1; i >= 0; i--) {
      const { leaf, source, seq, found } = this.differences[i] as Difference;
      if (this.#made[leaf - this.#start] === NONE) continue;
      this.differences.splice(i, 1);
      this.rowHashes.delete(leaf);
      if (found === undefined || this.#isMissing(leaf, source, seq)) continue;
      const text =
        found.name === undefined
          ? `a record in quarantine (number ${seq} of ${sourceName(source)})`
          : eventText(found.name);
      findings.add("inserted", `${text} ${besideText("was sealed with that number, and is there")}`, {
        leaf,
        source,
        seq,
        ...(found.name === undefined ? {} : { event_id: found.name.id }),
      });
    }
  }

  #isMissing(leaf: number, source: string, seq: number): boolean {
    return this.#sealed(leaf - this.#start) === leafHash(`{"missing":true,"seq":${seq},"source_id":"${source}"}`);
  }
}

/** Says what is wrong with the personal part of a row whose leaf is right. */
export function judgePersonal(personal: PersonalState, name: EventName, leaf: number, context: WindowContext): void {
  const { source, id } = name;
  // It has a leaf, so it is a number that a range covers: none beyond 2^53.
  const seq = Number(name.seq);
  const at = { leaf, source, seq, event_id: id };
  const isErased = context.removals.covers("erased", source, seq);
  if (personal === "changed") {
    context.findings.add(
      "changed",
      `${eventText(name)} was changed: its personal part (who, address, path, data …) is not what was sealed`,
      at,
    );
  } else if (personal === "erased" && !isErased) {
    context.findings.add(
      "erased",
      `${eventText(name)} was erased, and no record says by whom: its personal part is blank`,
      at,
    );
  }
}

/** The event of the own source that was read. @param isSealed whether it makes its leaf */
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
