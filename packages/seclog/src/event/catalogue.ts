/**
 * The types of event: those of the OWASP Application Logging Vocabulary, under the names that it prints
 * (https://cheatsheetseries.owasp.org/cheatsheets/Logging_Vocabulary_Cheat_Sheet.html, 57 events in 14 groups), five
 * refusals and one failure that it does not name, and the log's own. An application adds its own with `defineEvents`.
 *
 * The vocabulary's arguments are properties of `data` under the names it prints, all optional, as it asks. Its levels
 * INFO, WARN and CRITICAL are `info`, `warning` and `critical`. Outcomes are what OCSF 1.8 calls an event's status; a
 * finding without a known result is `unknown`.
 */
import type { EventDefinition, EventDefinitions } from "./definition.ts";
import type { Durability } from "./durability.ts";
import type { Outcome } from "./event.ts";
import type { Level } from "./level.ts";

/** An account's id. It also fills `actorId` when the call names no actor. */
export type UserId = string | number | bigint;

interface ByUser {
  readonly userid?: UserId | undefined;
}

/** The vocabulary's `[userid|IP,…]`: `ip` is needed only where the request does not carry it. */
interface ByUserOrAddress extends ByUser {
  readonly ip?: string | undefined;
}

/** The vocabulary's `[…,useragent]`: needed only where the request does not carry it. */
interface ByClient extends ByUserOrAddress {
  readonly useragent?: string | undefined;
}

/** The vocabulary's `file|object`. */
interface OnSensitive extends ByUser {
  readonly file?: string | undefined;
  readonly object?: string | undefined;
}

interface OnUser extends ByUser {
  readonly onuserid?: UserId | undefined;
}

/** Which events were removed from the log, and why. */
interface ByRemoval {
  readonly reason?: string | undefined;
  /** How many events. */
  readonly rows?: number | undefined;
  /** Which numbers of which sources: a digest of their ranges (docs/design/integrity.md). */
  readonly sha256?: string | undefined;
}

/** A value of an open list: editors complete the known values, and others compile. */
type OneOf<Known extends string> = Known | (string & Record<never, never>);

/** The data of each event of the catalogue. Everything is optional, and more may be added to any. */
export interface CatalogueData {
  authn_login_success: ByUser;
  authn_login_successafterfail: ByUser & { readonly retries?: number | undefined };
  authn_login_fail: ByUser & { readonly reason?: string | undefined };
  authn_login_fail_max: ByUser & { readonly maxlimit?: number | undefined };
  authn_login_lock: ByUser & {
    readonly reason?: OneOf<"maxretries" | "suspicious" | "customer" | "other"> | undefined;
  };
  authn_password_change: ByUser;
  authn_password_change_fail: ByUser;
  authn_impossible_travel: ByUser & { readonly region1?: string | undefined; readonly region2?: string | undefined };
  authn_token_created: ByUser & { readonly entitlements?: string | readonly string[] | undefined };
  /** `tokenid` is hashed with the log's key before it is kept. */
  authn_token_revoked: ByUser & { readonly tokenid?: string | undefined };
  /** `tokenid` is hashed with the log's key before it is kept. */
  authn_token_reuse: ByUser & { readonly tokenid?: string | undefined };
  authn_token_delete: { readonly appid?: string | undefined };
  authz_fail: ByUser & { readonly resource?: string | undefined };
  authz_change: ByUser & { readonly from?: string | undefined; readonly to?: string | undefined };
  authz_admin: ByUser & { readonly event?: string | undefined };
  crypt_decrypt_fail: ByUser;
  crypt_encrypt_fail: ByUser;
  excess_rate_limit_exceeded: ByUser & { readonly max?: number | undefined };
  excess_sessions_exceeded: ByUser & { readonly max?: number | undefined };
  upload_complete: ByUser & { readonly filename?: string | undefined; readonly type?: string | undefined };
  upload_stored: {
    readonly filename?: string | undefined;
    readonly from?: string | undefined;
    readonly to?: string | undefined;
  };
  /** `critical` when `result` is `FAILED`. */
  upload_validation: {
    readonly filename?: string | undefined;
    readonly validator?: OneOf<"virusscan" | "imagemagick"> | undefined;
    readonly result?: "FAILED" | "incomplete" | "passed" | undefined;
  };
  upload_delete: ByUser & { readonly fileid?: string | undefined };
  input_validation_fail: ByUser & { readonly fields?: string | readonly string[] | undefined };
  input_validation_discrete_fail: ByUser & { readonly field?: string | undefined };
  malicious_excess_404: ByClient;
  malicious_extraneous: ByClient & { readonly inputname?: string | undefined };
  malicious_attack_tool: ByClient & { readonly toolname?: string | undefined };
  malicious_sqli: ByClient & { readonly parameter?: string | undefined; readonly ruleid?: string | undefined };
  malicious_cors: ByClient & { readonly referer?: string | undefined };
  malicious_direct_reference: ByClient;
  malicious_csrf: ByUserOrAddress;
  malicious_csp_violation: ByClient & {
    readonly effective_directive?: string | undefined;
    readonly blocked_uri?: string | undefined;
  };
  mcp_prompt_injection: ByUser;
  mcp_resource_exhaustion: ByUser;
  mcp_tool_poisoning: ByUser;
  privilege_permissions_changed: OnSensitive & {
    readonly fromlevel?: string | undefined;
    readonly tolevel?: string | undefined;
  };
  sensitive_create: OnSensitive;
  sensitive_read: OnSensitive;
  sensitive_update: OnSensitive;
  sensitive_delete: OnSensitive;
  sequence_fail: ByUser;
  session_created: ByUser;
  session_renewed: ByUser;
  session_expired: ByUser & { readonly reason?: OneOf<"logout" | "timeout" | "revoked"> | undefined };
  /** `sessionid` is hashed with the log's key before it is kept. */
  session_logout: ByUser & { readonly sessionid?: string | undefined };
  session_use_after_expire: ByUser;
  sys_startup: ByUser;
  sys_shutdown: ByUser;
  sys_restart: ByUser;
  sys_crash: { readonly reason?: string | undefined };
  sys_monitor_disabled: ByUser & { readonly monitor?: string | undefined };
  sys_monitor_enabled: ByUser & { readonly monitor?: string | undefined };
  user_created: ByUser & {
    readonly newuserid?: UserId | undefined;
    readonly attributes?: readonly string[] | undefined;
  };
  user_updated: OnUser & { readonly attributes?: readonly string[] | undefined };
  user_archived: OnUser;
  user_deleted: OnUser;

  illegal_request_method: Record<never, never>;
  webhook_signature_failure: { readonly provider?: string | undefined; readonly reason?: string | undefined };
  unauthenticated_request: { readonly scheme?: string | undefined; readonly reason?: string | undefined };
  host_header_rejected: { readonly reason?: string | undefined };
  origin_rejected: { readonly origin?: string | undefined; readonly reason?: string | undefined };
  /** `reason` is the name of the error, never its message. */
  sys_error: { readonly reason?: string | undefined };

  log_started: {
    readonly program?: string | undefined;
    readonly pid?: number | undefined;
    readonly node?: string | undefined;
    readonly handlers?: readonly string[] | undefined;
  };
  log_stopped: { readonly reason?: string | undefined; readonly recorded?: number | undefined };
  /** The level from now on, and the one before. */
  log_level_changed: { readonly level?: string | undefined; readonly previous?: string | undefined };
  log_heartbeat: {
    readonly recorded?: number | undefined;
    readonly dropped?: number | undefined;
    readonly spooledBytes?: number | undefined;
  };
  /** The event's `count` is how many were dropped, between its `startedAt` and `endedAt`. */
  events_dropped: { readonly reason?: string | undefined };
  event_quarantined: {
    readonly source?: string | undefined;
    readonly seq?: number | undefined;
    readonly handler?: string | undefined;
    readonly reason?: string | undefined;
  };
  /** The events of `source_id` after `last_seq` are stored under `successor_id`, with the same ids, numbered from 1. */
  source_seized: {
    readonly handler?: string | undefined;
    readonly source_id?: string | undefined;
    readonly last_seq?: number | undefined;
    readonly successor_id?: string | undefined;
  };
  log_setup: { readonly version?: number | undefined; readonly migrations?: readonly string[] | undefined };
  /** Months that were dropped; a hold that was placed or released; or a category's new retention class. */
  log_retention: ByRemoval & {
    readonly partitions?: readonly string[] | undefined;
    /** The end of the months, exclusive. */
    readonly before?: string | undefined;
    /** Rows dropped with them whose numbers their source never reached: no application stored those. */
    readonly strays?: number | undefined;
    readonly hold?: number | undefined;
    readonly released?: number | undefined;
    readonly since?: string | undefined;
    readonly until?: string | undefined;
    readonly category?: string | undefined;
    readonly class?: string | undefined;
  };
  log_read: { readonly filter?: unknown; readonly rows?: number | undefined };
  log_export: {
    readonly format?: string | undefined;
    readonly filter?: unknown;
    readonly rows?: number | undefined;
  };
  log_erased: ByRemoval;
  /** Messages that nothing could store, and that an operator removed from a queue. */
  dead_letters_dropped: {
    readonly queue?: string | undefined;
    readonly dropped?: number | undefined;
    readonly reason?: string | undefined;
    /** SHA-256 of the first 100 of them. */
    readonly sha256?: readonly string[] | undefined;
  };
  log_checkpoint: { readonly size?: number | undefined; readonly root?: string | undefined };
}

/** The events that every log knows. */
export type Catalogue = CatalogueData;

/** The data that a call may pass for an event of type `T`. */
export type DataOf<T extends string, Events> = T extends keyof Events
  ? Events[T] extends EventDefinition<infer Data>
    ? Data
    : object
  : T extends keyof CatalogueData
    ? CatalogueData[T]
    : object;

/** The groups of the catalogue, the vocabulary's own first. An application's events may name others. */
export const CATEGORIES = [
  "authn",
  "authz",
  "crypt",
  "excess",
  "upload",
  "input",
  "malicious",
  "mcp",
  "privilege",
  "data",
  "sequence",
  "session",
  "sys",
  "user",
  "request",
  "log",
  "custom",
] as const;

/** One of {@link CATEGORIES}. */
export type Category = (typeof CATEGORIES)[number];

/** Other names of a type, which the vocabulary's own examples print. The value is the name that is stored. */
export const ALIASES: { readonly [alias: string]: keyof CatalogueData } = {
  malicious_excess404: "malicious_excess_404",
  permissions_changed: "privilege_permissions_changed",
};

function entry(
  category: Category,
  level: Level,
  outcome: Outcome,
  description: string,
  durability: Durability = "disk",
): EventDefinition {
  return Object.freeze({ level, category, outcome, durability, description });
}

/** Every event of the catalogue with its level, group, outcome and durability. */
export const CATALOGUE: { readonly [T in keyof CatalogueData]: EventDefinition<CatalogueData[T]> } = Object.freeze({
  authn_login_success: entry("authn", "info", "success", "A user logged in."),
  authn_login_successafterfail: entry("authn", "info", "success", "A user logged in after failed attempts."),
  authn_login_fail: entry("authn", "warning", "failure", "A login failed."),
  authn_login_fail_max: entry("authn", "warning", "failure", "A user reached the limit of failed logins."),
  authn_login_lock: entry("authn", "warning", "success", "An account was locked."),
  authn_password_change: entry("authn", "info", "success", "A user changed their password."),
  authn_password_change_fail: entry("authn", "critical", "failure", "A change of password was refused."),
  authn_impossible_travel: entry("authn", "critical", "unknown", "A user appeared in two places too far apart."),
  authn_token_created: entry("authn", "info", "success", "A token for service access was created."),
  authn_token_revoked: entry("authn", "info", "success", "A token was revoked."),
  authn_token_reuse: entry("authn", "critical", "failure", "A revoked token was used again."),
  authn_token_delete: entry("authn", "warning", "success", "A token was deleted."),
  authz_fail: entry("authz", "critical", "failure", "Access to a resource was refused."),
  authz_change: entry("authz", "warning", "success", "A user's rights were changed."),
  authz_admin: entry("authz", "warning", "success", "An administrator used their privileges."),
  crypt_decrypt_fail: entry("crypt", "warning", "failure", "Decrypting failed."),
  crypt_encrypt_fail: entry("crypt", "warning", "failure", "Encrypting failed."),
  excess_rate_limit_exceeded: entry("excess", "warning", "failure", "A rate limit was exceeded."),
  excess_sessions_exceeded: entry("excess", "warning", "failure", "A user had more sessions than allowed."),
  upload_complete: entry("upload", "info", "success", "A file was uploaded."),
  upload_stored: entry("upload", "info", "success", "An uploaded file was moved to its final place."),
  upload_validation: Object.freeze({
    ...entry("upload", "info", "unknown", "An uploaded file was checked."),
    refine(data: CatalogueData["upload_validation"]) {
      if (data.result === "FAILED") return UPLOAD_REFUSED;
      return data.result === "passed" ? UPLOAD_PASSED : undefined;
    },
  }),
  upload_delete: entry("upload", "info", "success", "An uploaded file was deleted."),
  input_validation_fail: entry("input", "warning", "failure", "Input was refused by the server's validation."),
  input_validation_discrete_fail: entry(
    "input",
    "warning",
    "failure",
    "Input was none of the values that the form offers.",
  ),
  malicious_excess_404: entry("malicious", "warning", "unknown", "A client asked for many paths that do not exist."),
  malicious_extraneous: entry("malicious", "critical", "unknown", "A client sent input that no form has."),
  malicious_attack_tool: entry("malicious", "critical", "unknown", "A client looks like a known attack tool."),
  malicious_sqli: entry("malicious", "critical", "unknown", "Input looks like SQL injection."),
  malicious_cors: entry("malicious", "critical", "failure", "A request came from an origin that is not allowed."),
  malicious_direct_reference: entry("malicious", "critical", "unknown", "A client tried to reach an object directly."),
  malicious_csrf: entry("malicious", "warning", "failure", "A request failed the CSRF check."),
  malicious_csp_violation: entry("malicious", "warning", "unknown", "A browser reported a violated content policy."),
  mcp_prompt_injection: entry("mcp", "warning", "unknown", "A prompt injection was detected."),
  mcp_resource_exhaustion: entry("mcp", "warning", "unknown", "A client used up more than its share."),
  mcp_tool_poisoning: entry("mcp", "warning", "unknown", "A tool's description or answer was tampered with."),
  privilege_permissions_changed: entry("privilege", "warning", "success", "An object's permissions were changed."),
  sensitive_create: entry("data", "warning", "success", "Sensitive data were created."),
  sensitive_read: entry("data", "warning", "success", "Sensitive data were read."),
  sensitive_update: entry("data", "warning", "success", "Sensitive data were changed."),
  sensitive_delete: entry("data", "warning", "success", "Sensitive data were deleted."),
  sequence_fail: entry("sequence", "critical", "failure", "Steps were taken out of order."),
  session_created: entry("session", "info", "success", "A session began."),
  session_renewed: entry("session", "info", "success", "A session was renewed."),
  session_expired: entry("session", "info", "success", "A session expired."),
  session_logout: entry("session", "info", "success", "A user logged out."),
  session_use_after_expire: entry("session", "critical", "failure", "An expired session was used."),
  sys_startup: entry("sys", "warning", "success", "The system started."),
  sys_shutdown: entry("sys", "warning", "success", "The system was shut down."),
  sys_restart: entry("sys", "warning", "success", "The system was restarted."),
  sys_crash: entry("sys", "warning", "failure", "The system crashed."),
  sys_monitor_disabled: entry("sys", "warning", "success", "A security monitor was turned off."),
  sys_monitor_enabled: entry("sys", "warning", "success", "A security monitor was turned on."),
  user_created: entry("user", "warning", "success", "An account was created."),
  user_updated: entry("user", "warning", "success", "An account was changed."),
  user_archived: entry("user", "warning", "success", "An account was archived."),
  user_deleted: entry("user", "warning", "success", "An account was deleted."),

  illegal_request_method: entry(
    "request",
    "warning",
    "failure",
    "A path was requested with a method that it does not support.",
  ),
  webhook_signature_failure: entry("authn", "error", "failure", "A webhook's signature did not verify."),
  unauthenticated_request: entry("authn", "warning", "failure", "A request without valid credentials was refused."),
  host_header_rejected: entry("request", "warning", "failure", "A request for a host that is not served was refused."),
  origin_rejected: entry("request", "warning", "failure", "A request from an origin that is not allowed was refused."),
  sys_error: entry("sys", "error", "failure", "The application failed to answer a request."),

  log_started: entry("log", "info", "success", "The security log was opened."),
  log_stopped: entry("log", "info", "success", "The security log was closed."),
  log_level_changed: entry("log", "warning", "success", "The security log's level was changed while it ran."),
  log_heartbeat: entry("log", "info", "success", "The security log is running.", "process"),
  events_dropped: entry("log", "error", "failure", "Events could not be kept."),
  event_quarantined: entry("log", "error", "failure", "An event could not be stored and was set aside."),
  source_seized: entry(
    "log",
    "critical",
    "failure",
    "A store counted events as stored that it does not have: their source's position was moved.",
  ),
  log_setup: entry("log", "warning", "success", "The log's database was set up or migrated."),
  log_retention: entry("log", "warning", "success", "Old events were dropped, held, or are kept otherwise."),
  log_read: entry("log", "info", "success", "The log was read."),
  log_export: entry("log", "warning", "success", "The log was exported."),
  log_erased: entry("log", "warning", "success", "A person's data were erased from the log."),
  dead_letters_dropped: entry(
    "log",
    "warning",
    "success",
    "Messages of a queue that nothing could store were dropped.",
  ),
  log_checkpoint: entry("log", "info", "success", "The log's state was signed."),
});

const UPLOAD_REFUSED = { level: "critical", outcome: "failure" } as const;
const UPLOAD_PASSED = { outcome: "success" } as const;

/** The definition of an undefined type: the event is still recorded, and flagged. */
export const UNKNOWN_DEFINITION: EventDefinition = entry(
  "custom",
  "warning",
  "unknown",
  "An event of an unknown type.",
);

const KNOWN: ReadonlyMap<string, EventDefinition> = new Map<string, EventDefinition>(Object.entries(CATALOGUE));

/** The name under which events of this type are stored: the type itself, or what it is an alias of. */
export function canonicalType(type: string): string {
  return Object.hasOwn(ALIASES, type) ? (ALIASES[type] ?? type) : type;
}

/** The definition of a type, from the catalogue (by alias as well) or from the application's own. */
export function definitionOf(type: string, events?: EventDefinitions): EventDefinition | undefined {
  const known = KNOWN.get(type);
  if (known !== undefined) return known;
  if (events !== undefined && Object.hasOwn(events, type)) return events[type];
  return KNOWN.get(canonicalType(type));
}
