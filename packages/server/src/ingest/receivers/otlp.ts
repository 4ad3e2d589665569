/** OpenTelemetry's log records as events, by its semantic conventions; what Seclog itself exports comes back as it was. */
import { CATALOGUE } from "seclog";
import { fromMembers } from "./members.ts";
import { type Attributes, type BadRecord, type OtlpRecord, readOtlpJson, readOtlpProtobuf } from "./otlp-request.ts";
import { protobufVarint } from "./protobuf-reader.ts";
import type { Received } from "./received-event.ts";

/** Attributes that have a column. */
const COLUMNS: { readonly [attribute: string]: string } = {
  "http.request.method": "method",
  "http.route": "route",
  "http.response.status_code": "status_code",
  "url.path": "path",
  "server.address": "request_host",
  "client.address": "ip_address",
  "user_agent.original": "user_agent",
  "user.id": "actor_id",
  "enduser.id": "actor_id",
  "event.name": "event_type",
};

const RESOURCE: { readonly [attribute: string]: string } = {
  "service.name": "service",
  "deployment.environment.name": "environment",
  "deployment.environment": "environment",
  "host.name": "host",
};

const PREFIX = "seclog.";
const UNNAMED = "logged_message";

/** TRACE, DEBUG, INFO, WARN, ERROR and FATAL have four numbers each, from 1 on; 0 is none. */
const LEVELS = ["debug", "debug", "info", "warning", "error", "critical"] as const;

export function otlpProtobufEvents(body: Buffer): readonly Received[] {
  return readOtlpProtobuf(body).map(eventOf);
}

export function otlpJsonEvents(body: Buffer): readonly Received[] {
  return readOtlpJson(body).map(eventOf);
}

function eventOf(record: OtlpRecord | BadRecord): Received {
  if ("problem" in record) return { code: "malformed", message: record.problem };
  const members = new Map<string, unknown>();
  for (const [name, column] of Object.entries(RESOURCE)) take(record.resource, name, column, members);
  if (record.scope !== undefined && record.scope !== "" && record.scope !== "seclog")
    members.set("logger", record.scope);
  const data: [string, unknown][] = [];
  for (const [name, value] of Object.entries(record.attributes)) {
    const column = Object.hasOwn(COLUMNS, name) ? COLUMNS[name] : undefined;
    if (column !== undefined) members.set(column, value);
    else if (name.startsWith(PREFIX)) members.set(name.slice(PREFIX.length), value);
    else data.push([name, value]);
  }
  const { type, message } = typeOf(record, members.get("event_type"));
  if (message !== undefined) data.push(typeof message === "string" ? ["message", message] : ["body", message]);
  const own = members.get("data");
  if (typeof own === "object" && own !== null) data.push(...Object.entries(own));
  members.set("event_type", type);
  members.set("data", Object.fromEntries(data));
  members.set("trace_id", record.traceId);
  members.set("span_id", record.spanId);
  members.set("level", LEVELS[Math.floor((record.severity - 1) / 4)]);
  members.set("occurred_at", record.timeNanos === 0n ? undefined : Number(record.timeNanos / 1_000_000n));
  return fromMembers(Object.fromEntries(members));
}

/** The name of a record's event, and what its body says beside it. */
function typeOf({ eventName, body }: OtlpRecord, named: unknown): { readonly type: string; readonly message: unknown } {
  const name = eventName || (typeof named === "string" ? named : undefined);
  if (name !== undefined && name !== "") {
    // What Seclog exports has the type's description as its body.
    const described = Object.hasOwn(CATALOGUE, name)
      ? CATALOGUE[name as keyof typeof CATALOGUE].description
      : undefined;
    return { type: name, message: body === described ? undefined : body };
  }
  return { type: UNNAMED, message: body };
}

function take(from: Attributes, name: string, column: string, into: Map<string, unknown>): void {
  const value = from[name];
  if (typeof value === "string" && !into.has(column)) into.set(column, value);
}

/** An ExportLogsServiceResponse in Protocol Buffers: with partial_success if something was refused. */
export function otlpResponse(refused: number, message: string): Uint8Array {
  if (refused === 0) return new Uint8Array();
  const text = Buffer.from(message);
  const partial = Buffer.concat([
    Buffer.from([1 << 3]),
    protobufVarint(BigInt(refused)),
    Buffer.from([(2 << 3) | 2]),
    protobufVarint(BigInt(text.length)),
    text,
  ]);
  return Buffer.concat([Buffer.from([(1 << 3) | 2]), protobufVarint(BigInt(partial.length)), partial]);
}

/** A google.rpc.Status in Protocol Buffers, as OTLP wants failures to be. */
export function otlpFailure(message: string): Uint8Array {
  const text = Buffer.from(message);
  return Buffer.concat([Buffer.from([(2 << 3) | 2]), protobufVarint(BigInt(text.length)), text]);
}
