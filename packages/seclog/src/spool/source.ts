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
 * Makes the spool's root if it is missing (0700) and refuses one in which others could change what a name stands for.
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
    throw refuse(`cannot be made (${errorMessage(cause)}): ${advice}`, cause);
  }
  const problem = folderProblem(fs.lstatSync(root));
  if (problem !== undefined) throw refuse(problem);
}

/** As `mkdir -p`, and durable. Node's own `recursive` never ends below /proc (Node 20). */
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

/** Makes the directory of a new source and owns it. It is durable when this returns. */
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

/** What a log says that cannot begin because the operating system refused. */
export function unwritable(root: string, cause: unknown): SeclogError {
  const advice = permissionAdvice(cause) ?? "name a folder on a disk that has room and that this user may write";
  return new SeclogError(
    "SECLOG_SPOOL_DIRECTORY",
    `spool.directory ${JSON.stringify(root)} cannot be written (${errorMessage(cause)}): ${advice}`,
    { cause },
  );
}

/** What to do when it was Node's permission model that refused: without fsync, nothing could be promised. */
function permissionAdvice(cause: unknown): string | undefined {
  if (!isErrno(cause, "ERR_ACCESS_DENIED")) return undefined;
  return 'under --permission a spool on disk needs --allow-fs-read and --allow-fs-write of its folder, --allow-fs-read of the application, --allow-worker, and a Node that does not disable fsync there, as current ones do: leave --permission out, or take spool: "memory"';
}

/** The ids of all sources in a root, oldest first; none when the root is missing. */
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

/** A source of a dead process, taken over. */
export interface AdoptedSource {
  readonly sourceId: string;
  readonly owned: Ownership;
  readonly key: string;
}

/**
 * Takes over a source if its owner is gone. Its key comes from a segment, whose checksum finds damage, or from the owner's
 * file when no segment says it.
 *
 * @throws SeclogError `SECLOG_SPOOL_NEWER`, or `SECLOG_SPOOL_DIRECTORY` when something in it is not a regular file, and has
 *   touched nothing
 */
export function adoptSource(
  fs: SpoolFs,
  root: string,
  sourceId: string,
  holder: string,
  watch: OwnerWatch,
): AdoptedSource | undefined {
  assertOwnFolder(fs, join(root, sourceId));
  // One life of one program: what holds for its first segment holds for all.
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

/** Gives up, in order, every source of a root that this process holds for a log that writes and ships no more. Never throws. */
export function releaseAll(fs: SpoolFs, root: string, holder: string): void {
  try {
    for (const id of listSources(fs, root)) releaseHeld(fs, join(root, id), holder);
  } catch {
    // The next process finds them with a dead owner.
  }
}

/** Logs of which sources were away when they ended, by root. */
const ended = new Map<string, Set<string>>();

/**
 * The same, and again and again as long as this process lives: of what is away now, and comes back, the owner's file would keep
 * everybody from it.
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

/** Whether a living process owns this source; without `watch`, by the looks of its owner's file only. */
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
 * Unlinks the segments of which every number is at most `seq`.
 *
 * @param freed told the bytes of each
 * @param closed the number of the newest segment that nothing will be written to any more; the last one stays with 0
 * @throws the operating system's error, having deleted some or none
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
  // Were a power loss to take a cursor, what is deleted would look like damage.
  syncDirectory(fs, directory);
  for (const number of numbers.slice(0, passed)) {
    // An abandoned one may have more than where the next one begins, and be the only one that has it, or tells of it.
    const reach = reachOf(fs, directory, number);
    if (reach !== undefined && (reach.lastSeq ?? 0) + (reach.more ? 1 : 0) > seq) break;
    const bytes = segmentBytes(fs, directory, number);
    // Should it fail, those behind it stay, too: only the oldest may be missing.
    if (unlinkIfThere(fs, join(directory, segmentName(number)))) freed(bytes);
  }
}

/**
 * Removes a source of which everything was shipped. The segments go newest first: should this end halfway, what is left
 * is repeated, and nothing is missing in front of it. Then the cursors; the owner's file last.
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

/** Whether it was there: its writer removes segments that failed, too. */
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
