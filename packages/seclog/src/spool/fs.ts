import nodeFs from "node:fs";
import { isError } from "../event/errors.ts";

/**
 * All file system calls that the spool makes: a parameter, so that a test can make any one of them fail.
 */
export type SpoolFs = Pick<
  typeof nodeFs,
  | "closeSync"
  | "fdatasync"
  | "fdatasyncSync"
  | "fstatSync"
  | "fsync"
  | "fsyncSync"
  | "ftruncateSync"
  | "lstatSync"
  | "lutimesSync"
  | "mkdirSync"
  | "openSync"
  | "readSync"
  | "readdirSync"
  | "rmdirSync"
  | "unlinkSync"
  | "writeSync"
>;

/** The calls of `node:fs`. */
export const spoolFs: SpoolFs = nodeFs;

/** Makes what was created in or removed from a directory durable (fsync of the directory). */
export function syncDirectory(fs: SpoolFs, directory: string): void {
  const fd = openDirectory(fs, directory);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Opens a directory and nothing else: on a FIFO, the call would otherwise block for ever. */
export function openDirectory(fs: SpoolFs, path: string): number {
  const { O_RDONLY, O_DIRECTORY = 0, O_NONBLOCK = 0 } = nodeFs.constants;
  return fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
}

/**
 * Rethrows the error of a call on a file, unless the file is missing from an existing directory. While the directory
 * itself is away (an unmounted volume, a moved folder) its content is unknown.
 */
export function assertAbsent(fs: SpoolFs, directory: string, name: string, thrown: unknown): void {
  if (!isErrno(thrown, "ENOENT") || fs.readdirSync(directory).includes(name)) throw thrown;
}

/** Whether a thrown value is the operating system's error of that name, such as `ENOENT`. */
export function isErrno(thrown: unknown, code: string): boolean {
  return isError(thrown) && (thrown as NodeJS.ErrnoException).code === code;
}
