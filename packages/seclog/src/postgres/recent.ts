/** Remembers the entries that were used last. */
export class Recent<Entry> {
  readonly #most: number;
  readonly #inUse: (entry: Entry) => boolean;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();

  /** @param inUse whether an entry must not be forgotten now */
  constructor(most: number, inUse: (entry: Entry) => boolean) {
    this.#most = most;
    this.#inUse = inUse;
  }

  /** The entry of a name, which becomes the one that was used last. Makes it if there is none. */
  use(name: string, make: () => Entry): Entry {
    const entry = this.#entries.get(name) ?? make();
    this.#entries.delete(name);
    if (this.#entries.size >= this.#most) this.#forgetOne();
    this.#entries.set(name, entry);
    return entry;
  }

  /** Forgets the entry that was not used for the longest time, other than those in use. */
  #forgetOne(): void {
    for (const [name, entry] of this.#entries) {
      if (this.#inUse(entry)) continue;
      this.#entries.delete(name);
      return;
    }
  }
}
