/**
 * Appends each checkpoint to a file, with an empty line between notes. Best on another machine's disk.
 *
 * It writes and syncs each note in one piece. Before it appends the next, it removes a note that a crash cut short, and only
 * that: it refuses a file that ends in anything else.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { SeclogError } from "seclog";
import { type Checkpoint, NoteError, parseCheckpoint, parseNote } from "seclog/merkle";
import { compareWithKept, type Publisher } from "./publisher.ts";

/** Longer than any note, so that this many bytes contain the last one. */
const MOST_NOTE_BYTES = 128 * 1024;

export function filePublisher(path: string): Publisher {
  const name = `file ${path}`;
  return {
    name,
    async publish(checkpoint, context) {
      const { file, created } = await openOrCreate(path);
      try {
        const { size } = await file.stat();
        const from = Math.max(0, size - MOST_NOTE_BYTES);
        const tail = Buffer.alloc(size - from);
        await readWhole(file, tail, from);
        const { end, kept } = lastNote(tail, from === 0, checkpoint.origin, path);
        if (end < tail.length) await file.truncate(from + end);
        if (kept?.origin === checkpoint.origin) {
          const standing = await compareWithKept(kept, checkpoint, context, path);
          if (standing !== "behind") {
            // A crash may have prevented its sync.
            await file.sync();
            return;
          }
        }
        const note = Buffer.from((from + end > 0 ? "\n" : "") + checkpoint.note);
        for (let written = 0; written < note.length; ) {
          written += (await file.write(note, written, note.length - written)).bytesWritten;
        }
        await file.sync();
        if (created) await syncFolder(dirname(path));
      } finally {
        await file.close();
      }
    },
  };
}

async function openOrCreate(path: string): Promise<{ readonly file: FileHandle; readonly created: boolean }> {
  // Non-blocking: a named pipe without a reader would block the thread for ever.
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_NONBLOCK;
  let created = false;
  let file: FileHandle;
  try {
    file = await open(path, flags);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    file = await open(path, flags | constants.O_CREAT, 0o644);
    created = true;
  }
  if (!(await file.stat()).isFile()) {
    await file.close();
    throw new SeclogError("SECLOG_PUBLISH", `${path} is not a regular file`);
  }
  return { file, created };
}

async function readWhole(file: FileHandle, buffer: Buffer, from: number): Promise<void> {
  for (let read = 0; read < buffer.length; ) {
    const { bytesRead } = await file.read(buffer, read, buffer.length - read, from + read);
    if (bytesRead === 0) throw new SeclogError("SECLOG_PUBLISH", "the file shrank while it was read");
    read += bytesRead;
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * The last whole note in the tail of the file, and where it ends there.
 *
 * @param whole whether the tail is the whole file
 * @throws SeclogError `SECLOG_PUBLISH` if anything but the beginning of a note of this log follows it
 */
function lastNote(
  tail: Buffer,
  whole: boolean,
  origin: string,
  path: string,
): { readonly end: number; readonly kept: Checkpoint | undefined } {
  const text = tail.toString("latin1");
  const found = findLastNote(text, whole);
  const end = found?.end ?? 0;
  // A file system may have extended the file without its content, with zeros.
  const rest = text.slice(end).replace(/\0+$/, "");
  const start = Buffer.from(`${origin}\n`).toString("latin1");
  const isBeginning = (part: string, of: string): boolean => part.startsWith(of) || of.startsWith(part);
  // Cut short in the next note, or in the second signature of this one.
  const isTorn = isBeginning(rest.replace(/^\n/, ""), start) || (found !== undefined && isBeginning(rest, `${DASH} `));
  if (!isTorn || (found === undefined && !whole)) {
    throw new SeclogError(
      "SECLOG_PUBLISH",
      `${path} ends in something other than a checkpoint of ${origin}: name another file`,
    );
  }
  return { end, kept: found?.kept };
}

/** An em dash in UTF-8, read as Latin-1, so that offsets in the text are offsets in the file. */
const DASH = "\u00e2\u0080\u0094";
const SIGNATURE_LINE = /\u00e2\u0080\u0094 [^\n]+\n(?!\u00e2\u0080\u0094 [^\n]+\n)/g;

function findLastNote(text: string, whole: boolean): { readonly end: number; readonly kept: Checkpoint } | undefined {
  const ends = [...text.matchAll(SIGNATURE_LINE)].map((match) => match.index + match[0].length);
  for (const end of ends.reverse()) {
    const middle = text.lastIndexOf("\n\n", end - 2);
    const before = text.lastIndexOf("\n\n", middle - 1);
    if (middle < 0 || (before < 0 && !whole)) continue;
    const note = Buffer.from(text.slice(before < 0 ? 0 : before + 2, end), "latin1").toString();
    try {
      return { end, kept: parseCheckpoint(parseNote(note).text) };
    } catch (error) {
      if (!(error instanceof NoteError)) throw error;
    }
  }
  return undefined;
}
