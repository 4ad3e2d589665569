/** Counts by value and over time, as pages ask for them: in parts, again every ten seconds where the range ends now. */
import type { FacetsResult, TimelineResult } from "@seclog/api";
import { keepPreviousData, type UseQueryResult, useQuery } from "@tanstack/react-query";
import { api, inParts } from "./api.ts";
import { addFacets, addTimeline } from "./counts.ts";
import { termFor } from "./filters.ts";
import { periodBefore, type TimeRange } from "./time-range.ts";

/** Between two looks at a range that ends now, in milliseconds. */
const AGAIN_MS = 10_000;

type FacetsSelection = Omit<Parameters<typeof api.facets>[0], "before">;
type TimelineSelection = Omit<NonNullable<Parameters<typeof api.timeline>[0]>, "before">;

/** Facets, as {@link inParts}. */
export function facetsInParts(
  key: readonly unknown[],
  asked: FacetsSelection,
  signal: AbortSignal,
): Promise<FacetsResult> {
  const ask = (before?: string) => api.facets({ ...asked, ...(before === undefined ? {} : { before }) }, signal);
  return inParts(key, ask, addFacets, signal);
}

/** A timeline, as {@link inParts}. */
export function timelineInParts(
  key: readonly unknown[],
  asked: TimelineSelection,
  signal: AbortSignal,
): Promise<TimelineResult> {
  const ask = (before?: string) => api.timeline({ ...asked, ...(before === undefined ? {} : { before }) }, signal);
  return inParts(key, ask, addTimeline, signal);
}

/** What is asked for. */
export interface FacetsAsked {
  readonly range: TimeRange;
  readonly fields: readonly string[];
  readonly q?: string;
  readonly limit?: number;
}

/** The most frequent values of fields. */
export function useFacets({ range, fields, q = "", limit = 10 }: FacetsAsked): UseQueryResult<FacetsResult> {
  const key = ["facets", range, fields, q, limit];
  return useQuery({
    queryKey: key,
    queryFn: ({ signal }) => facetsInParts(key, { ...selectionOf(range, q), fields: fields.join(","), limit }, signal),
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
      facetsInParts(
        key,
        {
          q: values.map((value) => termFor(field, value)).join(" or "),
          ...periodBefore(range, Date.now()),
          fields: field,
          limit: values.length,
        },
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
    queryFn: ({ signal }) => timelineInParts(key, { ...selectionOf(range, q), by, buckets }, signal),
    placeholderData: keepPreviousData,
    ...(range.until === undefined ? { refetchInterval: AGAIN_MS } : {}),
  });
}

function selectionOf({ since, until }: TimeRange, q: string): { since: string; until?: string; q?: string } {
  return { since, ...(until === undefined ? {} : { until }), ...(q === "" ? {} : { q }) };
}
