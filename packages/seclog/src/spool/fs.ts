import nodeFs from "node:fs";
import { isError } from "../event/errors.ts";

/**
 * The file system calls that the spool makes, and no others: a parameter, so that a test can let any one of
 * them fail.
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

/** The real one. */
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

/** A descriptor of a directory, and of nothing else: were a FIFO there instead, the call would wait for ever. */
export function openDirectory(fs: SpoolFs, path: string): number {
  const { O_RDONLY, O_DIRECTORY = 0, O_NONBLOCK = 0 } = nodeFs.constants;
  return fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
}

/**
 * Throws again what a call for a file threw, unless the file is not there: its directory is, and does not name it. While the
 * directory itself is away (a volume that is not mounted, a folder that was moved) nobody knows what is in it.
 */
export function assertAbsent(fs: SpoolFs, directory: string, name: string, thrown: unknown): void {
  if (!isErrno(thrown, "ENOENT") || fs.readdirSync(directory).includes(name)) throw thrown;
}

/** Whether a thrown value is the operating system's error of that name, such as `ENOENT`. */
export function isErrno(thrown: unknown, code: string): boolean {
  return isError(thrown) && (thrown as NodeJS.ErrnoException).code === code;
}
