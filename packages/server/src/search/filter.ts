/** Which events a search finds: the options as typed, checked, and in words. */
import { printQuery, type Query } from "@seclog/api";
import { isLevel, LEVELS, type Level, OUTCOMES, storedText } from "seclog";
import { InputError } from "../text/input-error.ts";
import { parseNetwork } from "../text/network.ts";
import { quoted } from "../text/words.ts";
import { parseTime } from "./moment.ts";

/** Selects events; an event must match every condition. Texts are in the log's stored form. */
export interface EventFilter {
  readonly since?: Date;
  readonly until?: Date;
  /** Any of these; `*` matches any text. */
  readonly types?: readonly string[];
  /** At least this severe. */
  readonly level?: Level;
  /** Any of these. */
  readonly outcomes?: readonly string[];
  readonly categories?: readonly string[];
  /** An address, or a network in CIDR form. */
  readonly ip?: string;
  /** The id's stored forms: the column's and, for a long id, that of `data`, which keeps more of it. */
  readonly actor?: readonly string[];
  readonly target?: readonly string[];
  /** Any of these, in upper case. */
  readonly methods?: readonly string[];
  /** A prefix, or a pattern with `*` for the whole path. */
  readonly path?: string;
  /** The whole template. */
  readonly route?: string;
  /** In any of these ranges, ends included. */
  readonly statuses?: readonly (readonly [from: number, to: number])[];
  /** The request's host, with or without its port, or the machine's; in lower case. */
  readonly host?: string;
  readonly service?: string;
  /** Anywhere in the event's texts, in any case. */
  readonly text?: string;
  /** A query that an event must match too, read by `readQuery`. */
  readonly query?: Query;
}

/** The options as commander parses them. */
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
 * Parses the options of a filter.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option and the value
 */
export function parseFilter(options: FilterOptions, now: Date = new Date()): EventFilter {
  const { since, until } = options;
  const from = since === undefined ? undefined : parseTime("since", since, now);
  const to = until === undefined ? undefined : parseTime("until", until, now);
  if (from !== undefined && to !== undefined && from >= to) {
    throw new InputError(
      (named) => `${named("since")} ${since} is not before ${named("until")} ${until}: no event could match`,
    );
  }
  const filter = {
    since: from,
    until: to,
    types: listOf("type", options.type, parseType),
    level: given("level", options.level, parseLevel),
    outcomes: listOf("outcome", options.outcome, parseOutcome),
    categories: listOf("category", options.category, parseCategory),
    ip: given("ip", options.ip, (text) => parseNetwork("ip", text)),
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

/** Parses an option's value, if present. */
function given<Value>(name: string, text: string | undefined, parse: (text: string) => Value): Value | undefined {
  if (text === undefined) return undefined;
  if (text === "") throw new InputError((named) => `${named(name)} is empty: leave it out to match everything`);
  if (text.includes("\0")) throw new InputError((named) => `${named(name)} contains a NUL, which no event does`);
  return parse(text);
}

/** Parses an option that may be repeated, or list its values with commas. */
function listOf<Value>(
  name: string,
  texts: readonly string[] | undefined,
  parse: (text: string) => Value,
): readonly Value[] | undefined {
  return texts?.flatMap((list) => list.split(",")).map((text) => given(name, text, parse) as Value);
}

function parseLevel(text: string): Level {
  const level = text.toLowerCase();
  if (isLevel(level)) return level;
  throw new InputError((named) => `${named("level")} ${quoted(text)} is not one of ${LEVELS.join(", ")}`);
}

function parseType(text: string): string {
  const type = storedText("type", text) ?? text;
  if (/^[a-z0-9_.:*-]{1,100}$/.test(type)) return type;
  throw new InputError(
    (named) => `${named("type")} ${quoted(text)} cannot be an event type: types consist of a-z, 0-9 and _ . : -`,
  );
}

function parseOutcome(text: string): string {
  const known = OUTCOMES.find((outcome) => outcome === text.toLowerCase());
  if (known !== undefined) return known;
  throw new InputError((named) => `${named("outcome")} ${quoted(text)} is not one of ${OUTCOMES.join(", ")}`);
}

function parseCategory(text: string): string {
  const category = text.toLowerCase();
  if (/^[a-z0-9_.:-]{1,40}$/.test(category)) return category;
  throw new InputError(
    (named) => `${named("category")} ${quoted(text)} cannot be a category: write one such as authn or session`,
  );
}

/** A token of RFC 9110. The log stores methods as sent, and clients send nearly all in upper case. */
function parseMethod(text: string): string {
  if (/^[\w!#$%&'*+.^`|~-]{1,64}$/.test(text)) return text.toUpperCase();
  throw new InputError((named) => `${named("method")} ${quoted(text)} cannot be a method: write GET or POST`);
}

function parseStatus(text: string): readonly [from: number, to: number] {
  const [, class_] = /^([1-9])xx$/i.exec(text) ?? [];
  if (class_ !== undefined) return [Number(class_) * 100, Number(class_) * 100 + 99];
  const [, first, last = first] = /^([1-9]\d\d)(?:-([1-9]\d\d))?$/.exec(text) ?? [];
  if (first !== undefined && Number(first) <= Number(last)) return [Number(first), Number(last)];
  throw new InputError((named) => `${named("status")} ${quoted(text)} is not a status: write 403, 4xx or 400-499`);
}

/** A filter in words, with its stored forms, to explain why nothing matched. */
export function filterText(filter: EventFilter): string {
  const { since, until, types, level, outcomes, categories, ip, actor, target } = filter;
  const { methods, path, route, statuses, host, service, text, query } = filter;
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
    query && printQuery(query),
    since && `from ${since.toISOString()}`,
    until && `up to ${until.toISOString()}`,
  ];
  return parts.filter((part) => part !== undefined).join(", ");
}

/** A long id with both its ends: the stored form is its beginning and a hash. */
function shownId(id: string): string {
  return id.length > 80 ? JSON.stringify(`${id.slice(0, 40)}…${id.slice(-24)}`) : JSON.stringify(id);
}
