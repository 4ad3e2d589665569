import type nodeFs from "node:fs";
import { basename, dirname, extname, join } from "node:path";

/** The file system calls used. */
export interface RotationFs {
  readonly promises: Pick<typeof nodeFs.promises, "readdir" | "rename" | "unlink">;
}

/** The rotated predecessors of a file: `security.2026-11-22.0001.ndjson` beside `security.ndjson`. */
export class RotatedFiles {
  readonly #fs: RotationFs;
  readonly #path: string;
  readonly #directory: string;
  readonly #stem: string;
  readonly #extension: string;

  constructor(fs: RotationFs, path: string) {
    this.#fs = fs;
    this.#path = path;
    this.#directory = dirname(path);
    this.#extension = extname(path);
    this.#stem = basename(path, this.#extension);
  }

  /** Their paths, oldest first. */
  async paths(): Promise<string[]> {
    return (await this.#names()).map((name) => join(this.#directory, name));
  }

  /** Renames the file to its last day, `2026-11-22`, and that day's next number. */
  async add(day: string): Promise<void> {
    const start = `${this.#stem}.${day}.`;
    const numbers = (await this.#names())
      .filter((name) => name.startsWith(start))
      .map((name) => Number(name.slice(start.length, name.length - this.#extension.length)));
    const number = String(Math.max(0, ...numbers) + 1).padStart(4, "0");
    await this.#fs.promises.rename(this.#path, join(this.#directory, `${start}${number}${this.#extension}`));
  }

  /** Deletes the oldest, all but `keep`. */
  async prune(keep: number): Promise<void> {
    const paths = await this.paths();
    for (const path of paths.slice(0, Math.max(0, paths.length - keep))) await this.#fs.promises.unlink(path);
  }

  async #names(): Promise<string[]> {
    const [stem, extension] = [this.#stem, this.#extension];
    const names = await this.#fs.promises.readdir(this.#directory);
    return names
      .filter((name) => name.startsWith(`${stem}.`) && name.endsWith(extension))
      .filter((name) => /^\d{4}-\d\d-\d\d\.\d{4,}$/.test(name.slice(stem.length + 1, name.length - extension.length)))
      .sort();
  }
}
