/**
 * The members of an event and the columns of `security_event_log`: names, orders, the rows of COPY, select lists, what
 * can be redacted, and the types of drafts and rows all derive from this one table.
 *
 * Three things repeat it by hand, on purpose: the encoder, the hot path, which a property test holds to RFC 8785; the
 * SQL, which must stay as it was applied; and the verifier, which must not share our mistakes. `test/columns.test.ts`
 * compares them with this table.
 */
import type { CorePart, PersonalPart, SecurityEvent } from "./event.ts";

/**
 * The form of a value in the canonical encoding and in the table: a `word` is one of a closed list, an enum in
 * PostgreSQL; a `time` has microseconds; an `address` is an `inet` without a prefix; `json` is an object.
 */
export type ColumnKind = "text" | "word" | "uuid" | "time" | "integer" | "address" | "json";

/** A column of an event. */
export interface EventColumn {
  /** The event's property. */
  readonly member: EventMember;
  /** The table's column, and the member of the canonical encoding. */
  readonly name: string;
  /** Its canonical line. Erasing a person removes the `personal` columns. */
  readonly part: "core" | "personal";
  readonly kind: ColumnKind;
  /** Whether every event has it. */
  readonly required?: true;
  /** The most UTF-16 units to store of a text that a client chose. */
  readonly limit?: number;
  /** Whether an application may redact it. Searches and proofs depend on the others. */
  readonly redactable?: true;
}

type Definition<M extends keyof SecurityEvent> = Omit<EventColumn, "member"> & {
  readonly part: M extends keyof CorePart ? "core" : M extends keyof PersonalPart ? "personal" : never;
  readonly kind: Required<SecurityEvent>[M] extends number
    ? "integer"
    : Required<SecurityEvent>[M] extends string
      ? Exclude<ColumnKind, "integer" | "json">
      : "json";
} & (object extends Pick<SecurityEvent, M> ? { readonly required?: never } : { readonly required: true });

/** The table, by member. */
export const EVENT_COLUMNS = {
  v: { name: "v", part: "core", kind: "integer", required: true },
  id: { name: "id", part: "core", kind: "uuid", required: true },
  occurredAt: { name: "occurred_at", part: "core", kind: "time", required: true },
  sourceId: { name: "source_id", part: "core", kind: "uuid", required: true },
  epoch: { name: "epoch", part: "core", kind: "integer", required: true },
  seq: { name: "seq", part: "core", kind: "integer", required: true },
  type: { name: "event_type", part: "core", kind: "text", required: true },
  level: { name: "level", part: "core", kind: "word", required: true },
  category: { name: "category", part: "core", kind: "text", required: true },
  outcome: { name: "outcome", part: "core", kind: "word", required: true },
  logger: { name: "logger", part: "core", kind: "text", required: true },
  service: { name: "service", part: "core", kind: "text" },
  environment: { name: "environment", part: "core", kind: "text" },
  host: { name: "host", part: "core", kind: "text" },
  method: { name: "method", part: "core", kind: "text" },
  route: { name: "route", part: "core", kind: "text", limit: 1_024, redactable: true },
  statusCode: { name: "status_code", part: "core", kind: "integer" },
  allowedMethods: { name: "allowed_methods", part: "core", kind: "text", limit: 256, redactable: true },
  count: { name: "count", part: "core", kind: "integer" },
  startedAt: { name: "started_at", part: "core", kind: "time" },
  endedAt: { name: "ended_at", part: "core", kind: "time" },
  actorId: { name: "actor_id", part: "personal", kind: "text", limit: 256, redactable: true },
  actorType: { name: "actor_type", part: "personal", kind: "text", limit: 64, redactable: true },
  targetId: { name: "target_id", part: "personal", kind: "text", limit: 256, redactable: true },
  targetType: { name: "target_type", part: "personal", kind: "text", limit: 64, redactable: true },
  ipAddress: { name: "ip_address", part: "personal", kind: "address", redactable: true },
  ipSource: { name: "ip_source", part: "personal", kind: "text" },
  ipChain: { name: "ip_chain", part: "personal", kind: "text", limit: 1_000, redactable: true },
  methodOriginal: { name: "method_original", part: "personal", kind: "text", limit: 64, redactable: true },
  path: { name: "path", part: "personal", kind: "text", limit: 2_048, redactable: true },
  requestHost: { name: "request_host", part: "personal", kind: "text", limit: 255, redactable: true },
  requestId: { name: "request_id", part: "personal", kind: "text", limit: 128, redactable: true },
  traceId: { name: "trace_id", part: "personal", kind: "text", redactable: true },
  spanId: { name: "span_id", part: "personal", kind: "text", redactable: true },
  userAgent: { name: "user_agent", part: "personal", kind: "text", limit: 512, redactable: true },
  data: { name: "data", part: "personal", kind: "json" },
  notes: { name: "notes", part: "personal", kind: "json" },
} as const;

/** A property of an event. */
export type EventMember = keyof typeof EVENT_COLUMNS;

/** The members whose columns have a property in {@link EVENT_COLUMNS}, such as `limit`. */
export type MembersWith<Property extends object> = {
  [M in EventMember]: (typeof EVENT_COLUMNS)[M] extends Property ? M : never;
}[EventMember];

/** A row as texts and numbers; a nullable column may be `null`. */
export type ColumnTexts = {
  readonly [M in EventMember as (typeof EVENT_COLUMNS)[M]["name"]]:
    | ((typeof EVENT_COLUMNS)[M]["kind"] extends "integer" ? number : string)
    | ((typeof EVENT_COLUMNS)[M] extends { readonly required: true } ? never : null);
};

/** The type keeps the table equal to the event: a missing member, or one of another part or kind, does not compile. */
const CHECKED: { readonly [M in keyof SecurityEvent]-?: Definition<M> } = EVENT_COLUMNS;

/** Every column, in the order of the table above. */
export const COLUMN_LIST: readonly EventColumn[] = (
  Object.entries(CHECKED) as [EventMember, Omit<EventColumn, "member">][]
).map(([member, column]) => ({ member, ...column }));

/** The columns of one canonical line, in its order: RFC 8785 sorts members by their UTF-16 units. */
export function columnsOf(part: EventColumn["part"]): readonly EventColumn[] {
  return COLUMN_LIST.filter((column) => column.part === part).sort((a, b) => (a.name < b.name ? -1 : 1));
}
