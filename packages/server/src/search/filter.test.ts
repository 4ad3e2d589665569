import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { type FilterOptions, parseFilter } from "./filter.ts";

const NOW = new Date("2026-11-22T19:43:22.123Z");

describe("parseFilter()", () => {
  it("accepts lists of types, and networks of both families", () => {
    expect(parseFilter({ type: ["authn_*,authz_fail", "x:y.z-1"], ip: "2001:DB8::/32" }, NOW)).toEqual({
      types: ["authn_*", "authz_fail", "x:y.z-1"],
      ip: "2001:db8::/32",
    });
    expect(parseFilter({ ip: "::FFFF:10.1.2.3" }, NOW)).toEqual({ ip: "10.1.2.3" });
    expect(parseFilter({ ip: "::ffff:10.0.0.0/104" }, NOW)).toEqual({ ip: "10.0.0.0/8" });
    expect(parseFilter({ ip: "[2001:DB8::1]:443" }, NOW)).toEqual({ ip: "2001:db8::1" });
  });

  it("accepts a network by its first address, and a single address as a network", () => {
    for (const ip of [
      "10.0.0.0/8",
      "203.0.113.128/26",
      "0.0.0.0/0",
      "10.0.0.1/32",
      "::/0",
      "2001:db8::1/128",
      "2001:db8:8000::/33",
    ]) {
      expect(parseFilter({ ip }, NOW)).toEqual({ ip });
    }
  });

  it("accepts levels, outcomes and categories in any case", () => {
    expect(parseFilter({ level: "WARNING", outcome: ["Failure,UNKNOWN"], category: ["Authn"] }, NOW)).toEqual({
      level: "warning",
      outcomes: ["failure", "unknown"],
      categories: ["authn"],
    });
  });

  it.each<[FilterOptions, string]>([
    [{ status: ["abc"] }, 'status "abc" is not a status: write 403, 4xx or 400-499'],
    [{ status: ["499-400"] }, 'status "499-400"'],
    [{ status: ["099"] }, 'status "099"'],
    [{ method: ["G ET"] }, 'method "G ET" cannot be a method'],
    [{ outcome: ["failed"] }, 'outcome "failed" is not one of success, failure, unknown'],
    [{ category: ["Auth n"] }, 'category "Auth n" cannot be a category'],
    [{ service: "" }, "service is empty"],
    [{ route: "a\0b" }, "route contains a NUL"],
    [{ ip: "10.0.0.0/33" }, 'ip "10.0.0.0/33" is not an address'],
    [
      { ip: "10.0.0.1/8" },
      'ip "10.0.0.1/8" mixes an address and a network: write 10.0.0.0/8 for the network, or 10.0.0.1',
    ],
    [{ ip: "203.0.113.129/26" }, "write 203.0.113.128/26 for"],
    [{ ip: "1.2.3.4/0" }, "write 0.0.0.0/0 for"],
    [{ ip: "::ffff:10.0.0.1/104" }, "write 10.0.0.0/8 for the network, or 10.0.0.1"],
    [{ ip: "2001:db8:1::1/32" }, "write 2001:db8::/32 for the network, or 2001:db8:1::1"],
    [{ ip: "2001:db8:ffff:ffff::/59" }, "write 2001:db8:ffff:ffe0::/59 for"],
    [{ ip: "64:ff9b::192.0.2.1/96" }, "write 64:ff9b::/96 for the network, or 64:ff9b::c000:201"],
    [{ ip: "::1/0" }, "write ::/0 for the network, or ::1"],
    [{ ip: "::ffff:10.0.0.0/95" }, 'ip "::ffff:10.0.0.0/95" is not an address'],
  ])("refuses %j", (options, message) => {
    expect(() => parseFilter(options, NOW)).toThrow(message);
  });

  it("returns a filter or names the wrong option, for any input", () => {
    const texts = fc.record(
      {
        since: fc.string(),
        until: fc.string(),
        type: fc.array(fc.string()),
        outcome: fc.array(fc.string()),
        category: fc.array(fc.string()),
        method: fc.array(fc.string()),
        status: fc.array(fc.string()),
        target: fc.string({ unit: "binary" }),
        route: fc.string({ unit: "binary" }),
        host: fc.string({ unit: "binary" }),
        service: fc.string({ unit: "binary" }),
        level: fc.string(),
        ip: fc.string(),
        actor: fc.string({ unit: "binary" }),
        path: fc.string({ unit: "binary" }),
        text: fc.string({ unit: "binary" }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(texts, (options) => {
        try {
          parseFilter(options, NOW);
        } catch (error) {
          expect(error).toMatchObject({ code: "SECLOG_CONFIG", message: expect.stringMatching(/^[a-z]+ /) });
        }
      }),
    );
  });
});
