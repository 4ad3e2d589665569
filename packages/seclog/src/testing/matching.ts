/** Whether an event is the one that a test expects, and what differs. */
import { isDeepStrictEqual } from "node:util";
import { isRegExp } from "node:util/types";
import type { SecurityEvent } from "../event/event.ts";

/**
 * The properties that an expected event must have. Its `data` may have further members. A value may be a regular
 * expression, or a matcher of Vitest or Jest (`expect.any(String)`).
 */
export type ExpectedEvent = {
  readonly [K in Exclude<keyof SecurityEvent, "data">]?: SecurityEvent[K] | RegExp | AsymmetricMatcher;
} & { readonly data?: { readonly [member: string]: unknown } | AsymmetricMatcher | undefined };

/** The part of `expect.any(…)`, `expect.stringMatching(…)` and others that decides. */
export interface AsymmetricMatcher {
  asymmetricMatch(actual: unknown): boolean;
}

/** Whether the event has the type and every expected property. */
export function fits(event: SecurityEvent, type: string, expected: ExpectedEvent): boolean {
  return event.type === type && distance(event, type, expected) === 0;
}

/** The events, those first that differ least from what was expected. */
export function nearestFirst(
  events: readonly SecurityEvent[],
  type: string,
  expected: ExpectedEvent,
): readonly SecurityEvent[] {
  return events
    .map((event) => ({ event, away: distance(event, type, expected) }))
    .sort((one, other) => one.away - other.away)
    .map(({ event }) => event);
}

/** The type and the expected properties of an event, for a message and a diff. */
export function shown(event: SecurityEvent, expected: ExpectedEvent): { readonly [name: string]: unknown } {
  const picked: [name: string, value: unknown][] = [["type", event.type]];
  for (const [name, value] of Object.entries(expected)) {
    const actual: unknown = event[name as keyof SecurityEvent];
    if (name !== "data" || !isRecord(value) || !isRecord(actual)) picked.push([name, actual]);
    else picked.push([name, Object.fromEntries(Object.keys(value).map((member) => [member, actual[member]]))]);
  }
  return Object.fromEntries(picked);
}

/** How many of the expected properties differ; another type counts more than all of them. */
function distance(event: SecurityEvent, type: string, expected: ExpectedEvent): number {
  let away = event.type === type ? 0 : 1_000;
  for (const [name, value] of Object.entries(expected)) {
    const actual: unknown = event[name as keyof SecurityEvent];
    if (name !== "data" || !isRecord(value)) away += equals(actual, value) ? 0 : 1;
    else for (const [member, wanted] of Object.entries(value)) away += equals(memberOf(actual, member), wanted) ? 0 : 1;
  }
  return away;
}

function equals(actual: unknown, wanted: unknown): boolean {
  if (isMatcher(wanted)) return wanted.asymmetricMatch(actual);
  if (isRegExp(wanted)) return typeof actual === "string" && new RegExp(wanted.source, wanted.flags).test(actual);
  return isDeepStrictEqual(actual, wanted);
}

function memberOf(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function isRecord(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null && !isMatcher(value) && !isRegExp(value);
}

function isMatcher(value: unknown): value is AsymmetricMatcher {
  return typeof (value as { readonly asymmetricMatch?: unknown } | null | undefined)?.asymmetricMatch === "function";
}
