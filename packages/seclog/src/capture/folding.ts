/**
 * Keeps a flood from filling the database: of equal events, the first ones of each minute pass at once, and the others
 * become one with a count. Such an event is recorded when its count has reached the number of those recorded before it
 * in the minute, so a million events leave some twenty; what is left is recorded when the minute is over, and when the
 * log flushes, closes, or the process exits.
 *
 * A botnet sends the same from many addresses. Beyond so many senders of one kind of event within a minute, those that
 * are new become one event, too, with a count of events and of addresses. Which addresses they were is not recorded.
 *
 * A crash takes at most what a minute has left: never more than was recorded of that minute.
 */
import type { CatalogueData } from "../event/catalogue.ts";
import { awaitJudgement, judged } from "../record/judgements.ts";
import { clearTimeout, setTimeout, wallNow } from "../runtime/timers.ts";
import type { CaptureFacts } from "./capture-facts.ts";
import { DistinctCount } from "./distinct.ts";

/** So many equal events of a minute pass at once. */
const AT_ONCE = 10;
const WINDOW_MS = 60_000;

/** So many senders of the same kind of event are told apart within a minute. */
const MOST_SENDERS = 200;

/** The most kinds of events to count at once, since clients choose them: the one that began first goes. */
const MOST_KINDS = 2_000;

/** An event that capture records. */
export interface Folded {
  readonly type: keyof CatalogueData;
  readonly request: object;
  readonly facts: CaptureFacts;
}

/** What an event has in common with others. */
export interface Likeness {
  /** With those that only a sender repeats. */
  readonly kind: string;
  /** With those of other senders. */
  readonly crowd: string;
  /** The sender's address. */
  readonly address: string | undefined;
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

/** Equal events of many senders. Its counts are of those senders that are not told apart. */
interface Crowd extends Kind {
  senders: number;
  addresses: DistinctCount;
  /** The account that all of them want to log in to; `undefined` if there are several, or none. */
  userid: unknown;
}

export class Folding {
  readonly #kinds = new Map<string, Kind>();
  readonly #crowds = new Map<string, Crowd>();
  readonly #record: (event: Folded) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(record: (event: Folded) => void) {
    this.#record = record;
  }

  /** Whether an event is to be recorded now. Otherwise it counts. */
  passes({ kind: key, crowd: crowdKey, address }: Likeness, event: Folded): boolean {
    const now = wallNow();
    const known = this.#current(this.#kinds, key, now);
    if (known !== undefined) {
      if (known.recorded < AT_ONCE) {
        known.recorded += 1;
        return true;
      }
      this.#count(known, event, now);
      return false;
    }
    const crowd = this.#crowd(crowdKey, now);
    if (crowd.senders >= MOST_SENDERS) {
      const { userid } = event.facts;
      crowd.userid = crowd.count === 0 || crowd.userid === userid ? userid : undefined;
      crowd.addresses.add(address ?? "");
      this.#count(crowd, event, now);
      return false;
    }
    crowd.senders += 1;
    crowd.recorded += 1;
    this.#add(this.#kinds, key, newKind(now, 1));
    return true;
  }

  /** One whose minute is not over. What was left of another is recorded. */
  #current<K extends Kind>(kinds: Map<string, K>, key: string, now: number): K | undefined {
    const kind = kinds.get(key);
    if (kind === undefined || now - kind.since < WINDOW_MS) return kind;
    this.#tell(kind);
    kinds.delete(key);
    return undefined;
  }

  #crowd(key: string, now: number): Crowd {
    const known = this.#current(this.#crowds, key, now);
    if (known !== undefined) return known;
    return this.#add(this.#crowds, key, {
      ...newKind(now, 0),
      senders: 0,
      addresses: new DistinctCount(),
      userid: undefined,
    });
  }

  #add<K extends Kind>(kinds: Map<string, K>, key: string, kind: K): K {
    kinds.set(key, kind);
    if (kinds.size > MOST_KINDS) {
      const [first] = kinds;
      if (first !== undefined) {
        kinds.delete(first[0]);
        this.#tell(first[1]);
      }
    }
    return kind;
  }

  #count(kind: Kind, event: Folded, now: number): void {
    if (kind.count === 0) kind.startedAt = now;
    kind.endedAt = now;
    kind.count += 1;
    kind.last = event;
    if (kind.count >= kind.recorded) this.#tell(kind);
    else this.#wait();
  }

  #tell(kind: Kind | Crowd): void {
    const { last, count, startedAt, endedAt } = kind;
    if (last === undefined) return;
    kind.recorded += count;
    kind.count = 0;
    kind.last = undefined;
    const { facts } = last;
    const counted = { ...facts, count, startedAt: new Date(startedAt), endedAt: new Date(endedAt) };
    if (!("addresses" in kind)) {
      this.#record({ ...last, facts: counted });
      return;
    }
    const addresses = kind.addresses.size;
    kind.addresses = new DistinctCount();
    // The last account is not the one that all of them were for.
    const { userid } = kind;
    this.#record({ ...last, facts: { ...counted, userid, addresses } });
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
    for (const crowd of this.#crowds.values()) this.#tell(crowd);
  };
}

function newKind(now: number, recorded: number): Kind {
  return { since: now, recorded, count: 0, startedAt: now, endedAt: now, last: undefined };
}
