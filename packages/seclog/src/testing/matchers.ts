/** Assertions about the events of a log in memory, for any runner. */
import { AssertionError } from "node:assert";
import { inspect } from "node:util";
import type { CatalogueData } from "../event/catalogue.ts";
import type { SecurityEvent } from "../event/event.ts";
import { monotonicNow, sleep } from "../runtime/timers.ts";
import { type ExpectedEvent, fits, nearestFirst, shown } from "./matching.ts";

/** A log whose events a test can read: that of `memoryLog()`. */
export interface ReadableLog {
  events(): Promise<readonly SecurityEvent[]>;
}

/** A type of the catalogue, which editors complete, or of the application's own. */
export type ExpectedType = keyof CatalogueData | (string & Record<never, never>);

/** Options of {@link SeclogMatchers.toHaveRecorded}. */
export interface RecordedOptions {
  /** How many such events there must be. @default at least one */
  readonly times?: number | undefined;
  /**
   * The most milliseconds to wait for them, by Node's own clock, whatever a test has faked: the event of a response's
   * end is recorded when the client may already have the response. An assertion that holds does not wait.
   * @default 1000
   */
  readonly within?: number | undefined;
}

/** The assertions. Each resolves when it holds, and rejects with a diff when it does not. */
export interface SeclogMatchers {
  /** The log has an event of this type with these properties. */
  toHaveRecorded(type: ExpectedType, expected?: ExpectedEvent, options?: RecordedOptions): Promise<void>;
}

/**
 * Assertions for any test runner, which throw Node's `AssertionError`:
 *
 * ```ts
 * await expectEvent(security).toHaveRecorded("authz_fail", { path: "/admin", statusCode: 403 });
 * await expectEvent(security).not.toHaveRecorded("authn_login_success");
 * ```
 *
 * `not` looks at what is recorded now and does not wait for an event that ought never to come.
 */
export function expectEvent(log: ReadableLog): SeclogMatchers & { readonly not: SeclogMatchers } {
  const assertion = (isNot: boolean): SeclogMatchers => ({
    async toHaveRecorded(type, expected = {}, options = {}) {
      const outcome = await judge(log, type, expected, options, isNot);
      if (outcome.pass !== isNot) return;
      throw new AssertionError({ message: outcome.message, ...outcome.diff, operator: "toHaveRecorded" });
    },
  });
  return { ...assertion(false), not: assertion(true) };
}

/** What Vitest and Jest bind `this` to. */
interface MatcherContext {
  readonly isNot?: boolean;
}

/** The result of a custom matcher, for both. */
interface MatcherResult {
  readonly pass: boolean;
  readonly message: () => string;
  readonly actual?: unknown;
  readonly expected?: unknown;
}

/**
 * The same as matchers of `expect` in Vitest and Jest:
 *
 * ```ts
 * expect.extend(seclogMatchers);
 * await expect(security).toHaveRecorded("authz_fail", { path: "/admin" });
 * ```
 */
export const seclogMatchers: {
  toHaveRecorded(
    this: MatcherContext,
    log: ReadableLog,
    type: ExpectedType,
    expected?: ExpectedEvent,
    options?: RecordedOptions,
  ): Promise<MatcherResult>;
} = {
  async toHaveRecorded(log, type, expected = {}, options = {}) {
    const { pass, message, diff } = await judge(log, type, expected, options, this.isNot === true);
    return { pass, message: () => message, ...diff };
  },
};

interface Judgement {
  readonly pass: boolean;
  readonly message: string;
  readonly diff: { readonly actual?: unknown; readonly expected?: unknown };
}

async function judge(
  log: ReadableLog,
  type: string,
  expected: ExpectedEvent,
  { times, within = 1_000 }: RecordedOptions,
  isNot: boolean,
): Promise<Judgement> {
  if (typeof log?.events !== "function") {
    throw new TypeError("the log must be that of memoryLog() of seclog/testing, whose events a test can read");
  }
  const deadline = monotonicNow() + (isNot ? 0 : within);
  for (;;) {
    const events = await log.events();
    const found = events.filter((event) => fits(event, type, expected)).length;
    const pass = times === undefined ? found > 0 : found === times;
    if (pass || monotonicNow() >= deadline) return { pass, ...explained(events, type, expected, times, found) };
    await sleep(2);
  }
}

/** The most events that a message lists. */
const MOST_LISTED = 10;

function explained(
  events: readonly SecurityEvent[],
  type: string,
  expected: ExpectedEvent,
  times: number | undefined,
  found: number,
): Omit<Judgement, "pass"> {
  const wanted = { type, ...expected };
  const often = times === undefined ? "" : ` ${times} times`;
  const nearest = nearestFirst(events, type, expected);
  const lines = nearest.slice(0, MOST_LISTED).map((event) => `\n  ${printed(shown(event, expected))}`);
  const more = events.length > MOST_LISTED ? `\n  and ${events.length - MOST_LISTED} more` : "";
  const recorded = events.length === 0 ? "nothing was recorded" : `recorded, nearest first:${lines.join("")}${more}`;
  const [first] = nearest;
  return {
    message: `expected the log to have recorded${often} ${printed(wanted)}; found ${found}; ${recorded}`,
    diff: found > 0 || first === undefined ? {} : { actual: shown(first, expected), expected: wanted },
  };
}

function printed(value: object): string {
  return inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY, compact: true });
}
