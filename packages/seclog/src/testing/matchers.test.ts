import { AssertionError } from "node:assert";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expectEvent } from "./matchers.ts";
import { type MemoryLog, memoryLog } from "./memory-log.ts";

let security: MemoryLog;

beforeEach(() => {
  security = memoryLog();
});

afterEach(() => security.close());

describe("expectEvent()", () => {
  it("compares properties exactly, by expression or by matcher, and only the named members of data", async () => {
    security.recordSecurityEvent("authz_fail", null, { userid: "ada", resource: "orders", tries: 3 });
    const log = expectEvent(security);
    await log.toHaveRecorded("authz_fail");
    await log.toHaveRecorded("authz_fail", { actorId: "ada", data: { tries: 3 } });
    await log.toHaveRecorded("authz_fail", { actorId: /^a/, data: { resource: expect.stringContaining("order") } });
    await log.not.toHaveRecorded("authz_fail", { actorId: /^b/ });
    await log.not.toHaveRecorded("authz_fail", { data: { tries: "3" } });
    await log.not.toHaveRecorded("authz_fail", { data: { toString: expect.anything() } });
    await log.not.toHaveRecorded("authz_admin");
  });

  it("counts", async () => {
    for (let n = 0; n < 3; n++) security.recordSecurityEvent("authz_fail");
    await expectEvent(security).toHaveRecorded("authz_fail", {}, { times: 3 });
    await expectEvent(security).toHaveRecorded("authz_admin", {}, { times: 0 });
    await expect(expectEvent(security).toHaveRecorded("authz_fail", {}, { times: 2, within: 10 })).rejects.toThrow(
      "expected the log to have recorded 2 times { type: 'authz_fail' }; found 3",
    );
  });

  it("waits for an event of which the response is already there", async () => {
    setTimeout(() => security.recordSecurityEvent("authz_fail"), 30);
    await expectEvent(security).not.toHaveRecorded("authz_fail");
    await expectEvent(security).toHaveRecorded("authz_fail");
  });

  it("rejects with the events that differ least, for a diff", async () => {
    await expect(expectEvent(security).toHaveRecorded("authz_fail", {}, { within: 10 })).rejects.toThrow(
      "found 0; nothing was recorded",
    );
    for (let n = 0; n < 20; n++) security.recordSecurityEvent("authn_login_success", null, { userid: "ada" });
    security.recordSecurityEvent("authz_fail", null, { userid: "grace", resource: "orders" });
    const expected = { actorId: "ada", data: { resource: "orders" } };
    const error = await expectEvent(security)
      .toHaveRecorded("authz_fail", expected, { within: 10 })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AssertionError);
    expect(error).toMatchObject({
      actual: { type: "authz_fail", actorId: "grace", data: { resource: "orders" } },
      expected: { type: "authz_fail", ...expected },
      operator: "toHaveRecorded",
    });
    expect(String(error)).toMatch(
      /nearest first:\n {2}\{ type: 'authz_fail', actorId: 'grace'.*\n[\s\S]* and 11 more$/,
    );
    await expect(expectEvent(security).not.toHaveRecorded("authz_fail")).rejects.toThrow("found 1");
  });

  it("says what a log in memory is", async () => {
    await expect(expectEvent({} as never).toHaveRecorded("authz_fail")).rejects.toThrow(
      "memoryLog() of seclog/testing",
    );
  });
});
