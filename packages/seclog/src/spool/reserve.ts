/**
 * Room on the disk for the small files without which a full disk cannot recover: a new source, the owner's file of a
 * process that takes over and ships what fills the disk, a new handler's cursor, a record in quarantine. Events never
 * get it.
 *
 * It is kept as small files, `reserve/1` and on in the root, since a disk may run out of inodes as well as of bytes.
 * When a small file does not fit, one of them is removed and the call is retried, until it fits or none is left. Any
 * process that shares the root may use them, and each process recreates missing ones as soon as they fit.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { isErrno, type SpoolFs } from "./fs.ts";

/** A source takes one for its folder, its owner, its segment and each handler; a takeover takes one. */
const PIECES = 16;

/** At least a block of any usual file system: a small file fits where a piece was. */
const PIECE_BYTES = 16 * 1024;

/** The disk space of a reserve. */
export const RESERVED_BYTES: number = PIECES * PIECE_BYTES;

const NO_ROOM = ["ENOSPC", "EDQUOT"];

/** Whether the operating system refused for lack of room: bytes, inodes or quota. */
export function isNoRoom(thrown: unknown): boolean {
  return NO_ROOM.some((code) => isErrno(thrown, code));
}

/**
 * Does something that needs a small file, with the reserve's room if the disk is full.
 *
 * @param work must leave nothing half done when it throws: it is retried
 * @throws the error of the last attempt
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

/** Creates the missing pieces of the reserve, as far as they fit. Never throws. */
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

/** Whether the piece exists now; another process may have created it. */
function make(fs: SpoolFs, root: string, path: string): boolean {
  let fd: number;
  try {
    fd = create(fs, root, path);
  } catch (error) {
    return isErrno(error, "EEXIST");
  }
  let whole = false;
  try {
    // Random, since a compressing file system would keep no room for zeros.
    whole = fs.writeSync(fd, randomBytes(PIECE_BYTES), 0, PIECE_BYTES) === PIECE_BYTES;
  } catch {
    // It does not fit now.
  }
  if (!whole) giveUp(fs, path);
  try {
    fs.closeSync(fd);
  } catch {
    // Nothing depends on its content.
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
