/**
 * Events as logs of OpenTelemetry: an ExportLogsServiceRequest of OTLP 1, in its JSON form, and the same in Protocol
 * Buffers. The names of attributes are those of the semantic conventions (1.44) where they have one, and begin with
 * `seclog.` otherwise. `seclog.id` identifies an event.
 */
import { Buffer } from "node:buffer";
import type { SecurityEvent } from "../event/event.ts";
import type { JsonObject, JsonValue } from "../event/json.ts";
import type { Level } from "../event/level.ts";
import { VERSION } from "../event/version.ts";
import { descriptionOf, epochNanoseconds } from "./described.ts";
import { ProtobufWriter } from "./protobuf.ts";

/** A value in OTLP's JSON: one of the members, or none for null. */
export interface OtlpValue {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  /** A text, since JSON has no 64-bit integers. */
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values: readonly OtlpValue[] };
  readonly kvlistValue?: { readonly values: readonly OtlpAttribute[] };
}

export interface OtlpAttribute {
  readonly key: string;
  readonly value: OtlpValue;
}

/** A log record in OTLP's JSON. */
export interface OtlpLogRecord {
  readonly timeUnixNano: string;
  readonly observedTimeUnixNano: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: OtlpValue;
  readonly attributes: readonly OtlpAttribute[];
  /** Hexadecimal, as OTLP's JSON has it. */
  readonly traceId?: string;
  readonly spanId?: string;
  readonly eventName: string;
}

/** An ExportLogsServiceRequest in OTLP's JSON. */
export interface OtlpLogs {
  readonly resourceLogs: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scopeLogs: readonly {
      readonly scope: { readonly name: string; readonly version: string };
      readonly logRecords: readonly OtlpLogRecord[];
    }[];
  }[];
}

/** SeverityNumber: DEBUG, INFO, WARN, ERROR, FATAL. */
const SEVERITIES: { readonly [L in Level]: number } = { debug: 5, info: 9, warning: 13, error: 17, critical: 21 };

/** The request that exports these events. Those of one service, environment and host share a resource. */
export function otlpLogs(events: readonly SecurityEvent[]): OtlpLogs {
  const resources = new Map<string, { attributes: readonly OtlpAttribute[]; logRecords: OtlpLogRecord[] }>();
  for (const event of events) {
    const attributes = [
      ...text("service.name", event.service ?? event.logger),
      ...text("deployment.environment.name", event.environment),
      ...text("host.name", event.host),
    ];
    const key = JSON.stringify(attributes);
    const resource = resources.get(key) ?? { attributes, logRecords: [] };
    resources.set(key, resource);
    resource.logRecords.push(otlpRecord(event));
  }
  return {
    resourceLogs: [...resources.values()].map(({ attributes, logRecords }) => ({
      resource: { attributes },
      scopeLogs: [{ scope: { name: "seclog", version: VERSION }, logRecords }],
    })),
  };
}

/** The same as {@link otlpLogs} in Protocol Buffers. */
export function otlpProtobuf(events: readonly SecurityEvent[]): Uint8Array {
  const request = new ProtobufWriter();
  for (const { resource, scopeLogs } of otlpLogs(events).resourceLogs) {
    request.message(1, (resourceLogs) => {
      resourceLogs.message(1, (inner) => writeAttributes(inner, 1, resource.attributes));
      for (const { scope, logRecords } of scopeLogs) {
        resourceLogs.message(2, (inner) => {
          inner.message(1, (one) => one.string(1, scope.name).string(2, scope.version));
          for (const record of logRecords) inner.message(2, (one) => writeRecord(one, record));
        });
      }
    });
  }
  return request.finish();
}

/** An event as a log record. */
export function otlpRecord(event: SecurityEvent): OtlpLogRecord {
  const time = epochNanoseconds(event.occurredAt);
  const traceId = identifier(event.traceId, 32);
  const spanId = traceId === undefined ? undefined : identifier(event.spanId, 16);
  return {
    timeUnixNano: time,
    observedTimeUnixNano: time,
    severityNumber: SEVERITIES[event.level],
    severityText: event.level.toUpperCase(),
    body: { stringValue: descriptionOf(event) },
    attributes: [
      ...text("seclog.id", event.id),
      ...text("seclog.source_id", event.sourceId),
      ...integer("seclog.epoch", event.epoch),
      ...integer("seclog.seq", event.seq),
      ...integer("seclog.v", event.v),
      ...text("seclog.category", event.category),
      ...text("seclog.outcome", event.outcome),
      ...text("seclog.logger", event.logger),
      ...text("http.request.method", event.method),
      ...text("http.request.method_original", event.methodOriginal),
      ...text("http.route", event.route),
      ...integer("http.response.status_code", event.statusCode),
      ...text("url.path", event.path),
      ...text("server.address", event.requestHost),
      ...text("client.address", event.ipAddress),
      ...text("user_agent.original", event.userAgent),
      ...text("user.id", event.actorId),
      ...text("seclog.actor_type", event.actorType),
      ...text("seclog.target_id", event.targetId),
      ...text("seclog.target_type", event.targetType),
      ...text("seclog.allowed_methods", event.allowedMethods),
      ...text("seclog.ip_source", event.ipSource),
      ...text("seclog.ip_chain", event.ipChain),
      ...text("seclog.request_id", event.requestId),
      ...integer("seclog.count", event.count),
      ...text("seclog.started_at", event.startedAt),
      ...text("seclog.ended_at", event.endedAt),
      ...object("seclog.data", event.data),
      ...object("seclog.notes", event.notes as JsonObject | undefined),
    ],
    ...(traceId === undefined ? {} : { traceId }),
    ...(spanId === undefined ? {} : { spanId }),
    eventName: event.type,
  };
}

function text(key: string, value: string | undefined): readonly OtlpAttribute[] {
  return value === undefined ? [] : [{ key, value: { stringValue: value } }];
}

function integer(key: string, value: number | undefined): readonly OtlpAttribute[] {
  return value === undefined ? [] : [{ key, value: { intValue: String(value) } }];
}

function object(key: string, value: JsonObject | undefined): readonly OtlpAttribute[] {
  return value === undefined ? [] : [{ key, value: anyValue(value) }];
}

/**
 * How deep a value may nest. Each level is three messages within each other, and most readers of Protocol Buffers refuse
 * a request with more than 100, with all its events.
 */
const DEEPEST = 16;

/** A value; what is nested deeper than {@link DEEPEST} is a text of JSON. */
function anyValue(value: JsonValue, depth = 0): OtlpValue {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number") {
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  }
  if (value === null) return {};
  if (depth === DEEPEST) return { stringValue: JSON.stringify(value) };
  if (Array.isArray(value)) return { arrayValue: { values: value.map((one) => anyValue(one, depth + 1)) } };
  const members = Object.entries(value).map(([key, member]) => ({ key, value: anyValue(member, depth + 1) }));
  return { kvlistValue: { values: members } };
}

/** A W3C id: so many hexadecimal digits, and not only zeroes. */
function identifier(id: string | undefined, length: number): string | undefined {
  return id !== undefined && id.length === length && /^[0-9a-f]+$/.test(id) && !/^0+$/.test(id) ? id : undefined;
}

/** LogRecord, by the numbers of opentelemetry/proto/logs/v1/logs.proto. */
function writeRecord(writer: ProtobufWriter, record: OtlpLogRecord): void {
  writer.fixed64(1, BigInt(record.timeUnixNano));
  writer.integer(2, record.severityNumber).string(3, record.severityText);
  writer.message(5, (inner) => writeValue(inner, record.body));
  writeAttributes(writer, 6, record.attributes);
  if (record.traceId !== undefined) writer.bytes(9, Buffer.from(record.traceId, "hex"));
  if (record.spanId !== undefined) writer.bytes(10, Buffer.from(record.spanId, "hex"));
  writer.fixed64(11, BigInt(record.observedTimeUnixNano)).string(12, record.eventName);
}

function writeAttributes(writer: ProtobufWriter, field: number, attributes: readonly OtlpAttribute[]): void {
  for (const { key, value } of attributes) {
    writer.message(field, (inner) => {
      if (key !== "") inner.string(1, key);
      inner.message(2, (one) => writeValue(one, value));
    });
  }
}

/** AnyValue, by the numbers of opentelemetry/proto/common/v1/common.proto. */
function writeValue(writer: ProtobufWriter, value: OtlpValue): void {
  if (value.stringValue !== undefined) writer.string(1, value.stringValue);
  else if (value.boolValue !== undefined) writer.integer(2, value.boolValue ? 1 : 0);
  else if (value.intValue !== undefined) writer.integer(3, BigInt(value.intValue));
  else if (value.doubleValue !== undefined) writer.double(4, value.doubleValue);
  else if (value.arrayValue !== undefined) {
    const { values } = value.arrayValue;
    writer.message(5, (inner) => {
      for (const one of values) inner.message(1, (member) => writeValue(member, one));
    });
  } else if (value.kvlistValue !== undefined) {
    const { values } = value.kvlistValue;
    writer.message(6, (inner) => writeAttributes(inner, 1, values));
  }
}
