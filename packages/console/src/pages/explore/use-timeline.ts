/** How many events match over time; its sum is the number of all. */
import type { TimelineResult } from "@seclog/api";
import { useQuery } from "@tanstack/react-query";
import { timelineInParts } from "../../data/facets.ts";
import type { PageSelection } from "./use-event-search.ts";

const BARS = 120;

export interface Timeline {
  readonly timeline: TimelineResult | undefined;
  /** Whether it is that of the query before. */
  readonly isOld: boolean;
}

export function useTimeline({ q, since, until }: PageSelection, isReadable: boolean, isLive: boolean): Timeline {
  const key = ["timeline", q, since, until];
  const { data, isPlaceholderData } = useQuery({
    queryKey: key,
    queryFn: ({ signal }) =>
      timelineInParts(key, { q, since, buckets: BARS, ...(until === undefined ? {} : { until }) }, signal),
    enabled: isReadable,
    placeholderData: (previous) => previous,
    // The rows are live; the bars follow.
    refetchInterval: isLive ? 10_000 : false,
  });
  return { timeline: data, isOld: isPlaceholderData };
}
