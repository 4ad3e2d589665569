import { randomUUID } from "node:crypto";
import nodeFs from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { configError, rejectUnknownOptions, wholeNumber } from "../../event/options.ts";
import { wallNow } from "../../runtime/timers.ts";
import type { SecurityEventHandler } from "../../ship/handler.ts";
import { FileLog, type FileLogFs } from "./file-log.ts";

/** Options of {@link fileHandler}. */
export interface FileHandlerOptions {
  /**
   * The file that is written to; its directory is made when it is missing (mode 0700). One log of one process writes it at
   * a time: a second log of the same process refuses to start. In another process the handler waits for the first to leave,
   * and after 30 seconds stops until it does.
   */
  readonly path: string;
  /**
   * The file is rotated out before it would pass so many bytes. A batch is never split.
   * @default 104857600 (100 MiB)
   */
  readonly maxBytes?: number | undefined;
  /**
   * The file is rotated out at the first event of another day, in UTC.
   * @default false
   */
  readonly daily?: boolean | undefined;
  /**
   * How many rotated files are kept; the oldest beyond that are deleted.
   * @default Infinity
   */
  readonly keep?: number | undefined;
  /** @default "file" */
  readonly name?: string | undefined;
  /**
   * Whether a receipt's `stored` waits for it.
   * @default true
   */
  readonly required?: boolean | undefined;
  /** For tests. With it, the handler runs on the main thread. */
  readonly fs?: FileLogFs | undefined;
  /** For tests: the time in milliseconds. With it, the handler runs on the main thread. */
  readonly now?: (() => number) | undefined;
}

/** Who writes the file when the shipper's worker is made anew within one process. */
interface WorkerOptions extends FileHandlerOptions {
  readonly holder: string;
}

const OPTIONS = ["path", "maxBytes", "daily", "keep", "name", "required", "fs", "now"];

/**
 * Writes events to a file as NDJSON, mode 0600, one line each with the table's column names. A batch counts as
 * stored after fdatasync, and no event is written twice, also after `kill -9` in the middle of a line.
 *
 * A full disk is tried again; a directory or file that may not be written stops the handler until somebody acts.
 *
 * Only a regular file with one name is written: no symbolic link is followed, and a FIFO, a device or a file with hard links is
 * refused, at the start when it is there, else as what somebody must act on.
 *
 * @throws SeclogError `SECLOG_CONFIG` for a bad option. The file is opened when the first batch comes.
 */
export function fileHandler(options: FileHandlerOptions): SecurityEventHandler {
  rejectUnknownOptions("fileHandler", options, OPTIONS);
  const handler = makeHandler({ ...options, holder: randomUUID() });
  const stat = standing(options.path);
  if (stat === undefined || stat.isFile()) return handler;
  const what = stat.isSymbolicLink() ? "is a symbolic link, which is not followed" : "is not a regular file";
  const path = JSON.stringify(options.path);
  throw configError("fileHandler", "path", `${path} ${what}: name a file; standard output is stdoutHandler's`);
}

/** Makes the handler in the shipper's worker thread. */
export function createHandler(options: WorkerOptions): SecurityEventHandler {
  return makeHandler(options);
}

function makeHandler({ name = "file", required = true, fs, now, ...options }: WorkerOptions): SecurityEventHandler {
  if (typeof options.path !== "string" || options.path === "" || options.path.includes("\0")) {
    throw configError("fileHandler", "path", "must be the path of a file");
  }
  const settings = {
    // Resolved here: a process may change its directory before the first batch.
    path: resolve(options.path),
    maxBytes: wholeNumber("fileHandler", "maxBytes", options.maxBytes, { default: 100 << 20, min: 1024 }),
    daily: options.daily ?? false,
    keep: wholeNumber("fileHandler", "keep", options.keep, { default: Number.POSITIVE_INFINITY, min: 0 }),
    holder: options.holder,
  };
  const log = new FileLog(settings, fs ?? nodeFs, now ?? wallNow);
  return {
    name,
    required,
    exclusive: identity(settings.path),
    ...(fs === undefined && now === undefined
      ? { worker: { module: "seclog:file", options: { ...settings, name, required } } }
      : {}),
    handle: (batch, signal) => log.handle(batch, signal),
    close: () => log.close(),
  };
}

/** The same for all paths to one file: by way of a link to its folder, or in other letters where the file system sees none. */
function identity(path: string): string {
  let folder = dirname(path);
  try {
    folder = nodeFs.realpathSync.native(folder);
  } catch {
    // It is made with the first batch.
  }
  const file = join(folder, basename(path));
  return process.platform === "win32" || process.platform === "darwin" ? file.toLowerCase() : file;
}

/** What stands there; `undefined` when nothing does, or nobody can say now. */
function standing(path: string): nodeFs.Stats | undefined {
  try {
    return nodeFs.lstatSync(path);
  } catch {
    return undefined;
  }
}
