import { isIP } from "node:net";
import { isLevel, LEVELS, type Level, OUTCOMES, SeclogError, storedText } from "seclog";
import { quoted } from "../text/words.ts";
import { networkOf } from "./network.ts";

/** Which events are meant. Everything given must hold. Every text is in the form that the log keeps. */
export interface EventFilter {
  readonly since?: Date;
  readonly until?: Date;
  /** Any of these; `*` stands for any text. */
  readonly types?: readonly string[];
  /** At least this severe. */
  readonly level?: Level;
  /** Any of these. */
  readonly outcomes?: readonly string[];
  readonly categories?: readonly string[];
  /** An address, or a network in CIDR form. */
  readonly ip?: string;
  /** The forms in which the log may have the id: that of the column and, of a long id, that of `data`, which keeps more. */
  readonly actor?: readonly string[];
  readonly target?: readonly string[];
  /** Any of these, in upper case. */
  readonly methods?: readonly string[];
  /** A prefix, or with `*` a pattern for the whole path. */
  readonly path?: string;
  /** The whole template. */
  readonly route?: string;
  /** In any of these ranges, ends included. */
  readonly statuses?: readonly (readonly [from: number, to: number])[];
  /** The request's host, with or without its port, or the machine's; in lower case. */
  readonly host?: string;
  readonly service?: string;
  /** Anywhere in the texts of the event, whatever the case. */
  readonly text?: string;
}

/** The options as commander hands them over. */
export interface FilterOptions {
  readonly since?: string;
  readonly until?: string;
  readonly type?: readonly string[];
  readonly level?: string;
  readonly outcome?: readonly string[];
  readonly category?: readonly string[];
  readonly ip?: string;
  readonly actor?: string;
  readonly target?: string;
  readonly method?: readonly string[];
  readonly path?: string;
  readonly route?: string;
  readonly status?: readonly string[];
  readonly host?: string;
  readonly service?: string;
  readonly text?: string;
}

/**
 * Checks what was typed.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option and the value
 */
export function parseFilter(options: FilterOptions, now: Date = new Date()): EventFilter {
  const { since, until } = options;
  const from = since === undefined ? undefined : parseTime("--since", since, now);
  const to = until === undefined ? undefined : parseTime("--until", until, now);
  if (from !== undefined && to !== undefined && from >= to) {
    throw new SeclogError("SECLOG_CONFIG", `--since ${since} is not before --until ${until}: nothing could match`);
  }
  const filter = {
    since: from,
    until: to,
    types: listOf("type", options.type, parseType),
    level: given("level", options.level, parseLevel),
    outcomes: listOf("outcome", options.outcome, parseOutcome),
    categories: listOf("category", options.category, parseCategory),
    ip: given("ip", options.ip, parseNetwork),
    actor: given("actor", options.actor, (text) => idForms("actorId", text)),
    target: given("target", options.target, (text) => idForms("targetId", text)),
    methods: listOf("method", options.method, parseMethod),
    path: given("path", options.path, (text) => storedText("path", text)),
    route: given("route", options.route, (text) => storedText("route", text)),
    statuses: listOf("status", options.status, parseStatus),
    host: given("host", options.host, (text) => storedText("requestHost", text.toLowerCase())),
    service: given("service", options.service, (text) => text),
    text: given("text", options.text, (text) => text),
  };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
}

function idForms(column: "actorId" | "targetId", id: string): readonly string[] {
  return [...new Set([storedText(column, id) ?? id, id])];
}

/** An option's value, if it was given. */
function given<Value>(name: string, text: string | undefined, parse: (text: string) => Value): Value | undefined {
  if (text === undefined) return undefined;
  if (text === "") throw new SeclogError("SECLOG_CONFIG", `--${name} is empty: leave it out to match everything`);
  if (text.includes("\0")) throw new SeclogError("SECLOG_CONFIG", `--${name} holds a NUL, which no event does`);
  return parse(text);
}

/** The values of an option that may be given several times, or once with commas. */
function listOf<Value>(
  name: string,
  texts: readonly string[] | undefined,
  parse: (text: string) => Value,
): readonly Value[] | undefined {
  return texts?.flatMap((list) => list.split(",")).map((text) => given(name, text, parse) as Value);
}

const SECONDS: ReadonlyMap<string, number> = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86_400],
  ["w", 604_800],
]);

/** A date with or without the time of day, in the form of RFC 3339: month, day, time, seconds, offset. */
const MOMENT = /^(\d{4}-(\d\d))-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?$/;

/**
 * A time: so long ago, or a date with or without the time of day. Without an offset it is UTC, as everything that is printed.
 *
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function parseTime(option: string, text: string, now: Date): Date {
  const ago = /^(\d{1,9})([smhdw])$/.exec(text);
  const moment = MOMENT.exec(text);
  let time = Number.NaN;
  let why = "write 15m, 6h, 1d, 2w or 2026-11-22T10:30Z";
  if (ago !== null) time = now.getTime() - Number(ago[1]) * (SECONDS.get(ago[2] ?? "") ?? Number.NaN) * 1000;
  else if (moment !== null) {
    const wrong = notInCalendar(moment);
    if (wrong === undefined) time = Date.parse(moment[4] === undefined || moment[7] !== undefined ? text : `${text}Z`);
    else why = wrong;
  }
  // The years that PostgreSQL and four digits have in common.
  if (time >= -62_135_596_800_000 && time < 253_402_300_800_000) return new Date(time);
  throw new SeclogError("SECLOG_CONFIG", `${option} ${quoted(text)} is no time: ${why}`);
}

/** Why there is no such moment. JavaScript rolls the 31st of a shorter month, and the hour 24, over into the next day. */
function notInCalendar(moment: RegExpExecArray): string | undefined {
  const [, yearAndMonth = "", month = "", day = "", hour = "00", minute = "00", second = "00", offset = "Z"] = moment;
  if (month < "01" || month > "12") return "months go from 01 to 12";
  // The years 1 to 99 are 1901 to 1999 to it, which have the same leap years.
  const days = new Date(Date.UTC(Number(yearAndMonth.slice(0, 4)), Number(month), 0)).getUTCDate();
  if (Number(day) < 1 || Number(day) > days) return `${yearAndMonth} has the days 01 to ${days}`;
  if (hour > "23") return "hours go from 00 to 23";
  if (minute > "59") return "minutes go from 00 to 59";
  if (second > "59") return "seconds go from 00 to 59; a leap second is not counted";
  // UTC-12 to UTC+14 are in use; PostgreSQL knows no more than 15:59.
  if (offset !== "Z" && !/^.(?:0\d|1[0-5]):[0-5]\d$/.test(offset)) return "offsets go from -15:59 to +15:59";
  return undefined;
}

function parseLevel(text: string): Level {
  const level = text.toLowerCase();
  if (isLevel(level)) return level;
  throw new SeclogError("SECLOG_CONFIG", `--level ${quoted(text)} is none of ${LEVELS.join(", ")}`);
}

function parseType(text: string): string {
  const type = storedText("type", text) ?? text;
  if (/^[a-z0-9_.:*-]{1,100}$/.test(type)) return type;
  throw new SeclogError(
    "SECLOG_CONFIG",
    `--type ${quoted(text)} cannot be an event type: they have a-z, 0-9 and _ . : -`,
  );
}

function parseOutcome(text: string): string {
  const known = OUTCOMES.find((outcome) => outcome === text.toLowerCase());
  if (known !== undefined) return known;
  throw new SeclogError("SECLOG_CONFIG", `--outcome ${quoted(text)} is none of ${OUTCOMES.join(", ")}`);
}

function parseCategory(text: string): string {
  const category = text.toLowerCase();
  if (/^[a-z0-9_.:-]{1,40}$/.test(category)) return category;
  throw new SeclogError(
    "SECLOG_CONFIG",
    `--category ${quoted(text)} cannot be a category: they are as authn or session`,
  );
}

/** A token of RFC 9110; methods are kept as they were sent, and nearly all are sent in upper case. */
function parseMethod(text: string): string {
  if (/^[\w!#$%&'*+.^`|~-]{1,64}$/.test(text)) return text.toUpperCase();
  throw new SeclogError("SECLOG_CONFIG", `--method ${quoted(text)} cannot be a method: write GET or POST`);
}

function parseStatus(text: string): readonly [from: number, to: number] {
  const [, class_] = /^([1-9])xx$/i.exec(text) ?? [];
  if (class_ !== undefined) return [Number(class_) * 100, Number(class_) * 100 + 99];
  const [, first, last = first] = /^([1-9]\d\d)(?:-([1-9]\d\d))?$/.exec(text) ?? [];
  if (first !== undefined && Number(first) <= Number(last)) return [Number(first), Number(last)];
  throw new SeclogError("SECLOG_CONFIG", `--status ${quoted(text)} is no status: write 403, 4xx or 400-499`);
}

/** An address as events have it, without port and brackets, or a network. A zone means something on one machine only. */
function parseNetwork(text: string): string {
  const [, address = "", bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
  const stored = address.includes("%") ? undefined : storedText("ipAddress", address);
  if (stored !== undefined) {
    if (bits === undefined) return stored;
    // A network of IPv4 addresses in IPv6 (RFC 4291, 2.5.5.2) is one of those addresses.
    const offset = isIP(stored) === 4 && address.includes("::") ? 96 : 0;
    const most = isIP(stored) === 4 ? 32 : 128;
    const length = Number(bits) - offset;
    if (length >= 0 && length <= most) {
      const network = networkOf(stored, length);
      if (network === stored) return `${stored}/${length}`;
      // PostgreSQL would take the whole network, and `erase` would erase it.
      throw new SeclogError(
        "SECLOG_CONFIG",
        `--ip ${quoted(text)} names one address and a network: write ${network}/${length} for the network, or ${stored}`,
      );
    }
  }
  throw new SeclogError(
    "SECLOG_CONFIG",
    `--ip ${quoted(text)} is no address or network: write 203.0.113.9 or 10.0.0.0/8`,
  );
}

/** What a filter looks for, as the log has it: for those who found nothing. */
export function filterText(filter: EventFilter): string {
  const { since, until, types, level, outcomes, categories, ip, actor, target } = filter;
  const { methods, path, route, statuses, host, service, text } = filter;
  const parts: readonly (string | undefined)[] = [
    types && `event_type ${types.join(" or ")}`,
    level && `level ${level} or above`,
    outcomes && `outcome ${outcomes.join(" or ")}`,
    categories && `category ${categories.join(" or ")}`,
    ip && `ip_address ${ip}`,
    actor && `actor_id or userid ${shownId(actor[0] ?? "")}`,
    target && `target_id, userid, newuserid or onuserid ${shownId(target[0] ?? "")}`,
    methods && `method ${methods.join(" or ")}`,
    path && `path ${quoted(path)}`,
    route && `route ${quoted(route)}`,
    statuses && `status_code ${statuses.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(" or ")}`,
    host && `request_host or host ${quoted(host)}`,
    service && `service ${quoted(service)}`,
    text && `text ${quoted(text)}`,
    since && `from ${since.toISOString()}`,
    until && `up to ${until.toISOString()}`,
  ];
  return parts.filter((part) => part !== undefined).join(", ");
}

/** A long id with both its ends: the log keeps the beginning and a hash. */
function shownId(id: string): string {
  return id.length > 80 ? JSON.stringify(`${id.slice(0, 40)}…${id.slice(-24)}`) : JSON.stringify(id);
}
