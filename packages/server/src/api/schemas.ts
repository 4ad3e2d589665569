/** JSON Schemas of what the API returns, for the OpenAPI document. A test checks real responses against them. */
import { COLUMN_LIST } from "seclog/postgres/schema";

/** A JSON Schema (2020-12). */
export type Schema = { readonly [keyword: string]: unknown };

const text: Schema = { type: "string" };
const time: Schema = { type: "string", description: "UTC, with microseconds" };
const whole: Schema = { type: "integer" };
const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: "null" }] });
const listOf = (items: Schema): Schema => ({ type: "array", items });
const numberOrText: Schema = { type: ["integer", "string"] };

function object(properties: { readonly [name: string]: Schema }, optional: readonly string[] = []): Schema {
  return {
    type: "object",
    properties,
    required: Object.keys(properties).filter((name) => !optional.includes(name)),
    additionalProperties: false,
  };
}

const KINDS: { readonly [kind: string]: Schema } = { integer: numberOrText, json: {}, time };

/** An event: its columns without those that are NULL. */
const event: Schema = {
  type: "object",
  properties: {
    ...Object.fromEntries(COLUMN_LIST.map(({ name, kind }) => [name, KINDS[kind] ?? text])),
    created_at: time,
    odd: { ...listOf(text), description: "columns with values that Seclog never writes" },
  },
  required: [...COLUMN_LIST.filter(({ required }) => required).map(({ name }) => name), "created_at"],
  additionalProperties: false,
};

const progress = { reached: orNull(time), done: { type: "boolean" } };
const tally = { events: whole, occurrences: whole };
const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });

const facets: Schema = {
  type: "object",
  additionalProperties: object({
    values: listOf(object({ name: text, ...tally })),
    approximate: { type: "boolean" },
  }),
};

/** By the names of @seclog/api's types. */
export const SCHEMAS: { readonly [name: string]: Schema } = {
  EventRecord: event,
  EventsPage: object({ ...progress, events: listOf(ref("EventRecord")), cursor: orNull(text) }),
  CountResult: object({ ...progress, ...tally }),
  TimelineResult: object({
    ...progress,
    from: orNull(time),
    to: orNull(time),
    step_seconds: whole,
    buckets: listOf(object({ start: time, events: whole, by: { type: "object", additionalProperties: whole } })),
  }),
  FacetsResult: object({ ...progress, facets }),
  EventDetail: object({
    event: ref("EventRecord"),
    before: listOf(ref("EventRecord")),
    after: listOf(ref("EventRecord")),
    leaf: orNull(whole),
  }),
  EventProof: object({ id: text, index: whole, size: whole, redacted: { type: "boolean" }, proof: text }),
  EntityDetail: object({
    ...progress,
    ...tally,
    kind: text,
    value: text,
    query: text,
    first_seen: orNull(time),
    last_seen: orNull(time),
    facets,
  }),
  SourcesResult: object({
    total: whole,
    quarantined: whole,
    sources: listOf(
      object({
        id: text,
        own: { type: "boolean" },
        service: orNull(text),
        host: orNull(text),
        epoch: numberOrText,
        last_seq: numberOrText,
        quarantined: whole,
        opened_at: time,
        updated_at: time,
        last_heartbeat: orNull(time),
      }),
    ),
  }),
  IntegrityResult: object({
    leaves: whole,
    sealed_at: orNull(time),
    unsealed: numberOrText,
    oldest_unsealed_seconds: { type: "number" },
    checkpoint: orNull(object({ origin: text, size: whole, root: text, note: text })),
    keys: listOf(object({ name: text, vkey: text, first_size: whole, last_size: orNull(whole) })),
    removals: listOf(object({ kind: text, count: whole })),
    holds: whole,
  }),
  SessionResult: object({
    user: orNull(object({ name: text, role: { type: "string", enum: ["analyst", "auditor", "admin"] } })),
    setup: { type: "boolean" },
    sign_in: { type: "string", enum: ["password", "oidc", "both", "application", "token"] },
    oidc: orNull(text),
    log: orNull(text),
    may: listOf({ type: "string", enum: ["personal", "query", "export", "views", "verify", "users"] }),
  }),
  VerificationState: object({
    state: { type: "string", enum: ["none", "running", "passed", "failed", "unfinished"] },
    started_at: orNull(time),
    finished_at: orNull(time),
    done: whole,
    total: whole,
    checks: listOf(object({ name: text, ok: { type: "boolean" }, detail: text })),
    differences: listOf(text),
  }),
  ViewsResult: object({
    views: listOf(
      object({
        id: text,
        name: text,
        query: text,
        since: orNull(text),
        columns: orNull(text),
        built_in: { type: "boolean" },
        owner: orNull(text),
      }),
    ),
  }),
  UsersResult: object({
    users: listOf(object({ name: text, role: { type: "string", enum: ["analyst", "auditor", "admin"] } })),
  }),
  CatalogueResult: object({
    types: listOf(object({ type: text, level: text, category: text, outcome: text, description: text })),
    fields: listOf(object({ name: text, kind: text, about: text })),
  }),
  ApiFailure: object({
    error: object(
      { code: text, message: text, at: whole, length: whole, suggestion: text, tries_left: whole, wait_seconds: whole },
      ["at", "length", "suggestion", "tries_left", "wait_seconds"],
    ),
  }),
};
