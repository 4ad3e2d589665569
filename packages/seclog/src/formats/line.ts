/** An event as a line for people. Whatever the event contains, it stays one line. */
import type { SecurityEvent } from "../event/event.ts";
import type { Level } from "../event/level.ts";
import { visibleJson, visibleText } from "../event/visible.ts";

/** SGR sequences (ECMA-48) for each level. */
const COLOURS: { readonly [L in Level]: string } = {
  debug: "\u001b[2m",
  info: "",
  warning: "\u001b[33m",
  error: "\u001b[31m",
  critical: "\u001b[1;31m",
};
const RESET = "\u001b[0m";

/**
 * An event as one line for people, with its newline: time, level, type, request, then `name=value`.
 *
 * `2026-11-22T19:43:22.123456Z WARNING  authz_fail GET /admin 403 203.0.113.9 actor=42 data={"resource":"orders"}`
 */
export function readableLine(event: SecurityEvent, colour: boolean): string {
  const level = event.level.toUpperCase().padEnd(8);
  const words = [
    event.occurredAt,
    colour && COLOURS[event.level] !== "" ? `${COLOURS[event.level]}${level}${RESET}` : level,
    word(event.type),
  ];
  if (event.methodOriginal !== undefined) words.push(word(event.methodOriginal));
  else if (event.method !== undefined) words.push(word(event.method));
  if (event.path !== undefined) words.push(word(event.path));
  if (event.statusCode !== undefined) words.push(String(event.statusCode));
  if (event.ipAddress !== undefined) words.push(word(event.ipAddress));
  const named: readonly (readonly [string, string | number | undefined])[] = [
    ["count", event.count],
    ["allowed", event.allowedMethods],
    ["actor", event.actorId],
    ["target", event.targetId],
    ["service", event.service],
    ["request", event.requestId],
    ["agent", event.userAgent],
  ];
  for (const [name, value] of named) if (value !== undefined) words.push(`${name}=${word(String(value))}`);
  if (event.data !== undefined) words.push(`data=${visibleJson(JSON.stringify(event.data))}`);
  return `${words.join(" ")}\n`;
}

/** A value within the line, quoted when its end would be ambiguous. */
function word(text: string): string {
  return visibleText(/^[^\s"=]+$/u.test(text) ? text : `"${text.replaceAll('"', '\\"')}"`);
}
