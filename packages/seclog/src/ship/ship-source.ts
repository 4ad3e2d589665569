import type { SpoolRead } from "../spool/reader.ts";
import type { Successor } from "./successor.ts";

/** Reads a source's events in order, from a spool on disk or in memory. */
export interface RecordReader {
  seek(afterSeq: number): void;
  read(limit: number | undefined, maxRecords: number, maxBytes: number): SpoolRead;
  close(): void;
}

/** A source to be shipped. */
export interface ShipSource {
  readonly id: string;
  readonly epoch: number;
  readonly key: string;
  openReader(afterSeq: number): RecordReader;
  /** The last number that may be shipped now; `undefined` for a dead process's source, which is read to its end. */
  limit(): number | undefined;
  loadCursor(handler: string): number;
  saveCursor(handler: string, seq: number): void;
  /** The source under which a handler continues this one's events, if it has one. */
  loadSuccessor(handler: string): Successor | undefined;
  saveSuccessor(handler: string, successor: Successor): void;
  /** Every handler has acknowledged up to `seq`: what is older may be deleted. */
  release(seq: number): void;
}
