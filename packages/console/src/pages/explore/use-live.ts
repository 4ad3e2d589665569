/** The live tail: what is stored from now on, with the page's query. A lost connection comes back with the last id. */
import { ApiError } from "@seclog/api";
import { useEffect, useState } from "react";
import { api } from "../../data/api.ts";
import type { EventSearch } from "./event-search.ts";

/** `off`: not wanted. `lost`: it comes back by itself. `refused`: it does not. */
export type LiveState = "off" | "connecting" | "on" | "lost" | "refused";

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;
/** Events may become visible so much later than their time. */
const LATE_MS = 60_000;
const MISSED = 500;

/** @param onMissed called when more was missed than can be filled in: search again */
export function useLive(search: EventSearch, q: string, isWanted: boolean, onMissed: () => void): LiveState {
  const [state, setState] = useState<LiveState>("off");
  useEffect(() => {
    if (!isWanted) {
      setState("off");
      return;
    }
    const ending = new AbortController();
    setState("connecting");
    void follow(search, q, ending.signal, setState, onMissed);
    return () => ending.abort();
  }, [search, q, isWanted, onMissed]);
  return state;
}

async function follow(
  search: EventSearch,
  q: string,
  signal: AbortSignal,
  say: (state: LiveState) => void,
  onMissed: () => void,
): Promise<void> {
  let lastId: string | undefined;
  let pause = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      for await (const item of api.stream({ q, ...(lastId === undefined ? {} : { lastId }) }, signal)) {
        if (signal.aborted) return;
        say("on");
        pause = FIRST_PAUSE_MS;
        // What was stored between the search and the first item is in neither.
        if (item.kind === "gap" || (item.kind === "ready" && lastId === undefined))
          await fillIn(search, q, signal, onMissed);
        if (item.kind === "events") search.arrive(item.events);
        lastId = item.id;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status < 500) {
        say("refused");
        return;
      }
    }
    if (signal.aborted) return;
    say("lost");
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

async function fillIn(search: EventSearch, q: string, signal: AbortSignal, onMissed: () => void): Promise<void> {
  const newest = search.snapshot().events[0]?.occurred_at;
  const since = new Date((newest === undefined ? Date.now() : Date.parse(newest)) - LATE_MS).toISOString();
  const { events, done } = await api.events({ q, since, limit: MISSED }, signal);
  if (events.length === MISSED && !done) onMissed();
  else search.arrive(events);
}
