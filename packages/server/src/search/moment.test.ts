import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { parseTime } from "./moment.ts";

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
    // An hour that Central European time skips.
    ["2026-03-29T02:30", "2026-03-29T02:30:00.000Z"],
    ["2026-11-01T10:30+14:00", "2026-10-31T20:30:00.000Z"],
  ])("%s", (text, time) => {
    expect(parseTime("since", text, NOW).toISOString()).toBe(time);
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
    expect(() => parseTime("since", text, NOW)).toThrow(`since ${JSON.stringify(text)} is not a time`);
  });
});

describe("parseTime() of dates outside the calendar", () => {
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
    expect(() => parseTime("until", text, NOW)).toThrow(`until ${JSON.stringify(text)} is not a time: ${why}`);
  });

  it("accepts every day of the calendar, and no other", () => {
    const part = (most: number): fc.Arbitrary<string> =>
      fc.integer({ min: 0, max: most }).map((value) => String(value).padStart(2, "0"));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99 }), part(13), part(32), (century, month, day) => {
        const text = `${String(century * 100 + 4).padStart(4, "0")}-${month}-${day}`;
        let taken: string | undefined;
        try {
          taken = parseTime("since", text, NOW).toISOString().slice(0, 10);
        } catch {}
        const rolled = new Date(`${text}T00:00:00Z`);
        const real = !Number.isNaN(rolled.getTime()) && rolled.toISOString().startsWith(text);
        expect(taken).toBe(real ? text : undefined);
      }),
    );
  });
});
