import { afterEach, expect, it, vi } from "vitest";
import { judgeNow } from "../record/judgements.ts";
import { type NotFoundBurst, NotFoundBursts } from "./not-found-bursts.ts";

afterEach(() => vi.restoreAllMocks());

function bursts() {
  const recorded: NotFoundBurst[] = [];
  const counter = new NotFoundBursts((burst) => recorded.push(burst));
  const add = (times: number, address = "203.0.113.9"): void => {
    for (let time = 0; time < times; time++) counter.add(address, { address });
  };
  return { recorded, add, counts: () => recorded.map(({ count }) => count) };
}

const sum = (counts: readonly number[]): number => counts.reduce((all, count) => all + count, 0);

it("NotFoundBursts - records a burst when it begins and when its number has doubled, and the rest when the log flushes", () => {
  const { add, counts } = bursts();
  add(19);
  judgeNow();
  expect(counts()).toEqual([]);
  add(1);
  expect(counts()).toEqual([20]);
  add(79);
  expect(counts()).toEqual([20, 20, 40]);
  judgeNow();
  expect(counts()).toEqual([20, 20, 40, 19]);
});

it("NotFoundBursts - a million requests leave some twenty events, whose counts add up", () => {
  const { add, counts } = bursts();
  add(1_000_000);
  judgeNow();
  expect(counts().length).toBeLessThan(25);
  expect(sum(counts())).toBe(1_000_000);
});

it("NotFoundBursts - keeps addresses apart, and forgets the quietest of too many", () => {
  const { recorded, add, counts } = bursts();
  add(19, "192.0.2.1");
  for (let other = 0; other < 10_000; other++) add(1, `2001:db8::${other.toString(16)}`);
  add(1, "192.0.2.1");
  expect(counts()).toEqual([]);
  add(25, "192.0.2.2");
  add(20, "192.0.2.3");
  judgeNow();
  expect(recorded.map(({ count, request }) => [count, request])).toEqual([
    [20, { address: "192.0.2.2" }],
    [20, { address: "192.0.2.3" }],
    [5, { address: "192.0.2.2" }],
  ]);
});
