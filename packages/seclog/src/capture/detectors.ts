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
] as const;

/** One of {@link DETECTORS}. */
export type Detector = (typeof DETECTORS)[number];

/** Those that an application turns on: its own 400 and 422 may be part of ordinary use. */
export const OFF_BY_DEFAULT: ReadonlySet<Detector> = new Set<Detector>(["badRequest"]);

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
};

/**
 * Events that explain why a request was refused. A request with one of them needs no second event for its status.
 */
export const REFUSALS: ReadonlySet<string> = new Set<keyof CatalogueData>([
  ...Object.values(DETECTED).filter((type) => type !== "sys_error"),
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
