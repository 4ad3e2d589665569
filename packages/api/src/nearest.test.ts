import { describe, expect, it } from "vitest";
import { suggestions } from "./nearest.ts";

const KNOWN = ["authn_login_success", "authn_login_fail", "authn_password_change", "authz_fail", "session_created"];

describe("suggestions()", () => {
  it.each([
    ["autn_login_fail", ["authn_login_fail"]],
    ["auhtz_fail", ["authz_fail"]],
    ["login", ["authn_login_fail", "authn_login_success"]],
    ["created", ["session_created"]],
    ["zzz", []],
    ["", []],
  ])("%s: %j", (name, expected) => {
    expect(suggestions(name, KNOWN, 2)).toEqual(expected);
  });
});
