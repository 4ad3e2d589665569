import { describe, expect, it } from "vitest";
import { Recent } from "./recent.ts";

describe("Recent", () => {
  it("forgets what was not used for the longest time", () => {
    const recent = new Recent<{ readonly made: number }>(3, () => false);
    let made = 0;
    const use = (name: string): number => recent.use(name, () => ({ made: ++made })).made;
    expect(["a", "b", "c", "a", "d"].map(use)).toEqual([1, 2, 3, 1, 4]);
    expect(["a", "c", "d", "b"].map(use)).toEqual([1, 3, 4, 5]);
  });

  it("keeps what is in use, even beyond its size", () => {
    const busy = new Set<string>(["a", "b"]);
    const recent = new Recent<string>(2, (name) => busy.has(name));
    const made: string[] = [];
    const use = (name: string): string =>
      recent.use(name, () => {
        made.push(name);
        return name;
      });
    for (const name of ["a", "b", "c", "d", "a", "b"]) use(name);
    expect(made).toEqual(["a", "b", "c", "d"]);
    busy.clear();
    for (const name of ["e", "f", "d"]) use(name);
    expect(made).toEqual(["a", "b", "c", "d", "e", "f", "d"]);
  });
});
