/**
 * Who owns a source's directory. Node has no `flock`, so ownership is a file that names the process, and
 * its number is the fencing token (the epoch) that stores check.
 *
 * `owner.<epoch>` is created with O_EXCL and holds the owner's identity. The highest number owns the directory. It is
 * free when the file says `released`, or when the thread it names is gone: its process or thread does not exist, or
 * started at another time. (An application may end one of its threads, with its log, and live on.) To take over, a
 * process creates the next number and checks again that no higher one has appeared; then it removes the lower ones.
 * Only the creator of a directory ever has 1. Two simultaneous attempts cannot both create the same number, and an
 * attempt that slept with an outdated number finds the higher one and withdraws. An owner that cannot be looked up at
 * the moment (no descriptors) counts as alive.
 *
 * Processes that cannot see each other (other containers on one volume: another PID namespace, machine or boot; or a
 * system without /proc) are judged by the file, which both threads of the owner renew every {@link RENEW_MS}. Clocks of
 * two machines differ, so the file's age proves nothing: it is watched, and must stay unchanged for {@link SILENT_MS},
 * which is five renewals, on the watcher's monotonic clock. Of the time between two looks at most {@link
 * LONGEST_GAP_MS} counts. So a watcher that was itself stopped, suspended or frozen together with the owner (a paused
 * pod, a laptop) allows for the time that both lost.
 *
 * The time is short on purpose: a restarted container must soon ship what it left. A living owner may still be taken
 * for dead after a long stop: by a debugger, a snapshot of its machine, a starved CPU. That costs it a new source and
 * nothing else, however short the time is. It notices that it was replaced (`stillOwns`), and continues with a new
 * source. Until then it may write and acknowledge, so:
 *
 * - it checks its ownership before and after each write, unless it has within {@link OWNERSHIP_MS}, and after every
 *   sync before it reports events on disk: no other process has read too early what it acknowledged;
 * - a process that takes a directory over from an owner not proven dead (`unproven`) waits {@link HANDOVER_MS} before
 *   it reads or deletes anything: meanwhile the old owner checks.
 */
import { join } from "node:path";
import { monotonicNow, wallNow } from "../runtime/timers.ts";
import { assertOnlyFiles, openFile, readSmallFile } from "./files.ts";
import { isErrno, type SpoolFs, syncDirectory } from "./fs.ts";
import { hostProcesses, type Life, type Processes, type ThreadIdentity } from "./processes.ts";

/** How often a living owner renews its file, in milliseconds. */
export const RENEW_MS = 3_000;

/**
 * How long the file of an owner that cannot be looked up must stay unchanged before the owner counts as dead, in
 * milliseconds.
 */
export const SILENT_MS: number = 5 * RENEW_MS;

/** The most that counts of the time between two looks, in milliseconds. Watchers look more often. */
const LONGEST_GAP_MS = 6_000;

/** How long a directory without an owner's file may be still in the making, in milliseconds. */
const IN_THE_MAKING_MS = 20_000;

/** An owner checks again before and after a write when its last check is older, in milliseconds. */
export const OWNERSHIP_MS = 1_000;

/** How long a new owner waits for a predecessor that may be alive to check its ownership, in milliseconds. */
export const HANDOVER_MS: number = 2 * OWNERSHIP_MS;

interface OwnerFile extends ThreadIdentity {
  /** The log that holds it: a process may have several. */
  readonly holder: string;
  readonly key: string;
  /** Set when the owner released it in order. */
  readonly released?: true;
  /** Set when an earlier owner may be alive. */
  readonly unproven?: true;
}

/** An owned source directory. */
export interface Ownership {
  readonly directory: string;
  readonly epoch: number;
  /** Absent when the previous owner's file was damaged. */
  readonly key: string | undefined;
  /** An earlier owner may be alive: nothing may be read before {@link HANDOVER_MS} have passed. */
  readonly unproven: boolean;
}

/** What a watch has seen of an owner's file. */
interface Seen {
  readonly epoch: number;
  readonly renewed: number;
  /** When it was last looked at, and how long it had been unchanged. */
  readonly at: number;
  readonly silentMs: number;
  /** Whether it was ever seen to change. */
  readonly renews: boolean;
}

/** Watches the files of owners that cannot be looked up. One for all looks of a process. */
export class OwnerWatch {
  /**
   * Directories whose owners were not watched for long enough: look again soon. Each round of looks clears it first.
   */
  readonly undecided: Set<string> = new Set();
  readonly processes: Processes;
  readonly #now: () => number;
  readonly #seen = new Map<string, Seen>();

  /** @param now a monotonic clock in milliseconds */
  constructor(now: () => number = () => monotonicNow(), processes: Processes = hostProcesses) {
    this.#now = now;
    this.processes = processes;
  }

  /** Whether the owner's file, last renewed at `renewed` by any clock, was seen unchanged for long enough. */
  isSilent(directory: string, epoch: number, renewed: number): boolean {
    const at = this.#now();
    const seen = this.#seen.get(directory);
    const same = seen?.epoch === epoch && seen.renewed === renewed;
    const silentMs = same ? seen.silentMs + Math.min(at - seen.at, LONGEST_GAP_MS) : 0;
    const renews = same ? seen.renews : seen?.epoch === epoch;
    this.#seen.set(directory, { epoch, renewed, at, silentMs, renews });
    if (silentMs >= SILENT_MS) return true;
    // An owner seen to renew its file is alive until the next renewal is late.
    if (!renews || silentMs > RENEW_MS + 1_000) this.undecided.add(directory);
    return false;
  }

  /** Forgets a directory. */
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
 * @returns `undefined` when its owner is alive, another process was faster, or the directory has disappeared
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
  // Checked before the owner is looked up, whose file may be something else.
  assertOnlyFiles(fs, directory);
  const life = last > 0 ? lifeOf(fs, directory, last, previous, watch) : "dead";
  if (life === "lives") return undefined;
  const unproven = last > 0 && (previous?.unproven === true || life === "silent");
  // Never 1, the creator's: in a folder emptied by others it would take our file for its own.
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
  // The existing ones, not all lower numbers: a file's name could make that many.
  for (const old of ownerNumbers(fs, directory) ?? []) if (old < epoch) remove(fs, join(directory, ownerName(old)));
  watch.forget(directory);
  return { directory, epoch, key, unproven };
}

/** Whether the directory exists and was not taken over. Costs two `stat`. */
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

/** Whether the directory exists and names no owner. */
export function isOrphan(fs: SpoolFs, directory: string): boolean {
  return highest(fs, directory) === 0;
}

/**
 * Whether it names no owner: another process may be about to create the file, or has just removed it to remove both.
 */
export function isInTheMaking(fs: SpoolFs, directory: string): boolean {
  const now = wallNow();
  const age = now - (tryRead(() => fs.lstatSync(directory).mtimeMs) ?? now);
  // A time in the future proves nothing: a clock was set back.
  return age >= 0 && age < IN_THE_MAKING_MS && isOrphan(fs, directory);
}

/** Whether the file does not exist, or its folder is something else. Any other error proves nothing. */
function isAbsent(error: unknown): boolean {
  return isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR");
}

/** Shows processes that cannot look this one up that it is alive. */
export function renew(fs: SpoolFs, owned: Ownership): void {
  const now = new Date();
  tryRead(() => fs.lutimesSync(join(owned.directory, ownerName(owned.epoch)), now, now));
}

/**
 * Releases the directory: the next process may take it over at once. The longer text overwrites the file in place,
 * since a full disk has no room for another file. Half written it counts as damaged, and is waited for.
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

/** Releases a directory if this process holds it for a log. */
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
 * Whether a living thread owns the directory; without `watch`, by the age of its file where it cannot be looked up. A
 * damaged file names no owner.
 */
export function isOwned(fs: SpoolFs, directory: string, watch?: OwnerWatch): boolean {
  const last = highest(fs, directory);
  if (last === undefined || last === 0) return false;
  const owner = readOwner(fs, directory, last);
  return owner !== undefined && lifeOf(fs, directory, last, owner, watch) === "lives";
}

/** `dead`: seen dead, or has released the directory; `silent`: may only have been stopped. */
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
    // Half a file would look like one being written by its owner, and block every takeover.
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
