/**
 * Shards that nobody reads, though other workers seem to be alive that should: signs of life prove nothing, and a stranger
 * can give them. A worker takes such shards beyond its share.
 */

/** How long a shard is free before it counts as an orphan, in milliseconds: longer than workers take to share. */
const FREE_MS = 4_000;
/** How long a worker then keeps it, in milliseconds, before it offers it to others again. */
const KEPT_MS = 60_000;

export class Orphans {
  /** Since when each free shard has been seen free, on the monotonic clock. */
  readonly #free = new Map<number, number>();
  readonly #keptUntil = new Map<number, number>();

  /** Notes whether a shard is free, and returns whether it has been for so long that this worker should take it. */
  see(shard: number, free: boolean): boolean {
    const now = performance.now();
    const since = this.#free.get(shard) ?? now;
    if (free) this.#free.set(shard, since);
    else this.#free.delete(shard);
    return free && now - since >= FREE_MS;
  }

  /** This worker has taken an orphan. */
  keep(shard: number): void {
    this.#free.delete(shard);
    this.#keptUntil.set(shard, performance.now() + KEPT_MS);
  }

  /** The shards that are to be given up when only `share` are this worker's. */
  surplus(shards: readonly number[], share: number): number[] {
    const now = performance.now();
    return shards.slice(share).filter((shard) => (this.#keptUntil.get(shard) ?? 0) <= now);
  }
}
