import { describe, expect, it } from "vitest";
import { suggest } from "./suggest.ts";

const texts = (query: string, known = {}): readonly string[] =>
  suggest(query, query.length, known).items.map(({ text }) => text);

describe("suggest()", () => {
  it("offers fields, by alias too, and replaces the word before the cursor", () => {
    expect(texts("ty")).toEqual(["type:"]);
    expect(texts("a -user_a")).toEqual(["agent:"]);
    expect(suggest("a or -ty", 8)).toMatchObject({ from: 6, to: 8 });
    expect(suggest("tyx b", 2)).toMatchObject({ from: 0, to: 3, items: [{ text: "type:", kind: "field" }] });
    expect(texts("")).toContain("since:");
  });

  it("offers values: of a list, of the caller, after a comma, quoted where they need it", () => {
    expect(texts("level>=w")).toEqual(["warning"]);
    expect(texts("type:fail", { type: ["authn_login_fail", "fail_x", "other"] })).toEqual([
      "fail_x",
      "authn_login_fail",
    ]);
    expect(texts("outcome:success,f")).toEqual(["failure"]);
    expect(texts("actor:", { actor: ["a b", 'c"'] })).toEqual(['"a b"', '"c\\""']);
    expect(texts("nothing:")).toEqual([]);
  });
});
