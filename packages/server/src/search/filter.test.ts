import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type FilterOptions, parseFilter, parseTime } from "./filter.ts";

const NOW = new Date("2026-11-22T19:43:22.123Z");

describe("parseTime()", () => {
  it.each([
    ["90s", "2026-11-22T19:41:52.123Z"],
    ["15m", "2026-11-22T19:28:22.123Z"],
    ["6h", "2026-11-22T13:43:22.123Z"],
    ["1d", "2026-11-21T19:43:22.123Z"],
    ["2w", "2026-11-08T19:43:22.123Z"],
    ["2026-11-01", "2026-11-01T00:00:00.000Z"],
    ["2026-11-01T10:30", "2026-11-01T10:30:00.000Z"],
    ["2026-11-01 10:30:05", "2026-11-01T10:30:05.000Z"],
    ["2026-11-01T10:30+02:00", "2026-11-01T08:30:00.000Z"],
    ["2026-11-01T10:30:05.123456Z", "2026-11-01T10:30:05.123Z"],
    ["2024-02-29", "2024-02-29T00:00:00.000Z"],
    ["2000-02-29T23:59:59", "2000-02-29T23:59:59.000Z"],
    ["0001-01-01", "0001-01-01T00:00:00.000Z"],
    ["0096-02-29", "0096-02-29T00:00:00.000Z"],
    ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
    // An hour that Central Europe skips.
    ["2026-03-29T02:30", "2026-03-29T02:30:00.000Z"],
    ["2026-11-01T10:30+14:00", "2026-10-31T20:30:00.000Z"],
  ])("%s", (text, time) => {
    expect(parseTime("--since", text, NOW).toISOString()).toBe(time);
  });

  it.each([
    "",
    "1",
    "d",
    "-1d",
    "1.5h",
    "1y",
    "now",
    "2026-13-01",
    "2026-11-01T25:00",
    "99999999w",
    "2026-11-01T10:30 Z",
  ])("refuses %j", (text) => {
    expect(() => parseTime("--since", text, NOW)).toThrow(`--since ${JSON.stringify(text)} is no time`);
  });
});

describe("parseTime() of what is not in the calendar", () => {
  it.each([
    ["2026-02-31", "2026-02 has the days 01 to 28"],
    ["2026-02-29", "2026-02 has the days 01 to 28"],
    ["1900-02-29T10:00", "1900-02 has the days 01 to 28"],
    ["2024-02-30T10:00Z", "2024-02 has the days 01 to 29"],
    ["2026-11-31 10:00:00+02:00", "2026-11 has the days 01 to 30"],
    ["2026-11-00", "2026-11 has the days 01 to 30"],
    ["2026-00-01", "months go from 01 to 12"],
    ["2026-13-01T10:00Z", "months go from 01 to 12"],
    ["2026-11-01T24:00", "hours go from 00 to 23"],
    ["2026-11-01T24:00:00Z", "hours go from 00 to 23"],
    ["2026-11-01T25:00", "hours go from 00 to 23"],
    ["2026-11-01T10:60Z", "minutes go from 00 to 59"],
    ["2016-12-31T23:59:60Z", "seconds go from 00 to 59"],
    ["2026-11-01T10:30+16:00", "offsets go from -15:59 to +15:59"],
    ["2026-11-01T10:30-02:60", "offsets go from -15:59 to +15:59"],
  ])("refuses %s: %s", (text, why) => {
    expect(() => parseTime("--until", text, NOW)).toThrow(`--until ${JSON.stringify(text)} is no time: ${why}`);
  });

  it("takes every day of the calendar, and no other", () => {
    const part = (most: number): fc.Arbitrary<string> =>
      fc.integer({ min: 0, max: most }).map((value) => String(value).padStart(2, "0"));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99 }), part(13), part(32), (century, month, day) => {
        const text = `${String(century * 100 + 4).padStart(4, "0")}-${month}-${day}`;
        let taken: string | undefined;
        try {
          taken = parseTime("--since", text, NOW).toISOString().slice(0, 10);
        } catch {}
        const rolled = new Date(`${text}T00:00:00Z`);
        const real = !Number.isNaN(rolled.getTime()) && rolled.toISOString().startsWith(text);
        expect(taken).toBe(real ? text : undefined);
      }),
    );
  });
});

describe("parseFilter()", () => {
  it("takes lists of types, and networks of both families", () => {
    expect(parseFilter({ type: ["authn_*,authz_fail", "x:y.z-1"], ip: "2001:DB8::/32" }, NOW)).toEqual({
      types: ["authn_*", "authz_fail", "x:y.z-1"],
      ip: "2001:db8::/32",
    });
    expect(parseFilter({ ip: "::FFFF:10.1.2.3" }, NOW)).toEqual({ ip: "10.1.2.3" });
    expect(parseFilter({ ip: "::ffff:10.0.0.0/104" }, NOW)).toEqual({ ip: "10.0.0.0/8" });
    expect(parseFilter({ ip: "[2001:DB8::1]:443" }, NOW)).toEqual({ ip: "2001:db8::1" });
  });

  it("takes a network whose first address is named, and one address as a network", () => {
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

  it("takes levels, outcomes and categories in any case", () => {
    expect(parseFilter({ level: "WARNING", outcome: ["Failure,UNKNOWN"], category: ["Authn"] }, NOW)).toEqual({
      level: "warning",
      outcomes: ["failure", "unknown"],
      categories: ["authn"],
    });
  });

  it.each<[FilterOptions, string]>([
    [{ status: ["abc"] }, '--status "abc" is no status: write 403, 4xx or 400-499'],
    [{ status: ["499-400"] }, '--status "499-400"'],
    [{ status: ["099"] }, '--status "099"'],
    [{ method: ["G ET"] }, '--method "G ET" cannot be a method'],
    [{ outcome: ["failed"] }, '--outcome "failed" is none of success, failure, unknown'],
    [{ category: ["Auth n"] }, '--category "Auth n" cannot be a category'],
    [{ service: "" }, "--service is empty"],
    [{ route: "a\0b" }, "--route holds a NUL"],
    [{ ip: "10.0.0.0/33" }, '--ip "10.0.0.0/33" is no address'],
    [
      { ip: "10.0.0.1/8" },
      '--ip "10.0.0.1/8" names one address and a network: write 10.0.0.0/8 for the network, or 10.0.0.1',
    ],
    [{ ip: "203.0.113.129/26" }, "write 203.0.113.128/26 for"],
    [{ ip: "1.2.3.4/0" }, "write 0.0.0.0/0 for"],
    [{ ip: "::ffff:10.0.0.1/104" }, "write 10.0.0.0/8 for the network, or 10.0.0.1"],
    [{ ip: "2001:db8:1::1/32" }, "write 2001:db8::/32 for the network, or 2001:db8:1::1"],
    [{ ip: "2001:db8:ffff:ffff::/59" }, "write 2001:db8:ffff:ffe0::/59 for"],
    [{ ip: "64:ff9b::192.0.2.1/96" }, "write 64:ff9b::/96 for the network, or 64:ff9b::c000:201"],
    [{ ip: "::1/0" }, "write ::/0 for the network, or ::1"],
    [{ ip: "::ffff:10.0.0.0/95" }, '--ip "::ffff:10.0.0.0/95" is no address'],
  ])("refuses %j", (options, message) => {
    expect(() => parseFilter(options, NOW)).toThrow(message);
  });

  it("gives a filter or says which option is wrong, whatever is typed", () => {
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
          expect(error).toMatchObject({ code: "SECLOG_CONFIG", message: expect.stringMatching(/^--[a-z]+ /) });
        }
      }),
    );
  });
});
