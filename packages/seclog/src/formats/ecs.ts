/** An event in the Elastic Common Schema. */
import type { SecurityEvent } from "../event/event.ts";
import { type Level, levelRank } from "../event/level.ts";
import { visibleJson } from "../event/visible.ts";
import { dataText, descriptionOf, present, sentMethod } from "./described.ts";

/** The version of ECS whose fields are used. */
const ECS_VERSION = "9.2.0";

/** ECS's categories for each of the catalogue's groups. A refusal of rights is an access to an API, a change is IAM. */
const CATEGORIES: ReadonlyMap<string, readonly string[]> = new Map([
  ["authn", ["authentication"]],
  ["authz", ["iam"]],
  ["crypt", ["database"]],
  ["excess", ["web", "api"]],
  ["upload", ["file"]],
  ["input", ["web", "api"]],
  ["malicious", ["intrusion_detection", "web"]],
  ["mcp", ["intrusion_detection", "api"]],
  ["privilege", ["iam"]],
  ["data", ["database"]],
  ["sequence", ["web", "api"]],
  ["session", ["session"]],
  ["sys", ["process"]],
  ["user", ["iam"]],
  ["request", ["web", "api"]],
  ["log", ["configuration"]],
]);

/** The types that ECS expects in each category, of those that we use. Every one has `info`. */
const EXPECTED: ReadonlyMap<string, readonly string[]> = new Map([
  ["authentication", ["start", "end"]],
  ["api", ["access", "change", "creation", "deletion", "denied", "error", "user"]],
  ["configuration", ["access", "change", "creation", "deletion"]],
  ["database", ["access", "change", "error"]],
  ["file", ["access", "change", "creation", "deletion"]],
  ["iam", ["change", "creation", "deletion", "user"]],
  ["intrusion_detection", ["denied"]],
  ["process", ["change", "end", "start"]],
  ["session", ["start", "end"]],
  ["web", ["access", "error"]],
]);

/** What a type's name says. The catalogue and most applications name events so. */
const BY_NAME: readonly (readonly [RegExp, string])[] = [
  [/^authn_login_|^session_created$|^sys_(?:startup|restart)$|^log_started$/, "start"],
  [/^session_(?:expired|logout)$|^sys_(?:shutdown|crash)$|^log_stopped$/, "end"],
  [/_(?:created?|complete)$/, "creation"],
  [/_deleted?$|_erased$/, "deletion"],
  [/_(?:changed?|updated?|archived|lock|revoked|retention|setup|enabled|disabled|stored)$/, "change"],
  [/^crypt_|^sys_error$/, "error"],
  [/^sensitive_read$|^log_(?:read|export)$|^authz_(?:fail|admin)$/, "access"],
];

const KINDS: ReadonlyMap<string, string> = new Map([
  ["malicious", "alert"],
  ["mcp", "alert"],
]);

/** ECS leaves `event.severity` to the source: ours ascends in steps of 20, like Elastic's risk scores. */
function severity(level: Level): number {
  return levelRank(level) * 20 + 10;
}

/**
 * An event as a document of ECS 9: nested objects, without what the event does not have. `event.id` identifies it.
 *
 * `seclog.data` and `seclog.notes` are texts of JSON, since two events may have a member of the same name with values of
 * different kinds, and an index would refuse the second.
 */
export function ecsDocument(event: SecurityEvent): { readonly [field: string]: unknown } {
  const category = categoriesOf(event);
  const users = [event.actorId, event.targetId].filter((id) => id !== undefined);
  return present({
    "@timestamp": event.occurredAt,
    ecs: { version: ECS_VERSION },
    message: descriptionOf(event),
    event: present({
      id: event.id,
      kind: KINDS.get(event.category) ?? "event",
      category: category.length === 0 ? undefined : category,
      type: typesOf(event, category),
      action: event.type,
      outcome: event.outcome,
      reason: dataText(event, "reason"),
      severity: severity(event.level),
      sequence: event.seq,
      start: event.startedAt,
      end: event.endedAt,
      module: "seclog",
      dataset: "seclog.event",
    }),
    log: { level: event.level, logger: event.logger },
    service: present({ name: event.service, environment: event.environment }),
    host: present({ hostname: event.host }),
    http: present({
      request: present({ method: sentMethod(event), id: event.requestId }),
      response: present({ status_code: event.statusCode }),
    }),
    url: present({ path: event.path, domain: event.requestHost?.replace(/:\d+$/, "") }),
    source: present({ ip: event.ipAddress }),
    user: present({
      id: event.actorId,
      roles: event.actorType === undefined ? undefined : [event.actorType],
      target: present({ id: event.targetId }),
    }),
    user_agent: present({ original: event.userAgent }),
    trace: present({ id: event.traceId }),
    span: present({ id: event.spanId }),
    related: present({
      ip: event.ipAddress === undefined ? undefined : [event.ipAddress],
      user: users.length === 0 ? undefined : users,
    }),
    seclog: present({
      v: event.v,
      source_id: event.sourceId,
      epoch: event.epoch,
      category: event.category,
      route: event.route,
      allowed_methods: event.allowedMethods,
      target_type: event.targetType,
      count: event.count,
      ip_source: event.ipSource,
      ip_chain: event.ipChain,
      data: event.data === undefined ? undefined : JSON.stringify(event.data),
      notes: event.notes === undefined ? undefined : JSON.stringify(event.notes),
    }),
  }) as { readonly [field: string]: unknown };
}

/** An event as a line of ECS, with its newline. */
export function ecsLine(event: SecurityEvent): string {
  return `${visibleJson(JSON.stringify(ecsDocument(event)))}\n`;
}

function categoriesOf({ category, outcome }: SecurityEvent): readonly string[] {
  if (category === "authz" && outcome === "failure") return ["api"];
  return CATEGORIES.get(category) ?? [];
}

/** In ECS a refusal is a type, beside the outcome. */
function typesOf({ type, category, outcome }: SecurityEvent, categories: readonly string[]): readonly string[] {
  const expected = categories.flatMap((one) => EXPECTED.get(one) ?? []);
  const named =
    BY_NAME.find(([pattern]) => pattern.test(type))?.[1] ?? (categories.includes("web") ? "access" : "info");
  const types = [category === "user" ? "user" : undefined, named, outcome === "failure" ? "denied" : undefined];
  const known = types.filter((one) => one !== undefined && expected.includes(one)) as readonly string[];
  return known.length === 0 ? ["info"] : known;
}
