/**
 * The events of a query, page by page as they are needed. A search without an index comes in small parts, so it shows
 * each part as it comes, says how far it has come, and can be stopped. Newer events wait beside it until they may flow in.
 */
import type { EventRecord, EventsPage } from "@seclog/api";

export interface Found {
  readonly events: readonly EventRecord[];
  /** Those that arrived since and are not among `events`. */
  readonly newer: readonly EventRecord[];
  /** `waiting`: as many are loaded as were needed. `full`: as many as a page can hold. */
  readonly state: "running" | "waiting" | "done" | "stopped" | "failed" | "full";
  /** Every event from the newest to here is considered. */
  readonly reached: string | null;
  /** Whether the first answer has come. */
  readonly answered: boolean;
  readonly error?: unknown;
}

/** Asks for a page: the next one after the cursor. */
export type AskPage = (
  page: { readonly cursor?: string; readonly limit: number; readonly budget: number },
  signal: AbortSignal,
) => Promise<EventsPage>;

/** The most rows that a page holds. */
export const MOST_ROWS = 20_000;
const FIRST_PAGE = 100;
const PAGE = 500;

export class EventSearch {
  #found: Found = { events: [], newer: [], state: "running", reached: null, answered: false };
  #cursor: string | undefined;
  #wanted = FIRST_PAGE;
  #flows = false;
  #ids = new Set<string>();
  #ending = new AbortController();
  #isRunning = false;
  readonly #ask: AskPage;
  readonly #listeners = new Set<() => void>();

  constructor(ask: AskPage) {
    this.#ask = ask;
  }

  readonly subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  };

  readonly snapshot = (): Found => this.#found;

  #set(change: Partial<Found>): void {
    this.#found = { ...this.#found, ...change };
    for (const listener of this.#listeners) listener();
  }

  /** Begins, or goes on after {@link close}. */
  begin(): void {
    this.#ending = new AbortController();
    this.#isRunning = false;
    const { state } = this.#found;
    if (state === "running" || state === "waiting") void this.#run();
  }

  close(): void {
    this.#ending.abort();
  }

  /** Loads at least so many, unless it was stopped. */
  want(rows: number): void {
    this.#wanted = Math.max(this.#wanted, Math.min(rows, MOST_ROWS));
    const { state, events } = this.#found;
    if (state === "waiting" && (events.length < this.#wanted || rows > MOST_ROWS)) void this.#run();
  }

  /** Ends the search where it is; what it found stays. */
  stop(): void {
    if (this.#found.state !== "running") return;
    this.#ending.abort();
    this.#set({ state: "stopped" });
  }

  /** Goes on after a stop or a failure. */
  goOn(): void {
    if (this.#found.state !== "stopped" && this.#found.state !== "failed") return;
    this.#ending = new AbortController();
    this.#isRunning = false;
    void this.#run();
  }

  /** Takes events that were stored since. Those that belong below what is loaded come with their page. */
  arrive(events: readonly EventRecord[]): void {
    const { events: loaded, state } = this.#found;
    const oldest = state === "done" ? undefined : loaded.at(-1)?.occurred_at;
    const added = events.filter(
      ({ id, occurred_at }) => !this.#ids.has(id) && (oldest === undefined || occurred_at >= oldest),
    );
    if (added.length === 0) return;
    for (const { id } of added) this.#ids.add(id);
    const newer = sorted([...added, ...this.#found.newer]);
    if (this.#flows) this.#merge(newer);
    else this.#set({ newer });
  }

  /** Whether newer events may go among the rows; those that wait go now. */
  setFlow(flows: boolean): void {
    this.#flows = flows;
    if (flows && this.#found.newer.length > 0) this.#merge(this.#found.newer);
  }

  #merge(newer: readonly EventRecord[]): void {
    const events = sorted([...newer, ...this.#found.events]);
    const isFull = events.length > MOST_ROWS;
    for (const { id } of events.slice(MOST_ROWS)) this.#ids.delete(id);
    this.#set({ events: events.slice(0, MOST_ROWS), newer: [], ...(isFull ? { state: "full" } : {}) });
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    const { signal } = this.#ending;
    this.#set({ state: "running", error: undefined });
    try {
      for (;;) {
        const isFirst = !this.#found.answered;
        const page = await this.#ask(
          {
            ...(this.#cursor === undefined ? {} : { cursor: this.#cursor }),
            limit: isFirst ? FIRST_PAGE : PAGE,
            budget: isFirst ? 300 : 1_000,
          },
          signal,
        );
        if (signal.aborted) return;
        this.#cursor = page.cursor ?? undefined;
        // What waited beside the rows and is in the page is a row now.
        const held = new Set(this.#found.newer.map(({ id }) => id));
        const added = page.events.filter(({ id }) => !this.#ids.has(id) || held.has(id));
        const taken = new Set(added.map(({ id }) => id));
        const newer = held.size === 0 ? this.#found.newer : this.#found.newer.filter(({ id }) => !taken.has(id));
        for (const { id } of added) this.#ids.add(id);
        const all = added.length === 0 ? this.#found.events : [...this.#found.events, ...added];
        // What arrived before the first answer may be older than what that has.
        const events = isFirst ? sorted(all) : all;
        const isEnough = events.length >= this.#wanted;
        const state =
          page.cursor === null ? "done" : events.length >= MOST_ROWS ? "full" : isEnough ? "waiting" : "running";
        this.#set({ events, newer, reached: page.reached, answered: true, state });
        if (state !== "running") return;
      }
    } catch (error) {
      if (!signal.aborted) this.#set({ state: "failed", error });
    } finally {
      if (signal === this.#ending.signal) this.#isRunning = false;
    }
  }
}

/** The newest first; events of one moment keep their order. */
function sorted(events: readonly EventRecord[]): readonly EventRecord[] {
  return events.toSorted((a, b) => (a.occurred_at < b.occurred_at ? 1 : a.occurred_at > b.occurred_at ? -1 : 0));
}
