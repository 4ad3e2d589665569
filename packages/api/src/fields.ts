/**
 * The fields that a query can name, and the columns of `security_event_log` behind them. `test/columns.test.ts` compares
 * them with the library's table of columns.
 */

/** The levels, in order of severity. */
export const LEVELS = ["debug", "info", "warning", "error", "critical"] as const;

/** Whether what was attempted succeeded. */
export const OUTCOMES = ["success", "failure", "unknown"] as const;

/**
 * How a field compares:
 *
 * - `text`: the whole value, or a pattern with `*`
 * - `name`: the same, in lower case
 * - `word`: one of a closed list; levels have an order
 * - `path`: a prefix, or a pattern with `*` for the whole value
 * - `person`: the whole id in its column or in the event's data, or a pattern of the column; `=` the column only, which an
 *   index finds
 * - `method`: in any case, as sent or as known
 * - `host`: the request's host, with or without its port, or the machine's, in any case
 * - `number`: a number or a range; `status` also `4xx`
 * - `address`: an address or a network
 * - `uuid`: the whole id
 * - `json`: a text anywhere in the JSON
 * - `time`: the start or the end of a time
 */
export type FieldKind =
  | "text"
  | "name"
  | "word"
  | "path"
  | "person"
  | "method"
  | "host"
  | "number"
  | "status"
  | "address"
  | "uuid"
  | "json"
  | "time";

/** A field of the query language. */
export interface Field {
  /** As queries are printed. */
  readonly name: string;
  /** Other names that queries may use. */
  readonly aliases: readonly string[];
  readonly kind: FieldKind;
  /** The columns that it reads. */
  readonly columns: readonly string[];
  /** The values of a closed list, in their order. */
  readonly words?: readonly string[];
  /** What it means, in a few words. */
  readonly about: string;
}

/** The name of a field, as queries are printed. */
export type FieldName =
  | "type"
  | "level"
  | "since"
  | "until"
  | "category"
  | "outcome"
  | "ip"
  | "actor"
  | "actor_type"
  | "target"
  | "target_type"
  | "path"
  | "route"
  | "method"
  | "status"
  | "service"
  | "host"
  | "environment"
  | "agent"
  | "request"
  | "trace"
  | "span"
  | "id"
  | "source"
  | "seq"
  | "epoch"
  | "count"
  | "version"
  | "logger"
  | "allowed"
  | "ip_source"
  | "ip_chain"
  | "data"
  | "notes";

type Definition = Omit<Field, "name" | "aliases"> & { readonly aliases?: readonly string[] };

const DEFINITIONS: { readonly [F in FieldName]: Definition } = {
  type: { kind: "name", columns: ["event_type"], about: "event type: authn_login_fail, authn_*" },
  level: { kind: "word", columns: ["level"], words: LEVELS, about: "level: level>=warning" },
  since: { kind: "time", columns: ["occurred_at"], about: "start: since:1d, since:2026-11-22T10:30Z" },
  until: { kind: "time", columns: ["occurred_at"], about: "end: until:1h" },
  category: { kind: "name", columns: ["category"], about: "category: authn, session" },
  outcome: { kind: "word", columns: ["outcome"], words: OUTCOMES, about: "success, failure or unknown" },
  ip: { kind: "address", columns: ["ip_address"], about: "client address or network: 203.0.113.0/24" },
  actor: { kind: "person", columns: ["actor_id", "data"], about: "who did it" },
  actor_type: { kind: "text", columns: ["actor_type"], about: "what the actor is: user, service" },
  target: { kind: "person", columns: ["target_id", "data"], about: "who or what it was done to" },
  target_type: { kind: "text", columns: ["target_type"], about: "what the target is" },
  path: { kind: "path", columns: ["path"], about: "path prefix, or a pattern with *: /admin, /users/*/edit" },
  route: { kind: "text", columns: ["route"], about: "route template: /users/:id" },
  method: { kind: "method", columns: ["method", "method_original"], about: "request method: POST" },
  status: { kind: "status", columns: ["status_code"], about: "response status: 403, 4xx, 400-499" },
  service: { kind: "text", columns: ["service"], about: "the application" },
  host: { kind: "host", columns: ["request_host", "host"], about: "the request's host, or the machine's" },
  environment: { kind: "text", columns: ["environment"], aliases: ["env"], about: "production, staging" },
  agent: { kind: "text", columns: ["user_agent"], about: "the client's User-Agent: *curl*" },
  request: { kind: "text", columns: ["request_id"], about: "the request's id" },
  trace: { kind: "text", columns: ["trace_id"], about: "the W3C trace's id" },
  span: { kind: "text", columns: ["span_id"], about: "the W3C span's id" },
  id: { kind: "uuid", columns: ["id"], about: "the event's id" },
  source: { kind: "uuid", columns: ["source_id"], about: "the source: one life of a log" },
  seq: { kind: "number", columns: ["seq"], about: "the number within the source: seq>=100" },
  epoch: { kind: "number", columns: ["epoch"], about: "how often the source was taken over" },
  count: { kind: "number", columns: ["count"], about: "how many occurrences the event represents" },
  version: { kind: "number", columns: ["v"], about: "the version of the event's encoding" },
  logger: { kind: "text", columns: ["logger"], about: "the named log" },
  allowed: { kind: "text", columns: ["allowed_methods"], about: "the methods that the route allows" },
  ip_source: { kind: "text", columns: ["ip_source"], about: "where the client address comes from" },
  ip_chain: { kind: "text", columns: ["ip_chain"], about: "the forwarded addresses" },
  data: { kind: "json", columns: ["data"], about: "a text in the event's data" },
  notes: { kind: "json", columns: ["notes"], about: "a text in the notes on what was cut or redacted" },
};

/** Every field, in the order of suggestions. A field of one column also has that column's name. */
export const FIELDS: readonly (Field & { readonly name: FieldName })[] = Object.entries(DEFINITIONS).map(
  ([name, definition]) => ({
    ...definition,
    name: name as FieldName,
    aliases: [...(definition.aliases ?? []), ...columnName(name, definition)],
  }),
);

/** The column's name, for those who know the table. `host` is a column of its own. */
function columnName(name: string, { columns, kind }: Pick<Field, "columns" | "kind">): readonly string[] {
  const [column] = columns;
  return column === undefined || column === name || kind === "time" || name === "host" ? [] : [column];
}

const BY_NAME: ReadonlyMap<string, (typeof FIELDS)[number]> = new Map(
  FIELDS.flatMap((field) => [field.name, ...field.aliases].map((name) => [name, field] as const)),
);

/** The field with a name or an alias, in any case. */
export function fieldNamed(name: string): (typeof FIELDS)[number] | undefined {
  return BY_NAME.get(name.toLowerCase());
}

/** Every name and alias. */
export const FIELD_NAMES: readonly string[] = [...BY_NAME.keys()];

/** The columns that a free text is looked for in, beside the event's data. Each costs every row that a search compares. */
export const TEXT_COLUMNS: readonly string[] = [
  "event_type",
  "path",
  "user_agent",
  "actor_id",
  "target_id",
  "request_host",
  "request_id",
];
