import { mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * As `mkdir -p`, for its owner alone. Node's own `recursive` never ends below /proc (Node 20).
 *
 * The spool of `seclog` makes its folder likewise, by a file system that tests can break. It stands here again because
 * it is not part of a log's API.
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
