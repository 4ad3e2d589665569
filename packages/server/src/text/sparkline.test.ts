import { expect, it } from "vitest";
import { sparkline } from "./sparkline.ts";

it.each([
  [[], ""],
  [[0, 0], "  "],
  [[0, 1, 4, 8], " ▁▄█"],
  [[1, 1_000_000], "▁█"],
])("sparkline(%j) is %j", (counts, bars) => {
  expect(sparkline(counts)).toBe(bars);
});
