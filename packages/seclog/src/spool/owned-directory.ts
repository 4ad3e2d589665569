import { monotonicNow, wallNow } from "../runtime/timers.ts";
import type { SpoolFs } from "./fs.ts";
import { OWNERSHIP_MS, type Ownership, stillOwns } from "./ownership.ts";

/** A source's directory, and whether it is still this process's. */
export class OwnedDirectory {
  readonly path: string;
  readonly #fs: SpoolFs;
  readonly #owned: Ownership;
  /** The last look, by both clocks: the wall clock continues while the machine sleeps, and may be set. */
  #lookedAt: Clocks = clocks();

  constructor(fs: SpoolFs, owned: Ownership) {
    this.#fs = fs;
    this.#owned = owned;
    this.path = owned.directory;
  }

  /** Whether the directory was ours {@link OWNERSHIP_MS} ago; looks only when the last look is older. */
  wasOurs(): boolean {
    const { wall, monotonic } = clocks();
    const recent =
      Math.abs(wall - this.#lookedAt.wall) <= OWNERSHIP_MS && monotonic - this.#lookedAt.monotonic <= OWNERSHIP_MS;
    return recent || this.isOurs();
  }

  /** Whether the directory is still ours now. */
  isOurs(): boolean {
    this.#lookedAt = clocks();
    return stillOwns(this.#fs, this.#owned);
  }
}

interface Clocks {
  readonly wall: number;
  readonly monotonic: number;
}

function clocks(): Clocks {
  return { wall: wallNow(), monotonic: monotonicNow() };
}
