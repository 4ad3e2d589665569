import { describe, expect, it } from "vitest";
import { wrapped } from "./line-width.ts";

describe("wrapped()", () => {
  it("breaks at spaces, and keeps words that are too long whole", () => {
    const lines = wrapped(`${"word ".repeat(30)}${"x".repeat(100)} end`, "    ").split("\n");
    expect(lines.filter((line) => line.length > 80)).toEqual([`    ${"x".repeat(100)}`]);
    expect(lines[1]).toMatch(/^ {4}word/);
  });
});
