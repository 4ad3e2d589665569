/**
 * How far each source is in a log that was written to files: what makes the file handler idempotent.
 *
 * The lines themselves say it, so nothing has to be committed together with them. `position.json` only saves
 * reading them all: it has the positions up to a place in one file (by inode, since rotation renames files), is written
 * after the lines are on disk, hence never ahead of them, and is caught up by reading what comes after that place.
 * Missing or damaged, all files are read.
 */
import type { FileHandle } from "node:fs/promises";

/** Sources that are remembered: those written to last. Beyond that a redelivered source would be written again. */
const MOST_SOURCES = 10_000;

/** Bytes read at once. */
const CHUNK_BYTES = 1 << 20;

/** The head of a line as `eventToJson` writes it; `"seq"` deeper in the line is somebody's data. */
const HEAD = /^\{"v":\d+,"id":"[^"]*","occurred_at":"[^"]*","source_id":"([^"]*)","epoch":\d+,"seq":(\d+)[,}]/;

/** No head is longer. */
const HEAD_BYTES = 512;

const NEWLINE = 10;

/** The place up to which positions are known. */
export interface KnownPlace {
  /** The file's inode, in decimal. */
  readonly ino: string;
  /** Bytes from its beginning. */
  readonly offset: number;
}

/** The highest seq of each source. */
export class Positions {
  readonly #last = new Map<string, number>();

  get(sourceId: string): number {
    return this.#last.get(sourceId) ?? 0;
  }

  /** Remembers that the source is at least that far. */
  advance(sourceId: string, seq: number): void {
    const known = this.#last.get(sourceId) ?? 0;
    // Deleted first, so that the map's order is that of the last write.
    this.#last.delete(sourceId);
    this.#last.set(sourceId, Math.max(known, seq));
    if (this.#last.size <= MOST_SOURCES) return;
    for (const oldest of this.#last.keys()) {
      this.#last.delete(oldest);
      break;
    }
  }

  /** The text of `position.json`. */
  encode(place: KnownPlace): string {
    return JSON.stringify({ v: 1, ...place, sources: [...this.#last] });
  }

  /** Takes the positions of a `position.json` over; `undefined` when the text is not a whole one. */
  decode(text: string): KnownPlace | undefined {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return undefined;
    }
    if (typeof value !== "object" || value === null) return undefined;
    const { v, ino, offset, sources } = value as { readonly [key: string]: unknown };
    if (v !== 1 || typeof ino !== "string" || typeof offset !== "number" || !Array.isArray(sources)) return undefined;
    for (const entry of sources as readonly unknown[]) {
      if (!Array.isArray(entry)) continue;
      const [id, seq] = entry as readonly unknown[];
      if (typeof id === "string" && typeof seq === "number") this.advance(id, seq);
    }
    return { ino, offset };
  }

  /**
   * Reads the lines of a file from `offset` on.
   *
   * @returns where the last whole line ends: what comes after it is torn
   */
  async catchUp(file: FileHandle, offset: number): Promise<number> {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let end = offset;
    let at = offset;
    // The beginning of a line that goes on in the next chunk: its head is all that matters.
    let head = "";
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) return end;
      const bytes = chunk.subarray(0, bytesRead);
      let from = 0;
      for (let to = bytes.indexOf(NEWLINE); to >= 0; to = bytes.indexOf(NEWLINE, from)) {
        this.#read(head + bytes.toString("latin1", from, Math.min(to, from + HEAD_BYTES)));
        head = "";
        from = to + 1;
        end = at + from;
      }
      if (head.length < HEAD_BYTES) head += bytes.toString("latin1", from, Math.min(bytesRead, from + HEAD_BYTES));
      at += bytesRead;
    }
  }

  #read(head: string): void {
    const match = HEAD.exec(head);
    if (match?.[1] !== undefined) this.advance(match[1], Number(match[2]));
  }
}
