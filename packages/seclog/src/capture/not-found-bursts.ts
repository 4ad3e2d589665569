/**
 * Counts the 404s of each address. A burst becomes an event when it begins, and again each time that its number has
 * doubled, each with the count since the last one; what is left is recorded when the burst is over. So a scan of a
 * million paths leaves some twenty events, whose counts add up.
 */
import { awaitJudgement, judged } from "../record/judgements.ts";
import { clearTimeout, setTimeout, wallNow } from "../runtime/timers.ts";

/** This many within the window make a burst. */
const BURST = 20;
const WINDOW_MS = 60_000;

/** The most addresses to count at once: clients choose them. The one that was quiet for longest goes first. */
const MOST_ADDRESSES = 10_000;

/** A burst, or a part of it. */
export interface NotFoundBurst {
  readonly request: object;
  readonly count: number;
  readonly startedAt: Date;
  readonly endedAt: Date;
}

interface Client {
  request: object;
  startedAt: number;
  endedAt: number;
  /** Since the last event, or since the first 404. */
  count: number;
  /** How many of the burst were recorded. */
  recorded: number;
}

export class NotFoundBursts {
  readonly #clients = new Map<string, Client>();
  readonly #record: (burst: NotFoundBurst) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(record: (burst: NotFoundBurst) => void) {
    this.#record = record;
  }

  /** Counts a 404. */
  add(address: string, request: object): void {
    const now = wallNow();
    let client = this.#clients.get(address);
    if (client !== undefined && now - client.endedAt >= WINDOW_MS) {
      this.#end(address, client);
      client = undefined;
    }
    // A quiet client that asks for a missing page now and then begins anew.
    if (client !== undefined && client.recorded === 0 && now - client.startedAt >= WINDOW_MS) {
      client = undefined;
    }
    client ??= { request, startedAt: now, endedAt: now, count: 0, recorded: 0 };
    client.request = request;
    client.endedAt = now;
    client.count += 1;
    // Behind all others, which were quiet for longer.
    this.#clients.delete(address);
    this.#clients.set(address, client);
    if (client.count >= Math.max(BURST, client.recorded)) this.#tell(client);
    else if (client.recorded > 0) this.#wait();
    if (this.#clients.size > MOST_ADDRESSES) {
      for (const [oldest, quiet] of this.#clients) {
        this.#end(oldest, quiet);
        break;
      }
    }
  }

  #tell(client: Client): void {
    const { request, count, startedAt, endedAt } = client;
    client.recorded += count;
    client.count = 0;
    client.startedAt = endedAt;
    this.#record({ request, count, startedAt: new Date(startedAt), endedAt: new Date(endedAt) });
  }

  #end(address: string, client: Client): void {
    this.#clients.delete(address);
    if (client.recorded > 0 && client.count > 0) this.#tell(client);
  }

  /** What is left of a burst must not wait for the next 404, and a log that closes must have it. */
  #wait(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(this.#flush, WINDOW_MS).unref();
    awaitJudgement(this.#flush);
  }

  readonly #flush = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    judged(this.#flush);
    for (const client of this.#clients.values()) if (client.recorded > 0 && client.count > 0) this.#tell(client);
  };
}
