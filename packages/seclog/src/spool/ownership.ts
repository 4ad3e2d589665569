/**
 * Who owns a source's directory. Node has no `flock`, so ownership is a file that names the process, and
 * its number is the fencing token (the epoch) that stores check.
 *
 * `owner.<epoch>` is created with O_EXCL and holds the owner's identity. The highest number owns. It is free when
 * the file says `released`, or when the thread that it names is gone: no such process, or one that started at another time, or
 * no such thread in it. An application may end a thread of its own with its log, and live on. To take over is to create the next number and to find, on looking again, that no
 * higher one has appeared; the lower ones are then removed. Who makes a directory has 1, and nobody else ever. Two
 * that try at once cannot both create the same number, and one that was asleep with an outdated number finds the higher
 * one and withdraws. What cannot be looked up at the moment (no descriptors) lives.
 *
 * Processes that cannot see each other (other containers on one volume: another PID namespace, machine or boot; or a system
 * without /proc) are judged by the file, which both threads of the owner renew every {@link RENEW_MS}. Clocks of two machines
 * differ, so that its age says nothing: it is watched, and must not change for {@link SILENT_MS}, which is five renewals,
 * on the watcher's monotonic clock. Between two looks at most {@link LONGEST_GAP_MS} count. So a watcher that was itself
 * stopped, suspended or frozen together with the owner (a paused pod, a laptop) gives it the time again that both lost.
 *
 * That is short on purpose: a restarted container must not sit on what it left. An owner may be taken for dead all the same:
 * it was stopped that long, by a debugger, a snapshot of its machine, a starved CPU. That costs it a new source and nothing
 * else, however short the time is. It finds that it has been replaced
 * (`stillOwns`), and goes on with a new source. Until then it may write, and say that it has, so:
 *
 * - it looks before and after each write, unless it has within {@link OWNERSHIP_MS}, and after every sync before it
 *   says that events are on disk: what it says was read by nobody too early;
 * - whoever takes a directory over from an owner that nobody has seen dead (`unproven`) waits {@link HANDOVER_MS}
 *   before it reads or deletes anything. By then the old owner has looked.
 */
import { join } from "node:path";
import { monotonicNow, wallNow } from "../runtime/timers.ts";
import { assertOnlyFiles, openFile, readSmallFile } from "./files.ts";
import { isErrno, type SpoolFs, syncDirectory } from "./fs.ts";
import { hostProcesses, type Life, type Processes, type ThreadIdentity } from "./processes.ts";

/** How often a living owner renews its file, in milliseconds. */
export const RENEW_MS = 3_000;

/** How long the file of an owner that cannot be looked up is watched without a change before it counts as dead, in milliseconds. */
export const SILENT_MS: number = 5 * RENEW_MS;

/** What counts of the time between two looks at most, in milliseconds. Whoever watches looks more often. */
const LONGEST_GAP_MS = 6_000;

/** How long a directory without an owner's file may be one in the making, in milliseconds. */
const IN_THE_MAKING_MS = 20_000;

/** An owner looks again before and after a write when its last look is older, in milliseconds. */
export const OWNERSHIP_MS = 1_000;

/** How long who takes over waits for an owner that may live to look again, in milliseconds. */
export const HANDOVER_MS: number = 2 * OWNERSHIP_MS;

interface OwnerFile extends ThreadIdentity {
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

/** What was seen of an owner's file. */
interface Seen {
  readonly epoch: number;
  readonly renewed: number;
  /** When it was last looked at, and for how long it had not changed then. */
  readonly at: number;
  readonly silentMs: number;
  /** Whether it was ever seen to change. */
  readonly renews: boolean;
}

/** Watches the files of owners that cannot be looked up. One for all looks of a process. */
export class OwnerWatch {
  /** Directories whose owners have not been watched for long enough: look again soon. Whoever looks at all clears it first. */
  readonly undecided: Set<string> = new Set();
  readonly processes: Processes;
  readonly #now: () => number;
  readonly #seen = new Map<string, Seen>();

  /** @param now a monotonic clock in milliseconds */
  constructor(now: () => number = () => monotonicNow(), processes: Processes = hostProcesses) {
    this.#now = now;
    this.processes = processes;
  }

  /** Whether the owner's file, last renewed at `renewed` by some clock, was seen not to change for long enough. */
  isSilent(directory: string, epoch: number, renewed: number): boolean {
    const at = this.#now();
    const seen = this.#seen.get(directory);
    const same = seen?.epoch === epoch && seen.renewed === renewed;
    const silentMs = same ? seen.silentMs + Math.min(at - seen.at, LONGEST_GAP_MS) : 0;
    const renews = same ? seen.renews : seen?.epoch === epoch;
    this.#seen.set(directory, { epoch, renewed, at, silentMs, renews });
    if (silentMs >= SILENT_MS) return true;
    // One that was seen to renew its file lives, until the next renewal is late.
    if (!renews || silentMs > RENEW_MS + 1_000) this.undecided.add(directory);
    return false;
  }

  /** Nobody will ask about it again. */
  forget(directory: string): void {
    this.#seen.delete(directory);
  }
}

/** Claims a fresh source directory for the process that made it: epoch 1. */
export function ownNew(fs: SpoolFs, directory: string, holder: string, key: string): Ownership {
  writeOwner(fs, directory, 1, { ...hostProcesses.self(), holder, key });
  return { directory, epoch: 1, key, unproven: false };
}

/**
 * Takes over a source directory whose owner is gone; the new epoch is higher than every earlier one.
 *
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY` when something in it is not a regular file
 * @returns `undefined` when its owner lives, another process was faster, or it has disappeared
 */
export function takeOver(fs: SpoolFs, directory: string, holder: string, watch: OwnerWatch): Ownership | undefined {
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
  const life = last > 0 ? lifeOf(fs, directory, last, previous, watch) : "dead";
  if (life === "lives") return undefined;
  const unproven = last > 0 && (previous?.unproven === true || life === "silent");
  // Never 1, which is that of who made it: in a folder that others emptied it would take our file for its own.
  const epoch = Math.max(last, 1) + 1;
  const mine: OwnerFile = { ...watch.processes.self(), holder, key: key ?? "", ...(unproven ? { unproven } : {}) };
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
  // Those that are there, not all numbers below: a file's name chooses how many that would be.
  for (const old of ownerNumbers(fs, directory) ?? []) if (old < epoch) remove(fs, join(directory, ownerName(old)));
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
  const now = wallNow();
  const age = now - (tryRead(() => fs.lstatSync(directory).mtimeMs) ?? now);
  // One from the future says nothing: a clock was set back.
  return age >= 0 && age < IN_THE_MAKING_MS && isOrphan(fs, directory);
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
  const { pid, start, space } = hostProcesses.self();
  if (owner.pid === pid && owner.start === start && owner.space === space)
    release(fs, { directory, epoch, key: owner.key, unproven: false });
}

/**
 * Whether a living thread owns the directory; without `watch`, by the age of its file where it cannot be looked up. A damaged
 * file names nobody.
 */
export function isOwned(fs: SpoolFs, directory: string, watch?: OwnerWatch): boolean {
  const last = highest(fs, directory);
  if (last === undefined || last === 0) return false;
  const owner = readOwner(fs, directory, last);
  return owner !== undefined && lifeOf(fs, directory, last, owner, watch) === "lives";
}

/** `dead` is one that was seen dead, or gave the directory up; `silent` one that may only have been stopped. */
function lifeOf(
  fs: SpoolFs,
  directory: string,
  epoch: number,
  owner: OwnerFile | undefined,
  watch: OwnerWatch | undefined,
): "lives" | "dead" | "silent" {
  if (owner?.released) return "dead";
  // A file that cannot be read was either being written when its process died, or was damaged.
  const life: Life = owner === undefined ? "unknown" : (watch?.processes ?? hostProcesses).look(owner);
  if (life !== "unknown") return life;
  const renewed = tryRead(() => fs.lstatSync(join(directory, ownerName(epoch))).mtimeMs);
  if (renewed === undefined) return "lives";
  const silent = watch?.isSilent(directory, epoch, renewed) ?? Math.abs(wallNow() - renewed) > 2 * SILENT_MS;
  return silent ? "silent" : "lives";
}

/** The highest owner number, 0 for none, `undefined` when the directory is gone. */
function highest(fs: SpoolFs, directory: string): number | undefined {
  return ownerNumbers(fs, directory)?.reduce((most, number) => Math.max(most, number), 0);
}

function ownerNumbers(fs: SpoolFs, directory: string): number[] | undefined {
  return tryRead(() => fs.readdirSync(directory))
    ?.filter((name) => /^owner\.\d+$/.test(name))
    .map((name) => Number(name.slice("owner.".length)));
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
    const owner: unknown = JSON.parse(text);
    return isOwnerFile(owner) ? owner : undefined;
  });
}

function isOwnerFile(value: unknown): value is OwnerFile {
  if (!isObject(value)) return false;
  const { pid, start, thread, boot, space, holder, key } = value;
  const isThread = isObject(thread) && Number.isSafeInteger(thread.id) && typeof thread.start === "string";
  return (
    Number.isSafeInteger(pid) &&
    Number(pid) > 0 &&
    [space, holder, key].every((text) => typeof text === "string") &&
    [start, boot].every((text) => text === undefined || typeof text === "string") &&
    (thread === undefined || isThread)
  );
}

function isObject(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null;
}

function ownerName(epoch: number): string {
  return `owner.${epoch}`;
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
