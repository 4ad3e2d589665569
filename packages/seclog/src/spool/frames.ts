import { Buffer } from "node:buffer";
import { FRAME_BYTES, type FrameSlab, frameSlab, sealedPayload, sealFrame } from "./segment.ts";

/** The size of a slab of memory, in bytes; the next slab follows when it is full. */
const SLAB_BYTES = 256 * 1024;

/** Slabs kept for reuse: memory outside the heap that comes and goes triggers the garbage collector. */
const MOST_SPARES = 32;

interface Slab extends FrameSlab {
  used: number;
}

/** Consecutive frames in one slab, written together. */
export interface Chunk {
  readonly slab: FrameSlab;
  readonly from: number;
  readonly to: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/**
 * One source's frames in memory: all that are not known to be on disk.
 *
 * A frame is in one of three places, in this order: open (laid down since the last `cut`), unwritten (not written yet,
 * or written to a segment that failed), unsynced (written to a segment that may still fail).
 */
export class FrameMemory {
  #slab: Slab = { ...frameSlab(SLAB_BYTES), used: 0 };
  readonly #spares: Slab[] = [];
  /** Where the open frames begin in the slab. */
  #openFrom = 0;
  #openSeq = 1;
  #unwritten: Chunk[] = [];
  #unsynced: Chunk[] = [];
  #waitingBytes = 0;

  /** The number of the last frame. */
  lastSeq = 0;

  /** Bytes of the frames that are written but not synced. */
  unsyncedBytes = 0;

  /** Bytes of all frames in memory. */
  get bytes(): number {
    return this.#waitingBytes + this.unsyncedBytes + this.#slab.used - this.#openFrom;
  }

  /** The oldest unwritten frames; open ones do not count. */
  get nextUnwritten(): Chunk | undefined {
    return this.#unwritten[0];
  }

  get hasUnsynced(): boolean {
    return this.#unsynced.length > 0;
  }

  /**
   * Lays down the frame of the number after `lastSeq`. Returns true when that filled a slab, which should be written
   * soon.
   */
  append(seq: number, text: string): boolean {
    const most = FRAME_BYTES + text.length * 3;
    const full = this.#slab.used + most > this.#slab.bytes.length;
    if (full) this.#takeSlab(most);
    const slab = this.#slab;
    const length = slab.bytes.write(text, slab.used + FRAME_BYTES, "utf8");
    this.lastSeq = seq;
    slab.used = sealFrame(slab, slab.used, length, seq);
    return full;
  }

  /** Turns the open frames into unwritten ones. */
  cut(): void {
    const to = this.#slab.used;
    if (to === this.#openFrom) return;
    this.#unwritten.push({
      slab: this.#slab,
      from: this.#openFrom,
      to,
      firstSeq: this.#openSeq,
      lastSeq: this.lastSeq,
    });
    this.#waitingBytes += to - this.#openFrom;
    this.#openFrom = to;
    this.#openSeq = this.lastSeq + 1;
  }

  /** Marks the oldest unwritten frames as written. */
  written(): void {
    const chunk = this.#unwritten.shift();
    if (chunk === undefined) return;
    this.#unsynced.push(chunk);
    this.#waitingBytes -= chunk.to - chunk.from;
    this.unsyncedBytes += chunk.to - chunk.from;
  }

  /** Marks the frames up to `seq` as on disk, and reuses their memory. */
  synced(seq: number): void {
    for (let chunk = this.#unsynced[0]; chunk !== undefined && chunk.lastSeq <= seq; chunk = this.#unsynced[0]) {
      this.#unsynced.shift();
      this.unsyncedBytes -= chunk.to - chunk.from;
      const { slab } = chunk;
      const inUse = slab === this.#slab || slab === (this.#unsynced[0] ?? this.#unwritten[0])?.slab;
      if (!inUse && slab.bytes.length === SLAB_BYTES && this.#spares.length < MOST_SPARES) {
        this.#spares.push({ ...slab, used: 0 });
      }
    }
  }

  /** Marks what was written as unwritten: its segments are no longer trusted. */
  unwrite(): void {
    this.#unwritten = [...this.#unsynced, ...this.#unwritten];
    this.#unsynced = [];
    this.#waitingBytes += this.unsyncedBytes;
    this.unsyncedBytes = 0;
  }

  /** Copies of the payloads in the unwritten chunks after `seq`, in order. */
  payloadsAfter(seq: number): Buffer[] {
    this.cut();
    const payloads: Buffer[] = [];
    for (const { slab, from, to, firstSeq } of this.#unwritten) {
      if (firstSeq <= seq) continue;
      for (let at = from; at < to; ) {
        const payload = Buffer.from(sealedPayload(slab.bytes, at));
        payloads.push(payload);
        at += FRAME_BYTES + payload.length;
      }
    }
    return payloads;
  }

  #takeSlab(atLeast: number): void {
    this.cut();
    const spare = atLeast <= SLAB_BYTES ? this.#spares.pop() : undefined;
    this.#slab = spare ?? { ...frameSlab(Math.max(SLAB_BYTES, atLeast)), used: 0 };
    this.#openFrom = 0;
  }
}
