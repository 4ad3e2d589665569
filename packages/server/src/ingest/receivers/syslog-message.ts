/** Messages of syslog, RFC 5424 and the older form that RFC 3164 describes, as events. */
import { CATALOGUE } from "seclog";
import { parseJsonText } from "./json-events.ts";
import { fromMembers, isMembers } from "./members.ts";
import { isRefused, type Received } from "./received-event.ts";

/** Emergency, alert, critical, error, warning, notice, informational, debug. */
const LEVELS = ["critical", "critical", "critical", "error", "warning", "info", "info", "debug"] as const;

const UNNAMED = "logged_message";

const HEADER_5424 =
  /^1 (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) /;
const HEADER_3164 =
  /^(?:([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) (\S{1,255}) )?([\w./-]{1,48})(?:\[\d+\])?: ?/;

/** The event of a message, without its frame. Any bytes are one: what has no header is a message without one. */
export function syslogEvent(bytes: Uint8Array, now: Date = new Date()): Received {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return { code: "malformed", message: "the message is not valid UTF-8" };
  }
  const [whole, digits] = /^<(\d{1,3})>/.exec(text) ?? [];
  const priority = digits === undefined ? DEFAULT_PRIORITY : Number(digits);
  if (priority > MOST_PRIORITY) return { code: "malformed", message: `the priority ${priority} does not exist` };
  const rest = text.slice(whole?.length ?? 0);
  const parsed = structured(rest) ?? traditional(rest, now);
  return eventOf(priority, parsed);
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** "user", "notice", where a message has no priority (RFC 3164, 4.3.3). */
const DEFAULT_PRIORITY = 13;
const MOST_PRIORITY = 191;

/** A message's parts; absent where it has `-`. */
interface Parts {
  readonly time: string | undefined;
  readonly host: string | undefined;
  readonly program: string | undefined;
  readonly messageId: string | undefined;
  /** The parameters of the structured data, by the names of element and parameter. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly message: string;
}

function structured(text: string): Parts | undefined {
  const header = HEADER_5424.exec(text);
  if (header === null) return undefined;
  const [whole, time, host, program, , messageId] = header.map((part) => (part === "-" ? undefined : part));
  const parameters = new Map<string, string>();
  const end = readElements(text, whole?.length ?? 0, parameters);
  if (end === undefined) return undefined;
  const message = text.slice(end).replace(/^ \uFEFF?/, "");
  return { time, host, program, messageId, parameters, message };
}

/** Reads STRUCTURED-DATA, and returns the offset behind it. */
function readElements(text: string, from: number, into: Map<string, string>): number | undefined {
  if (text[from] === "-") return from + 1;
  let at = from;
  while (text[at] === "[") {
    ELEMENT.lastIndex = at;
    const element = ELEMENT.exec(text);
    if (element === null) return undefined;
    at = ELEMENT.lastIndex;
    for (;;) {
      PARAMETER.lastIndex = at;
      const parameter = PARAMETER.exec(text);
      if (parameter === null) break;
      at = PARAMETER.lastIndex;
      if (into.size < MOST_PARAMETERS)
        into.set(`${element[1]}.${parameter[1]}`, (parameter[2] ?? "").replace(/\\(["\\\]])/g, "$1"));
    }
    if (text[at] !== "]") return undefined;
    at += 1;
  }
  return at === from ? undefined : at;
}

const ELEMENT = /\[([!#-<>-\\^-~]{1,32})/y;
const PARAMETER = / ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\[\s\S])*)"/y;
const MOST_PARAMETERS = 100;

function traditional(text: string, now: Date): Parts {
  const [whole = "", time, host, program] = HEADER_3164.exec(text) ?? [];
  return {
    time: time === undefined ? undefined : withYear(time, now),
    host,
    program,
    messageId: undefined,
    parameters: new Map(),
    message: text.slice(whole.length),
  };
}

/** RFC 3164 has neither year nor zone: the nearest in UTC, as most senders in the cloud run. */
function withYear(time: string, now: Date): string {
  if (time.startsWith("2") || time.startsWith("1")) return time;
  const year = now.getUTCFullYear();
  const at = (offset: number): number => Date.parse(`${time} ${year + offset} UTC`);
  const nearest = [-1, 0, 1].sort((a, b) => Math.abs(at(a) - now.getTime()) - Math.abs(at(b) - now.getTime()))[0] ?? 0;
  const ms = at(nearest);
  return Number.isNaN(ms) ? "" : new Date(ms).toISOString();
}

function eventOf(priority: number, { time, host, program, messageId, parameters, message }: Parts): Received {
  const level = LEVELS[priority % 8];
  const common = { ...(host !== undefined && { host }), ...(program !== undefined && { logger: program }) };
  const own = message.startsWith("{") ? eventInJson(message) : undefined;
  if (own !== undefined) return fromMembers({ ...common, level, occurred_at: time, ...own });
  const data: [string, string][] = [...parameters].map(([name, value]) => [name, value]);
  const type = messageId !== undefined && isType(messageId) ? messageId : UNNAMED;
  if (messageId !== undefined && type === UNNAMED) data.push(["msgid", messageId]);
  if (message !== "") data.push(["message", message]);
  const received = fromMembers({ ...common, event_type: type, level, occurred_at: time });
  return isRefused(received) ? received : { ...received, data: { ...received.data, ...Object.fromEntries(data) } };
}

/** A message that is an event in JSON, as Seclog's own handler sends it. */
function eventInJson(message: string): { readonly [name: string]: unknown } | undefined {
  try {
    const value = parseJsonText(message);
    return isMembers(value) && typeof value["event_type"] === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

function isType(text: string): boolean {
  return Object.hasOwn(CATALOGUE, text) || /^[a-z0-9]+(?:_[a-z0-9]+)+$/.test(text);
}
