import { join } from "node:path";
import { errorMessage, SeclogError } from "../event/errors.ts";
import type { SpoolFs } from "../spool/fs.ts";
import { type Ownership, release, renew } from "../spool/ownership.ts";
import { adoptSource, listSources, removeSource, sourceBytes } from "../spool/source.ts";
import { fileSource } from "./file-source.ts";
import type { ShipSource } from "./lane.ts";
import type { Shipper } from "./shipper.ts";

/** What whoever adopts wants to know. */
export interface AdoptionObserver {
  /** Bytes of dead processes' segments that were found (positive) or removed (negative). */
  bytes(change: number): void;
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
  readonly #observer: AdoptionObserver;
  readonly #adopted = new Map<ShipSource, { readonly owned: Ownership; bytes: number }>();

  /** @param holder the id of the log that adopts, as the owner's file will name it */
  constructor(fs: SpoolFs, root: string, holder: string, shipper: Shipper, observer: AdoptionObserver) {
    this.#fs = fs;
    this.#root = root;
    this.#holder = holder;
    this.#shipper = shipper;
    this.#observer = observer;
  }

  /** How many sources are being shipped for the dead. */
  get size(): number {
    return this.#adopted.size;
  }

  /** Looks for dead processes' sources and starts to ship them. Returns how many it took over. */
  look(): number {
    let found = 0;
    try {
      const known = new Set([...this.#adopted.keys()].map((source) => source.id));
      for (const id of listSources(this.#fs, this.#root)) {
        if (this.#adopted.size >= AT_ONCE) break;
        if (id === this.#holder || known.has(id)) continue;
        const adopted = adoptSource(this.#fs, this.#root, id, this.#holder);
        if (adopted === undefined) continue;
        this.#ship(adopted.owned, id, adopted.key);
        found += 1;
      }
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

  /** Removes the directory of a source that was shipped to its end. */
  finished(source: ShipSource): void {
    const entry = this.#adopted.get(source);
    if (entry === undefined) return;
    this.#adopted.delete(source);
    try {
      removeSource(this.#fs, this.#root, entry.owned.directory);
      this.#observer.bytes(-entry.bytes);
    } catch (error) {
      this.#failed(error);
    }
  }

  #ship(owned: Ownership, id: string, key: string): void {
    const entry = { owned, bytes: sourceBytes(this.#fs, owned.directory) };
    this.#observer.bytes(entry.bytes);
    const source = fileSource({
      fs: this.#fs,
      directory: join(this.#root, id),
      id,
      epoch: owned.epoch,
      key,
      limit: () => undefined,
      freed: (bytes) => {
        entry.bytes -= bytes;
        this.#observer.bytes(-bytes);
      },
    });
    this.#adopted.set(source, entry);
    void this.#shipper.add(source);
  }

  #failed(error: unknown): void {
    this.#observer.failed(
      error instanceof SeclogError
        ? error
        : new SeclogError(
            "SECLOG_SPOOL_DIRECTORY",
            `a spool left behind in ${this.#root} cannot be used: ${errorMessage(error)}`,
          ),
    );
  }
}
