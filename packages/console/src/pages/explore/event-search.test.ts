import type { EventRecord, EventsPage } from "@seclog/api";
import { describe, expect, it, vi } from "vitest";
import { type AskPage, EventSearch, MOST_ROWS } from "./event-search.ts";

const event = (number: number): EventRecord =>
  ({ id: `e${number}`, occurred_at: new Date(1e12 - number * 1_000).toISOString() }) as EventRecord;

const events = (from: number, to: number): EventRecord[] =>
  Array.from({ length: to - from }, (_, index) => event(from + index));

/** A log of so many events, of which each answer has at most `most`. */
function log(size: number, most = Number.POSITIVE_INFINITY): AskPage {
  return async ({ cursor = "0", limit }) => {
    const from = Number(cursor);
    const to = Math.min(size, from + Math.min(limit, most));
    return page(events(from, to), to === size ? null : String(to));
  };
}

const page = (found: EventRecord[], cursor: string | null): EventsPage => ({
  events: found,
  cursor,
  reached: found.at(-1)?.occurred_at ?? null,
  done: cursor === null,
});

async function settled(search: EventSearch): Promise<ReturnType<EventSearch["snapshot"]>> {
  await vi.waitFor(() => expect(search.snapshot().state).not.toBe("running"));
  return search.snapshot();
}

describe("EventSearch", () => {
  it("loads what is needed and no more, in order and without repetition", async () => {
    const search = new EventSearch(log(1_000));
    search.begin();
    expect((await settled(search)).events).toHaveLength(100);
    search.want(650);
    const found = await settled(search);
    expect(found.state).toBe("done");
    expect(found.events.map(({ id }) => id)).toEqual(events(0, 1_000).map(({ id }) => id));
  });

  it("goes on while answers are empty, and stops at once when asked to", async () => {
    let asked = 0;
    const search = new EventSearch(async (_page, signal) => {
      asked++;
      if (asked > 3) await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      return page([], String(asked));
    });
    search.begin();
    await vi.waitFor(() => expect(asked).toBe(4));
    search.stop();
    expect(search.snapshot()).toMatchObject({ state: "stopped", answered: true });
    search.goOn();
    await vi.waitFor(() => expect(asked).toBe(5));
    search.close();
  });

  it("keeps what it has after a failure, and goes on from there", async () => {
    let fails = true;
    const pages = log(700);
    const search = new EventSearch(async (wanted, signal) => {
      if (wanted.cursor === "100" && fails) throw new Error("away");
      return await pages(wanted, signal);
    });
    search.begin();
    await settled(search);
    search.want(700);
    expect(await settled(search)).toMatchObject({ state: "failed", error: new Error("away") });
    expect(search.snapshot().events).toHaveLength(100);
    fails = false;
    search.goOn();
    await vi.waitFor(() => expect(search.snapshot().state).toBe("done"));
    expect(search.snapshot().events).toHaveLength(700);
  });

  it("goes on when the page is shown again", async () => {
    const search = new EventSearch(log(500, 40));
    search.begin();
    search.close();
    search.begin();
    expect((await settled(search)).events.map(({ id }) => id)).toEqual(events(0, 120).map(({ id }) => id));
  });

  it("holds newer events back until they may flow, each once and in their order", async () => {
    const search = new EventSearch(log(10));
    search.begin();
    await settled(search);
    search.arrive([event(-2), event(3)]);
    search.arrive([event(-2), event(-1), event(-3)]);
    expect(search.snapshot().newer.map(({ id }) => id)).toEqual(["e-3", "e-2", "e-1"]);
    expect(search.snapshot().events).toHaveLength(10);
    search.setFlow(true);
    expect(search.snapshot().newer).toEqual([]);
    search.arrive([event(-4)]);
    expect(
      search
        .snapshot()
        .events.slice(0, 5)
        .map(({ id }) => id),
    ).toEqual(["e-4", "e-3", "e-2", "e-1", "e0"]);
  });

  it("keeps the order when events arrive before the first answer", async () => {
    const search = new EventSearch(log(10));
    search.setFlow(true);
    search.arrive([event(-1), event(4)]);
    search.begin();
    expect((await settled(search)).events.map(({ id }) => id)).toEqual(["e-1", ...events(0, 10).map(({ id }) => id)]);
  });

  it("makes a row of an event that waited and is in the first answer", async () => {
    const search = new EventSearch(log(10));
    search.arrive([event(-1), event(0), event(4)]);
    search.begin();
    const found = await settled(search);
    expect(found.events.map(({ id }) => id)).toEqual(events(0, 10).map(({ id }) => id));
    expect(found.newer.map(({ id }) => id)).toEqual(["e-1"]);
  });

  it("leaves events that belong below what is loaded to their page", async () => {
    const search = new EventSearch(log(1_000));
    search.begin();
    await settled(search);
    search.arrive([event(500.5)]);
    expect(search.snapshot().newer).toEqual([]);
  });

  it("says that it is full instead of growing without end", async () => {
    const search = new EventSearch(log(MOST_ROWS * 2));
    search.begin();
    await settled(search);
    search.want(MOST_ROWS + 1);
    expect(await settled(search)).toMatchObject({ state: "full" });
    expect(search.snapshot().events.length).toBeLessThan(MOST_ROWS + 500);
  });
});
