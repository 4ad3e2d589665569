import canonicalize from "canonicalize";
import { expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { canonicalJson, type JsonValue, jsonString } from "./json.ts";

it("jsonString() - is JSON.stringify for every text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(jsonString(text)).toBe(JSON.stringify(text));
    }),
  );
  expect(jsonString("\ud800")).toBe('"\\ud800"');
  expect(jsonString('\u001f"\\')).toBe(JSON.stringify('\u001f"\\'));
});

it("canonicalJson() - is the form of RFC 8785 for every JSON value", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      expect(canonicalJson(value as JsonValue)).toBe(canonicalize(value));
    }),
  );
});

it("canonicalJson() - sorts members by UTF-16 units, not by code points", () => {
  // U+1F600 is D83D DE00 in UTF-16 and so comes before U+FB33.
  expect(canonicalJson({ "\ufb33": 1, "\u{1f600}": 2 })).toBe('{"\u{1f600}":2,"\ufb33":1}');
});
