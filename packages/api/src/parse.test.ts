import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { parseQuery } from "./parse.ts";
import { printQuery } from "./print.ts";
import { QueryError } from "./query-error.ts";

describe("parseQuery() and printQuery()", () => {
  it.each([
    ["", ""],
    ["type:authn_* ip:203.0.113.0/24 -path:/health", "type:authn_* ip:203.0.113.0/24 -path:/health"],
    ["TYPE:Authn_Login_Fail", "type:authn_login_fail"],
    ["event_type:a,b or status_code:5xx", "type:a,b or status:5xx"],
    ["level>=warning", "level>=warning"],
    ["level>=critical", "level:critical"],
    ["level<info", "level:debug"],
    ["status:400-499 status>=500 seq<10", "status:4xx status>=500 seq<=9"],
    ["status:404,5xx", "status:404,5xx"],
    ['"free text" word', '"free text" "word"'],
    ["a and (b or not c)", '"a" ("b" or -"c")'],
    ["a or b c", '"a" or "b" "c"'],
    ["not (a b)", '-("a" "b")'],
    ["--a", '--"a"'],
    ["type:(a or b, c)", "type:a,b,c"],
    ['path:"/a (b)"', 'path:"/a (b)"'],
    ['actor="a*b"', "actor=a*b"],
    ['actor:"a*b"', 'actor:"a*b"'],
    ["actor!=bob", "-actor=bob"],
    ["path:*", "path:*"],
    ["ip:2001:DB8::1", "ip:2001:db8::1"],
    ["ip:::ffff:10.0.0.0/104", "ip:10.0.0.0/8"],
    ["since:1d until:2026-11-22T10:30Z", "since:1d until:2026-11-22T10:30Z"],
    ["ordinary order android", '"ordinary" "order" "android"'],
    ["mail:* or x".replace("mail", "agent"), 'agent:* or "x"'],
  ])("reads %s as %s, which reads back", (text, printed) => {
    const query = parseQuery(text);
    expect(printQuery(query)).toBe(printed);
    expect(parseQuery(printed)).toEqual(query);
  });

  it.each([
    ["tpye:x", 0, 4, 'unknown field "tpye": did you mean type? (character 1)', "type"],
    ["a http://x", 2, 4, "quote the text to search for it", undefined],
    ["level>=wraning", 7, 7, "did you mean warning?", "warning"],
    ["level>critical", 6, 8, "matches nothing", undefined],
    ["status:abc", 7, 3, "write 403, 4xx or 400-499", undefined],
    ["status:", 7, 0, "status needs a value", undefined],
    ["ip:10.0.0.1/8", 3, 10, "write 10.0.0.0/8 for the network", "10.0.0.0/8"],
    ["ip:999.1.1.1", 3, 9, "is not an address", undefined],
    ["outcome>failure", 8, 7, "has no order", undefined],
    ["type>x", 5, 1, "cannot be compared by >", undefined],
    ["since:yesterday", 6, 9, "is not a time", undefined],
    ["since:2026-02-30", 6, 10, "has the days 01 to 28", undefined],
    ["id:5", 3, 1, "is not a UUID", undefined],
    ["(a", 0, 1, 'this "(" is not closed', undefined],
    ["a)", 1, 1, "nothing opens it", undefined],
    ["()", 0, 2, "nothing between", undefined],
    ['"a', 0, 1, "this quote is not closed", undefined],
    ['""', 0, 2, "the text is empty", undefined],
    ["or a", 0, 2, '"or" needs something on both sides', undefined],
    ["a or", 2, 2, '"or" needs something on both sides', undefined],
    ["a and or b", 2, 3, '"and" needs', undefined],
    ["not", 0, 3, '"not" needs', undefined],
    ["actor:\0", 6, 1, "contains a NUL", undefined],
    ["a".repeat(4097), 4096, 0, "more than 4096", undefined],
    ["(".repeat(2000), 40, 1, "nests deeper than 40", undefined],
    [`${"-".repeat(2000)}a`, 40, 3, "nests deeper than 40", undefined],
  ])("refuses %s at its character", (text, at, length, message, suggestion) => {
    let thrown: unknown;
    try {
      parseQuery(text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(QueryError);
    const error = thrown as QueryError;
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ at, suggestion });
    expect(error.length).toBeLessThanOrEqual(length);
  });

  it("reads any text, or says where it fails", () => {
    const piece = fc.constantFrom(
      "type:",
      "level>=",
      "ip:",
      "(",
      ")",
      "-",
      "or",
      "and",
      "not",
      '"',
      "\\",
      "*",
      ",",
      " ",
      "a",
      "10.0.0.0/8",
      "4xx",
      "since:1d",
      "é",
      "\u{1f600}",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece).map((pieces) => pieces.join("")),
          fc.string({ unit: "binary" }),
        ),
        (text) => {
          try {
            const query = parseQuery(text);
            expect(parseQuery(printQuery(query))).toEqual(query);
          } catch (error) {
            expect(error).toBeInstanceOf(QueryError);
            const { at, length } = error as QueryError;
            expect(at >= 0 && at + length <= Math.max(text.length, at)).toBe(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
