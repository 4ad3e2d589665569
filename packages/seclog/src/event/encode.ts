/**
 * The canonical encoding: what is spooled, shipped, hashed and read back.
 *
 * An event is two JSON objects on two lines, each in the form of RFC 8785 (JCS): the core part, one "\n", the personal
 * part, and no final newline. They are separate because the integrity proofs commit to the personal part by a salted
 * hash, so that it can be erased (docs/design/integrity.md): that hash is over the bytes after the newline, as they
 * are. JSON escapes every control character, so the one newline is unambiguous.
 *
 * Members are named like the table's columns, in the order that JCS requires; absent ones are omitted. `encodeEvent`
 * writes that order by hand, since this is the hot path; a property test holds it to a general JCS implementation.
 */

import { COLUMN_LIST } from "./columns.ts";
import { SeclogError } from "./errors.ts";
import type { CorePart, EventNotes, Optional, PersonalPart, SecurityEvent } from "./event.ts";
import { EVENT_VERSION, IP_SOURCES, OUTCOMES } from "./event.ts";
import { canonicalJson, type JsonObject, type JsonValue, jsonString, jsonText } from "./json.ts";
import { isLevel } from "./level.ts";

/** The canonical text of an event. Its UTF-8 bytes are what is stored. */
export function encodeEvent(event: SecurityEvent): string {
  return `${encodeCore(event)}\n${encodePersonal(
    event,
    event.data === undefined ? undefined : canonicalJson(event.data),
  )}`;
}

/** The members of the first line that are the same for most events of a type, as text. See {@link coreConstants}. */
export interface CoreConstants {
  readonly category: string;
  readonly environmentToHost: string;
  readonly levelAndLogger: string;
  readonly serviceAndSource: string;
}

/** The part of {@link encodeCore} that can be reused for the next event with the same values. */
export function coreConstants(e: Optional<CorePart>): CoreConstants {
  const member = (name: string, value: string | undefined): string =>
    value === undefined ? "" : `,"${name}":${jsonString(value)}`;
  return {
    category: `"category":${jsonString(e.category)}`,
    environmentToHost: `${member("environment", e.environment)},"epoch":${e.epoch}${member("event_type", e.type)}${member("host", e.host)},"id":"`,
    levelAndLogger: `","level":"${e.level}"${member("logger", e.logger)}`,
    serviceAndSource: `${member("service", e.service)},"source_id":"${e.sourceId}"`,
  };
}

/** The first line of {@link encodeEvent}. */
export function encodeCore(e: Optional<CorePart>, constants: CoreConstants = coreConstants(e)): string {
  let text = e.allowedMethods === undefined ? "{" : `{"allowed_methods":"${jsonText(e.allowedMethods)}",`;
  text += constants.category;
  if (e.count !== undefined) text += `,"count":${e.count}`;
  if (e.endedAt !== undefined) text += `,"ended_at":"${e.endedAt}"`;
  text += constants.environmentToHost + e.id + constants.levelAndLogger;
  if (e.method !== undefined) text += `,"method":"${jsonText(e.method)}"`;
  text += `,"occurred_at":"${e.occurredAt}","outcome":"${e.outcome}`;
  text += e.route === undefined ? '","seq":' : `","route":"${jsonText(e.route)}","seq":`;
  text += e.seq + constants.serviceAndSource;
  if (e.startedAt !== undefined) text += `,"started_at":"${e.startedAt}"`;
  return e.statusCode === undefined ? `${text},"v":${e.v}}` : `${text},"status_code":${e.statusCode},"v":${e.v}}`;
}

/** The second line of {@link encodeEvent}; `data` is the canonical JSON of the event's data. */
export function encodePersonal(e: Optional<Omit<PersonalPart, "data">>, data: string | undefined): string {
  let text = "";
  if (e.actorId !== undefined) text += `,"actor_id":"${jsonText(e.actorId)}"`;
  if (e.actorType !== undefined) text += `,"actor_type":"${jsonText(e.actorType)}"`;
  if (data !== undefined) text += `,"data":${data}`;
  if (e.ipAddress !== undefined) text += `,"ip_address":"${e.ipAddress}"`;
  if (e.ipChain !== undefined) text += `,"ip_chain":"${jsonText(e.ipChain)}"`;
  if (e.ipSource !== undefined) text += `,"ip_source":"${e.ipSource}"`;
  if (e.methodOriginal !== undefined) text += `,"method_original":"${jsonText(e.methodOriginal)}"`;
  if (e.notes !== undefined) text += `,"notes":${canonicalJson(e.notes as JsonObject)}`;
  if (e.path !== undefined) text += `,"path":"${jsonText(e.path)}"`;
  if (e.requestHost !== undefined) text += `,"request_host":"${jsonText(e.requestHost)}"`;
  if (e.requestId !== undefined) text += `,"request_id":"${jsonText(e.requestId)}"`;
  if (e.spanId !== undefined) text += `,"span_id":"${e.spanId}"`;
  if (e.targetId !== undefined) text += `,"target_id":"${jsonText(e.targetId)}"`;
  if (e.targetType !== undefined) text += `,"target_type":"${jsonText(e.targetType)}"`;
  if (e.traceId !== undefined) text += `,"trace_id":"${e.traceId}"`;
  if (e.userAgent !== undefined) text += `,"user_agent":"${jsonText(e.userAgent)}"`;
  return `{${text.slice(1)}}`;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads the canonical bytes of an event.
 *
 * @throws SeclogError `SECLOG_EVENT_MALFORMED` if the bytes are not UTF-8, not two JSON objects, or a member is missing
 *   or has the wrong type; `SECLOG_EVENT_VERSION` if a newer program wrote them.
 */
export function decodeEvent(bytes: Uint8Array): SecurityEvent {
  let parts: unknown[];
  try {
    parts = decoder
      .decode(bytes)
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
  } catch (cause) {
    throw malformed("it is not two lines of JSON in UTF-8", cause);
  }
  const [core, personal] = parts;
  if (parts.length !== 2 || !isObject(core) || !isObject(personal)) {
    throw malformed("it is not two JSON objects on two lines");
  }
  return fromColumns({ ...core, ...personal });
}

/**
 * An event from its columns: the members of both canonical parts, as parsed JSON. `null` means absent.
 *
 * @throws SeclogError like {@link decodeEvent}.
 */
export function fromColumns(row: { readonly [column: string]: JsonValue | undefined }): SecurityEvent {
  const version = row["v"];
  if (typeof version === "number" && version > EVENT_VERSION) {
    throw new SeclogError(
      "SECLOG_EVENT_VERSION",
      `the event has format ${version}, this program reads up to ${EVENT_VERSION}: use a newer seclog`,
    );
  }
  const event: { [property: string]: JsonValue } = {};
  for (const { member, name, kind, required } of COLUMN_LIST) {
    const value = row[name];
    if (value === undefined || value === null) {
      if (required) throw malformed(`${name} is missing`);
      continue;
    }
    const expected = kind === "integer" ? "number" : kind === "json" ? "object" : "string";
    if (typeof value !== expected || Array.isArray(value)) throw malformed(`${name} is not a ${expected}`);
    event[member] = value;
  }
  if (!isLevel(event["level"])) throw malformed(`level is ${JSON.stringify(event["level"])}`);
  if (!(OUTCOMES as readonly JsonValue[]).includes(event["outcome"] ?? null)) throw malformed("outcome is unknown");
  const ipSource = event["ipSource"];
  if (ipSource !== undefined && !(IP_SOURCES as readonly JsonValue[]).includes(ipSource)) {
    throw malformed("ip_source is unknown");
  }
  return event as unknown as SecurityEvent & { notes?: EventNotes };
}

/**
 * The event as one flat JSON object with the columns' names: a line of NDJSON for files, consoles and pipes. Hashes are
 * over the canonical bytes instead.
 */
export function eventToJson(event: SecurityEvent): string {
  const row: { [column: string]: unknown } = {};
  for (const { member, name } of COLUMN_LIST) {
    const value = event[member];
    if (value !== undefined) row[name] = value;
  }
  return JSON.stringify(row);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(why: string, cause?: unknown): SeclogError {
  return new SeclogError("SECLOG_EVENT_MALFORMED", `the bytes are not a security event: ${why}`, { cause });
}
