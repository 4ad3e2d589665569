import { describe, expect, it } from "vitest";
import { missingBetween } from "./missing-numbers.ts";

describe("missingBetween()", () => {
  it("returns the numbers between two that do not follow each other", () => {
    expect(missingBetween(4, 5)).toBeUndefined();
    expect(missingBetween(4, 6)).toEqual({ first: 5, last: 5 });
    expect(missingBetween(4, 9)).toEqual({ first: 5, last: 8 });
  });

  it("does not guess about numbers that it cannot hold", () => {
    expect(missingBetween("9007199254740993", "9007199254740999")).toBeUndefined();
  });
});
