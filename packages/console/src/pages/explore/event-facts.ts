/** The facts of an event, by name: of its request, and of its record. */
import type { EventRecord } from "@seclog/api";

export interface Fact {
  readonly name: string;
  readonly value: unknown;
  /** The field that it filters by. */
  readonly field?: string;
  readonly more?: string;
}

export function requestFacts(event: EventRecord): readonly Fact[] {
  const { method, method_original, status_code } = event;
  return [
    {
      name: "actor",
      value: event.actor_id,
      field: "actor",
      ...(event.actor_type === undefined ? {} : { more: event.actor_type }),
    },
    {
      name: "target",
      value: event.target_id,
      field: "target",
      ...(event.target_type === undefined ? {} : { more: event.target_type }),
    },
    {
      name: "address",
      value: event.ip_address,
      field: "ip",
      ...(event.ip_source === undefined ? {} : { more: `by ${event.ip_source}` }),
    },
    { name: "forwarded", value: event.ip_chain, field: "ip_chain" },
    { name: "agent", value: event.user_agent, field: "agent" },
    {
      name: "method",
      value: method_original ?? method,
      field: "method",
      more: event.allowed_methods === undefined ? "" : `allowed: ${event.allowed_methods}`,
    },
    { name: "path", value: event.path, field: "path" },
    { name: "route", value: event.route, field: "route" },
    { name: "status", value: status_code, field: "status" },
    { name: "host", value: event.request_host, field: "host" },
    { name: "request", value: event.request_id, field: "request" },
    { name: "trace", value: event.trace_id, field: "trace" },
  ];
}

export function recordFacts(event: EventRecord, leaf: string): readonly Fact[] {
  const { data } = event;
  const members: readonly Fact[] =
    typeof data === "object" && data !== null && !Array.isArray(data)
      ? Object.entries(data).map(([name, value]) => ({ name: `data.${name}`, value, field: "data" }))
      : [{ name: "data", value: data }];
  return [
    { name: "type", value: event.event_type, field: "type" },
    { name: "occurred", value: event.occurred_at },
    {
      name: "service",
      value: event.service,
      field: "service",
      more: event.host === undefined ? "" : `on ${event.host}`,
    },
    { name: "number", value: event.seq, more: leaf },
    { name: "source", value: event.source_id, field: "source", more: `epoch ${event.epoch}` },
    ...members.slice(0, 12),
    ...(members.length > 12 ? [{ name: "data", value: `${members.length - 12} more: open the event` }] : []),
    { name: "occurrences", value: event.count },
    { name: "notes", value: event.notes },
    { name: "odd values", value: event.odd?.join(", ") },
    { name: "id", value: event.id },
  ];
}
