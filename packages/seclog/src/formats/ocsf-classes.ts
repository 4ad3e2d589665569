/**
 * Which class and activity of OCSF each event of the catalogue is. OWASP's vocabulary has no official map: this
 * is a judgement. OCSF 1.9 deprecates Account Change and User Access Management; `since19` is what takes their place.
 */
import type { CatalogueData } from "../event/catalogue.ts";

/** The classes that are used, with their names as OCSF writes them. */
export const OCSF_CLASSES = {
  1008: "Event Log Activity",
  2004: "Detection Finding",
  3001: "Account Change",
  3002: "Authentication",
  3004: "Entity Management",
  3005: "User Access Management",
  3007: "User Management",
  4002: "HTTP Activity",
  6002: "Application Lifecycle",
  6003: "API Activity",
  6005: "Datastore Activity",
  6006: "File Hosting Activity",
  6007: "Scan Activity",
  6008: "Application Error",
} as const;

/** A class of {@link OCSF_CLASSES}. */
export type OcsfClass = keyof typeof OCSF_CLASSES;

/** `"method"`: by the request's method in HTTP Activity. `"crud"`: by the method in API Activity. */
type Activity = number | "method" | "crud";

/** What an event is in OCSF. */
export interface OcsfMapping {
  readonly class: OcsfClass;
  readonly activity: Activity;
  /** In OCSF 1.9, if it is another. */
  readonly since19?: readonly [uid: OcsfClass, activity: number];
  /** The profile security_control: what was done about it. 2 is Denied. */
  readonly action?: number;
  /** The outcome of that: 2 Blocked, 25 Rejected, 26 Unauthorized. */
  readonly disposition?: number;
  /** Whether a person should look at it. */
  readonly alert?: true;
}

const refused = { action: 2, disposition: 25 } as const;
const blocked = { action: 2, disposition: 2 } as const;

function as(cls: OcsfClass, activity: Activity, more: Omit<OcsfMapping, "class" | "activity"> = {}): OcsfMapping {
  return { class: cls, activity, ...more };
}

const FINDING = as(2004, 1, { alert: true });

const MAPPINGS: { readonly [T in keyof CatalogueData]: OcsfMapping } = {
  authn_login_success: as(3002, 1),
  authn_login_successafterfail: as(3002, 1),
  authn_login_fail: as(3002, 1),
  authn_login_fail_max: as(3002, 1, { action: 2 }),
  authn_login_lock: as(3001, 9, { since19: [3007, 6] }),
  authn_password_change: as(3001, 3, { since19: [3007, 8] }),
  authn_password_change_fail: as(3001, 3, { since19: [3007, 8] }),
  authn_impossible_travel: FINDING,
  authn_token_created: as(3004, 1, { since19: [3007, 18] }),
  authn_token_revoked: as(3004, 9, { since19: [3007, 19] }),
  authn_token_reuse: as(3002, 1, { alert: true }),
  authn_token_delete: as(3004, 4, { since19: [3007, 19] }),
  authz_fail: as(6003, "crud", { action: 2, disposition: 26 }),
  authz_change: as(3005, 1, { since19: [3007, 14] }),
  authz_admin: as(6003, "crud"),
  crypt_decrypt_fail: as(6005, 10),
  crypt_encrypt_fail: as(6005, 9),
  excess_rate_limit_exceeded: as(4002, "method", blocked),
  excess_sessions_exceeded: as(3002, 1, { action: 2 }),
  upload_complete: as(6006, 1),
  upload_stored: as(6006, 7),
  upload_validation: as(6007, 2),
  upload_delete: as(6006, 4),
  input_validation_fail: as(6003, "crud", refused),
  input_validation_discrete_fail: as(6003, "crud", { ...refused, alert: true }),
  malicious_excess_404: FINDING,
  malicious_extraneous: as(6003, "crud", { alert: true }),
  malicious_attack_tool: FINDING,
  malicious_sqli: FINDING,
  malicious_cors: as(4002, "method", blocked),
  malicious_direct_reference: FINDING,
  malicious_csrf: as(4002, "method", blocked),
  malicious_csp_violation: FINDING,
  mcp_prompt_injection: FINDING,
  mcp_resource_exhaustion: FINDING,
  mcp_tool_poisoning: FINDING,
  privilege_permissions_changed: as(3004, 3),
  sensitive_create: as(6005, 6),
  sensitive_read: as(6005, 1),
  sensitive_update: as(6005, 2),
  sensitive_delete: as(6005, 7),
  sequence_fail: as(6003, 99),
  session_created: as(3002, 1),
  session_renewed: as(3002, 99),
  session_expired: as(3002, 2),
  session_logout: as(3002, 2),
  session_use_after_expire: as(3002, 1, { alert: true }),
  sys_startup: as(6002, 3),
  sys_shutdown: as(6002, 4),
  sys_restart: as(6002, 5),
  sys_crash: as(6002, 4),
  sys_monitor_disabled: as(6002, 7),
  sys_monitor_enabled: as(6002, 6),
  user_created: as(3001, 1, { since19: [3007, 1] }),
  user_updated: as(3004, 3, { since19: [3007, 2] }),
  user_archived: as(3001, 5, { since19: [3007, 5] }),
  user_deleted: as(3001, 6, { since19: [3007, 3] }),
  illegal_request_method: as(4002, "method", refused),
  webhook_signature_failure: as(4002, "method", refused),
  unauthenticated_request: as(3002, 1, refused),
  host_header_rejected: as(4002, "method", blocked),
  origin_rejected: as(4002, "method", blocked),
  sys_error: as(6008, 1),
  log_started: as(1008, 6),
  log_stopped: as(1008, 7),
  log_level_changed: as(1008, 99),
  log_heartbeat: as(1008, 99),
  events_dropped: as(1008, 99),
  event_quarantined: as(1008, 99),
  source_seized: as(1008, 99),
  log_setup: as(1008, 9),
  log_retention: as(1008, 2),
  log_read: as(1008, 99),
  log_export: as(1008, 3),
  log_erased: as(1008, 2),
  dead_letters_dropped: as(1008, 2),
  log_checkpoint: as(1008, 99),
};

/** An application's own event is a call of its API; one of the log's own group is about the log. */
const OTHERS = as(6003, "crud");

/** What a type is in OCSF. */
export function ocsfMapping(type: string): OcsfMapping {
  return Object.hasOwn(MAPPINGS, type) ? MAPPINGS[type as keyof CatalogueData] : OTHERS;
}

/** HTTP Activity's activities by method. 1.9 has more of them, and every reader knows 99, "Other". */
const METHODS: ReadonlyMap<string, number> = new Map([
  ["CONNECT", 1],
  ["DELETE", 2],
  ["GET", 3],
  ["HEAD", 4],
  ["OPTIONS", 5],
  ["POST", 6],
  ["PUT", 7],
  ["TRACE", 8],
  ["PATCH", 9],
]);

/** API Activity's: create, read, update, delete. */
const CRUD: ReadonlyMap<string, number> = new Map([
  ["POST", 1],
  ["GET", 2],
  ["HEAD", 2],
  ["PUT", 3],
  ["PATCH", 3],
  ["DELETE", 4],
]);

/** The number of an activity, given the request's method. */
export function activityOf(activity: Activity, method: string | undefined): number {
  if (typeof activity === "number") return activity;
  return (activity === "method" ? METHODS : CRUD).get(method ?? "") ?? 99;
}
