import { mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * `mkdir -p` with access for the owner alone. Node's own `recursive` never returns below /proc (Node 20).
 *
 * The spool of `seclog` creates its folder the same way, through a file system that tests can break. That function is
 * not part of the log's API, so this package has its own.
 */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    makeFolder(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
}
