import { describe, expect, it } from "vitest";
import { eventClock, formatMicros } from "./clock.ts";
import { uuidv7 } from "./uuid.ts";

/** A machine whose clocks the test sets. */
function machine(
  wall: number,
): { wall: number; monotonic: number } & { now: () => number; clock: ReturnType<typeof eventClock> } {
  const state = { wall, monotonic: 0 };
  const clock = eventClock({ wall: () => Math.floor(state.wall), monotonic: () => state.monotonic });
  return Object.assign(state, { clock, now: () => clock.now() });
}

describe("eventClock()", () => {
  it("never repeats and never goes back, however often it is read", () => {
    const clock = eventClock();
    let last = 0;
    for (let i = 0; i < 100_000; i++) {
      const now = clock.now();
      expect(now > last).toBe(true);
      last = now;
    }
    expect(Math.abs(last / 1_000 - Date.now())).toBeLessThan(1_000);
  });

  it("follows at once a wall clock that is set forward", () => {
    const state = machine(1_000_000);
    state.now();
    state.monotonic += 5;
    state.wall += 86_400_005;
    expect(state.now()).toBe(1_000_000_000 + 86_400_005_000);
    expect(state.clock.skew).toBe(0);
  });

  it("continues at its own pace when the wall clock is set back, reports by how much, and meets it again", () => {
    const state = machine(100_000_000);
    const first = state.now();
    state.wall -= 3_600_000;
    state.monotonic += 1_000;
    state.wall += 1_000;
    expect(state.now()).toBe(first + 1_000_000);
    expect(state.clock.skew).toBe(3_600_000);
    state.monotonic += 2_000;
    state.wall += 3_602_000 + 5;
    expect(state.now()).toBe(Math.floor(state.wall) * 1_000);
    expect(state.clock.skew).toBe(0);
  });
});

describe("eventClock() of a machine whose year is wrong", () => {
  const YEARS = [-9999, 0, 1900, 1969, 2255, 9999, 10_000, 275_000];

  it.each(YEARS)(
    "%i: gives times that rise, have a year of four digits, and make ids; and says how wrong they are",
    (year) => {
      const wall = new Date(0).setUTCFullYear(year, 6, 1);
      const state = machine(wall);
      const times = Array.from({ length: 2_000 }, (_, i) => {
        state.wall = wall + i;
        state.monotonic = i;
        return state.now();
      });
      expect(new Set(times).size).toBe(2_000);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      const last = times.at(-1) ?? 0;
      expect(formatMicros(last)).toMatch(
        year < 1970 ? /^1970-01-01T00:00:0\d\.\d{6}Z$/ : /^2255-01-01T00:00:0\d\.\d{6}Z$/,
      );
      expect(uuidv7(last)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(state.clock.skew).toBe(last / 1_000 - state.wall);
    },
  );

  it.each(YEARS)("%i: follows the wall clock once that is right, or reports how far ahead it is", (year) => {
    const state = machine(new Date(0).setUTCFullYear(year, 6, 1));
    state.now();
    const right = Date.UTC(2026, 10, 22);
    state.wall = right;
    state.monotonic = 10;
    const now = state.now();
    if (year < 1970) expect([now, state.clock.skew]).toEqual([right * 1_000, 0]);
    else expect(now / 1_000 - state.clock.skew).toBe(right);
  });
});

describe("formatMicros()", () => {
  it("prints RFC 3339 with six digits, also across the end of a second", () => {
    const at = Date.UTC(2026, 10, 22, 19, 43, 22) * 1_000;
    expect(formatMicros(at + 123_456)).toBe("2026-11-22T19:43:22.123456Z");
    expect(formatMicros(at + 999_999)).toBe("2026-11-22T19:43:22.999999Z");
    expect(formatMicros(at + 1_000_000)).toBe("2026-11-22T19:43:23.000000Z");
    expect(formatMicros(0)).toBe("1970-01-01T00:00:00.000000Z");
  });
});

describe("uuidv7()", () => {
  it("has the version, variant and time of RFC 9562, sorts by time, and never repeats", () => {
    const base = Date.UTC(2026, 10, 22) * 1_000;
    const ids = Array.from({ length: 5_000 }, (_, i) => uuidv7(base + i * 7));
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set(ids).size).toBe(5_000);
    expect(ids).toEqual([...ids].sort());
    expect(Number.parseInt(ids[0]?.replace("-", "").slice(0, 12) ?? "", 16)).toBe(base / 1_000);
    expect(new Set(Array.from({ length: 1_000 }, () => uuidv7(base))).size).toBe(1_000);
  });
});
