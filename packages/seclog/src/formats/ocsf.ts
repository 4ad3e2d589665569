/** An event in the Open Cybersecurity Schema Framework, 1.8 or 1.9 (https://schema.ocsf.io). */
import { createHash } from "node:crypto";
import type { SecurityEvent } from "../event/event.ts";
import { canonicalJson, type JsonObject, type JsonValue } from "../event/json.ts";
import type { Level } from "../event/level.ts";
import { VERSION } from "../event/version.ts";
import { visibleJson } from "../event/visible.ts";
import { dataText, descriptionOf, epochMs, present, sentMethod } from "./described.ts";
import { activityOf, OCSF_CLASSES, type OcsfClass, ocsfMapping } from "./ocsf-classes.ts";

/** The versions of OCSF that {@link ocsfEvent} writes. */
export const OCSF_VERSIONS = ["1.8.0", "1.9.0"] as const;

/** Options of {@link ocsfEvent}. */
export interface OcsfOptions {
  /**
   * The version of the schema.
   * @default "1.8.0"
   */
  readonly version?: (typeof OCSF_VERSIONS)[number] | undefined;
  /** Where the event is sealed: 1.9 then has its profile `record_integrity`. */
  readonly sealed?: OcsfSeal | undefined;
}

/** An event's place in the log's Merkle tree. */
export interface OcsfSeal {
  /** The log's origin, as its checkpoints name it. */
  readonly origin: string;
  /** The number of its leaf. */
  readonly index: number;
}

const SEVERITIES: { readonly [L in Level]: readonly [id: number, name: string] } = {
  debug: [1, "Informational"],
  info: [1, "Informational"],
  warning: [3, "Medium"],
  error: [4, "High"],
  critical: [5, "Critical"],
};

const STATUSES = { success: [1, "Success"], failure: [2, "Failure"], unknown: [0, "Unknown"] } as const;

/** The classes that have `http_request`, `http_response` and `src_endpoint` of their own. Findings have them as evidence. */
const WITH_REQUEST: ReadonlySet<OcsfClass> = new Set<OcsfClass>([3001, 3002, 3004, 3005, 3007, 4002, 6003, 6005, 6006]);

/** OCSF's pattern of an address takes at most 40 characters, and no zone or prefix. */
const ADDRESS = /^[0-9a-fA-F:.]{2,40}$/;

/** `user.type_id`. */
const USER_TYPES: ReadonlyMap<string, readonly [id: number, name: string]> = new Map([
  ["user", [1, "User"]],
  ["admin", [2, "Admin"]],
  ["system", [3, "System"]],
  ["service", [4, "Service"]],
]);

/**
 * An event as an object of OCSF. `metadata.uid` identifies it, and what OCSF has no attribute for is in `unmapped` under
 * the table's column names. Every object is valid by the schema of its class, whatever the event's data are.
 */
export function ocsfEvent(event: SecurityEvent, options: OcsfOptions = {}): { readonly [attribute: string]: unknown } {
  const { version = "1.8.0", sealed } = options;
  const mapping = ocsfMapping(event.type);
  const [cls, activity] = classOf(event, version);
  const [severityId, severity] = SEVERITIES[event.level];
  const [statusId, status] = STATUSES[event.outcome];
  const integrity = version === "1.9.0" && sealed !== undefined;
  const controlled = mapping.action !== undefined || mapping.alert !== undefined;
  const attributes = present({
    activity_id: activity,
    category_uid: Math.floor(cls / 1000),
    class_uid: cls,
    class_name: OCSF_CLASSES[cls],
    type_uid: cls * 100 + activity,
    severity_id: severityId,
    severity,
    status_id: statusId,
    status,
    status_detail: dataText(event, "reason"),
    time: epochMs(event.occurredAt),
    time_dt: dateTime(event.occurredAt),
    message: descriptionOf(event),
    count: event.count,
    start_time: event.startedAt === undefined ? undefined : epochMs(event.startedAt),
    end_time: event.endedAt === undefined ? undefined : epochMs(event.endedAt),
    metadata: present({
      version,
      product: { name: "Seclog", vendor_name: "Seclog", version: VERSION },
      profiles: [
        "datetime",
        "host",
        ...(controlled ? ["security_control"] : []),
        ...(integrity ? ["record_integrity"] : []),
      ],
      uid: event.id,
      event_code: event.type,
      log_name: event.logger,
      log_provider: event.service,
      log_level: event.level,
      original_time: event.occurredAt,
      sequence: event.seq,
      correlation_uid: event.requestId,
    }),
    device: event.host === undefined ? undefined : { type_id: 1, type: "Server", hostname: event.host },
    actor: actorOf(event, cls),
    action_id: mapping.action,
    action: mapping.action === undefined ? undefined : "Denied",
    disposition_id: mapping.disposition,
    is_alert: mapping.alert,
    ...(WITH_REQUEST.has(cls) ? requestOf(event, cls) : {}),
    ...OWN[cls](event),
    unmapped: unmapped(event, cls, sealed),
  });
  return integrity && attributes !== undefined ? attested(attributes, sealed) : (attributes ?? {});
}

/** An event as a line of OCSF, with its newline. */
export function ocsfLine(event: SecurityEvent, options?: OcsfOptions): string {
  return `${visibleJson(JSON.stringify(ocsfEvent(event, options)))}\n`;
}

function classOf(event: SecurityEvent, version: string): readonly [OcsfClass, number] {
  const { class: cls, activity, since19 } = ocsfMapping(event.type);
  if (since19 !== undefined && version === "1.9.0") return since19;
  // Authentication needs a user, and HTTP Activity a request: an event without one is the other.
  if (event.type === "unauthenticated_request" && event.actorId === undefined && hasRequest(event)) {
    return [4002, activityOf("method", event.method)];
  }
  if (cls === 4002 && !hasRequest(event)) return [6003, 99];
  return [cls, activityOf(activity, event.method)];
}

function hasRequest(event: SecurityEvent): boolean {
  return event.method !== undefined || event.statusCode !== undefined || event.path !== undefined;
}

/** Who did it. Where a class demands an actor and the event has none, an unknown client, or the application itself. */
function actorOf(event: SecurityEvent, cls: OcsfClass): { readonly [attribute: string]: unknown } | undefined {
  const app = event.service ?? event.logger;
  if (event.actorId !== undefined) return { user: userOf(event.actorId, event.actorType), app_name: app };
  const demanded = cls === 6003 || cls === 6005 || cls === 6006;
  if (!demanded) return undefined;
  return hasRequest(event) || event.ipAddress !== undefined
    ? { user: { name: "Unknown", type_id: 0, type: "Unknown" } }
    : { app_name: app };
}

function userOf(id: string, type: string | undefined): { readonly [attribute: string]: unknown } {
  if (type === undefined) return { uid: id };
  const [typeId, name] = USER_TYPES.get(type.toLowerCase()) ?? [99, type];
  return { uid: id, type_id: typeId, type: name };
}

/** The person that an event is about. */
function subjectOf(event: SecurityEvent): { readonly [attribute: string]: unknown } {
  const id =
    dataText(event, "onuserid") ??
    dataText(event, "newuserid") ??
    event.targetId ??
    dataText(event, "userid") ??
    event.actorId;
  if (id === undefined) return { name: "Unknown", type_id: 0, type: "Unknown" };
  return id === event.actorId ? userOf(id, event.actorType) : { uid: id };
}

function requestOf(event: SecurityEvent, cls: OcsfClass): { readonly [attribute: string]: unknown } {
  const endpoint = endpointOf(event);
  // Without a client, the event happened in the application.
  const own = event.host === undefined ? { svc_name: event.service ?? event.logger } : { hostname: event.host };
  const demanded = cls === 6003 || cls === 6005 || cls === 6006;
  return {
    http_request: httpRequestOf(event),
    http_response: event.statusCode === undefined ? undefined : { code: event.statusCode },
    src_endpoint: endpoint ?? (demanded ? own : undefined),
  };
}

function endpointOf(event: SecurityEvent): { readonly ip: string } | undefined {
  return event.ipAddress !== undefined && ADDRESS.test(event.ipAddress) ? { ip: event.ipAddress } : undefined;
}

function httpRequestOf(event: SecurityEvent): { readonly [attribute: string]: unknown } | undefined {
  return present({
    http_method: sentMethod(event),
    uid: event.requestId,
    user_agent: event.userAgent,
    url: event.path === undefined ? undefined : present({ path: event.path, hostname: event.requestHost }),
  });
}

/** What each class has of its own. */
const OWN: { readonly [C in OcsfClass]: (event: SecurityEvent) => { readonly [attribute: string]: unknown } } = {
  1008: (event) => ({ log_name: event.logger, log_provider: "Seclog", src_endpoint: endpointOf(event) }),
  2004: (event) => ({
    finding_info: present({
      uid: event.id,
      title: descriptionOf(event),
      types: [event.type],
      analytic: ruleOf(event),
      created_time: epochMs(event.occurredAt),
    }),
    evidences: evidencesOf(event),
  }),
  3001: (event) => ({ user: subjectOf(event) }),
  3002: (event) => ({ user: subjectOf(event), service: { name: event.service ?? event.logger } }),
  3004: (event) => ({ entity: entityOf(event) }),
  3005: (event) => ({ user: subjectOf(event), privileges: [dataText(event, "to") ?? "Unknown"] }),
  3007: (event) => ({ user: subjectOf(event) }),
  4002: (event) => ({ http_status: event.statusCode }),
  6002: (event) => ({ app: { name: event.service ?? event.logger } }),
  6003: (event) => ({
    api: { operation: event.route ?? event.type, service: { name: event.service ?? event.logger } },
  }),
  6005: (event) => ({
    // 0 is unknown: Seclog sees the object, not where it is kept.
    database: { name: dataText(event, "object") ?? dataText(event, "file") ?? event.targetId ?? "Unknown", type_id: 0 },
  }),
  6006: (event) => ({
    file: { name: dataText(event, "filename") ?? dataText(event, "fileid") ?? event.targetId ?? "Unknown", type_id: 1 },
  }),
  6007: (event) => ({ scan: { name: dataText(event, "validator") ?? "Unknown", type_id: 0 } }),
  6008: () => ({}),
};

function entityOf(event: SecurityEvent): { readonly [attribute: string]: unknown } {
  const names = ["object", "file", "onuserid", "tokenid", "appid"].map((name) => dataText(event, name));
  const name = names.find((one) => one !== undefined) ?? event.targetId ?? event.actorId ?? "Unknown";
  return present({ name, type: event.targetType }) ?? {};
}

/** The rule that found it, or the kind of tool. */
function ruleOf(event: SecurityEvent): { readonly [attribute: string]: unknown } {
  const rule = dataText(event, "ruleid");
  return rule === undefined
    ? { name: event.type, type_id: 0 }
    : { name: event.type, uid: rule, type_id: 1, type: "Rule" };
}

/** Each evidence names something of its own kind, beside the request. */
function evidencesOf(event: SecurityEvent): readonly unknown[] | undefined {
  const endpoint = endpointOf(event);
  const user = event.actorId === undefined ? undefined : userOf(event.actorId, event.actorType);
  const about = present({ src_endpoint: endpoint, user });
  if (about === undefined) return undefined;
  const response = event.statusCode === undefined ? undefined : { code: event.statusCode };
  return [present({ ...about, http_request: httpRequestOf(event), http_response: response })];
}

function unmapped(event: SecurityEvent, cls: OcsfClass, sealed: OcsfSeal | undefined): unknown {
  const isSeen = WITH_REQUEST.has(cls) || (cls === 2004 && evidencesOf(event) !== undefined);
  return present({
    v: event.v,
    source_id: event.sourceId,
    epoch: event.epoch,
    category: event.category,
    environment: event.environment,
    route: event.route,
    allowed_methods: event.allowedMethods,
    target_id: event.targetId,
    target_type: event.targetType,
    ip_address: endpointOf(event) === undefined || (!isSeen && cls !== 1008) ? event.ipAddress : undefined,
    ip_source: event.ipSource,
    ip_chain: event.ipChain,
    trace_id: event.traceId,
    span_id: event.spanId,
    ...(isSeen
      ? { request_host: event.path === undefined ? event.requestHost : undefined }
      : {
          request_host: event.requestHost,
          method: sentMethod(event),
          path: event.path,
          status_code: event.statusCode,
          user_agent: event.userAgent,
        }),
    data: event.data,
    notes: event.notes,
    leaf: sealed === undefined ? undefined : { origin: sealed.origin, index: sealed.index },
  });
}

/** The pattern of OCSF's `datetime_t`. */
function dateTime(time: string): string | undefined {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/.test(time) ? time : undefined;
}

/**
 * The attestation of the profile record_integrity: a fingerprint of the whole object, in RFC 8785's form, without the
 * fingerprint itself. It names the log and the leaf, whose proof `seclog prove` writes: that one, not the fingerprint,
 * shows that nobody changed the event.
 */
function attested(
  attributes: { readonly [attribute: string]: unknown },
  { origin, index }: OcsfSeal,
): { readonly [attribute: string]: unknown } {
  const attestation = { uid: String(index), authority_uid: origin, chain_uid: origin };
  const whole = { ...attributes, attestation_list: [attestation] } as JsonObject;
  const value = createHash("sha256")
    .update(canonicalJson(whole as JsonValue))
    .digest("hex");
  const fingerprint = {
    algorithm_id: 3,
    algorithm: "SHA-256",
    encoding_id: 1,
    serialization_id: 2,
    value,
  };
  return { ...attributes, attestation_list: [{ ...attestation, fingerprint }] };
}
