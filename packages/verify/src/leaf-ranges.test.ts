import { describe, expect, it } from "vitest";
import { Findings } from "./findings.ts";
import { LeafRanges } from "./leaf-ranges.ts";

const A = "01936d2f-5c00-7000-8000-00000000000a";
const B = "01936d2f-5c00-7000-8000-00000000000b";
const END = 65_536;

describe("LeafRanges", () => {
  it("maps each leaf once, however many ranges claim it", () => {
    const findings = new Findings();
    const lines = Array.from({ length: 2_000 }, (_, n) => `${n}\t${n % 2 === 0 ? A : B}\t${n + 1}\t${n + END}`);
    const leaves = new LeafRanges(0, new Map()).inWindow(lines, 0, END, findings);
    expect(leaves.offsets.length).toBe(END);
    expect(leaves.intervals).toHaveLength(1);
    expect(leaves.at(1)).toEqual({ source: A, seq: 2 });
    expect(findings.list()[0]?.sentence).toContain("two ranges of security_event_seal cover the leaves from");
  });

  it("finds a number's interval among 65,536 of them", () => {
    const findings = new Findings();
    const lines = Array.from({ length: END }, (_, n) => `${n}\t${A}\t${2 * n + 1}\t${2 * n + 1}`);
    const leaves = new LeafRanges(0, new Map()).inWindow(lines, 0, END, findings);
    const before = performance.now();
    let found = 0;
    for (let n = 0; n < END; n++) {
      if (leaves.interval(A, 2 * n + 1)?.base === n && leaves.interval(A, 2 * n) === undefined) found++;
    }
    expect(found).toBe(END);
    expect(performance.now() - before).toBeLessThan(5_000);
  });
});
