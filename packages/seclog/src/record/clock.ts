import { monotonicNow } from "../runtime/timers.ts";

/** A wall clock of microseconds that never repeats and never goes back. */
export interface EventClock {
  /** Microseconds since the Unix epoch, higher than the last ones. */
  now(): number;
  /** How far its times are ahead of the wall clock, in milliseconds (behind: negative); 0 up to a second. */
  readonly skew: number;
}

/** What {@link eventClock} reads; a parameter so that a test can let the clock jump. */
export interface ClockSources {
  /** Wall clock, milliseconds. */
  readonly wall: () => number;
  /** Monotonic clock, milliseconds with a fraction. */
  readonly monotonic: () => number;
}

/** How far ahead the wall clock may be before this one jumps to it, in milliseconds. Its own resolution is one. */
const DRIFT_MS = 2;

/**
 * The latest wall-clock time to accept, some months before June 2255, when microseconds exceed
 * what a number holds exactly and times would repeat.
 */
const LATEST_MS = Date.UTC(2255, 0, 1);

/**
 * Creates the clock of one source. It runs on the monotonic clock and follows the wall clock: at once if that is
 * ahead (the machine slept, or its time was set forward), and not at all if it is behind (set back): times
 * then continue from where they were until the wall clock has passed them, and `skew` says how far they are ahead.
 * Nor does it follow a wall clock before 1970 or after 2254; `skew` shows that too.
 *
 * By default the wall clock is the global `Date`, even if a test has set it: the test expects that date on its events.
 */
export function eventClock(sources: ClockSources = { wall: () => Date.now(), monotonic: monotonicNow }): EventClock {
  let anchorWall = believable(sources.wall());
  let anchorMonotonic = sources.monotonic();
  let last = 0;
  let skew = 0;
  let checked = Number.NEGATIVE_INFINITY;
  return {
    now() {
      const monotonic = sources.monotonic();
      let milliseconds = anchorWall + (monotonic - anchorMonotonic);
      // The wall clock has a resolution of a millisecond: reading it more often returns nothing new.
      if (monotonic - checked >= 1) {
        checked = monotonic;
        const wall = sources.wall();
        const believed = believable(wall);
        if (believed - milliseconds > DRIFT_MS) {
          anchorWall = believed;
          anchorMonotonic = monotonic;
          milliseconds = believed;
        }
        const ahead = milliseconds - wall;
        skew = Math.abs(ahead) > 1_000 ? Math.round(ahead) : 0;
      }
      const micros = Math.floor(milliseconds * 1_000);
      last = micros > last ? micros : last + 1;
      return last;
    },
    get skew() {
      return skew;
    },
  };
}

function believable(wall: number): number {
  return Math.min(Math.max(wall, 0), LATEST_MS);
}

let cachedSecond = -1;
let cachedText = "";

/** `2026-11-22T19:43:22.123456Z` (RFC 3339) of microseconds since the epoch; years 1970 to 9999. */
export function formatMicros(micros: number): string {
  const second = Math.floor(micros / 1_000_000);
  if (second !== cachedSecond) {
    cachedSecond = second;
    cachedText = new Date(second * 1_000).toISOString().slice(0, 20);
  }
  const fraction = micros - second * 1_000_000;
  return `${cachedText}${(1_000_000 + fraction).toString().slice(1)}Z`;
}
