/** A record of another logger becomes an event. Nothing here throws: a logger's caller does not expect it. */
import { isDate } from "node:util/types";
import { type CatalogueData, definitionOf } from "../event/catalogue.ts";
import { isEventTypeName } from "../event/definition.ts";
import { errorMessage } from "../event/errors.ts";
import { BRIDGE_MEMBER } from "../record/forwarded.ts";
import { errorOf, isObject, requestOf, statusOf } from "./foreign-request.ts";
import { levelOf } from "./levels.ts";

/** The log that a bridge records to: any `SecurityLog`, whatever its own events are. */
export interface BridgeLog {
  readonly recordSecurityEvent: (
    type: keyof CatalogueData,
    request: object | undefined,
    data: { readonly [name: string]: unknown },
  ) => unknown;
}

/** What every bridge lets the application choose. */
export interface BridgeOptions<Record extends object> {
  /**
   * The loggers whose records become events, by name, or `"all"`.
   * @default ["security"]
   */
  readonly loggers?: readonly string[] | "all" | undefined;
  /** Chooses records instead of `loggers`. Must return at once. */
  readonly filter?: ((record: Record) => boolean) | undefined;
  /**
   * The event's type, `undefined` for the default. A type that the log does not know is recorded and flagged.
   * @default the record's `event`, `event.name`, `event_type` or `eventName`, else its message if that has the form of a
   *   type (`authz_fail`, `refund_refused`), else `"logged_message"`
   */
  readonly type?: ((record: Record) => string | undefined) | undefined;
}

/** The options that can be passed to a thread. */
export const BRIDGE_OPTIONS = ["loggers", "filter", "type"] as const;

/** A record, once its bridge has taken it apart. */
export interface ForeignRecord {
  /** The bridge, which the event's data name. */
  readonly bridge: string;
  /** A name or a number of the logger. */
  readonly level: unknown;
  /** Milliseconds since the Unix epoch, seconds, or text in the form of RFC 3339. */
  readonly time: unknown;
  readonly message: string | undefined;
  /** The type that the application chose. */
  readonly type: string | undefined;
  /** Everything else in the record. */
  readonly members: { readonly [name: string]: unknown };
}

/** The type of a record that names none. */
const UNNAMED = "logged_message";

/** Whether a record's logger is one of those chosen. */
export function isChosen(names: readonly unknown[], loggers: readonly string[] | "all" = ["security"]): boolean {
  return loggers === "all" || names.some((name) => loggers.some((chosen) => chosen === name));
}

/** Records the event of a record. Never throws: what the log could not keep it reports to its diagnostics. */
export function recordForeign(log: BridgeLog, record: ForeignRecord): void {
  const call = log.recordSecurityEvent as (type: string, request: object | undefined, data: object) => unknown;
  let event: { type: string; request: object | undefined; data: object };
  try {
    event = eventOf(record);
  } catch (thrown) {
    const data = { [BRIDGE_MEMBER]: record.bridge, message: record.message, unreadable: errorMessage(thrown) };
    event = { type: UNNAMED, request: undefined, data };
  }
  try {
    call(event.type, event.request, event.data);
  } catch {
    // Of durability "strict": the log has counted it and reported why.
  }
}

/** The members that a bridge sets: the record's own of these names are kept apart. */
const SET = new Set(["level", "occurredAt", "statusCode", "message", BRIDGE_MEMBER]);

function eventOf(record: ForeignRecord): { type: string; request: object | undefined; data: object } {
  const { members, message } = record;
  const named = record.type ?? typeNamed(members);
  const inMessage = named === undefined && message !== undefined && isSpokenType(message) ? message : undefined;
  const { type, argument } = splitType(named ?? inMessage ?? UNNAMED);
  // As entries: a member named `__proto__` is one like any other.
  const data: [name: string, value: unknown][] = [];
  const apart: [name: string, value: unknown][] = [];
  let request: object | undefined;
  let status: unknown;
  for (const [name, value] of Object.entries(members)) {
    const asRequest = name === "req" || name === "request" ? requestOf(value) : undefined;
    const asStatus = name === "res" || name === "response" ? statusOf(value) : undefined;
    if (asRequest !== undefined && request === undefined) request = asRequest;
    else if (asStatus !== undefined && status === undefined) status = asStatus;
    else if (TYPE_MEMBERS.has(name) && named !== undefined && value === named) continue;
    else if (name === "statusCode" && status === undefined) status = value;
    else if (SET.has(name)) apart.push([name, value]);
    else data.push([name, errorOf(value)]);
  }
  const level = levelOf(record.level);
  const time = timeOf(record.time);
  if (apart.length > 0) data.push(["record", Object.fromEntries(apart)]);
  const spoken = message === "" || message === inMessage ? undefined : message;
  const set = {
    argument,
    message: spoken,
    level,
    occurredAt: time,
    statusCode: status,
    [BRIDGE_MEMBER]: record.bridge,
  };
  for (const [name, value] of Object.entries(set)) if (value !== undefined) data.push([name, value]);
  return { type, request, data: Object.fromEntries(data) };
}

const TYPE_MEMBERS: ReadonlySet<string> = new Set(["event", "event.name", "event_type", "eventName"]);

function typeNamed(members: ForeignRecord["members"]): string | undefined {
  for (const name of TYPE_MEMBERS) {
    const value = members[name];
    if (typeof value === "string" && value !== "" && !isOwn(value)) return value;
  }
  const { event } = members;
  const nested = isObject(event) ? event["name"] : undefined;
  return typeof nested === "string" && nested !== "" && !isOwn(nested) ? nested : undefined;
}

/** Whether it is an event of the log itself, which only the log can report. */
function isOwn(type: string): boolean {
  return definitionOf(type)?.category === "log";
}

/** Whether a message is a type: of the catalogue, or two words and more in its form. "started" is a message. */
function isSpokenType(message: string): boolean {
  const { type } = splitType(message);
  return isEventTypeName(type) && type.includes("_") && !isOwn(type);
}

/** The vocabulary's form of a type with arguments: `authn_login_fail:joe`. */
function splitType(text: string): { readonly type: string; readonly argument?: string } {
  const colon = text.indexOf(":");
  const type = colon < 0 ? text : text.slice(0, colon);
  return colon < 0 || definitionOf(type) === undefined ? { type: text } : { type, argument: text.slice(colon + 1) };
}

/** The least that counts as milliseconds: pino's `unixTime` has seconds. */
const MILLISECONDS_FROM = 100_000_000_000;

function timeOf(time: unknown): Date | undefined {
  if (isDate(time)) return time;
  if (typeof time === "number" && time > 0) return new Date(time < MILLISECONDS_FROM ? time * 1_000 : time);
  if (typeof time !== "string" || !/^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(time)) return undefined;
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? undefined : new Date(ms);
}
