import { eventToJson } from "../event/encode.ts";
import type { SecurityEvent } from "../event/event.ts";
import { visibleJson } from "../event/visible.ts";

/** An event as a line of NDJSON, with its newline. Parses to what `eventToJson` returns. */
export function ndjsonLine(event: SecurityEvent): string {
  return `${visibleJson(eventToJson(event))}\n`;
}
