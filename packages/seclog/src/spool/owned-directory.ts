import { monotonicNow, wallNow } from "../runtime/timers.ts";
import type { SpoolFs } from "./fs.ts";
import { OWNERSHIP_MS, type Ownership, stillOwns } from "./ownership.ts";

/** A source's directory, and whether it is still this process's. */
export class OwnedDirectory {
  readonly path: string;
  readonly #fs: SpoolFs;
  readonly #owned: Ownership;
  /** When it was last looked at, by both clocks: the wall clock goes on while the machine sleeps, and may be set. */
  #lookedAt: Clocks = clocks();

  constructor(fs: SpoolFs, owned: Ownership) {
    this.#fs = fs;
    this.#owned = owned;
    this.path = owned.directory;
  }

  /** Whether nobody had taken it over {@link OWNERSHIP_MS} ago; looks only when the last look was before that. */
  wasOurs(): boolean {
    const { wall, monotonic } = clocks();
    const recent =
      Math.abs(wall - this.#lookedAt.wall) <= OWNERSHIP_MS && monotonic - this.#lookedAt.monotonic <= OWNERSHIP_MS;
    return recent || this.isOurs();
  }

  /** Whether nobody has taken it over until now. */
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
