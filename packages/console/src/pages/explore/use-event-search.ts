/** The search of the page's query. The rows of the query before stay until the first answer of the next one. */
import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { api } from "../../data/api.ts";
import { EventSearch, type Found } from "./event-search.ts";

export interface PageSelection {
  readonly q: string;
  readonly since: string;
  readonly until: string | undefined;
}

/** Coming back from an event's page shows the rows that were there. */
let last: { readonly key: string; readonly search: EventSearch; readonly leftAt: number } | undefined;
const FRESH_MS = 60_000;

export interface ShownSearch {
  readonly search: EventSearch;
  readonly found: Found;
  /** Whether the rows are those of the query before. */
  readonly isOld: boolean;
}

/** @param again changes to search again */
export function useEventSearch({ q, since, until }: PageSelection, isReadable: boolean, again: number): ShownSearch {
  const key = JSON.stringify([q, since, until, again]);
  const search = useMemo(() => {
    if (last?.key === key && Date.now() - last.leftAt < FRESH_MS) return last.search;
    const selection = { q, since, ...(until === undefined ? {} : { until }) };
    return new EventSearch((page, signal) => api.events({ ...selection, ...page }, signal));
  }, [key, q, since, until]);
  useEffect(() => {
    if (!isReadable) return;
    search.begin();
    return () => {
      search.close();
      last = { key, search, leftAt: Date.now() };
    };
  }, [search, key, isReadable]);
  const found = useSyncExternalStore(search.subscribe, search.snapshot);
  const before = useRef<Found>(undefined);
  useEffect(() => {
    if (found.answered) before.current = found;
  }, [found]);
  const isOld = !found.answered && before.current !== undefined;
  return {
    search,
    found: isOld && before.current !== undefined ? { ...found, events: before.current.events } : found,
    isOld,
  };
}
