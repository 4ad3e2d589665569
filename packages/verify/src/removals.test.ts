import { describe, expect, it } from "vitest";
import { Removals } from "./removals.ts";

const A = "01936d2f-5c00-7000-8000-00000000000a";
const OWN = "01936d2f-5c00-7000-8000-0000000000ff";

describe("Removals", () => {
  it("accepts more ranges than a call can have arguments", () => {
    const removals = new Removals(OWN);
    const ranges = Array.from({ length: 200_000 }, (_, i) => `[${2 * i + 1},${2 * i + 2})`);
    removals.add(`2\terased\t${A}\t{${ranges.join(",")}}`, new Map());
    expect(removals.covers("erased", A, 399_999)).toBe(true);
    expect(removals.covers("erased", A, 400_000)).toBe(false);
    expect(removals.covers("pruned", A, 1)).toBe(false);
  });
});
