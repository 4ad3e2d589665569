import type { FacetsResult, TimelineResult } from "@seclog/api";
import { expect, it } from "vitest";
import { addFacets, addTimeline, totalOf } from "./counts.ts";

it("addTimeline() - adds the bars of a part that is older", () => {
  const part = (buckets: TimelineResult["buckets"], reached: string, done: boolean): TimelineResult => ({
    from: "a",
    to: "b",
    step_seconds: 60,
    reached,
    done,
    buckets,
  });
  const all = addTimeline(
    part(
      [
        { start: "1", events: 0, by: {} },
        { start: "2", events: 3, by: { info: 3 } },
      ],
      "2",
      false,
    ),
    part(
      [
        { start: "1", events: 2, by: { error: 2 } },
        { start: "2", events: 1, by: { info: 1 } },
      ],
      "1",
      true,
    ),
  );
  expect(all.buckets).toEqual([
    { start: "1", events: 2, by: { error: 2 } },
    { start: "2", events: 4, by: { info: 4 } },
  ]);
  expect([all.done, all.reached, totalOf(all)]).toEqual([true, "1", 6]);
});

it("addFacets() - adds the counts of values, the most frequent first", () => {
  const part = (counts: { readonly [name: string]: number }, approximate = false): FacetsResult => ({
    reached: null,
    done: true,
    facets: {
      ip: {
        approximate,
        values: Object.entries(counts).map(([name, events]) => ({ name, events, occurrences: events })),
      },
    },
  });
  const { ip } = addFacets(part({ a: 3, b: 2 }), part({ b: 2, c: 1 }, true)).facets;
  expect(ip?.values.map(({ name, events }) => [name, events])).toEqual([
    ["b", 4],
    ["a", 3],
    ["c", 1],
  ]);
  expect(ip?.approximate).toBe(true);
});
