import { expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { visibleJson, visibleText } from "./visible.ts";

const HOSTILE = "a\r\nb\u001b]8;;http://x\u0007\u202egpj\u200b\u2028\u0085\ud800\u{e0041}é😀";

it("visibleText() - shows what a terminal would obey", () => {
  expect(visibleText(HOSTILE)).toBe("a\\r\\nb\\x1b]8;;http://x\\x07\\u202egpj\\u200b\\u2028\\x85\\ud800\\u{e0041}é😀");
});

it("visibleText() - returns one line without controls, for any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(visibleText(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }),
  );
});

it("visibleJson() - parses to the same value and holds no control", () => {
  const check = (value: unknown): void => {
    const json = JSON.stringify(value);
    const shown = visibleJson(json);
    expect(JSON.parse(shown)).toEqual(JSON.parse(json));
    expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  };
  check({ [HOSTILE]: [HOSTILE] });
  fc.assert(fc.property(fc.jsonValue({ stringUnit: "binary" }), check));
});
