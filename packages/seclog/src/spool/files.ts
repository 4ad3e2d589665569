/**
 * How a spool's files are opened. An attacker who can put a name into a folder chooses what it refers to: a link to
 * another file, a FIFO that blocks its reader, a device that never ends. So only regular files are opened, links are
 * not followed, no call blocks, and what is checked is the open file, not what had the name a moment before.
 *
 * The folders themselves are safe when no other user may put names into them, which {@link assertOwnFolder} checks for
 * the root and each source.
 */
import nodeFs, { type Stats } from "node:fs";
import { join } from "node:path";
import { SeclogError } from "../event/errors.ts";
import { isErrno, type SpoolFs } from "./fs.ts";
import { MAX_SEGMENT_FILE_BYTES, segmentName, segmentNumber } from "./segment.ts";

/** The longest that an owner's file, cursor or position can be: anything else by its name must not fill the memory. */
const SMALL_FILE_BYTES = 64 * 1024;

// Windows has no such flags: there the name is checked before the open, and must be the same file afterwards.
const { O_RDONLY, O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = nodeFs.constants;

/** `update` overwrites an existing file; `append` creates a missing one. */
type How = "read" | "update" | "append";

const FLAGS: { readonly [how in How]: number } = {
  read: O_RDONLY,
  update: O_RDWR,
  append: O_RDWR | O_APPEND | O_CREAT,
};

/**
 * Opens a regular file. A file to be written must have no other name: a hard link may be another user's file elsewhere.
 *
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY` that names anything but such a file; the operating system's error
 */
export function openFile(fs: SpoolFs, path: string, how: How): number {
  const before = O_NOFOLLOW === 0 ? lookAt(fs, path) : undefined;
  if (before !== undefined) assertRegular(path, before, how);
  let fd: number;
  try {
    fd = fs.openSync(path, FLAGS[how] | O_NOFOLLOW | O_NONBLOCK, 0o600);
  } catch (error) {
    const found = REFUSED.some((code) => isErrno(error, code)) ? lookAt(fs, path) : undefined;
    if (found !== undefined) assertRegular(path, found, how);
    throw error;
  }
  try {
    const opened = fs.fstatSync(fd);
    assertRegular(path, opened, how);
    if (before !== undefined && before.ino !== opened.ino) throw refusal(path, "was replaced while it was opened");
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
  return fd;
}

/** The error of an open for a link (EMLINK on FreeBSD), a folder, a socket or a FIFO. */
const REFUSED = ["ELOOP", "EMLINK", "EISDIR", "ENXIO", "EOPNOTSUPP"];

/** The content of a small file, or its first 64 KiB. */
export function readSmallFile(fs: SpoolFs, path: string): Buffer {
  const fd = openFile(fs, path, "read");
  try {
    return readAt(fs, fd, 0, SMALL_FILE_BYTES);
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * The content of a file that the configuration names: a secret, a certificate. Links are followed, since Kubernetes
 * mounts such files through them; a FIFO without a writer must not block the program for ever.
 *
 * @throws Error that names what is there instead of a regular file; the operating system's error
 */
export function readConfiguredFile(path: string): string {
  const fd = nodeFs.openSync(path, O_RDONLY | O_NONBLOCK);
  try {
    const stat = nodeFs.fstatSync(fd);
    if (!stat.isFile()) throw new Error(`${path} is ${kindOf(stat)}, not a regular file`);
    return nodeFs.readFileSync(fd, "utf8");
  } finally {
    nodeFs.closeSync(fd);
  }
}

/** Reads up to `length` bytes. */
export function readAt(fs: SpoolFs, fd: number, offset: number, length: number): Buffer {
  const size = fs.fstatSync(fd).size;
  const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)));
  let at = 0;
  while (at < bytes.length) {
    const got = fs.readSync(fd, bytes, at, bytes.length - at, offset + at);
    if (got === 0) break;
    at += got;
  }
  return bytes.subarray(0, at);
}

/**
 * Checks that a folder is this user's own: not a link, and no other user may change what its names refer to.
 *
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY` that names the problem and the next step; the operating system's error
 */
export function assertOwnFolder(fs: SpoolFs, path: string): void {
  const problem = folderProblem(fs.lstatSync(path));
  if (problem !== undefined) throw refusal(path, problem);
}

/** The problem of a folder, as the end of a sentence; `undefined` without one. */
export function folderProblem(stat: Stats): string | undefined {
  if (stat.isSymbolicLink()) return "is a symbolic link: name the folder itself, which cannot be pointed elsewhere";
  if (!stat.isDirectory()) return "is not a folder: move it away";
  // Windows has neither.
  const user = process.geteuid?.();
  if (user === undefined) return undefined;
  const mode = (stat.mode & 0o7777).toString(8);
  if ((stat.mode & 0o022) !== 0) return `is writable by other users (mode ${mode}): run chmod go-w on it`;
  if (stat.uid === user || stat.uid === 0) return undefined;
  return `belongs to another user (${stat.uid}), who could replace what is in it: run as that user, or chown it to ${user}`;
}

/** The files that a program opens in a folder that it takes over. Other files are left alone. */
const OPENED = /^(?:owner\.\d+|(?:cursor|successor)\..+|\d+\.seg|position\.json)$/;

/**
 * The highest owner's number that is taken over: the next one must fit into the stores' epoch, a PostgreSQL integer. No
 * source is ever taken over that often.
 */
const HIGHEST_OWNER = 2 ** 31 - 2;

/**
 * Refuses a folder before its takeover if anything but a file has a file's name, or if a file has a size or number that
 * Seclog never writes: a dead process's source is shipped completely or not at all.
 *
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY` that names the file
 */
export function assertOnlyFiles(fs: SpoolFs, directory: string): void {
  for (const name of fs.readdirSync(directory).filter((each) => OPENED.test(each))) {
    const path = join(directory, name);
    const stat = lookAt(fs, path);
    assertNumber(path, name);
    if (stat === undefined) continue;
    assertRegular(path, stat, "read");
    assertSize(path, stat, segmentNumber(name) === undefined ? SMALL_FILE_BYTES : MAX_SEGMENT_FILE_BYTES);
  }
}

/**
 * Opens a segment to read it.
 *
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY` when it is not a regular file, or larger than any segment; the operating
 *   system's error
 */
export function openSegment(fs: SpoolFs, path: string): number {
  const fd = openFile(fs, path, "read");
  try {
    assertSize(path, fs.fstatSync(fd), MAX_SEGMENT_FILE_BYTES);
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
  return fd;
}

function assertSize(path: string, { size }: Stats, most: number): void {
  if (size > most)
    throw refusal(path, `has ${size} bytes, and Seclog writes ${most} at most: move it away, or restore the file`);
}

/** Refuses a number in a file's name that is spelt otherwise, or that Seclog never reaches. */
function assertNumber(path: string, name: string): void {
  const number = Number.parseInt(name.replace("owner.", ""), 10);
  const isOurs = name.startsWith("owner.")
    ? number >= 1 && number <= HIGHEST_OWNER && name === `owner.${number}`
    : !/^\d/.test(name) || (Number.isSafeInteger(number) && name === segmentName(number));
  if (!isOurs) throw refusal(path, "has a number that Seclog never writes: move it away");
}

function assertRegular(path: string, stat: Stats, how: How): void {
  if (!stat.isFile())
    throw refusal(path, `is ${kindOf(stat)}${stat.isSymbolicLink() ? "" : ", not a regular file"}: remove it`);
  if (how !== "read" && stat.nlink > 1) {
    throw refusal(path, `has ${stat.nlink} names (hard links), and would be written by all of them: copy it instead`);
  }
}

function kindOf(stat: Stats): string {
  if (stat.isSymbolicLink()) return "a symbolic link, which is not followed";
  if (stat.isDirectory()) return "a folder";
  if (stat.isFIFO()) return "a FIFO";
  if (stat.isSocket()) return "a socket";
  return "a device";
}

/** What has that name now; `undefined` when nothing does, or when it cannot be determined. */
function lookAt(fs: SpoolFs, path: string): Stats | undefined {
  try {
    return fs.lstatSync(path);
  } catch {
    return undefined;
  }
}

function refusal(path: string, why: string): SeclogError {
  return new SeclogError("SECLOG_SPOOL_DIRECTORY", `${path} ${why}`);
}
