import { describe, expect, it } from "vitest";
import type { EventInput } from "../record/facts.ts";
import { ALIASES, CATALOGUE, CATEGORIES, canonicalType, definitionOf } from "./catalogue.ts";
import { defineEvents } from "./define-events.ts";
import { type EventDefinition, isEventTypeName } from "./definition.ts";
import { DURABILITIES } from "./durability.ts";
import { OUTCOMES } from "./event.ts";
import { LEVELS } from "./level.ts";

/** The vocabulary's headings with their levels, as the cheat sheet prints them (I INFO, W WARN, C CRITICAL). */
const OWASP = `
authn_login_success I authn_login_successafterfail I authn_login_fail W authn_login_fail_max W authn_login_lock W
authn_password_change I authn_password_change_fail C authn_impossible_travel C authn_token_created I
authn_token_revoked I authn_token_reuse C authn_token_delete W authz_fail C authz_change W authz_admin W
crypt_decrypt_fail W crypt_encrypt_fail W excess_rate_limit_exceeded W excess_sessions_exceeded W upload_complete I
upload_stored I upload_validation I upload_delete I input_validation_fail W input_validation_discrete_fail W
malicious_excess_404 W malicious_extraneous C malicious_attack_tool C malicious_sqli C malicious_cors C
malicious_direct_reference C malicious_csrf W malicious_csp_violation W mcp_prompt_injection W
mcp_resource_exhaustion W mcp_tool_poisoning W privilege_permissions_changed W sensitive_create W sensitive_read W
sensitive_update W sensitive_delete W sequence_fail C session_created I session_renewed I session_expired I
session_logout I session_use_after_expire C sys_startup W sys_shutdown W sys_restart W sys_crash W
sys_monitor_disabled W sys_monitor_enabled W user_created W user_updated W user_archived W user_deleted W`
  .trim()
  .split(/\s+/);

const OTHERS = [
  ...["illegal_request_method", "webhook_signature_failure", "unauthenticated_request"],
  ...[
    "host_header_rejected",
    "origin_rejected",
    "sys_error",
    "log_started",
    "log_stopped",
    "log_heartbeat",
    "log_level_changed",
    "events_dropped",
  ],
  ...[
    "event_quarantined",
    "source_seized",
    "log_setup",
    "log_retention",
    "log_read",
    "log_export",
    "log_erased",
    "dead_letters_dropped",
    "log_checkpoint",
  ],
];

describe("CATALOGUE", () => {
  it("has the vocabulary's 57 events under its names and levels, our 19, and no other", () => {
    const levels = { I: "info", W: "warning", C: "critical" } as const;
    const names = OWASP.filter((_, i) => i % 2 === 0);
    expect(names).toHaveLength(57);
    for (const [i, name] of names.entries()) {
      expect([name, definitionOf(name)?.level]).toEqual([name, levels[OWASP[i * 2 + 1] as "I" | "W" | "C"]]);
    }
    expect(Object.keys(CATALOGUE).sort()).toEqual([...names, ...OTHERS].sort());
  });

  it("defines every event completely, in a group that exists", () => {
    for (const [type, definition] of Object.entries<EventDefinition>(CATALOGUE)) {
      expect(isEventTypeName(type)).toBe(true);
      expect(LEVELS).toContain(definition.level);
      expect(OUTCOMES).toContain(definition.outcome);
      expect(DURABILITIES).toContain(definition.durability);
      expect(CATEGORIES).toContain(definition.category);
      expect(definition.description).toMatch(/^[A-Z].*\.$/);
    }
  });

  it("makes upload_validation critical and a failure if the file failed", () => {
    expect(CATALOGUE.upload_validation.refine?.({ result: "FAILED" })).toEqual({
      level: "critical",
      outcome: "failure",
    });
    expect(CATALOGUE.upload_validation.refine?.({ result: "passed" })).toEqual({ outcome: "success" });
    expect(CATALOGUE.upload_validation.refine?.({})).toBeUndefined();
  });
});

describe("definitionOf()", () => {
  it("finds the two misprints of the vocabulary under the heading's name", () => {
    expect(Object.keys(ALIASES)).toEqual(["malicious_excess404", "permissions_changed"]);
    for (const [alias, type] of Object.entries(ALIASES)) {
      expect(definitionOf(alias)).toBe(CATALOGUE[type]);
      expect(canonicalType(alias)).toBe(type);
    }
    expect(canonicalType("authz_fail")).toBe("authz_fail");
  });

  it("finds nothing on prototypes", () => {
    for (const name of ["__proto__", "constructor", "toString", ""]) {
      expect(definitionOf(name, defineEvents({}))).toBeUndefined();
      expect(canonicalType(name)).toBe(name);
    }
  });

  it("finds the application's own", () => {
    const events = defineEvents({ refund_refused: { level: "error" } });
    expect(definitionOf("refund_refused", events)).toBe(events.refund_refused);
  });
});

describe("DataOf", () => {
  it("types the catalogue's data and admits the common facts", () => {
    type Input = EventInput<"illegal_request_method", Record<never, never>>;
    const res: { statusCode: number; getHeader(name: string): number | string | string[] | undefined } = {
      statusCode: 405,
      getHeader: () => "GET",
    };
    const input: Input = { statusCode: res.statusCode, allowedMethods: res.getHeader("Allow") };
    expect(input.allowedMethods).toBe("GET");

    type Lock = EventInput<"authn_login_lock", Record<never, never>>;
    const lock: Lock = { userid: 7n, reason: "maxretries" };
    const own: Lock = { reason: "a reason of our own" };
    // @ts-expect-error the test: a reason is text
    const wrong: Lock = { reason: 5 };
    expect([lock, own, wrong]).toHaveLength(3);
  });
});
