import { join } from "node:path";
import { errorMessage, SeclogError } from "../event/errors.ts";
import type { LeftBehind } from "../record/health.ts";
import { clearTimeout, setTimeout } from "../runtime/timers.ts";
import { listCursors } from "../spool/cursor.ts";
import { isErrno, type SpoolFs } from "../spool/fs.ts";
import { HANDOVER_MS, isOrphan, type Ownership, OwnerWatch, release, renew, stillOwns } from "../spool/ownership.ts";
import { type AdoptedSource, adoptSource, listSources, removeSource, sourceBytes } from "../spool/source.ts";
import { fileSource } from "./file-source.ts";
import type { FailureKind } from "./handler.ts";
import type { ShipSource } from "./ship-source.ts";
import type { Shipper } from "./shipper.ts";

/** What an adopting process needs, and how it is kept informed. */
export interface AdoptionOptions {
  /**
   * The handlers that are shipped to, when the source's process may have had others: what those still need is kept.
   * Absent for an application, whose configuration is authoritative.
   */
  readonly only?: readonly string[];
  /** Bytes of dead processes' segments that were found (positive) or removed (negative). */
  bytes(change: number): void;
  /** Bytes of all segments that are neither the holder's nor adopted, at each look. */
  others?(bytes: number): void;
  failed(error: SeclogError, kind: FailureKind): void;
}

/** How many dead processes' sources are shipped at a time, not counting those that wait for an operator. */
const AT_ONCE = 4;

/** The same including those: each may resume at any moment, and then needs memory for its batches. */
const MOST = 16;

interface Adopted {
  readonly owned: Ownership;
  bytes: number;
  /** While the owner before may still write. */
  handover?: NodeJS.Timeout;
}

/** Why a source is stuck. */
interface Stuck {
  readonly error: SeclogError;
  readonly at: Date;
}

/**
 * Takes over what dead processes left in the spool, has it shipped, and removes their folders once all handlers have
 * everything. One source that cannot be taken over, shipped or removed does not hold up the others; each is retried at
 * every look. Deciding which owner is dead is left to `spool/ownership.ts`, shipping to `Shipper`.
 */
export class Adoption {
  readonly #fs: SpoolFs;
  readonly #root: string;
  readonly #holder: string;
  readonly #shipper: Shipper;
  readonly #options: AdoptionOptions;
  /** Sources that other handlers still need. */
  readonly #kept = new Map<string, readonly string[]>();
  /** Sources that could not be taken over at the last look, or were written by a newer program. */
  #stuck = new Map<string, Stuck>();
  readonly #adopted = new Map<ShipSource, Adopted>();
  /** Sources that were left, of which a handler may still be storing something. */
  readonly #leaving = new Set<string>();
  /** Sources that were shipped and could not be removed. */
  readonly #unremoved = new Map<string, { readonly owned: Ownership; readonly why: Stuck }>();
  readonly #watch: OwnerWatch;
  /** Sources whose folders have gone while they were shipped, and have not come back. */
  readonly #away = new Set<string>();
  #released = false;
  /** Why a source could not be taken over at the last look, of one that failed. */
  #refused: SeclogError | undefined;
  /** Why the spool's root could not be listed at the last look. */
  #unlisted: Stuck | undefined;

  /** @param holder the id of the log that adopts, as the owner's file will name it */
  constructor(
    fs: SpoolFs,
    root: string,
    holder: string,
    shipper: Shipper,
    options: AdoptionOptions,
    watch: OwnerWatch = new OwnerWatch(),
  ) {
    this.#watch = watch;
    this.#fs = fs;
    this.#root = root;
    this.#holder = holder;
    this.#shipper = shipper;
    this.#options = options;
  }

  /** How many sources are being shipped for the dead. */
  get size(): number {
    return this.#adopted.size + this.#leaving.size;
  }

  /** How many sources have owners that seem dead, and are watched to be sure: look again soon. */
  get undecided(): number {
    return this.#watch.undecided.size;
  }

  /** Why a source could not be looked at or taken over the last time: look again. */
  get refused(): SeclogError | undefined {
    return this.#refused;
  }

  /** What is not shipped to its end yet, and why some of it cannot be; `undefined` when there is nothing. */
  left(): LeftBehind | undefined {
    const sources = this.size + this.#unremoved.size + this.#stuck.size;
    const [{ owned: _, why } = { why: undefined }] = this.#unremoved.values();
    const [stuck] = this.#stuck.values();
    const reason = stuck ?? why ?? this.#unlisted;
    if (sources === 0 && reason === undefined) return undefined;
    let bytes = 0;
    for (const entry of this.#adopted.values()) bytes += entry.bytes;
    for (const id of this.#stuck.keys()) bytes += this.#bytesIfReadable(id);
    const lastError = reason && { message: reason.error.message, code: reason.error.code, at: reason.at };
    return { sources, bytes, ...(lastError === undefined ? {} : { lastError }) };
  }

  #bytesIfReadable(id: string): number {
    try {
      return sourceBytes(this.#fs, join(this.#root, id));
    } catch {
      return 0;
    }
  }

  /** The names of handlers that still need something of a source that was shipped to the others. */
  get waiting(): string[] {
    return [...new Set([...this.#kept.values()].flat())].sort();
  }

  /**
   * Looks for dead processes' sources and starts to ship them, and leaves those whose folders are gone: when one comes
   * back it is found again. Retries the removal of what was shipped. Returns how many it took over.
   */
  look(): number {
    // After release(), nothing would release what it took now.
    if (this.#released) return 0;
    this.#refused = undefined;
    const ids = this.#list();
    if (ids === undefined) return 0;
    let found = 0;
    let others = 0;
    for (const [source, entry] of this.#adopted) if (!ids.includes(source.id)) this.#drop(source, entry);
    const unremoved = new Set(this.#unremoved.keys());
    this.tidy();
    const known = new Set([...[...this.#adopted.keys()].map((source) => source.id), ...this.#leaving]);
    this.#watch.undecided.clear();
    const before = this.#stuck;
    this.#stuck = new Map();
    for (const id of ids) {
      if (id === this.#holder || known.has(id)) continue;
      // One that cannot be read must not hold up the others; it is looked at again the next time.
      try {
        const leave = this.#kept.has(id) || unremoved.has(id) || !this.#hasRoom();
        const adopted = leave ? undefined : this.#adopt(id, before.get(id));
        if (adopted === undefined) {
          others += sourceBytes(this.#fs, join(this.#root, id));
        } else {
          this.#ship(adopted.owned, id, adopted.key);
          found += 1;
        }
      } catch (error) {
        // Another process may just have removed it.
        if (!isErrno(error, "ENOENT") || this.#list()?.includes(id) !== false)
          this.#refused = this.#stick(id, this.#asError(error), "retry", before.get(id));
      }
    }
    this.#options.others?.(others);
    return found;
  }

  /** Retries the removal of what was shipped. Returns the first error, if something remains. */
  tidy(): SeclogError | undefined {
    let first: SeclogError | undefined;
    for (const [id, { owned }] of this.#unremoved) {
      const error = this.#remove(id, owned);
      first ??= error;
    }
    return first;
  }

  #hasRoom(): boolean {
    const sources = [...this.#adopted.keys()];
    // A source that only an operator can fix must not hold up the sound ones.
    const atWork = sources.filter((source) => !this.#shipper.isHeldUp(source)).length;
    return atWork < AT_ONCE && sources.length < MOST;
  }

  #list(): string[] | undefined {
    try {
      const ids = listSources(this.#fs, this.#root);
      this.#unlisted = undefined;
      return ids;
    } catch (error) {
      this.#refused = this.#failed(error);
      this.#unlisted = { error: this.#refused, at: new Date() };
      return undefined;
    }
  }

  /** Takes a source over, unless its process is alive or a newer program wrote it, which is reported once. */
  #adopt(id: string, before: Stuck | undefined): AdoptedSource | undefined {
    try {
      // Throws for another user's folder, which would otherwise look owned by a live process.
      this.#fs.readdirSync(join(this.#root, id));
      return adoptSource(this.#fs, this.#root, id, this.#holder, this.#watch);
    } catch (error) {
      if (!(error instanceof SeclogError && error.code === "SECLOG_SPOOL_NEWER")) throw error;
      this.#stick(id, error, "destination", before);
      return undefined;
    }
  }

  /** Remembers why a source cannot be taken over, and reports it if it is new. */
  #stick(id: string, error: SeclogError, kind: FailureKind, before: Stuck | undefined): SeclogError {
    const known = before?.error.message === error.message;
    if (!known) this.#options.failed(error, kind);
    this.#stuck.set(id, known ? before : { error, at: new Date() });
    return error;
  }

  /** Shows processes that cannot look this one up that it lives. */
  renew(): void {
    for (const { owned } of this.#held()) renew(this.#fs, owned);
  }

  /**
   * Gives up, in order, what was not shipped to its end, so that the next one need not wait. What is away at that
   * moment is to be released when it returns: returns whether there is such a source.
   */
  release(): boolean {
    this.#released = true;
    for (const { handover } of this.#adopted.values()) clearTimeout(handover);
    for (const { owned } of this.#held()) {
      try {
        release(this.#fs, owned);
      } catch (error) {
        this.#failed(error);
      }
    }
    this.#adopted.clear();
    this.#unremoved.clear();
    return this.#away.size > 0;
  }

  #held(): { readonly owned: Ownership }[] {
    return [...this.#adopted.values(), ...this.#unremoved.values()];
  }

  /** Removes the directory of a source that was shipped to its end, unless other handlers need it. */
  finished(source: ShipSource): void {
    const entry = this.#adopted.get(source);
    if (entry === undefined) return;
    this.#forget(source, entry);
    this.#remove(source.id, entry.owned);
  }

  /** Removes it, unless other handlers need it or another process has it. Returns the error if that failed. */
  #remove(id: string, owned: Ownership): SeclogError | undefined {
    // The owner's file goes last but one, and may be gone already.
    const isOurs = (): boolean => stillOwns(this.#fs, owned) || isOrphan(this.#fs, owned.directory);
    try {
      if (isOurs()) {
        const others = [...this.#others(owned.directory).keys()];
        if (others.length > 0) {
          this.#kept.set(id, others);
          release(this.#fs, owned);
        } else {
          removeSource(this.#fs, this.#root, owned.directory);
        }
      }
      this.#unremoved.delete(id);
      return undefined;
    } catch (thrown) {
      // Another process may have taken the empty folder for a dead one's, or removed it.
      if (!isOurs()) {
        this.#unremoved.delete(id);
        return undefined;
      }
      const error = new SeclogError(
        "SECLOG_SPOOL_DIRECTORY",
        `${owned.directory} was shipped whole and cannot be removed (${errorMessage(thrown)}): remove it, or what is in its way`,
        { cause: thrown },
      );
      const before = this.#unremoved.get(id);
      this.#unremoved.set(id, { owned, why: before?.why ?? { error, at: new Date() } });
      this.#failed(error);
      return error;
    }
  }

  #forget(source: ShipSource, { bytes }: Adopted): void {
    this.#adopted.delete(source);
    this.#options.bytes(-bytes);
  }

  /**
   * How far the handlers are that are not shipped to here. One that has all is counted too: only it knows that, and it
   * is quick to see it again.
   */
  #others(directory: string): Map<string, number> {
    const { only } = this.#options;
    if (only === undefined) return new Map();
    return new Map([...listCursors(this.#fs, directory)].filter(([name]) => !only.includes(name)));
  }

  #ship(owned: Ownership, id: string, key: string): void {
    this.#away.delete(id);
    const entry: Adopted = { owned, bytes: sourceBytes(this.#fs, owned.directory) };
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
      warn: (warning) => this.#options.failed(warning, "retry"),
    });
    const begin = (): void => void this.#shipper.add(source);
    // The previous owner notices within that time, and stops writing.
    if (owned.unproven) entry.handover = setTimeout(begin, HANDOVER_MS);
    else begin();
    this.#adopted.set(source, entry);
    this.#options.bytes(entry.bytes);
  }

  #drop(source: ShipSource, entry: Adopted): void {
    clearTimeout(entry.handover);
    this.#forget(source, entry);
    this.#away.add(source.id);
    this.#leaving.add(source.id);
    void this.#shipper.drop(source).then(() => this.#leaving.delete(source.id));
  }

  #failed(thrown: unknown): SeclogError {
    const error = this.#asError(thrown);
    this.#options.failed(error, "retry");
    return error;
  }

  #asError(thrown: unknown): SeclogError {
    if (thrown instanceof SeclogError) return thrown;
    return new SeclogError(
      "SECLOG_SPOOL_DIRECTORY",
      `a spool left behind in ${this.#root} cannot be used: ${errorMessage(thrown)}`,
      { cause: thrown },
    );
  }
}
