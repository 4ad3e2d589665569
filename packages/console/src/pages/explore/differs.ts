/** What differs between two times: the values whose share of the events changed most. */
import type { FacetsResult } from "@seclog/api";

export interface Difference {
  readonly field: string;
  readonly value: string;
  /** Shares of the events, from 0 to 1. */
  readonly before: number;
  readonly now: number;
}

/** Below this, a share did not change: it may be chance. */
const LEAST_CHANGE = 0.03;

/**
 * The values by how much their share changed, the most first.
 *
 * @param total how many events each time has
 */
export function differencesOf(
  now: FacetsResult["facets"],
  before: FacetsResult["facets"],
  total: { readonly now: number; readonly before: number },
): readonly Difference[] {
  const shares = (events: number, all: number): number => (all === 0 ? 0 : Math.min(1, events / all));
  const differences: Difference[] = [];
  for (const field of new Set([...Object.keys(now), ...Object.keys(before)])) {
    const [nowBy, beforeBy] = [eventsBy(now[field]), eventsBy(before[field])];
    for (const value of new Set([...nowBy.keys(), ...beforeBy.keys()])) {
      differences.push({
        field,
        value,
        now: shares(nowBy.get(value) ?? 0, total.now),
        before: shares(beforeBy.get(value) ?? 0, total.before),
      });
    }
  }
  const change = (each: Difference): number => Math.abs(each.now - each.before);
  return differences.filter((each) => change(each) >= LEAST_CHANGE).sort((a, b) => change(b) - change(a));
}

function eventsBy(facet: FacetsResult["facets"][string] | undefined): ReadonlyMap<string, number> {
  return new Map(facet?.values.map(({ name, events }) => [name, events]));
}
