/**
 * How far a handler has acknowledged a source, kept beside its segments.
 *
 * A hint, and never ahead of the truth: it is written after the handler's word, and after a crash a handler may
 * be given events again, which it must recognise. It is what tells that a store was rolled back: a store
 * that has less than the cursor has lost what it once acknowledged.
 *
 * The file has two lines of equal length, and the older one is written over and synced: in place, so that it can be kept
 * on a full disk, where segments can only be deleted once it is. Each has the number twice: a damaged one
 * must not be taken for one that is further on, since that would skip events. When one is damaged the handler may be
 * further on than the other one says, but no less than where the segments begin: what is deleted every handler had.
 */
import { dirname, join } from "node:path";
import { openFile, readAt } from "./files.ts";
import { assertAbsent, type SpoolFs } from "./fs.ts";
import { withReserve } from "./reserve.ts";

const DIGITS = 15;
const LINE_BYTES = 2 * DIGITS + 2;

/** What a cursor says. */
export interface Cursor {
  /** The number up to which the handler has acknowledged, 0 when nothing is known; at least that when it is damaged. */
  readonly seq: number;
  /** A handler that is new has none. */
  readonly state: "whole" | "damaged" | "missing";
}

/** @throws the file system's error, also when the directory is not there */
export function readCursor(fs: SpoolFs, directory: string, handler: string): Cursor {
  const lines = readLines(fs, directory, handler);
  const state = lines.length === 0 ? "missing" : lines.includes(-1) ? "damaged" : "whole";
  return { seq: Math.max(0, ...lines), state };
}

/** Keeps it. It is on disk when this returns, but for the name of a new file, which the reserve of the root has room for. */
export function writeCursor(fs: SpoolFs, directory: string, handler: string, seq: number): void {
  withReserve(fs, dirname(directory), () => write(fs, directory, handler, seq));
}

function write(fs: SpoolFs, directory: string, handler: string, seq: number): void {
  const number = String(seq).padStart(DIGITS, "0");
  const line = `${number} ${number}\n`;
  const fd = openOrMake(fs, directory, cursorName(handler));
  try {
    const [first, second] = linesOf(fs, fd);
    const none = first < 0 && second < 0;
    const text = none ? line + line : line;
    const written = fs.writeSync(fd, text, first <= second ? 0 : LINE_BYTES);
    if (written !== text.length) throw new Error("short write of a cursor");
    fs.fdatasyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function openOrMake(fs: SpoolFs, directory: string, name: string): number {
  const path = join(directory, name);
  try {
    return openFile(fs, path, "update");
  } catch (error) {
    assertAbsent(fs, directory, name, error);
    return fs.openSync(path, "wx+", 0o600);
  }
}

/** How far each handler has acknowledged a source, of those that its process had. */
export function listCursors(fs: SpoolFs, directory: string): Map<string, number> {
  const names = fs.readdirSync(directory).flatMap((name) => /^cursor\.([a-z0-9_-]+)$/.exec(name)?.[1] ?? []);
  return new Map(names.map((name) => [name, readCursor(fs, directory, name).seq]));
}

/** The numbers of both lines, -1 for one that is damaged; none when there is no such file. */
function readLines(fs: SpoolFs, directory: string, handler: string): number[] {
  const name = cursorName(handler);
  let fd: number;
  try {
    fd = openFile(fs, join(directory, name), "read");
  } catch (error) {
    assertAbsent(fs, directory, name, error);
    return [];
  }
  try {
    return linesOf(fs, fd);
  } finally {
    fs.closeSync(fd);
  }
}

function linesOf(fs: SpoolFs, fd: number): [first: number, second: number] {
  const text = readAt(fs, fd, 0, 2 * LINE_BYTES).toString("latin1");
  const numberAt = (at: number): number => Number(/^(\d{15}) \1\n$/.exec(text.slice(at, at + LINE_BYTES))?.[1] ?? -1);
  return [numberAt(0), numberAt(LINE_BYTES)];
}

function cursorName(handler: string): string {
  return `cursor.${handler}`;
}
