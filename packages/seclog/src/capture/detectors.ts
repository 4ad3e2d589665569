/** What capture detects, and the events that follow. */
import type { CatalogueData } from "../event/catalogue.ts";
import type { Level } from "../event/level.ts";

/** The detectors of capture. Each can be turned off, or on, by name in {@link CaptureOptions.detect}. */
export const DETECTORS = [
  "wrongMethod",
  "unauthenticated",
  "forbidden",
  "csrf",
  "rateLimit",
  "webhook",
  "malformed",
  "validation",
  "badRequest",
  "cors",
  "origin",
  "host",
  "traversal",
  "probe",
  "attackTool",
  "notFoundBurst",
  "serverError",
  "loginFail",
  "loginSuccess",
  "honeypot",
  "honeypotField",
  "openRedirect",
  "csp",
] as const;

/** One of {@link DETECTORS}. */
export type Detector = (typeof DETECTORS)[number];

/**
 * Those that an application turns on: its own 400 and 422 may be part of ordinary use, and a single sign-on redirects to
 * where its client says.
 */
export const OFF_BY_DEFAULT: ReadonlySet<Detector> = new Set<Detector>(["badRequest", "openRedirect"]);

/** The event that each detector records. */
export const DETECTED: { readonly [D in Detector]: keyof CatalogueData } = {
  wrongMethod: "illegal_request_method",
  unauthenticated: "unauthenticated_request",
  forbidden: "authz_fail",
  csrf: "malicious_csrf",
  rateLimit: "excess_rate_limit_exceeded",
  webhook: "webhook_signature_failure",
  malformed: "input_validation_fail",
  validation: "input_validation_fail",
  badRequest: "input_validation_fail",
  cors: "malicious_cors",
  origin: "origin_rejected",
  host: "host_header_rejected",
  traversal: "malicious_direct_reference",
  probe: "malicious_direct_reference",
  attackTool: "malicious_attack_tool",
  notFoundBurst: "malicious_excess_404",
  serverError: "sys_error",
  loginFail: "authn_login_fail",
  loginSuccess: "authn_login_success",
  honeypot: "malicious_direct_reference",
  honeypotField: "malicious_extraneous",
  openRedirect: "malicious_extraneous",
  csp: "malicious_csp_violation",
};

/**
 * The vocabulary calls these critical. What capture detects is one request, which any stranger can send, so it is a
 * warning until the application says more.
 */
export const LEVELS_OF_STRANGERS: { readonly [D in Detector]?: Level } = {
  cors: "warning",
  traversal: "warning",
  probe: "warning",
  attackTool: "warning",
  honeypot: "warning",
  honeypotField: "warning",
  openRedirect: "warning",
};

/** Events of detectors that are not refusals. */
const NO_REFUSALS: ReadonlySet<string> = new Set<keyof CatalogueData>([
  "sys_error",
  "authn_login_success",
  "malicious_csp_violation",
]);

/**
 * Events that explain why a request was refused. A request with one of them needs no second event for its status.
 */
export const REFUSALS: ReadonlySet<string> = new Set<keyof CatalogueData>([
  ...Object.values(DETECTED).filter((type) => !NO_REFUSALS.has(type)),
  "authn_login_fail",
  "authn_login_fail_max",
  "authn_login_lock",
  "authn_password_change_fail",
  "authn_impossible_travel",
  "authn_token_reuse",
  "crypt_decrypt_fail",
  "excess_sessions_exceeded",
  "input_validation_discrete_fail",
  "malicious_excess_404",
  "malicious_extraneous",
  "malicious_attack_tool",
  "malicious_sqli",
  "malicious_cors",
  "malicious_direct_reference",
  "mcp_prompt_injection",
  "mcp_resource_exhaustion",
  "mcp_tool_poisoning",
  "sequence_fail",
  "session_expired",
  "session_use_after_expire",
  "host_header_rejected",
  "origin_rejected",
]);
