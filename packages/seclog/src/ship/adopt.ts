import { join } from "node:path";
import { errorMessage, SeclogError } from "../event/errors.ts";
import { listCursors } from "../spool/cursor.ts";
import type { SpoolFs } from "../spool/fs.ts";
import { type Ownership, release, renew } from "../spool/ownership.ts";
import { adoptSource, listSources, removeSource, sourceBytes } from "../spool/source.ts";
import { fileSource } from "./file-source.ts";
import type { ShipSource } from "./lane.ts";
import type { Shipper } from "./shipper.ts";

/** What whoever adopts wants, and wants to know. */
export interface AdoptionOptions {
  /**
   * The handlers that are shipped to, when the source's process may have had others: what those still need is kept.
   * Absent for an application, whose configuration is the last word.
   */
  readonly only?: readonly string[];
  /** Bytes of dead processes' segments that were found (positive) or removed (negative). */
  bytes(change: number): void;
  /** Bytes of all segments that are neither the holder's nor adopted, at each look. */
  others?(bytes: number): void;
  failed(error: SeclogError): void;
}

/** Dead processes' sources that are shipped at a time. */
const AT_ONCE = 4;

/** Ships what dead processes left in the spool, and removes their directories when all handlers have everything. */
export class Adoption {
  readonly #fs: SpoolFs;
  readonly #root: string;
  readonly #holder: string;
  readonly #shipper: Shipper;
  readonly #options: AdoptionOptions;
  /** Sources that other handlers still need. */
  readonly #kept = new Map<string, readonly string[]>();
  readonly #adopted = new Map<ShipSource, { readonly owned: Ownership; bytes: number }>();

  /** @param holder the id of the log that adopts, as the owner's file will name it */
  constructor(fs: SpoolFs, root: string, holder: string, shipper: Shipper, options: AdoptionOptions) {
    this.#fs = fs;
    this.#root = root;
    this.#holder = holder;
    this.#shipper = shipper;
    this.#options = options;
  }

  /** How many sources are being shipped for the dead. */
  get size(): number {
    return this.#adopted.size;
  }

  /** The names of handlers that still need something of a source that was shipped to the others. */
  get waiting(): string[] {
    return [...new Set([...this.#kept.values()].flat())].sort();
  }

  /** Looks for dead processes' sources and starts to ship them. Returns how many it took over. */
  look(): number {
    let found = 0;
    let others = 0;
    try {
      const known = new Set([...this.#adopted.keys()].map((source) => source.id));
      for (const id of listSources(this.#fs, this.#root)) {
        if (id === this.#holder || known.has(id)) continue;
        const adopted =
          this.#kept.has(id) || this.#adopted.size >= AT_ONCE
            ? undefined
            : adoptSource(this.#fs, this.#root, id, this.#holder);
        if (adopted === undefined) {
          others += sourceBytes(this.#fs, join(this.#root, id));
        } else {
          this.#ship(adopted.owned, id, adopted.key);
          found += 1;
        }
      }
      this.#options.others?.(others);
    } catch (error) {
      this.#failed(error);
    }
    return found;
  }

  /** Shows processes that cannot look this one up that it lives. */
  renew(): void {
    for (const { owned } of this.#adopted.values()) renew(this.#fs, owned);
  }

  /** Gives up, in order, what was not shipped to its end, so that the next one need not wait. */
  release(): void {
    for (const { owned } of this.#adopted.values()) {
      try {
        release(this.#fs, owned);
      } catch (error) {
        this.#failed(error);
      }
    }
    this.#adopted.clear();
  }

  /** Removes the directory of a source that was shipped to its end, unless other handlers need it. */
  finished(source: ShipSource): void {
    const entry = this.#adopted.get(source);
    if (entry === undefined) return;
    this.#adopted.delete(source);
    const { owned, bytes } = entry;
    try {
      const others = [...this.#others(owned.directory).keys()];
      if (others.length > 0) {
        this.#kept.set(source.id, others);
        release(this.#fs, owned);
        return;
      }
      removeSource(this.#fs, this.#root, owned.directory);
      this.#options.bytes(-bytes);
    } catch (error) {
      this.#failed(error);
    }
  }

  /**
   * How far the handlers are that are not shipped to here. One that has all is counted too: only it knows that, and it is
   * quick to see it again.
   */
  #others(directory: string): Map<string, number> {
    const { only } = this.#options;
    if (only === undefined) return new Map();
    return new Map([...listCursors(this.#fs, directory)].filter(([name]) => !only.includes(name)));
  }

  #ship(owned: Ownership, id: string, key: string): void {
    const entry = { owned, bytes: sourceBytes(this.#fs, owned.directory) };
    this.#options.bytes(entry.bytes);
    const source = fileSource({
      fs: this.#fs,
      directory: join(this.#root, id),
      id,
      epoch: owned.epoch,
      key,
      limit: () => undefined,
      releasable: (seq) => Math.min(seq, ...this.#others(owned.directory).values()),
      freed: (bytes) => {
        entry.bytes -= bytes;
        this.#options.bytes(-bytes);
      },
    });
    this.#adopted.set(source, entry);
    void this.#shipper.add(source);
  }

  #failed(error: unknown): void {
    this.#options.failed(
      error instanceof SeclogError
        ? error
        : new SeclogError(
            "SECLOG_SPOOL_DIRECTORY",
            `a spool left behind in ${this.#root} cannot be used: ${errorMessage(error)}`,
          ),
    );
  }
}
