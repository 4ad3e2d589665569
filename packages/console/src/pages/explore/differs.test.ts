import { expect, it } from "vitest";
import { differencesOf } from "./differs.ts";

const facet = (counts: { readonly [name: string]: number }) => ({
  values: Object.entries(counts).map(([name, events]) => ({ name, events, occurrences: events })),
  approximate: false,
});

it("differencesOf() - puts the largest change of a share first, and leaves out what stayed", () => {
  const now = { ip: facet({ attacker: 90, other: 10 }), host: facet({ web: 100 }) };
  const before = { ip: facet({ other: 48, attacker: 2 }), host: facet({ web: 50 }) };
  expect(differencesOf(now, before, { now: 100, before: 50 })).toEqual([
    { field: "ip", value: "attacker", now: 0.9, before: 0.04 },
    { field: "ip", value: "other", now: 0.1, before: 0.96 },
  ]);
});

it("differencesOf() - has shares of nothing where there were no events", () => {
  expect(differencesOf({ ip: facet({ a: 1 }) }, {}, { now: 1, before: 0 })).toEqual([
    { field: "ip", value: "a", now: 1, before: 0 },
  ]);
});
