import { expect, it } from "vitest";
import { isLevel, LEVELS, levelRank } from "./level.ts";

it("levelRank() - rises in the order of LEVELS", () => {
  expect(LEVELS.map(levelRank)).toEqual([0, 1, 2, 3, 4]);
});

it("isLevel() - accepts the names and nothing else", () => {
  for (const level of LEVELS) expect(isLevel(level)).toBe(true);
  for (const other of ["WARNING", "warn", "", "constructor", "__proto__", 2, null, undefined, ["info"]]) {
    expect(isLevel(other)).toBe(false);
  }
});
