import { expect, it } from "vitest";
import { causesOf, hasCause, markCause, openCauses, RequestCauses } from "./causes.ts";

it("markCause() - marks the raw request and the framework's request alike, once per type", () => {
  const raw = {};
  const causes = new RequestCauses();
  openCauses(raw, causes);
  markCause(causesOf(raw), "authz_fail");
  markCause(causesOf({ raw }), "authz_fail");
  markCause(causesOf({ req: raw }), "malicious_csrf");
  expect(causes.types).toEqual(["authz_fail", "malicious_csrf"]);
  expect([hasCause(raw, "authz_fail"), hasCause({ raw }, "malicious_csrf"), hasCause(raw, "authn_login_fail")]).toEqual(
    [...[true, true, false]],
  );
});

it("markCause() - does nothing to a request that no capture observes, whatever its type", () => {
  const throwing = new Proxy(
    {},
    {
      get() {
        throw new Error("a trap");
      },
    },
  );
  for (const request of [
    {},
    Object.freeze({}),
    { raw: null, req: 7 },
    throwing,
    Object.create(null),
    new Request("http://a"),
  ]) {
    markCause(causesOf(request as object), "authz_fail");
    expect(hasCause(request as object, "authz_fail")).toBe(false);
    expect(causesOf(request as object)).toBeUndefined();
  }
});
