import { describe, expect, it } from "vitest";
import { bytesText } from "./words.ts";

describe("bytesText()", () => {
  it("chooses the unit", () => {
    expect([0, 1023, 1024, 1_500_000, 5 * 1024 ** 4].map(bytesText)).toEqual([
      "0 B",
      "1023 B",
      "1.0 KiB",
      "1.4 MiB",
      "5.0 TiB",
    ]);
  });
});
