import { describe, expect, it, vi } from "vitest";
import { memoryLog } from "../testing/memory-log.ts";
import { FailedLogins } from "./failed-logins.ts";

const LIMITS = { perUser: 3, perAddress: 5, within: 60_000 };

describe("FailedLogins", () => {
  it("reports the limit, and then each doubling, so that a million failures leave few events", () => {
    const failed = new FailedLogins(LIMITS);
    const reports: number[] = [];
    for (let time = 0; time < 1_000_000; time++) {
      for (const { failures } of failed.failed({ names: ["ada"], address: undefined })) reports.push(failures);
    }
    expect(reports.slice(0, 4)).toEqual([3, 6, 12, 24]);
    expect(reports.length).toBeLessThan(25);
  });

  it("counts a folded event for as many failures", () => {
    const failed = new FailedLogins(LIMITS);
    expect(failed.failed({ names: ["ada"], address: undefined }, 20)).toEqual([
      { by: "user", maxlimit: 3, failures: 20 },
    ]);
    expect(failed.failed({ names: ["ada"], address: undefined }, 3)).toEqual([]);
    expect(failed.failed({ names: ["ada"], address: undefined })).toEqual([{ by: "user", maxlimit: 3, failures: 24 }]);
  });

  it("counts an address through many accounts, which a success does not clear", () => {
    const failed = new FailedLogins(LIMITS);
    const address = "192.0.2.1";
    for (const name of ["a", "b", "c", "d"]) expect(failed.failed({ names: [name], address })).toEqual([]);
    expect(failed.succeeded({ names: ["d"], address })).toBe(1);
    expect(failed.failed({ names: ["e"], address })).toEqual([{ by: "address", maxlimit: 5, failures: 5 }]);
  });

  it("forgets failures after the time, and the oldest account beyond its memory", () => {
    const failed = new FailedLogins(LIMITS);
    failed.failed({ names: ["ada"], address: undefined });
    for (let user = 0; user < 10_000; user++) failed.failed({ names: [`user ${user}`], address: undefined });
    expect(failed.succeeded({ names: ["ada"], address: undefined })).toBe(0);
    expect(failed.succeeded({ names: ["user 9999"], address: undefined })).toBe(1);
    const brief = new FailedLogins({ ...LIMITS, within: 0 });
    brief.failed({ names: ["ada"], address: undefined });
    expect(brief.succeeded({ names: ["ada"], address: undefined })).toBe(0);
  });
});

describe("failedLogins of createSecurityLog()", () => {
  it("turns the success after failures into authn_login_successafterfail, however it is recorded", async () => {
    await using log = memoryLog({ failedLogins: true });
    for (let time = 0; time < 5; time++) log.recordSecurityEvent("authn_login_fail", null, { userid: "ada" });
    log.recordSecurityEvent("authn_login_success", null, { actor: { id: "ADA" }, method: "form" });
    log.recordSecurityEvent("authn_login_success", null, { userid: "ada" });
    const events = (await log.events()).slice(5);
    expect(events.map(({ type, actorId, data }) => ({ type, actorId, ...data }))).toEqual([
      { type: "authn_login_fail_max", actorId: "ada", maxlimit: 5, failures: 5, reason: "user" },
      { type: "authn_login_successafterfail", actorId: "ADA", method: "form", retries: 5 },
      { type: "authn_login_success", actorId: "ada" },
    ]);
  });

  it("counts the failures of many addresses for the account, and for none of the addresses", async () => {
    await using log = memoryLog({ failedLogins: { perUser: 50, perAddress: 1 }, clientIp: { trust: [] } });
    const request = { method: "POST", url: "/login", headers: {}, socket: { remoteAddress: "192.0.2.1" } };
    log.recordSecurityEvent("authn_login_fail", request, { userid: "ada", count: 60, addresses: 58 });
    const [, ...after] = await log.events();
    expect(after.map(({ type, data }) => [type, data?.["reason"], data?.["failures"]])).toEqual([
      ["authn_login_fail_max", "user", 60],
    ]);
  });

  it("counts nothing by default, and below the log's level all the same", async () => {
    await using off = memoryLog();
    for (let time = 0; time < 9; time++) off.recordSecurityEvent("authn_login_fail", null, { userid: "ada" });
    expect((await off.events()).map(({ type }) => type)).not.toContain("authn_login_fail_max");
    await using quiet = memoryLog({ failedLogins: { perUser: 1 }, level: "critical" });
    quiet.recordSecurityEvent("authn_login_fail", null, { userid: "ada" });
    quiet.level = "info";
    quiet.recordSecurityEvent("authn_login_success", null, { userid: "ada" });
    expect((await quiet.events()).map(({ type }) => type)).toEqual(["authn_login_successafterfail"]);
  });

  it("never throws for hostile data", async () => {
    await using log = memoryLog({ failedLogins: true });
    const hostile = new Proxy(
      {},
      {
        get: vi.fn(() => {
          throw new Error("hostile");
        }),
        ownKeys() {
          throw new Error("hostile");
        },
      },
    );
    log.recordSecurityEvent("authn_login_fail", null, hostile);
    log.recordSecurityEvent("authn_login_fail", null, { userid: "ada" });
    log.recordSecurityEvent("authn_login_success", null, hostile);
    expect(await log.events()).toHaveLength(3);
  });

  it("refuses limits that are none", () => {
    const of = (failedLogins: unknown) => () => memoryLog({ failedLogins: failedLogins as boolean });
    expect(of({ perUser: 0 })).toThrow("failedLogins: perUser must be a whole number from 1 to 1000000, not 0");
    expect(of({ users: 1 })).toThrow("failedLogins: users does not exist");
    expect(of("yes")).toThrow("failedLogins must be true, false or an object, not yes");
  });
});
