/** How much each sender, or each address, may do: a bucket of tokens that fills evenly. */
export class Rates {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #buckets = new Map<string, { left: number; at: number }>();
  readonly #now: () => number;

  /**
   * @param perSecond how fast a bucket fills
   * @param burst how much it holds
   * @param now milliseconds of a monotonic clock; a parameter for tests
   */
  constructor(perSecond: number, burst: number, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#now = now;
  }

  /** Takes `count`, and returns 0; or takes nothing, and returns after how many seconds there will be so many. */
  take(name: string, count: number): number {
    const now = this.#now();
    const bucket = this.#buckets.get(name) ?? { left: this.#burst, at: now };
    const left = Math.min(this.#burst, bucket.left + ((now - bucket.at) / 1_000) * this.#perSecond);
    this.#forgetFull(now);
    const enough = left >= count;
    this.#buckets.set(name, { left: enough ? left - count : left, at: now });
    return enough ? 0 : Math.max(1, Math.ceil((count - left) / this.#perSecond));
  }

  /** Strangers choose their addresses: full buckets are forgotten beyond this many, and then all. */
  #forgetFull(now: number): void {
    if (this.#buckets.size < MOST_BUCKETS) return;
    for (const [name, { left, at }] of this.#buckets) {
      if (left + ((now - at) / 1_000) * this.#perSecond >= this.#burst) this.#buckets.delete(name);
    }
    if (this.#buckets.size >= MOST_BUCKETS) this.#buckets.clear();
  }
}

const MOST_BUCKETS = 10_000;
