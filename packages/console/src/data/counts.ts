/** Counts that come in parts: over time, and by field. */
import type { FacetsResult, TimelineBucket, TimelineResult } from "@seclog/api";

/** A timeline with a part that is older. */
export function addTimeline(all: TimelineResult, part: TimelineResult): TimelineResult {
  const buckets = new Map<string, TimelineBucket>();
  for (const bucket of [...part.buckets, ...all.buckets]) {
    const other = buckets.get(bucket.start);
    buckets.set(bucket.start, other === undefined ? bucket : sumOf(other, bucket));
  }
  const ordered = [...buckets.values()].sort((a, b) => (a.start < b.start ? -1 : 1));
  return { ...all, reached: part.reached, done: part.done, buckets: ordered };
}

function sumOf(a: TimelineBucket, b: TimelineBucket): TimelineBucket {
  const by: { [name: string]: number } = { ...a.by };
  for (const [name, events] of Object.entries(b.by)) by[name] = (by[name] ?? 0) + events;
  return { start: a.start, events: a.events + b.events, by };
}

/** Facets with a part that is older: values beyond the limit of both parts are missing, so the counts become approximate. */
export function addFacets(all: FacetsResult, part: FacetsResult): FacetsResult {
  const facets: { [field: string]: FacetsResult["facets"][string] } = { ...all.facets };
  for (const [field, { values, approximate }] of Object.entries(part.facets)) {
    const counts = new Map((facets[field]?.values ?? []).map((value) => [value.name, value]));
    for (const value of values) {
      const { events = 0, occurrences = 0 } = counts.get(value.name) ?? {};
      counts.set(value.name, {
        name: value.name,
        events: events + value.events,
        occurrences: occurrences + value.occurrences,
      });
    }
    const sorted = [...counts.values()].sort((a, b) => b.events - a.events);
    facets[field] = { values: sorted, approximate: approximate || facets[field]?.approximate === true };
  }
  return { ...all, facets, reached: part.reached, done: part.done };
}

/** How many events a timeline has counted. */
export function totalOf(timeline: TimelineResult | undefined): number {
  return timeline?.buckets.reduce((sum, { events }) => sum + events, 0) ?? 0;
}
