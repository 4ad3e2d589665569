/**
 * How far a handler has acknowledged a source, kept beside its segments.
 *
 * A hint that is never ahead of the truth: it is written after the handler's acknowledgement, so after a crash a
 * handler may receive events again, which it must recognise. It also reveals a store that was rolled back: a store with
 * less than the cursor has lost what it once acknowledged.
 *
 * The file has two lines of equal length. Each write replaces the older one in place and syncs it, so that a cursor can
 * be kept on a full disk, where segments can only be deleted afterwards. Each line has the number twice: a damaged
 * number must not pass for a higher one, since that would skip events. When one line is damaged the handler may be
 * further on than the other says, but not behind the first segment: deleted segments were acknowledged by every
 * handler.
 */
import { dirname, join } from "node:path";
import { openFile, readAt } from "./files.ts";
import { assertAbsent, type SpoolFs } from "./fs.ts";
import { withReserve } from "./reserve.ts";

const DIGITS = 15;
const LINE_BYTES = 2 * DIGITS + 2;

/** The content of a cursor. */
export interface Cursor {
  /** The number up to which the handler has acknowledged; 0 when unknown, a lower bound when the file is damaged. */
  readonly seq: number;
  /** A new handler has none. */
  readonly state: "whole" | "damaged" | "missing";
}

/** @throws the file system's error, even when the directory is missing */
export function readCursor(fs: SpoolFs, directory: string, handler: string): Cursor {
  const lines = readLines(fs, directory, handler);
  const state = lines.length === 0 ? "missing" : lines.includes(-1) ? "damaged" : "whole";
  return { seq: Math.max(0, ...lines), state };
}

/**
 * Writes a cursor. On disk when this returns, except for the name of a new file, for which the root's reserve has room.
 */
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

/** How far each handler of the source's process has acknowledged it. */
export function listCursors(fs: SpoolFs, directory: string): Map<string, number> {
  const names = fs.readdirSync(directory).flatMap((name) => /^cursor\.([a-z0-9_-]+)$/.exec(name)?.[1] ?? []);
  return new Map(names.map((name) => [name, readCursor(fs, directory, name).seq]));
}

/** The numbers of both lines, -1 for a damaged one; empty when the file does not exist. */
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
