/**
 * Failed attempts to sign in. Five of one name from one address lock that name for that address: a stranger elsewhere
 * locks out nobody but themselves. Fifty from an address lock the address. A name that many addresses guess is only slowed
 * down. In memory: a restart forgets them, and each guess costs scrypt anyway.
 */

const PAIR_TRIES = 5;
const ADDRESS_TRIES = 50;
const NAME_TRIES = 20;
/** How long a lock lasts the first time; each further failure doubles it. */
const LOCK_MS = 15 * 60_000;
const MOST_LOCK_MS = 24 * 3_600_000;
/** After so long without a failure, an entry is forgotten. */
const FORGET_MS = 24 * 3_600_000;
const SLOW_MS = 1_000;
const MOST_ENTRIES = 20_000;

interface Entry {
  readonly failures: number;
  readonly last: number;
  readonly lockedUntil: number;
}

/** What a failure led to. */
export interface Failure {
  readonly triesLeft: number;
  /** Whether it locked the name for the address, or the address. */
  readonly locked: boolean;
}

export class Attempts {
  readonly #entries = new Map<string, Entry>();
  /** How many attempts run. */
  readonly #running = new Map<string, number>();
  readonly #now: () => number;

  /** @param now in milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The seconds until the name may be tried from the address again; 0 if it may be now. */
  waitSeconds(name: string, address: string): number {
    const until = Math.max(...[pair(name, address), address].map((key) => this.#entry(key)?.lockedUntil ?? 0));
    return Math.max(0, Math.ceil((until - this.#now()) / 1_000));
  }

  /** The milliseconds by which to delay an attempt. */
  delayMs(name: string): number {
    return (this.#entry(nameKey(name))?.failures ?? 0) >= NAME_TRIES ? SLOW_MS : 0;
  }

  /**
   * Begins an attempt, unless those that run could use up the tries that are left: many at once are compared no more often
   * than one after the other. {@link end} ends it.
   */
  begin(name: string, address: string): boolean {
    const own = pair(name, address);
    if (!this.#hasRoom(own, PAIR_TRIES) || !this.#hasRoom(address, ADDRESS_TRIES)) return false;
    for (const key of [own, address]) this.#running.set(key, (this.#running.get(key) ?? 0) + 1);
    return true;
  }

  end(name: string, address: string): void {
    for (const key of [pair(name, address), address]) {
      const others = (this.#running.get(key) ?? 0) - 1;
      if (others > 0) this.#running.set(key, others);
      else this.#running.delete(key);
    }
  }

  failed(name: string, address: string): Failure {
    const own = this.#add(pair(name, address), PAIR_TRIES);
    const all = this.#add(address, ADDRESS_TRIES);
    this.#add(nameKey(name), Number.POSITIVE_INFINITY);
    const isLocked = ({ lockedUntil }: Entry): boolean => lockedUntil > this.#now();
    return { triesLeft: Math.max(0, PAIR_TRIES - own.failures), locked: isLocked(own) || isLocked(all) };
  }

  succeeded(name: string, address: string): void {
    this.#entries.delete(pair(name, address));
  }

  /** After a lock, there is one try at a time. */
  #hasRoom(key: string, tries: number): boolean {
    return (this.#running.get(key) ?? 0) < Math.max(1, tries - (this.#entry(key)?.failures ?? 0));
  }

  #entry(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && this.#now() - entry.last < FORGET_MS ? entry : undefined;
  }

  #add(key: string, tries: number): Entry {
    const before = this.#entry(key);
    const failures = (before?.failures ?? 0) + 1;
    const beyond = failures - tries;
    const now = this.#now();
    const lockedUntil = beyond < 0 ? 0 : now + Math.min(MOST_LOCK_MS, LOCK_MS * 2 ** Math.min(beyond, 20));
    const entry = { failures, last: now, lockedUntil };
    // The newest last, so that the first is the one to forget.
    this.#entries.delete(key);
    if (this.#entries.size >= MOST_ENTRIES) this.#entries.delete(this.#entries.keys().next().value ?? "");
    this.#entries.set(key, entry);
    return entry;
  }
}

function pair(name: string, address: string): string {
  return `${address} ${name}`;
}

function nameKey(name: string): string {
  return `name ${name}`;
}
