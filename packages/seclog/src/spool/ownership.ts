/**
 * Who owns a source's directory. Node has no `flock`, so ownership is a file that names the process, and
 * its number is the fencing token (the epoch) that stores check.
 *
 * `owner.<epoch>` is created with O_EXCL and holds the owner's identity. The highest number owns. It is free when
 * the file says `released`, or when the process that it names is gone: no process of that id, or one that started at
 * another time, or another boot. To take over is to create the next number and to find, on looking again, that no
 * higher one has appeared; the lower ones are then removed. Who makes a directory has 1, and nobody else ever. Two
 * that try at once cannot both create the same number, and one that was asleep with an outdated number finds the higher
 * one and withdraws. What cannot be looked up at the moment (no descriptors) lives.
 *
 * Processes that cannot see each other (other containers on one volume: another PID namespace, machine or boot)
 * are judged by the file's modification time, which both threads of the owner renew every {@link RENEW_MS}. The
 * clocks of two machines differ, so that it is not enough that the file looks {@link FOREIGN_STALE_MS} old: it is
 * watched besides, and must not change for {@link WATCH_MS} on the watcher's monotonic clock. One that looks young
 * because of the clocks is dead when it has not changed for {@link FOREIGN_STALE_MS}. An owner of this machine's name whose file
 * nobody has renewed since the machine was started is from before that, and is not waited for.
 *
 * An owner may be taken for dead all the same: it was only stopped that long. It finds that it has been replaced
 * (`stillOwns`), and goes on with a new source. Until then it may write, and say that it has, so:
 *
 * - it looks before and after each write, unless it has within {@link OWNERSHIP_MS}, and after every sync before it
 *   says that events are on disk: what it says was read by nobody too early;
 * - whoever takes a directory over from an owner that nobody has seen dead (`unproven`) waits {@link HANDOVER_MS}
 *   before it reads or deletes anything. By then the old owner has looked.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname, uptime } from "node:os";
import { join } from "node:path";
import { SeclogError } from "../event/errors.ts";
import { assertOnlyFiles, openFile, readSmallFile } from "./files.ts";
import { isErrno, type SpoolFs, syncDirectory } from "./fs.ts";

/** How often a living owner renews its file, in milliseconds. */
export const RENEW_MS = 3_000;

/** How long an owner in another PID namespace may be silent before it counts as dead, in milliseconds. */
export const FOREIGN_STALE_MS: number = 5 * 60_000;

/** How long a file that nobody can read, or a directory without one, may be a living owner's, in milliseconds. */
const UNREADABLE_STALE_MS = 20_000;

/** How long a file that looks old is watched before its owner counts as dead, in milliseconds: three renewals. */
export const WATCH_MS = 10_000;

/** An owner looks again before and after a write when its last look is older, in milliseconds. */
export const OWNERSHIP_MS = 1_000;

/** How long who takes over waits for an owner that may live to look again, in milliseconds. */
export const HANDOVER_MS: number = 2 * OWNERSHIP_MS;

/** The identity of a process, exact enough that no later process has the same. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time of the process in clock ticks since boot (`/proc/<pid>/stat` field 22); absent where there is no /proc. */
  readonly start?: string;
  /** The kernel's boot id. */
  readonly boot?: string;
  /** PID namespace and host: whoever differs here cannot look us up. */
  readonly space: string;
}

interface OwnerFile extends ProcessIdentity {
  /** The log that holds it: a process may have several. */
  readonly holder: string;
  readonly key: string;
  /** Set when its owner gave it up in order. */
  readonly released?: true;
  /** Set when an owner before this one may live. */
  readonly unproven?: true;
}

/** An owned source directory. */
export interface Ownership {
  readonly directory: string;
  readonly epoch: number;
  /** Absent when the previous owner's file was damaged. */
  readonly key: string | undefined;
  /** An owner before this one may live, for all that is known: nothing may be read before {@link HANDOVER_MS} have passed. */
  readonly unproven: boolean;
}

/** Watches the files of owners that cannot be looked up. One for all looks of a process. */
export class OwnerWatch {
  /** Directories whose owners look silent and have not been watched for long enough. Whoever looks at all clears it first. */
  readonly undecided: Set<string> = new Set();
  readonly #now: () => number;
  readonly #seen = new Map<string, { readonly epoch: number; readonly renewed: number; readonly since: number }>();

  /** @param now a monotonic clock in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether the owner's file, last renewed at `renewed` by some clock, was seen not to change for long enough. */
  isSilent(directory: string, epoch: number, renewed: number, looksOld: boolean): boolean {
    const now = this.#now();
    const seen = this.#seen.get(directory);
    const since = seen?.epoch === epoch && seen.renewed === renewed ? seen.since : now;
    const silent = now - since >= (looksOld ? WATCH_MS : FOREIGN_STALE_MS);
    if (looksOld && !silent) this.undecided.add(directory);
    this.#seen.set(directory, { epoch, renewed, since });
    return silent;
  }

  /** Nobody will ask about it again. */
  forget(directory: string): void {
    this.#seen.delete(directory);
  }
}

let self: ProcessIdentity | undefined;

/**
 * This process. Read once.
 *
 * @throws the operating system's error when it cannot be read now
 */
export function thisProcess(): ProcessIdentity {
  self ??= {
    pid: process.pid,
    space: `${hostname()} ${ifTold(() => readlinkSync("/proc/self/ns/pid")) ?? process.platform}`,
    ...definedOnly({
      start: ifTold(() => startTime(process.pid)),
      boot: ifTold(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    }),
  };
  return self;
}

/** What the operating system tells; `undefined` where it has no such file, or keeps it to itself. */
function ifTold(read: () => string | undefined): string | undefined {
  try {
    return read();
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES", "EPERM"].some((code) => isErrno(error, code))) return undefined;
    throw error;
  }
}

/** Claims a fresh source directory for the process that made it: epoch 1. */
export function ownNew(fs: SpoolFs, directory: string, holder: string, key: string): Ownership {
  writeOwner(fs, directory, 1, { ...thisProcess(), holder, key });
  return { directory, epoch: 1, key, unproven: false };
}

/**
 * Takes over a source directory whose owner is gone; the new epoch is higher than every earlier one.
 *
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY` when something in it is not a regular file
 * @returns `undefined` when its owner lives, another process was faster, or it has disappeared
 */
export function takeOver(
  fs: SpoolFs,
  directory: string,
  holder: string,
  watch: OwnerWatch,
  now: number = Date.now(),
): Ownership | undefined {
  const last = highest(fs, directory);
  if (last === undefined) {
    watch.forget(directory);
    return undefined;
  }
  const previous = last === 0 ? undefined : readOwner(fs, directory, last);
  const key = previous?.key;
  if (previous?.holder === holder && previous.pid === process.pid && !previous.released) {
    return { directory, epoch: last, key, unproven: previous.unproven === true };
  }
  // Before it is asked whether the owner lives: its file may be what is not one.
  assertOnlyFiles(fs, directory);
  if (last > 0 && isAlive(fs, directory, last, previous, now, watch)) return undefined;
  const seen = previous !== undefined && (previous.released === true || isVisible(previous));
  const unproven = last > 0 && (previous?.unproven === true || !seen);
  // Never 1, which is that of who made it: in a folder that others emptied it would take our file for its own.
  const epoch = Math.max(last, 1) + 1;
  const mine: OwnerFile = { ...thisProcess(), holder, key: key ?? "", ...(unproven ? { unproven } : {}) };
  try {
    writeOwner(fs, directory, epoch, mine);
  } catch (error) {
    if (isErrno(error, "EEXIST") || isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
  if (highest(fs, directory) !== epoch) {
    remove(fs, join(directory, ownerName(epoch)));
    return undefined;
  }
  for (let old = epoch - 1; old > 0; old--) remove(fs, join(directory, ownerName(old)));
  watch.forget(directory);
  return { directory, epoch, key, unproven };
}

/** Whether the directory is there and nobody has taken it over. Costs two `stat`. */
export function stillOwns(fs: SpoolFs, owned: Ownership): boolean {
  try {
    fs.lstatSync(join(owned.directory, ownerName(owned.epoch + 1)));
    return false;
  } catch (error) {
    if (!isAbsent(error)) return true;
  }
  try {
    fs.lstatSync(join(owned.directory, ownerName(owned.epoch)));
    return true;
  } catch (error) {
    return !isAbsent(error);
  }
}

/** Whether the directory is there and names no owner. */
export function isOrphan(fs: SpoolFs, directory: string): boolean {
  return highest(fs, directory) === 0;
}

/** Whether it names no owner yet, or no more: somebody may be about to put the file in, or has just taken it out to remove both. */
export function isInTheMaking(fs: SpoolFs, directory: string): boolean {
  const now = Date.now();
  const age = now - (tryRead(() => fs.lstatSync(directory).mtimeMs) ?? now);
  // One from the future says nothing: a clock was set back.
  return age >= 0 && age < UNREADABLE_STALE_MS && isOrphan(fs, directory);
}

/** No such file, or something else stands where its folder should be. Any other error says nothing. */
function isAbsent(error: unknown): boolean {
  return isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR");
}

/** Tells processes that cannot look this one up that it lives. */
export function renew(fs: SpoolFs, owned: Ownership): void {
  const now = new Date();
  tryRead(() => fs.lutimesSync(join(owned.directory, ownerName(owned.epoch)), now, now));
}

/**
 * Gives the directory up in order: whoever comes next may take it over at once. The file is written over in place, by a
 * longer text, since a full disk has no room for another one. Half written, it is a damaged one, which is waited for.
 */
export function release(fs: SpoolFs, owned: Ownership): void {
  const current = readOwner(fs, owned.directory, owned.epoch);
  if (current === undefined || current.released) return;
  const fd = openFile(fs, join(owned.directory, ownerName(owned.epoch)), "update");
  try {
    fs.writeSync(fd, JSON.stringify({ ...current, released: true }), 0);
  } finally {
    fs.closeSync(fd);
  }
}

/** Gives a directory up that this process holds for a log, if it does. */
export function releaseHeld(fs: SpoolFs, directory: string, holder: string): void {
  const epoch = highest(fs, directory);
  if (epoch === undefined || epoch === 0) return;
  const owner = readOwner(fs, directory, epoch);
  if (owner?.holder !== holder || owner.released) return;
  const { pid, start } = thisProcess();
  if (isVisible(owner) && owner.pid === pid && owner.start === start)
    release(fs, { directory, epoch, key: owner.key, unproven: false });
}

/** Whether a living process owns the directory; without `watch`, by the looks of its file only. */
export function isOwned(fs: SpoolFs, directory: string, watch?: OwnerWatch, now: number = Date.now()): boolean {
  const last = highest(fs, directory);
  if (last === undefined || last === 0) return false;
  return isAlive(fs, directory, last, readOwner(fs, directory, last), now, watch);
}

function isAlive(
  fs: SpoolFs,
  directory: string,
  epoch: number,
  owner: OwnerFile | undefined,
  now: number,
  watch: OwnerWatch | undefined,
): boolean {
  if (owner?.released) return false;
  if (owner === undefined || !isVisible(owner)) {
    const renewed = tryRead(() => fs.lstatSync(join(directory, ownerName(epoch))).mtimeMs);
    if (renewed === undefined) return true;
    if (owner?.space === thisProcess().space && renewed < now - uptime() * 1_000) return false;
    // A file that cannot be read was either being written when its process died, or was damaged.
    const looksOld = now - renewed >= (owner === undefined ? UNREADABLE_STALE_MS : FOREIGN_STALE_MS);
    return !(watch?.isSilent(directory, epoch, renewed, looksOld) ?? looksOld);
  }
  try {
    return owner.start === undefined ? process.kill(owner.pid, 0) : startTime(owner.pid) === owner.start;
  } catch (error) {
    return !(isErrno(error, "ENOENT") || isErrno(error, "ESRCH"));
  }
}

/** Whether the process, were it alive, could be looked up from here. */
function isVisible(owner: OwnerFile): boolean {
  const { space, boot } = thisProcess();
  return owner.space === space && owner.boot === boot;
}

/** The highest owner number, 0 for none, `undefined` when the directory is gone. */
function highest(fs: SpoolFs, directory: string): number | undefined {
  const names = tryRead(() => fs.readdirSync(directory));
  if (names === undefined) return undefined;
  return Math.max(0, ...names.map((name) => (/^owner\.\d+$/.test(name) ? Number(name.slice(6)) : 0)));
}

function writeOwner(fs: SpoolFs, directory: string, epoch: number, owner: OwnerFile): void {
  const path = join(directory, ownerName(epoch));
  const fd = fs.openSync(path, "wx", 0o600);
  try {
    try {
      const text = Buffer.from(JSON.stringify(owner));
      if (fs.writeSync(fd, text, 0, text.length) !== text.length) throw new Error("short write of an owner");
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    syncDirectory(fs, directory);
  } catch (error) {
    // Half a file would pass for that of an owner who is just writing it, and nobody could take over.
    remove(fs, path);
    throw error;
  }
}

function readOwner(fs: SpoolFs, directory: string, epoch: number): OwnerFile | undefined {
  return tryRead(() => {
    const text = readSmallFile(fs, join(directory, ownerName(epoch))).toString();
    const owner = JSON.parse(text) as OwnerFile;
    return typeof owner.pid === "number" && typeof owner.space === "string" ? owner : undefined;
  });
}

function ownerName(epoch: number): string {
  return `owner.${epoch}`;
}

/**
 * Field 22 of `/proc/<pid>/stat`, read behind the last parenthesis because a process may have one in its name.
 *
 * @throws `ENOENT` or `ESRCH` when there is no such process, another error when that cannot be told
 */
function startTime(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // A zombie (state Z) has ended; only its parent has not looked yet.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? undefined : fields[19];
}

function remove(fs: SpoolFs, path: string): void {
  tryRead(() => fs.unlinkSync(path));
}

function tryRead<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function definedOnly<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** The error for a directory that a living process owns. */
export function lockedError(directory: string): SeclogError {
  return new SeclogError(
    "SECLOG_SPOOL_LOCKED",
    `${directory} belongs to a running process: it ships its own events; stop it first or leave the spool to it`,
  );
}
