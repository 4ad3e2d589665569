/** The files and directories of the file system in memory (`model-fs.ts`). */
export type Errno = NodeJS.ErrnoException;

/** A change of a directory that a power loss may still take back. */
type DirectoryChange = (entries: Map<string, Node>) => void;

/** A file as processes see it, and what of it is on disk. */
export class FileNode {
  cache: Buffer = Buffer.alloc(0);
  disk: Buffer = Buffer.alloc(0);
  /** What `cache` and `disk` would be without damage. */
  intact: Buffer = Buffer.alloc(0);
  intactDisk: Buffer = Buffer.alloc(0);
  /** Byte ranges written since the last sync, in order. */
  dirty: [from: number, to: number][] = [];
  /** Its shortest length since the last successful sync: the disk may still have more. */
  cut = Number.POSITIVE_INFINITY;
  /** Failed syncs: the kernel reports each to every open file once, and the pages then count as clean. */
  failures = 0;
  mtimeMs: number = Date.now();
}

/** A directory as processes see it, and what of it is on disk. */
export class DirectoryNode {
  entries = new Map<string, Node>();
  durable = new Map<string, Node>();
  changes: DirectoryChange[] = [];
}

export type Node = FileNode | DirectoryNode;

/** `bytes` laid over `target` at an offset, with zeros where neither has any. */
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
  // Errors are frequent here, and most of their cost is the stack.
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = Object.assign(new Error(`${code}: ${what}`), { code });
  Error.stackTraceLimit = limit;
  return error;
}

/** Numbers from 0 up to 1, determined by the seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
