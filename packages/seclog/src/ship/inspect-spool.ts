import { join } from "node:path";
import { SeclogError } from "../event/errors.ts";
import { isErrno, type SpoolFs, spoolFs } from "../spool/fs.ts";
import { lastSeqOf, readHeader, segmentNumbers } from "../spool/segment-scan.ts";
import { listSources, sourceBytes, sourceIsOwned } from "../spool/source.ts";

/** One log's folder in a spool. */
export interface SpooledSource {
  readonly sourceId: string;
  /** Bytes of its segments. */
  readonly bytes: number;
  /** A running process owns it and ships it itself; otherwise its process is gone. */
  readonly owned: boolean;
}

/** What {@link inspectSpool} found. */
export interface SpoolState {
  /** Permission bits, such as `0o700`. */
  readonly mode: number;
  /** The owner's user id. */
  readonly uid: number;
  /** The group's id. */
  readonly gid: number;
  readonly symbolicLink: boolean;
  readonly sources: readonly SpooledSource[];
  /** Bytes of records that a handler without a place for them refused, or that were damaged. */
  readonly quarantineBytes: number;
}

/** What a spool has beside its sources; and the one name that a volume of its own has before a log was ever there. */
const OTHER_NAMES: ReadonlySet<string> = new Set(["reserve", "quarantine.ndjson", "lost+found"]);

/**
 * Looks at a spool without touching it. An empty folder is one that no log has used yet.
 *
 * @param directory the spool's root, as `spool.directory` names it
 * @throws SeclogError `SECLOG_SPOOL_DIRECTORY` if the folder does not exist, cannot be read, or holds other things and
 *   nothing of a spool
 */
export function inspectSpool(directory: string, fs: SpoolFs = spoolFs): SpoolState {
  let state: SpoolState;
  let names: readonly string[];
  try {
    const stat = fs.lstatSync(directory);
    const sources = listSources(fs, directory).map((sourceId) => ({
      sourceId,
      bytes: sourceBytes(fs, join(directory, sourceId)),
      owned: sourceIsOwned(fs, directory, sourceId),
    }));
    names = fs.readdirSync(directory);
    state = {
      mode: stat.mode & 0o7777,
      uid: stat.uid,
      gid: stat.gid,
      symbolicLink: stat.isSymbolicLink(),
      sources,
      quarantineBytes: sizeOf(fs, join(directory, "quarantine.ndjson")),
    };
  } catch (cause) {
    if (isErrno(cause, "ENOENT")) throw refusal(directory, "does not exist", cause);
    throw refusal(directory, isErrno(cause, "EACCES") ? "may not be read by this user" : "is not a spool", cause);
  }
  if (state.sources.length === 0 && names.length > 0 && !names.some((name) => OTHER_NAMES.has(name))) {
    throw refusal(directory, "is not a spool, it holds neither sources nor a spool's files");
  }
  return state;
}

/**
 * The last number that a source has on disk as a whole record, 0 for none; `undefined` if the spool does not have the
 * source, since nothing was ever written, or everything was stored. Call it while nothing ships the source.
 *
 * @throws the operating system's error
 */
export function lastSpooled(directory: string, sourceId: string, fs: SpoolFs = spoolFs): number | undefined {
  if (!listSources(fs, directory).includes(sourceId)) return undefined;
  const folder = join(directory, sourceId);
  for (const number of segmentNumbers(fs, folder).reverse()) {
    const header = readHeader(fs, folder, number);
    const last = lastSeqOf(fs, folder, number) ?? (header === undefined ? undefined : header.firstSeq - 1);
    if (last !== undefined) return last;
  }
  return 0;
}

function refusal(directory: string, why: string, cause?: unknown): SeclogError {
  return new SeclogError(
    "SECLOG_SPOOL_DIRECTORY",
    `the spool ${JSON.stringify(directory)} ${why}: name the application's spool.directory`,
    { cause },
  );
}

function sizeOf(fs: SpoolFs, path: string): number {
  try {
    return fs.lstatSync(path).size;
  } catch {
    return 0;
  }
}
