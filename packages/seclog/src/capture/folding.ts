/**
 * Keeps a flood from filling the database: of equal events, the first ones of each minute pass at once, and the others
 * become one with a count. Such an event is recorded when its count has reached the number of those recorded before it
 * in the minute, so a million events leave some twenty; what is left is recorded when the minute is over, and when the
 * log flushes, closes, or the process exits.
 *
 * A crash takes at most what a minute has left: never more than was recorded of that minute.
 */
import type { CatalogueData } from "../event/catalogue.ts";
import { awaitJudgement, judged } from "../record/judgements.ts";
import { clearTimeout, setTimeout, wallNow } from "../runtime/timers.ts";
import type { CaptureFacts } from "./capture-facts.ts";

/** So many equal events of a minute pass at once. */
const AT_ONCE = 10;
const WINDOW_MS = 60_000;

/** The most kinds of events to count at once, since clients choose them: the one that began first goes. */
const MOST_KINDS = 2_000;

/** An event that capture records. */
export interface Folded {
  readonly type: keyof CatalogueData;
  readonly request: object;
  readonly facts: CaptureFacts;
}

interface Kind {
  /** The begin of its minute. */
  readonly since: number;
  recorded: number;
  count: number;
  startedAt: number;
  endedAt: number;
  /** The last event that was not recorded. */
  last: Folded | undefined;
}

export class Folding {
  readonly #kinds = new Map<string, Kind>();
  readonly #record: (event: Folded) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(record: (event: Folded) => void) {
    this.#record = record;
  }

  /** Whether an event is to be recorded now. Otherwise it counts. */
  passes(key: string, event: Folded): boolean {
    const now = wallNow();
    let kind = this.#kinds.get(key);
    if (kind !== undefined && now - kind.since >= WINDOW_MS) {
      this.#tell(kind);
      this.#kinds.delete(key);
      kind = undefined;
    }
    if (kind === undefined) {
      this.#kinds.set(key, { since: now, recorded: 1, count: 0, startedAt: now, endedAt: now, last: undefined });
      if (this.#kinds.size > MOST_KINDS) this.#forgetFirst();
      return true;
    }
    if (kind.recorded < AT_ONCE) {
      kind.recorded += 1;
      return true;
    }
    if (kind.count === 0) kind.startedAt = now;
    kind.endedAt = now;
    kind.count += 1;
    kind.last = event;
    if (kind.count >= kind.recorded) this.#tell(kind);
    else this.#wait();
    return false;
  }

  #tell(kind: Kind): void {
    const { last, count, startedAt, endedAt } = kind;
    if (last === undefined) return;
    kind.recorded += count;
    kind.count = 0;
    kind.last = undefined;
    const { facts } = last;
    const counted = { ...facts, count, startedAt: new Date(startedAt), endedAt: new Date(endedAt) };
    this.#record({ ...last, facts: counted });
  }

  #forgetFirst(): void {
    for (const [key, kind] of this.#kinds) {
      this.#kinds.delete(key);
      this.#tell(kind);
      return;
    }
  }

  #wait(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(this.#flush, WINDOW_MS).unref();
    awaitJudgement(this.#flush);
  }

  readonly #flush = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    judged(this.#flush);
    for (const kind of this.#kinds.values()) this.#tell(kind);
  };
}
