/** What several formats say of an event in their own words. */
import { definitionOf } from "../event/catalogue.ts";
import type { SecurityEvent } from "../event/event.ts";
import type { JsonValue } from "../event/json.ts";

/** The sentence of the catalogue for the event's type; the type itself for an application's own. */
export function descriptionOf(event: SecurityEvent): string {
  return definitionOf(event.type)?.description ?? event.type;
}

/** The request's method as sent. */
export function sentMethod(event: SecurityEvent): string | undefined {
  return event.methodOriginal ?? event.method;
}

/** Milliseconds since the Unix epoch; 0 for a time that the calendar does not have, which only a foreign writer stores. */
export function epochMs(time: string): number {
  const milliseconds = Date.parse(time);
  return Number.isFinite(milliseconds) ? milliseconds : 0;
}

/** Nanoseconds since the Unix epoch; 0, which means unknown, for a time that the calendar does not have. */
export function epochNanoseconds(time: string): string {
  const [, seconds, micros] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z$/.exec(time) ?? [];
  const milliseconds = Date.parse(`${seconds}Z`);
  return milliseconds > 0 ? `${milliseconds / 1000}${micros}000` : "0";
}

/** A member of the event's data as text; `undefined` if it is absent or has another form. */
export function dataText(event: SecurityEvent, name: string): string | undefined {
  if (event.data === undefined || !Object.hasOwn(event.data, name)) return undefined;
  const value: JsonValue | undefined = event.data[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

/** The members that are not `undefined`; `undefined` if none is. */
export function present<Members extends object>(members: Members): { [name: string]: unknown } | undefined {
  const found = Object.entries(members).filter(([, value]) => value !== undefined);
  return found.length === 0 ? undefined : Object.fromEntries(found);
}
