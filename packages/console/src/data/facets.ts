/** Counts by value and over time, as pages ask for them: in parts, again every ten seconds where the range ends now. */
import type { FacetsResult, TimelineResult } from "@seclog/api";
import { keepPreviousData, type UseQueryResult, useQuery } from "@tanstack/react-query";
import { api, inParts } from "./api.ts";
import { addFacets, addTimeline } from "./counts.ts";
import { termFor } from "./filters.ts";
import { periodBefore, type TimeRange } from "./time-range.ts";

/** Between two looks at a range that ends now, in milliseconds. */
const AGAIN_MS = 10_000;

/** What is asked for. */
export interface FacetsAsked {
  readonly range: TimeRange;
  readonly fields: readonly string[];
  readonly q?: string;
  readonly limit?: number;
  /** @default true */
  readonly enabled?: boolean;
}

/** The most frequent values of fields. */
export function useFacets({
  range,
  fields,
  q = "",
  limit = 10,
  enabled = true,
}: FacetsAsked): UseQueryResult<FacetsResult> {
  const key = ["facets", range, fields, q, limit];
  return useQuery({
    queryKey: key,
    queryFn: ({ signal }) =>
      inParts(
        key,
        (before) =>
          api.facets({ ...selectionOf(range, q), fields: fields.join(","), limit, ...(before && { before }) }, signal),
        addFacets,
        signal,
      ),
    enabled,
    placeholderData: keepPreviousData,
    ...(range.until === undefined ? { refetchInterval: AGAIN_MS } : {}),
  });
}

/** How often given values of a field occurred in the time before a range, by name. */
export function useBefore(
  range: TimeRange,
  field: string,
  values: readonly string[],
): ReadonlyMap<string, number> | undefined {
  const key = ["before", range, field, values];
  const { data } = useQuery({
    queryKey: key,
    queryFn: ({ signal }) =>
      inParts(
        key,
        (before) =>
          api.facets(
            {
              q: values.map((value) => termFor(field, value)).join(" or "),
              ...periodBefore(range, Date.now()),
              fields: field,
              limit: values.length,
              ...(before && { before }),
            },
            signal,
          ),
        addFacets,
        signal,
      ),
    enabled: values.length > 0,
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });
  const counted = data?.facets[field];
  return counted && new Map(counted.values.map(({ name, events }) => [name, events]));
}

/** Events over time. */
export function useTimeline(
  range: TimeRange,
  q = "",
  by: "level" | "category" = "level",
  buckets = 96,
): UseQueryResult<TimelineResult> {
  const key = ["timeline", range, q, by, buckets];
  return useQuery({
    queryKey: key,
    queryFn: ({ signal }) =>
      inParts(
        key,
        (before) => api.timeline({ ...selectionOf(range, q), by, buckets, ...(before && { before }) }, signal),
        addTimeline,
        signal,
      ),
    placeholderData: keepPreviousData,
    ...(range.until === undefined ? { refetchInterval: AGAIN_MS } : {}),
  });
}

function selectionOf({ since, until }: TimeRange, q: string): { since: string; until?: string; q?: string } {
  return { since, ...(until === undefined ? {} : { until }), ...(q === "" ? {} : { q }) };
}
