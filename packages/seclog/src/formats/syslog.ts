/** An event as a message of syslog (RFC 5424). */
import type { SecurityEvent } from "../event/event.ts";
import type { Level } from "../event/level.ts";
import { cefMessage } from "./cef.ts";
import { leefMessage } from "./leef.ts";
import { readableLine } from "./line.ts";
import { ndjsonLine } from "./ndjson.ts";
import { ocsfLine } from "./ocsf.ts";

/** Options of {@link syslogMessage}. */
export interface SyslogFormatOptions {
  /**
   * The facility, 0 to 23 (RFC 5424, 6.2.1): 13 is the log audit, 10 security and authorization, 16 to 23 are local.
   * @default 13
   */
  readonly facility?: number | undefined;
  /**
   * What the message's text is: the event as JSON with the table's column names, as OCSF, CEF or LEEF, or a line for
   * people.
   * @default "json"
   */
  readonly body?: SyslogBody | undefined;
}

/** The forms of a message's text. */
export const SYSLOG_BODIES = ["json", "ocsf", "cef", "leef", "line"] as const;

/** One of {@link SYSLOG_BODIES}. */
export type SyslogBody = (typeof SYSLOG_BODIES)[number];

const SEVERITIES: { readonly [L in Level]: number } = { debug: 7, info: 6, warning: 4, error: 3, critical: 2 };

/** RFC 5612 sets this number aside for documentation. Seclog has none of its own. */
const ENTERPRISE = 32_473;

const BODIES: { readonly [B in SyslogBody]: (event: SecurityEvent) => string } = {
  json: (event) => ndjsonLine(event).trimEnd(),
  ocsf: (event) => ocsfLine(event).trimEnd(),
  cef: (event) => cefMessage(event),
  leef: (event) => leefMessage(event),
  line: (event) => readableLine(event, false).trimEnd(),
};

/**
 * An event as a message of RFC 5424, without a frame and on one line. The header has the time with microseconds, the
 * host, the service, the source as PROCID and the type as MSGID. The structured data have what identifies the event, so
 * that a receiver can remove repetitions: `[seclog@32473 id="…" source="…" seq="…" …]`.
 */
export function syslogMessage(event: SecurityEvent, options: SyslogFormatOptions = {}): string {
  const { facility = 13, body = "json" } = options;
  const header = [
    `<${facility * 8 + SEVERITIES[event.level]}>1`,
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z$/.test(event.occurredAt) ? event.occurredAt : "-",
    name(event.host, 255),
    name(event.service ?? event.logger, 48),
    name(event.sourceId, 128),
    name(event.type, 32),
  ].join(" ");
  const parameters: readonly (readonly [string, string | number | undefined])[] = [
    ["id", event.id],
    ["source", event.sourceId],
    ["seq", event.seq],
    ["type", event.type],
    ["level", event.level],
    ["outcome", event.outcome],
    ["category", event.category],
    ["ip", event.ipAddress],
    ["actor", event.actorId],
  ];
  const data = parameters
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${parameter(String(value))}"`)
    .join("");
  return `${header} [seclog@${ENTERPRISE}${data}] ${ascii(BODIES[body](event), body)}`;
}

/** A name of the header: printable ASCII without spaces, `-` if there is nothing. */
function name(text: string | undefined, limit: number): string {
  return (text ?? "").replace(/[^!-~]/g, "_").slice(0, limit) || "-";
}

/** PARAM-VALUE: UTF-8, with a backslash before `"`, `\` and `]`. Controls are shown, so that the message is one line. */
function parameter(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, " ").replace(/["\\\]]/g, "\\$&");
}

/**
 * JSON is written in ASCII, with escapes, and the others after a byte order mark, as RFC 5424 demands of UTF-8. Receivers
 * that do not know the mark would show it before the text, so ASCII has none.
 */
function ascii(text: string, body: SyslogBody): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: everything beyond ASCII is what it looks for
  if (!/[^\u0000-\u007f]/.test(text)) return text;
  if (body !== "json" && body !== "ocsf") return `\ufeff${text}`;
  return text.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
