/** How many types of dropped events are counted separately; the rest are counted together. */
const MOST_TYPES = 20;

/** What was dropped since the last report. */
export interface Drops {
  readonly count: number;
  readonly startedAt: Date;
  readonly endedAt: Date;
  /** Counts by type; `(other)` beyond the first 20 types. */
  readonly types: { readonly [type: string]: number };
  /** Why the last one was dropped. */
  readonly reason: string;
}

/** Counts the events that could not be recorded, so that they are never dropped silently. */
export class DropCounter {
  #pending: { count: number; startedAt: Date; endedAt: Date; types: Map<string, number>; reason: string } | undefined;
  /** The total since the log was created. */
  total = 0;

  get pending(): boolean {
    return this.#pending !== undefined;
  }

  count(type: string, reason: string): void {
    this.total += 1;
    const now = new Date();
    this.#pending ??= { count: 0, startedAt: now, endedAt: now, types: new Map(), reason };
    const { types } = this.#pending;
    this.#pending.count += 1;
    this.#pending.endedAt = now;
    this.#pending.reason = reason;
    const name = types.has(type) || types.size < MOST_TYPES ? type : "(other)";
    types.set(name, (types.get(name) ?? 0) + 1);
  }

  /** What was dropped since the last call. */
  take(): Drops | undefined {
    const taken = this.#pending;
    this.#pending = undefined;
    return taken && { ...taken, types: Object.fromEntries(taken.types) };
  }
}
