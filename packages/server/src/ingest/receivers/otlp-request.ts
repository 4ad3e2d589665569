/**
 * An ExportLogsServiceRequest of OTLP 1, from Protocol Buffers or JSON, as the receivers need it. The numbers are those of
 * opentelemetry/proto/{collector/logs,logs,resource,common}/v1.
 */
import { BodyError } from "../../http/bounded-body.ts";
import { parseJson } from "./json-events.ts";
import { isMembers } from "./members.ts";
import { ProtobufError, type ProtobufField, protobufDouble, protobufFields, protobufText } from "./protobuf-reader.ts";

/** Attributes by their names, with plain values. */
export type Attributes = { readonly [name: string]: unknown };

/** A log record, with what its resource and scope say. */
export interface OtlpRecord {
  readonly resource: Attributes;
  readonly scope: string | undefined;
  readonly timeNanos: bigint;
  readonly severity: number;
  readonly body: unknown;
  readonly attributes: Attributes;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly eventName: string | undefined;
}

/** A record that cannot be read, and why. */
export interface BadRecord {
  readonly problem: string;
}

/** How deep a value may be nested. */
const DEEPEST = 32;

const MOST_SEVERE = 24;

/** @throws BodyError 400 when it is not such a request */
export function readOtlpProtobuf(body: Uint8Array): readonly (OtlpRecord | BadRecord)[] {
  try {
    return [...protobufFields(body)].flatMap((field) => (field.number === 1 ? resourceLogs(field.bytes) : []));
  } catch (cause) {
    if (!(cause instanceof ProtobufError)) throw cause;
    throw new BodyError(400, `the body is not an ExportLogsServiceRequest: ${cause.message}`, { cause });
  }
}

function resourceLogs(bytes: Uint8Array): (OtlpRecord | BadRecord)[] {
  const fields = [...protobufFields(bytes)];
  const resource = fields.flatMap(({ number, bytes: inner }) => (number === 1 ? [...protobufFields(inner)] : []));
  const attributes = keyValues(resource, 1);
  return fields.flatMap((field) => {
    if (field.number !== 2) return [];
    const scoped = [...protobufFields(field.bytes)];
    const scope = scoped.find(({ number }) => number === 1);
    const name = scope && [...protobufFields(scope.bytes)].find(({ number }) => number === 1);
    const named = name && protobufText(name);
    return scoped.flatMap(({ number, bytes: record }) => (number === 2 ? [logRecord(record, attributes, named)] : []));
  });
}

/** A record on its own: one that is damaged does not take its neighbours with it. */
function logRecord(bytes: Uint8Array, resource: Attributes, scope: string | undefined): OtlpRecord | BadRecord {
  try {
    const fields = [...protobufFields(bytes)];
    const last = (number: number): ProtobufField | undefined => fields.findLast((field) => field.number === number);
    const severity = Number(last(2)?.integer ?? 0n);
    if (severity > MOST_SEVERE) return { problem: `the severity number ${severity} does not exist` };
    const body = last(5);
    const name = last(12);
    return {
      resource,
      scope,
      timeNanos: last(1)?.integer || last(11)?.integer || 0n,
      severity,
      body: body && anyValue(body.bytes, 0),
      attributes: keyValues(fields, 6),
      traceId: hexOf(last(9)?.bytes, 16),
      spanId: hexOf(last(10)?.bytes, 8),
      eventName: name && protobufText(name),
    };
  } catch (error) {
    if (error instanceof ProtobufError) return { problem: error.message };
    throw error;
  }
}

function keyValues(fields: readonly ProtobufField[], number: number, depth = 0): Attributes {
  const found = fields.flatMap((field): [string, unknown][] => {
    if (field.number !== number) return [];
    const inner = [...protobufFields(field.bytes)];
    const key = inner.findLast((part) => part.number === 1);
    const value = inner.findLast((part) => part.number === 2);
    return [[key === undefined ? "" : protobufText(key), value && anyValue(value.bytes, depth)]];
  });
  return Object.fromEntries(found);
}

function anyValue(bytes: Uint8Array, depth: number): unknown {
  if (depth > DEEPEST) throw new ProtobufError(`a value is nested deeper than ${DEEPEST} levels`);
  const field = [...protobufFields(bytes)].at(-1);
  switch (field?.number) {
    case 1:
      return protobufText(field);
    case 2:
      return field.integer !== 0n;
    case 3:
      return integer(BigInt.asIntN(64, field.integer));
    case 4:
      return protobufDouble(field);
    case 5:
      return [...protobufFields(field.bytes)].flatMap((item) =>
        item.number === 1 ? [anyValue(item.bytes, depth + 1)] : [],
      );
    case 6:
      return keyValues([...protobufFields(field.bytes)], 1, depth + 1);
    case 7:
      return Buffer.from(field.bytes).toString("base64");
    default:
      return null;
  }
}

/** A number if it is exact as one. */
function integer(value: bigint): number | string {
  return BigInt(Number(value)) === value && Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
}

function hexOf(bytes: Uint8Array | undefined, length: number): string | undefined {
  return bytes?.length === length ? Buffer.from(bytes).toString("hex") : undefined;
}

/** @throws BodyError 400 when it is not such a request */
export function readOtlpJson(body: Buffer): readonly (OtlpRecord | BadRecord)[] {
  const request = parseJson(body);
  if (!isMembers(request)) throw new BodyError(400, "an ExportLogsServiceRequest is a JSON object");
  return listOf(request, "resourceLogs").flatMap((logs) => {
    const resource = jsonAttributes(isMembers(logs["resource"]) ? logs["resource"]["attributes"] : undefined);
    return listOf(logs, "scopeLogs").flatMap((scoped) => {
      const scope = isMembers(scoped["scope"]) ? textOf(scoped["scope"]["name"]) : undefined;
      return listOf(scoped, "logRecords").map((record) => jsonRecord(record, resource, scope));
    });
  });
}

function listOf(members: Attributes, name: string): Attributes[] {
  const list = members[name] ?? [];
  if (!Array.isArray(list) || !list.every(isMembers)) throw new BodyError(400, `${name} is not a list of objects`);
  return list;
}

function jsonRecord(record: Attributes, resource: Attributes, scope: string | undefined): OtlpRecord | BadRecord {
  try {
    const severity = record["severityNumber"] ?? 0;
    if (typeof severity !== "number" || !Number.isInteger(severity) || severity < 0 || severity > MOST_SEVERE) {
      return { problem: "severityNumber is not a number from 0 to 24" };
    }
    return {
      resource,
      scope,
      timeNanos: nanosOf(record["timeUnixNano"]) || nanosOf(record["observedTimeUnixNano"]),
      severity,
      body: record["body"] === undefined ? undefined : jsonValue(record["body"], 0),
      attributes: jsonAttributes(record["attributes"]),
      traceId: hexText(record["traceId"], 32),
      spanId: hexText(record["spanId"], 16),
      eventName: textOf(record["eventName"]),
    };
  } catch (error) {
    if (error instanceof BodyError) return { problem: error.message };
    throw error;
  }
}

function jsonAttributes(list: unknown, depth = 0): Attributes {
  if (list === undefined || list === null) return {};
  if (!Array.isArray(list) || !list.every(isMembers)) throw new BodyError(400, "attributes are not a list of objects");
  return Object.fromEntries(list.map(({ key, value }) => [String(key), jsonValue(value, depth)]));
}

function jsonValue(value: unknown, depth: number): unknown {
  if (depth > DEEPEST) throw new BodyError(400, `a value is nested deeper than ${DEEPEST} levels`);
  if (!isMembers(value)) return null;
  const { stringValue, boolValue, intValue, doubleValue, arrayValue, kvlistValue, bytesValue } = value as {
    readonly [member: string]: unknown;
  };
  if (isMembers(arrayValue)) {
    const { values = [] } = arrayValue as { readonly values?: unknown };
    if (!Array.isArray(values)) throw new BodyError(400, "the values of an array are not a list");
    return values.map((item) => jsonValue(item, depth + 1));
  }
  if (isMembers(kvlistValue)) return jsonAttributes(kvlistValue["values"], depth + 1);
  if (typeof intValue === "string" && /^-?\d{1,19}$/.test(intValue)) return integer(BigInt(intValue));
  return stringValue ?? boolValue ?? intValue ?? doubleValue ?? bytesValue ?? null;
}

function nanosOf(value: unknown): bigint {
  return (typeof value === "string" || typeof value === "number") && /^\d{1,20}$/.test(String(value))
    ? BigInt(value)
    : 0n;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function hexText(value: unknown, length: number): string | undefined {
  return typeof value === "string" && value.length === length && /^[0-9a-f]+$/i.test(value)
    ? value.toLowerCase()
    : undefined;
}
