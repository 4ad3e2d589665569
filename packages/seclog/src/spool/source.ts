/**
 * The spool's root and the sources in it: creates, lists, takes over, shortens and removes them. What it creates is
 * durable when it returns, and it removes only what every handler has. Writing and reading events is left to
 * `writer.ts` and `reader.ts`.
 */
import { randomBytes } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import { errorMessage, SeclogError } from "../event/errors.ts";
import { setInterval } from "../runtime/timers.ts";
import { assertOwnFolder, folderProblem } from "./files.ts";
import { isErrno, type SpoolFs, syncDirectory } from "./fs.ts";
import {
  isInTheMaking,
  isOwned,
  type Ownership,
  type OwnerWatch,
  ownNew,
  RENEW_MS,
  releaseHeld,
  takeOver,
} from "./ownership.ts";
import { withReserve } from "./reserve.ts";
import { segmentName, segmentNumber } from "./segment.ts";
import { firstSeqOf, reachOf, readHeader, segmentNumbers } from "./segment-scan.ts";

const SOURCE_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/**
 * Creates the spool's root if it is missing (0700), and refuses one in which other users could change what a name
 * refers to.
 *
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY`
 */
export function openRoot(fs: SpoolFs, root: string): void {
  const refuse = (why: string, cause?: unknown): SeclogError =>
    new SeclogError("SECLOG_SPOOL_DIRECTORY", `spool.directory ${JSON.stringify(root)} ${why}`, { cause });
  try {
    makeFolder(fs, resolve(root));
  } catch (cause) {
    const advice = permissionAdvice(cause) ?? "name a folder that this user may write";
    throw refuse(`cannot be created (${errorMessage(cause)}): ${advice}`, cause);
  }
  const problem = folderProblem(fs.lstatSync(root));
  if (problem !== undefined) throw refuse(problem);
}

/** Creates a folder as `mkdir -p` does, durably. Node's own `recursive` never ends below /proc (Node 20). */
function makeFolder(fs: SpoolFs, path: string): void {
  const parent = dirname(path);
  try {
    fs.mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (isErrno(error, "EEXIST")) return;
    if (!isErrno(error, "ENOENT") || parent === path) throw error;
    makeFolder(fs, parent);
    fs.mkdirSync(path, { mode: 0o700 });
  }
  syncDirectory(fs, parent);
}

/** Creates the directory of a new source and owns it. Durable when this returns. */
export function createSource(fs: SpoolFs, root: string, sourceId: string): Ownership {
  const directory = join(root, sourceId);
  fs.mkdirSync(directory, { mode: 0o700 });
  try {
    const owned = ownNew(fs, directory, sourceId, randomBytes(16).toString("hex"));
    syncDirectory(fs, root);
    return owned;
  } catch (error) {
    discardSource(fs, root, directory);
    throw error;
  }
}

/** The error of a log that cannot start because the operating system refused. */
export function unwritable(root: string, cause: unknown): SeclogError {
  const advice = permissionAdvice(cause) ?? "name a folder on a disk that has room and that this user may write";
  return new SeclogError(
    "SECLOG_SPOOL_DIRECTORY",
    `spool.directory ${JSON.stringify(root)} cannot be written (${errorMessage(cause)}): ${advice}`,
    { cause },
  );
}

/** The next step when Node's permission model refused: without fsync, nothing could be promised. */
function permissionAdvice(cause: unknown): string | undefined {
  if (!isErrno(cause, "ERR_ACCESS_DENIED")) return undefined;
  return 'under --permission a spool on disk needs --allow-fs-read and --allow-fs-write of its folder, --allow-fs-read of the application, --allow-worker, and a Node that does not disable fsync there, as current ones do: leave --permission out, or take spool: "memory"';
}

/** The ids of all sources in a root, oldest first; empty when the root is missing. */
export function listSources(fs: SpoolFs, root: string): string[] {
  try {
    return fs
      .readdirSync(root)
      .filter((name) => SOURCE_ID.test(name))
      .sort();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** A dead process's source, taken over. */
export interface AdoptedSource {
  readonly sourceId: string;
  readonly owned: Ownership;
  readonly key: string;
}

/**
 * Takes over a source if its owner is gone. Its key comes from a segment, whose checksum reveals damage, or from the
 * owner's file when no segment has it.
 *
 * @throws SeclogError `SECLOG_SPOOL_NEWER`, or `SECLOG_SPOOL_DIRECTORY` when something in it is not a regular file,
 *   before anything was touched
 */
export function adoptSource(
  fs: SpoolFs,
  root: string,
  sourceId: string,
  holder: string,
  watch: OwnerWatch,
): AdoptedSource | undefined {
  assertOwnFolder(fs, join(root, sourceId));
  // One program wrote the whole source: what holds for its first segment holds for all.
  const [first] = segmentNumbers(fs, join(root, sourceId));
  if (first !== undefined) readHeader(fs, join(root, sourceId), first);
  if (isInTheMaking(fs, join(root, sourceId))) {
    watch.undecided.add(join(root, sourceId));
    return undefined;
  }
  const owned = withReserve(fs, root, () => takeOver(fs, join(root, sourceId), holder, watch));
  if (owned === undefined) return undefined;
  for (const number of segmentNumbers(fs, owned.directory)) {
    const key = readHeader(fs, owned.directory, number)?.key;
    if (key !== undefined && key !== "") return { sourceId, owned, key };
  }
  return { sourceId, owned, key: owned.key ?? "" };
}

/** Releases every source of a root that this process holds for a log that no longer writes or ships. Never throws. */
export function releaseAll(fs: SpoolFs, root: string, holder: string): void {
  try {
    for (const id of listSources(fs, root)) releaseHeld(fs, join(root, id), holder);
  } catch {
    // The next process finds them with a dead owner.
  }
}

/** Logs that ended while some of their sources were away, by root. */
const ended = new Map<string, Set<string>>();

/**
 * The same, repeated while this process lives: when a source that is away now comes back, its owner's file would block
 * every takeover.
 */
export function releaseWhenBack(fs: SpoolFs, root: string, holder: string): void {
  const holders = ended.get(root) ?? new Set();
  if (holders.size === 0) {
    setInterval(() => {
      for (const each of holders) releaseAll(fs, root, each);
    }, RENEW_MS).unref();
  }
  ended.set(root, holders.add(holder));
}

/** Whether a living process owns this source; without `watch`, judged by its owner's file alone. */
export function sourceIsOwned(fs: SpoolFs, root: string, sourceId: string, watch?: OwnerWatch): boolean {
  return isOwned(fs, join(root, sourceId), watch);
}

/** Bytes of a source's segments. */
export function sourceBytes(fs: SpoolFs, directory: string): number {
  let bytes = 0;
  for (const number of segmentNumbers(fs, directory)) bytes += segmentBytes(fs, directory, number);
  return bytes;
}

/**
 * Unlinks the segments all of whose numbers are at most `seq`.
 *
 * @param freed called with the bytes of each
 * @param closed the number of the newest segment that is no longer written; with 0 the last one stays
 * @throws the operating system's error, after deleting some or none
 */
export function deleteShipped(
  fs: SpoolFs,
  directory: string,
  seq: number,
  freed: (bytes: number) => void,
  closed: number = 0,
): void {
  const numbers = segmentNumbers(fs, directory);
  let passed = 0;
  for (const [index, number] of numbers.entries()) {
    const first = firstSeqOf(fs, directory, number);
    if (first === undefined) continue;
    if (first > seq + 1) break;
    passed = index;
  }
  const last = numbers.at(-1) ?? 0;
  if (last > 0 && last <= closed && passed === numbers.length - 1) passed = numbers.length;
  if (passed === 0) return;
  // If a power loss took a cursor, what is deleted would look like damage.
  syncDirectory(fs, directory);
  for (const number of numbers.slice(0, passed)) {
    // An abandoned segment may have more than the next one's start, and be the only one to show it.
    const reach = reachOf(fs, directory, number);
    if (reach !== undefined && (reach.lastSeq ?? 0) + (reach.more ? 1 : 0) > seq) break;
    const bytes = segmentBytes(fs, directory, number);
    // If it fails, later ones stay as well: only the oldest may be missing.
    if (unlinkIfThere(fs, join(directory, segmentName(number)))) freed(bytes);
  }
}

/**
 * Removes a source that was completely shipped. The segments go newest first: if this ends halfway, what is left is
 * repeated, and nothing is missing in front of it. Then the cursors; the owner's file last.
 */
export function removeSource(fs: SpoolFs, root: string, directory: string): void {
  const rank = (name: string): number => (segmentNumber(name) !== undefined ? 0 : name.startsWith("owner.") ? 2 : 1);
  const names = fs.readdirSync(directory).sort((a, b) => rank(a) - rank(b) || (a > b ? -1 : 1));
  for (const name of names) fs.unlinkSync(join(directory, name));
  fs.rmdirSync(directory);
  syncDirectory(fs, root);
}

/** Removes a new source in which nothing was recorded. */
export function discardSource(fs: SpoolFs, root: string, directory: string): void {
  try {
    removeSource(fs, root, directory);
  } catch {
    // The next process finds it with a dead owner.
  }
}

/** Removes a file, and returns whether it existed: a source's writer removes failed segments as well. */
function unlinkIfThere(fs: SpoolFs, path: string): boolean {
  try {
    fs.unlinkSync(path);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

function segmentBytes(fs: SpoolFs, directory: string, number: number): number {
  try {
    return fs.lstatSync(join(directory, segmentName(number))).size;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return 0;
    throw error;
  }
}
