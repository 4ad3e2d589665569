/** JSON and NDJSON, as `POST /v1/events` takes them. */
import { errorMessage } from "seclog";
import { BodyError } from "../../http/bounded-body.ts";
import { fromMembers, isMembers } from "./members.ts";
import type { Received } from "./received-event.ts";

/** How deep a value may be nested: JSON.parse takes any depth, and what walks the value afterwards does not. */
const DEEPEST = 200;

/**
 * The events of a body: a JSON object, an array of them, or one object a line.
 *
 * @throws BodyError 400 when the body as a whole cannot be read
 */
export function readJsonEvents(body: Buffer, lines: boolean): readonly Received[] {
  const text = textOf(body);
  if (lines) return text.split("\n").flatMap((line) => (line.trim() === "" ? [] : [eventOfText(line)]));
  const value = parseBody(text);
  return Array.isArray(value) ? value.map(eventOf) : [eventOf(value)];
}

/** A body that is one JSON value. @throws BodyError 400 */
export function parseJson(body: Buffer): unknown {
  return parseBody(textOf(body));
}

function parseBody(text: string): unknown {
  try {
    return parseJsonText(text);
  } catch (cause) {
    throw new BodyError(400, `the body is not JSON: ${errorMessage(cause)}`, { cause });
  }
}

/** UTF-8, and nothing else: what a decoder replaces would be another text. @throws BodyError 400 */
function textOf(body: Buffer): string {
  try {
    return decoder.decode(body);
  } catch (cause) {
    throw new BodyError(400, "the body is not valid UTF-8", { cause });
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function eventOfText(line: string): Received {
  try {
    return eventOf(parseJsonText(line));
  } catch (cause) {
    return { code: "malformed", message: `the line is not JSON: ${errorMessage(cause)}` };
  }
}

function eventOf(value: unknown): Received {
  return isMembers(value) ? fromMembers(value) : { code: "malformed", message: "an event is a JSON object" };
}

/**
 * Parses JSON, and refuses a name that stands twice in an object: parsers differ in which of the two they take, and what
 * checked the event before may have seen the other one.
 *
 * @throws Error
 */
export function parseJsonText(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (membersIn(value, 0) !== namesIn(text)) throw new Error("a name stands twice in an object");
  return value;
}

function membersIn(value: unknown, depth: number): number {
  if (typeof value !== "object" || value === null) return 0;
  if (depth === DEEPEST) throw new Error(`it is nested deeper than ${DEEPEST} levels`);
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) count += membersIn(item, depth + 1);
    return count;
  }
  for (const name of Object.keys(value)) {
    count += 1 + membersIn((value as { readonly [name: string]: unknown })[name], depth + 1);
  }
  return count;
}

const BACKSLASH = 92;
const COLON = 58;

/** How many members valid JSON has: its strings that a colon follows. */
function namesIn(text: string): number {
  let count = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at)) {
    at = endOfString(text, at + 1);
    let next = text.charCodeAt(at);
    while (next === 32 || (next >= 9 && next <= 13)) next = text.charCodeAt(++at);
    if (next === COLON) count += 1;
  }
  return count;
}

/** The offset behind the quote that ends a string. */
function endOfString(text: string, from: number): number {
  for (let at = from; ; at++) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
    at = quote;
  }
}
