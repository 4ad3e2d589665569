/** An event of named members, as JSON has them: the names are those of the columns, as Seclog's own NDJSON prints them. */
import type { Received, RequestFacts } from "./received-event.ts";

/** What a sender may not say of its events: the collector says it. */
const CLAIMED: ReadonlySet<string> = new Set([
  ...["v", "id", "source_id", "epoch", "seq", "category", "created_at"],
  ...["ip_source", "ip_chain", "method_original", "notes"],
]);

/** Members that are texts of a request. */
const REQUEST: { readonly [name: string]: keyof RequestFacts } = {
  method: "method",
  path: "path",
  url: "path",
  request_host: "requestHost",
  user_agent: "userAgent",
  request_id: "requestId",
  trace_id: "traceId",
  span_id: "spanId",
  ip_address: "ipAddress",
};

/** Members that are facts of a call under another name. */
const FACTS: { readonly [name: string]: string } = {
  outcome: "outcome",
  level: "level",
  route: "route",
  status_code: "statusCode",
  allowed_methods: "allowedMethods",
  count: "count",
};

const ORIGIN = ["service", "environment", "host", "logger"] as const;

/** The longest text of an origin; longer ones stay in the data. */
const LONGEST_ORIGIN = 100;

type Members = { readonly [name: string]: unknown };

/** Sorts the members of an event. */
export function fromMembers(members: Members): Received {
  const type = members["event_type"] ?? members["type"];
  if (typeof type !== "string" || type === "") {
    return { code: "malformed", message: "event_type is missing: name a type such as authn_login_fail" };
  }
  const origin: { [name: string]: string } = {};
  const request: { -readonly [name in keyof RequestFacts]: RequestFacts[name] } = {};
  const data = new Map<string, unknown>();
  const claimed: [name: string, value: unknown][] = [];
  const { data: nested } = members;
  for (const [name, value] of Object.entries(members)) {
    if (value === null || value === undefined) continue;
    const column = Object.hasOwn(REQUEST, name) ? REQUEST[name] : undefined;
    if (CLAIMED.has(name)) claimed.push([name, value]);
    else if (column !== undefined && typeof value === "string") request[column] = value;
    else if (isOriginName(name) && isOriginText(value)) origin[name] = value;
    else if (!TAKEN.has(name)) data.set(Object.hasOwn(FACTS, name) ? (FACTS[name] ?? name) : name, value);
  }
  if (isMembers(nested)) for (const [name, value] of Object.entries(nested)) data.set(name, value);
  else if (nested !== undefined && nested !== null) data.set("data", nested);
  const party = (role: "actor" | "target"): void => {
    const id = members[`${role}_id`];
    const kind = members[`${role}_type`];
    if (typeof id !== "string" && typeof id !== "number") return;
    data.set(role, typeof kind === "string" ? { id, type: kind } : id);
  };
  party("actor");
  party("target");
  for (const [name, fact] of [
    ["started_at", "startedAt"],
    ["ended_at", "endedAt"],
  ] as const) {
    const value = members[name];
    if (value !== undefined && value !== null) data.set(fact, momentOf(value) ?? value);
  }
  return {
    type,
    origin,
    request,
    data: Object.fromEntries(data),
    time: momentOf(members["occurred_at"] ?? members["timestamp"]),
    claimed: claimed.length === 0 ? undefined : Object.fromEntries(claimed),
  };
}

/** Members that {@link fromMembers} takes otherwise. */
const TAKEN: ReadonlySet<string> = new Set([
  ...["event_type", "type", "data", "occurred_at", "timestamp", "started_at", "ended_at"],
  ...["actor_id", "actor_type", "target_id", "target_type"],
]);

/** RFC 3339, or seconds or milliseconds since 1970; `undefined` for anything else. */
function momentOf(value: unknown): Date | undefined {
  if (typeof value === "number" && value > 0) return dateOf(value < MILLISECONDS_FROM ? value * 1_000 : value);
  if (typeof value !== "string" || !/^\d{4}-\d\d-\d\d[T ][\d:.,]+ ?(?:Z|[+-]\d\d:?\d\d)$/i.test(value))
    return undefined;
  return dateOf(Date.parse(value));
}

/** The least number that counts as milliseconds; a smaller one is seconds. */
const MILLISECONDS_FROM = 100_000_000_000;

function dateOf(ms: number): Date | undefined {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function isOriginName(name: string): boolean {
  return (ORIGIN as readonly string[]).includes(name);
}

function isOriginText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= LONGEST_ORIGIN;
}

export function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
