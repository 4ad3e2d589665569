/** The facts in a call's data that have columns of their own. */
import { isDate } from "node:util/types";
import { OUTCOMES, type Outcome } from "../event/event.ts";
import { isLevel } from "../event/level.ts";
import type { NoteTaker } from "../event/text.ts";
import { clean } from "./clean.ts";
import type { Draft } from "./draft.ts";
import type { EventFacts } from "./facts.ts";
import type { Redactor } from "./redact.ts";

/** The data of a call. */
export type Said = { readonly [name: string]: unknown };

/** Takes a fact if it is valid, and otherwise returns what is wrong with it. May throw. */
type Take = (value: unknown, into: Draft, redactor: Redactor, notes: NoteTaker) => string | undefined;

/** The facts that have columns of their own. */
const TAKES: readonly (readonly [name: keyof EventFacts | "userid", take: Take])[] = [
  ["outcome", takeOutcome],
  ["level", takeLevel],
  ["occurredAt", takeOccurredAt],
  ["statusCode", takeStatusCode],
  ["allowedMethods", takeAllowedMethods],
  ["route", takeRoute],
  ["count", takeCount],
  ["startedAt", (value, into) => takeMoment(value, "startedAt", into)],
  ["endedAt", (value, into) => takeMoment(value, "endedAt", into)],
  ["actor", (value, into, redactor, notes) => party(value, "actor", into, redactor, notes)],
  [
    "userid",
    // After `actor`, for which it stands in.
    (value, into, redactor, notes) =>
      into.actorId === undefined ? party(value, "actor", into, redactor, notes) : undefined,
  ],
  ["target", (value, into, redactor, notes) => party(value, "target", into, redactor, notes)],
];

/** `data` is stored without these. */
export const FACTS: ReadonlySet<string> = new Set(TAKES.map(([name]) => name));

/** The log's own events report a level in their data; theirs is the type's, and their time the clock's. */
export const FACTS_OF_THE_LOG: ReadonlySet<string> = new Set(
  [...FACTS].filter((name) => name !== "level" && name !== "occurredAt"),
);

/**
 * How far back a call may date its event: into the month before at most, which retention never drops.
 */
const EARLIEST_MS = 7 * 86_400_000;

/**
 * Takes the facts from a call's data. Invalid ones are flagged and not used.
 *
 * @returns the names of those that were refused, which stay in `data`
 */
export function takeFacts(
  said: Said,
  into: Draft,
  redactor: Redactor,
  notes: NoteTaker,
  names: ReadonlySet<string> = FACTS,
): readonly string[] | undefined {
  let refused: string[] | undefined;
  for (const [name, take] of TAKES) {
    if (!names.has(name)) continue;
    let problem: string | undefined;
    try {
      const value = said[name];
      // `null` often means absent: a header that was not set, a column without a value.
      if (value === undefined || value === null) continue;
      // Valid, but to be redacted, which happens in the data.
      if (redactor.hasDataPaths && isPrivate(redactor, name)) problem = "";
      else problem = take(value, into, redactor, notes);
    } catch {
      // A getter or a method of the value threw: still take the others.
      problem = "could not be read";
    }
    if (problem === undefined) continue;
    if (problem !== "") notes.flag(`${name} ${problem}`);
    refused = [...(refused ?? []), name];
  }
  return refused;
}

function isPrivate(redactor: Redactor, name: string): boolean {
  const privacy = redactor.pathClass(["data", name]);
  return privacy !== undefined && privacy !== "keep";
}

function takeOutcome(value: unknown, into: Draft): string | undefined {
  if (!isOutcome(value)) return "is not success, failure or unknown";
  into.outcome = value;
  return undefined;
}

function takeLevel(value: unknown, into: Draft): string | undefined {
  if (!isLevel(value)) return "is not debug, info, warning, error or critical";
  into.level = value;
  return undefined;
}

/** Never ahead of the clock: an event of next year would head every list until then. */
function takeOccurredAt(value: unknown, into: Draft): string | undefined {
  const ms = milliseconds(value);
  const now = Date.now();
  if (!(ms >= now - EARLIEST_MS && ms <= now)) return "is not a date of the last seven days";
  into.occurredAt = rfc3339(ms);
  return undefined;
}

function takeStatusCode(value: unknown, into: Draft): string | undefined {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 100 || value > 999) {
    return "is not a number from 100 to 999";
  }
  into.statusCode = value;
  return undefined;
}

function takeAllowedMethods(value: unknown, into: Draft, redactor: Redactor, notes: NoteTaker): undefined {
  const text = Array.isArray(value) ? value.map(String).join(", ") : String(value);
  into.allowedMethods = clean(text, "allowedMethods", redactor, notes, true);
}

function takeRoute(value: unknown, into: Draft, redactor: Redactor, notes: NoteTaker): string | undefined {
  if (typeof value !== "string") return "is not a string";
  into.route = clean(value, "route", redactor, notes, true);
  return undefined;
}

function takeCount(value: unknown, into: Draft): string | undefined {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > 0x7fffffff) {
    return "is not a whole number from 1 to 2147483647";
  }
  into.count = value;
  return undefined;
}

/** Four-digit years only: PostgreSQL and RFC 3339 agree on those. */
function takeMoment(value: unknown, name: "startedAt" | "endedAt", into: Draft): string | undefined {
  const ms = milliseconds(value);
  if (!(ms >= 0 && ms < 253_402_300_800_000)) return "is not a date between 1970 and 9999";
  into[name] = rfc3339(ms);
  return undefined;
}

function milliseconds(value: unknown): number {
  return isDate(value) ? value.getTime() : Number.NaN;
}

/** Not via microseconds, which are inexact after 2255. */
function rfc3339(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -1)}000Z`;
}

function party(
  value: unknown,
  role: "actor" | "target",
  into: Draft,
  redactor: Redactor,
  notes: NoteTaker,
): string | undefined {
  // Read everything before taking anything, since reading may throw.
  const object = typeof value === "object" && value !== null;
  const { id, type } = object ? (value as Said) : { id: value, type: undefined };
  const others = object ? Object.keys(value).filter((name) => name !== "id" && name !== "type") : [];
  if (typeof id !== "string" && typeof id !== "number" && typeof id !== "bigint") return "is not an id";
  into[`${role}Id`] = clean(String(id), `${role}Id`, redactor, notes);
  if (typeof type === "string") into[`${role}Type`] = clean(type, `${role}Type`, redactor, notes);
  else if (type !== undefined) notes.flag(`${role}.type is not a string`);
  if (others.length > 0) notes.flag(`of ${role} only id and type are kept, not ${others.slice(0, 10).join(", ")}`);
  return undefined;
}

function isOutcome(value: unknown): value is Outcome {
  return (OUTCOMES as readonly unknown[]).includes(value);
}
