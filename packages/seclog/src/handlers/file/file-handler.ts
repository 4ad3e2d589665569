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
   * The file to write; a missing directory is created (mode 0700). One log writes it at a time. A second log of the
   * same process refuses to start. In another process the handler waits for the first to close, and after 30 seconds
   * stops until it does.
   */
  readonly path: string;
  /**
   * Bytes: the file is rotated before it would exceed them. A batch is never split.
   * @default 104857600 (100 MiB)
   */
  readonly maxBytes?: number | undefined;
  /**
   * Whether the file is rotated at the first event of a new UTC day.
   * @default false
   */
  readonly daily?: boolean | undefined;
  /**
   * How many rotated files to keep; older ones are deleted.
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

/** `holder` identifies the handler to a replacement of the shipper's worker thread in the same process. */
interface WorkerOptions extends FileHandlerOptions {
  readonly holder: string;
}

const OPTIONS = ["path", "maxBytes", "daily", "keep", "name", "required", "fs", "now"];

/**
 * Writes events to a file as NDJSON, mode 0600, one line each with the table's column names. A batch counts as stored
 * after fdatasync. No event is written twice, even after `kill -9` in the middle of a line.
 *
 * A full disk is retried; missing permission stops the handler until an operator acts.
 *
 * Writes only to a regular file with a single name. A symbolic link, a FIFO or a device is refused at the start, or
 * stops the handler when it appears later, as does a file with hard links.
 *
 * @throws SeclogError `SECLOG_CONFIG` for a bad option. The file is opened with the first batch.
 */
export function fileHandler(options: FileHandlerOptions): SecurityEventHandler {
  rejectUnknownOptions("fileHandler", options, OPTIONS);
  const handler = makeHandler({ ...options, holder: randomUUID() });
  const stat = statOf(options.path);
  if (stat === undefined || stat.isFile()) return handler;
  const what = stat.isSymbolicLink() ? "is a symbolic link, which is not followed" : "is not a regular file";
  const path = JSON.stringify(options.path);
  throw configError("fileHandler", "path", `${path} ${what}: name a file; for standard output use stdoutHandler`);
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: WorkerOptions): SecurityEventHandler {
  return makeHandler(options);
}

function makeHandler({ name = "file", required = true, fs, now, ...options }: WorkerOptions): SecurityEventHandler {
  if (typeof options.path !== "string" || options.path === "" || options.path.includes("\0")) {
    throw configError("fileHandler", "path", "must be the path of a file");
  }
  const settings = {
    // Resolved now: the process may change its directory before the first batch.
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

/** One identity for all paths to a file: through a link to its folder, or in other letters where case is ignored. */
function identity(path: string): string {
  let folder = dirname(path);
  try {
    folder = nodeFs.realpathSync.native(folder);
  } catch {
    // The first batch creates it.
  }
  const file = join(folder, basename(path));
  return process.platform === "win32" || process.platform === "darwin" ? file.toLowerCase() : file;
}

/** What is at a path now; `undefined` when that is nothing, or unknown. */
function statOf(path: string): nodeFs.Stats | undefined {
  try {
    return nodeFs.lstatSync(path);
  } catch {
    return undefined;
  }
}
