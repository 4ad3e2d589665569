/** An event as the OWASP Application Logging Vocabulary prints it. */
import type { CatalogueData } from "../event/catalogue.ts";
import type { SecurityEvent } from "../event/event.ts";
import type { JsonValue } from "../event/json.ts";
import type { Level } from "../event/level.ts";
import { visibleJson, visibleText } from "../event/visible.ts";
import { descriptionOf, present, sentMethod } from "./described.ts";

/** The vocabulary's arguments of each type, in its order. `who` is its `userid|IP`. */
const ARGUMENTS: { readonly [T in keyof CatalogueData]?: string } = {
  authn_login_success: "userid",
  authn_login_successafterfail: "userid,retries",
  authn_login_fail: "userid",
  authn_login_fail_max: "userid,maxlimit",
  authn_login_lock: "userid,reason",
  authn_password_change: "userid",
  authn_password_change_fail: "userid",
  authn_impossible_travel: "userid,region1,region2",
  authn_token_created: "userid,entitlements",
  authn_token_revoked: "userid,tokenid",
  authn_token_reuse: "userid,tokenid",
  authn_token_delete: "appid",
  authz_fail: "userid,resource",
  authz_change: "userid,from,to",
  authz_admin: "userid,event",
  crypt_decrypt_fail: "userid",
  crypt_encrypt_fail: "userid",
  excess_rate_limit_exceeded: "userid,max",
  excess_sessions_exceeded: "userid,max",
  upload_complete: "userid,filename,type",
  upload_stored: "filename,from,to",
  upload_validation: "filename,validator:result",
  upload_delete: "userid,fileid",
  input_validation_fail: "fields,userid",
  input_validation_discrete_fail: "field,userid",
  malicious_excess_404: "who,useragent",
  malicious_extraneous: "who,inputname,useragent",
  malicious_attack_tool: "who,toolname,useragent",
  malicious_sqli: "who,parameter,ruleid,useragent",
  malicious_cors: "who,useragent,referer",
  malicious_direct_reference: "who,useragent",
  malicious_csrf: "who",
  malicious_csp_violation: "who,effective_directive,blocked_uri,useragent",
  mcp_prompt_injection: "userid",
  mcp_resource_exhaustion: "userid",
  mcp_tool_poisoning: "userid",
  privilege_permissions_changed: "userid,thing,fromlevel,tolevel",
  sensitive_create: "userid,thing",
  sensitive_read: "userid,thing",
  sensitive_update: "userid,thing",
  sensitive_delete: "userid,thing",
  sequence_fail: "userid",
  session_created: "userid",
  session_renewed: "userid",
  session_expired: "userid,reason",
  session_logout: "userid,sessionid",
  session_use_after_expire: "userid",
  sys_startup: "userid",
  sys_shutdown: "userid",
  sys_restart: "userid",
  sys_crash: "reason",
  sys_monitor_disabled: "userid,monitor",
  sys_monitor_enabled: "userid,monitor",
  user_created: "userid,newuserid,attributes",
  user_updated: "userid,onuserid,attributes",
  user_archived: "userid,onuserid",
  user_deleted: "userid,onuserid",
};

/** The vocabulary has three levels. */
const LEVELS: { readonly [L in Level]: string } = {
  debug: "INFO",
  info: "INFO",
  warning: "WARN",
  error: "WARN",
  critical: "CRITICAL",
};

/**
 * The vocabulary's string: `authn_login_fail:alice`, `authz_change:alice,user,admin`. An argument that is unknown stays
 * empty. The vocabulary does not say how to write a comma within an argument: here a backslash stands before a comma, a
 * colon, a bracket and a backslash, so that nobody's user agent can add an argument. A type that is not of the vocabulary
 * is printed alone.
 */
export function owaspEvent(event: SecurityEvent): string {
  const names = Object.hasOwn(ARGUMENTS, event.type) ? ARGUMENTS[event.type as keyof CatalogueData] : undefined;
  if (names === undefined) return event.type;
  const values = names.split(",").map((name) => name.split(":").map((part) => argument(event, part)));
  return `${event.type}:${values.map((parts) => parts.join(":")).join(",")}`;
}

/**
 * An event as the JSON object that the vocabulary's "event format" shows, on one line with its newline. `datetime` is
 * ISO 8601 with the offset to UTC.
 */
export function owaspLine(event: SecurityEvent): string {
  const members = present({
    datetime: event.occurredAt.replace(/Z$/, "+00:00"),
    appid: event.service ?? event.logger,
    event: owaspEvent(event),
    level: LEVELS[event.level],
    description: descriptionOf(event),
    useragent: event.userAgent,
    source_ip: event.ipAddress,
    hostname: event.requestHost ?? event.host,
    request_uri: event.path,
    request_method: sentMethod(event),
  });
  return `${visibleJson(JSON.stringify(members))}\n`;
}

function argument(event: SecurityEvent, name: string): string {
  const said = (member: string): JsonValue | undefined =>
    event.data !== undefined && Object.hasOwn(event.data, member) ? event.data[member] : undefined;
  const userid = said("userid") ?? event.actorId;
  switch (name) {
    case "userid":
      return escaped(userid);
    case "who":
      return escaped(userid ?? said("ip") ?? event.ipAddress);
    case "useragent":
      return escaped(said("useragent") ?? event.userAgent);
    case "thing":
      return escaped(said("object") ?? said("file") ?? event.targetId);
    case "onuserid":
    case "newuserid":
      return escaped(said(name) ?? event.targetId);
    default:
      return escaped(said(name));
  }
}

/** A list is written in brackets, as the vocabulary writes its fields and attributes. */
function escaped(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return `[${value.map(escaped).join(",")}]`;
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return visibleText(text.replace(/[\\,:[\]]/g, "\\$&"));
}
