/**
 * The position of each source in the files of a log, which makes the file handler idempotent.
 *
 * The lines contain the positions, so nothing else needs to be committed with them. `position.json` only saves reading
 * them all: it has the positions up to a place in one file, identified by inode since rotation renames files. It is
 * written after the lines are on disk, so it is never ahead of them, and is caught up by reading the lines after that
 * place. If it is missing or damaged, all files are read.
 */
import type { FileHandle } from "node:fs/promises";

/** Sources to remember, the most recent ones. A redelivered batch of an older source would be written again. */
const MOST_SOURCES = 10_000;

/** Bytes per read. */
const CHUNK_BYTES = 1 << 20;

/** The head of a line as `eventToJson` writes it. A `"seq"` further on is part of the event's data. */
const HEAD = /^\{"v":\d+,"id":"[^"]*","occurred_at":"[^"]*","source_id":"([^"]*)","epoch":\d+,"seq":(\d+)[,}]/;

/** Upper bound on a head's length. */
const HEAD_BYTES = 512;

const NEWLINE = 10;

/** The place up to which positions are saved. */
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

  /** Moves the source's position forward, never back. */
  advance(sourceId: string, seq: number): void {
    const known = this.#last.get(sourceId) ?? 0;
    // Deleted first, so that the map is ordered by the last write.
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

  /** Loads the positions of a `position.json`. Returns `undefined` when the text is not a complete one. */
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
   * @returns where the last whole line ends: anything after it is torn
   */
  async catchUp(file: FileHandle, offset: number): Promise<number> {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let end = offset;
    let at = offset;
    // The start of a line that continues in the next chunk. Only its head matters.
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
