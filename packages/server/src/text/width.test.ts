import { describe, expect, it } from "vitest";
import { cutText, textWidth } from "./width.ts";

describe("cutText()", () => {
  it("never exceeds the width, whatever it cuts", () => {
    for (const text of ["plain text", "日本語", "a日本語", "e\u0301".repeat(9)]) {
      for (let width = 1; width < 12; width++) expect(textWidth(cutText(text, width))).toBeLessThanOrEqual(width);
    }
    expect(cutText("exact", 5)).toBe("exact");
  });
});
