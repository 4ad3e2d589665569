/**
 * How far a handler has acknowledged a source, kept beside its segments.
 *
 * A hint, and never ahead of the truth: it is written after the handler's word, and after a crash a handler may
 * be given events again, which it must recognise. It is what tells that a store was rolled back: a store
 * that has less than the cursor has lost what it once acknowledged.
 */
import { join } from "node:path";
import { isErrno, type SpoolFs } from "./fs.ts";

/** The number up to which the handler has acknowledged, 0 when nothing is known. */
export function readCursor(fs: SpoolFs, directory: string, handler: string): number {
  try {
    const text = fs.readFileSync(join(directory, cursorName(handler)), "utf8");
    return /^\d{1,15}\n$/.test(text) ? Number(text) : 0;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return 0;
    throw error;
  }
}

/** Keeps it. Atomic by rename; not synced, because losing it costs only a repetition. */
export function writeCursor(fs: SpoolFs, directory: string, handler: string, seq: number): void {
  const path = join(directory, cursorName(handler));
  fs.writeFileSync(`${path}.tmp`, `${seq}\n`, { mode: 0o600 });
  fs.renameSync(`${path}.tmp`, path);
}

/** How far each handler has acknowledged a source, of those that its process had. */
export function listCursors(fs: SpoolFs, directory: string): Map<string, number> {
  const names = fs.readdirSync(directory).flatMap((name) => /^cursor\.([a-z0-9_-]+)$/.exec(name)?.[1] ?? []);
  return new Map(names.map((name) => [name, readCursor(fs, directory, name)]));
}

function cursorName(handler: string): string {
  return `cursor.${handler}`;
}
