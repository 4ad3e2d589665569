/**
 * Room on the disk for the small files without which nothing gets better when it is full: a new source, the owner's file of
 * who takes over and ships what fills the disk, a new handler's cursor, a record in quarantine. Events never get it.
 *
 * It is kept as small files, `reserve/1` and on in the root, since a disk may run out of inodes as well as of bytes. When
 * a small file does not fit, one of them is removed and the call is tried again, until it fits or none is left. Any
 * process that shares the root may use them, and each of them makes the missing ones again as soon as they fit.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { isErrno, type SpoolFs } from "./fs.ts";

/** A source takes one for its folder, its owner, its segment and each handler; a takeover takes one. */
const PIECES = 16;

/** At least as much as the blocks of any usual file system: a small file fits where one of them was. */
const PIECE_BYTES = 16 * 1024;

/** What a reserve takes of the disk. */
export const RESERVED_BYTES: number = PIECES * PIECE_BYTES;

const NO_ROOM = ["ENOSPC", "EDQUOT"];

/** Whether the operating system refused for want of room: bytes, inodes or quota. */
export function isNoRoom(thrown: unknown): boolean {
  return NO_ROOM.some((code) => isErrno(thrown, code));
}

/**
 * Does what needs a small file, with the reserve's room when there is no other.
 *
 * @param work must leave nothing half done when it throws: it is called again
 * @throws what the last try threw
 */
export function withReserve<T>(fs: SpoolFs, root: string, work: () => T): T {
  for (let piece = PIECES; ; piece--) {
    try {
      return work();
    } catch (error) {
      if (!isNoRoom(error)) throw error;
      while (piece > 0 && !giveUp(fs, pathOf(root, piece))) piece--;
      if (piece === 0) throw error;
    }
  }
}

/** Makes what is missing of the reserve, as far as it fits. Never throws. */
export function fillReserve(fs: SpoolFs, root: string): void {
  for (let piece = 1; piece <= PIECES; piece++) {
    const path = pathOf(root, piece);
    try {
      if (fs.lstatSync(path).size === PIECE_BYTES) continue;
      fs.unlinkSync(path);
    } catch {
      // It is missing.
    }
    if (!make(fs, root, path)) return;
  }
}

/** Whether the piece is there now; another process may be making it. */
function make(fs: SpoolFs, root: string, path: string): boolean {
  let fd: number;
  try {
    fd = create(fs, root, path);
  } catch (error) {
    return isErrno(error, "EEXIST");
  }
  let whole = false;
  try {
    // Random, for a file system that compresses would keep no room for zeros.
    whole = fs.writeSync(fd, randomBytes(PIECE_BYTES), 0, PIECE_BYTES) === PIECE_BYTES;
  } catch {
    // No room for it now.
  }
  if (!whole) giveUp(fs, path);
  try {
    fs.closeSync(fd);
  } catch {
    // Nothing depends on what is in it.
  }
  return whole;
}

function create(fs: SpoolFs, root: string, path: string): number {
  try {
    return fs.openSync(path, "wx", 0o600);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    fs.mkdirSync(join(root, "reserve"), { mode: 0o700 });
    return fs.openSync(path, "wx", 0o600);
  }
}

function giveUp(fs: SpoolFs, path: string): boolean {
  try {
    fs.unlinkSync(path);
    return true;
  } catch {
    return false;
  }
}

function pathOf(root: string, piece: number): string {
  return join(root, "reserve", `${piece}`);
}
