/** The files and directories of the file system in memory (`model-fs.ts`). */
export type Errno = NodeJS.ErrnoException;

/** An operation on a directory that a power loss may still take back. */
type DirectoryChange = (entries: Map<string, Node>) => void;

/** A file as processes see it, and as much of it as the disk has. */
export class FileNode {
  cache: Buffer = Buffer.alloc(0);
  disk: Buffer = Buffer.alloc(0);
  /** What `cache` and `disk` would be had nothing been damaged. */
  intact: Buffer = Buffer.alloc(0);
  intactDisk: Buffer = Buffer.alloc(0);
  /** Byte ranges that were written since the last sync, in order. */
  dirty: [from: number, to: number][] = [];
  /** How short it was since the last sync that succeeded: the disk may still have more. */
  cut = Number.POSITIVE_INFINITY;
  /** How many failed syncs the kernel has to tell: each open file learns it once, and the pages count as clean. */
  failures = 0;
  mtimeMs: number = Date.now();
}

/** A directory as processes see it, and as the disk has it. */
export class DirectoryNode {
  entries = new Map<string, Node>();
  durable = new Map<string, Node>();
  changes: DirectoryChange[] = [];
}

export type Node = FileNode | DirectoryNode;

/** `bytes` laid over `target` at an offset, with zeros where neither has anything. */
export function overlay(target: Buffer, bytes: Buffer, at: number): Buffer {
  const result = Buffer.alloc(Math.max(target.length, bytes.length === 0 ? 0 : at + bytes.length));
  target.copy(result);
  bytes.copy(result, at);
  return result;
}

export const parts = (path: string): string[] => {
  const known = PARTS.get(path) ?? path.split("/").filter((name) => name !== "" && name !== ".");
  PARTS.set(path, known);
  return known;
};
const PARTS = new Map<string, string[]>();
export const lastPart = (path: string): string => parts(path).at(-1) ?? "";

export function errno(code: string, what: string): Errno {
  // Errors are ordinary here, and a stack is most of what one costs.
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = Object.assign(new Error(`${code}: ${what}`), { code });
  Error.stackTraceLimit = limit;
  return error;
}

/** Numbers from 0 up to 1 that follow from the seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
