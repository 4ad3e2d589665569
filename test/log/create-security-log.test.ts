/** What createSecurityLog() refuses, and how a log starts. */

import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSecurityLog, type SecurityLogOptions } from "seclog";
import { describe, expect, it } from "vitest";
import { diagnostics, folder, open, poll, spool, types } from "../support/log-on-disk.ts";

describe("createSecurityLog()", () => {
  const handler = { name: "h", handle: () => Promise.resolve(), close: () => Promise.resolve() };
  it.each<[string, object, RegExp]>([
    ["an unknown key", { spol: {} }, /spol does not exist/],
    ["an unknown key of the spool", { spool: { directory: "x", size: 1 } }, /spool: size does not exist/],
    ["no handler", { handlers: [] }, /handlers must be a list of at least one/],
    ["handlers that are null", { handlers: null }, /handlers must be a list of at least one/],
    ["two handlers of one name", { handlers: [handler, handler] }, /two that are named h/],
    [
      "a level that does not exist",
      { level: "warn" },
      /level must be one of debug, info, warning, error, critical, not "warn"/,
    ],
    ["a negative size", { spool: { directory: "x", maxBytes: -1 } }, /maxBytes must be a whole number/],
    [
      "a segment larger than the spool",
      { spool: { directory: "x", segmentBytes: 64 * 2 ** 20, maxBytes: 64 * 2 ** 20 } },
      /maxBytes/,
    ],
    ["a wrong durability", { durability: { authz_fail: "sure" } }, /durability\.authz_fail must be one of/],
    ["a wrong address in the trust list", { clientIp: { trust: ["10.0.0.0/99"] } }, /trust/],
    [
      "a durability of a type that does not exist",
      { durability: { nonsense: "disk" } },
      /durability\.nonsense is not an event type/,
    ],
    ["a durability that is not an object", { durability: 5 }, /durability must be an object/],
    [
      "a durability for all types",
      { durability: "disk" },
      /durability must be an object of event types, .*, not "disk"/,
    ],
    [
      "strict durability without a disk",
      { durability: { authz_fail: "strict" } },
      /authz_fail is "strict", which needs/,
    ],
    ["events that are not an object", { events: 5 }, /events must be an object/],
    ["an event of a wrong level", { events: { mine: { level: "warn" } } }, /events\["mine"\]\.level must be one of/],
    ["redact that is not an object", { redact: 5 }, /redact must be an object/],
    ["diagnostics that are not a function", { diagnostics: 5 }, /diagnostics must be a function/],
    ["a handler that is null", { handlers: [null] }, /handlers has one whose name/],
    ["a spool that is not an option", { spool: "disk" }, /spool must be/],
  ])("refuses %s and names it", (_, options, message) => {
    expect(() => createSecurityLog({ spool: "memory", handlers: [handler], ...options })).toThrow(message);
    expect(() => createSecurityLog({ spool: "memory", handlers: [handler], ...options })).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG" }),
    );
  });

  it.each([[null], ["./var/seclog"], [[]]])("refuses %j in the place of the options", (options) => {
    expect(() => createSecurityLog(options as unknown as SecurityLogOptions)).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.stringContaining("createSecurityLog needs") }),
    );
  });

  it("refuses a spool folder that other users may write to, that is a link, or that cannot be created", () => {
    const at =
      (directory: string): (() => unknown) =>
      () =>
        createSecurityLog({ spool: { directory }, handlers: [handler] });
    mkdirSync(spool);
    chmodSync(spool, 0o777);
    expect(at(spool)).toThrow(
      expect.objectContaining({
        code: "SECLOG_SPOOL_DIRECTORY",
        message: expect.stringContaining("writable by other users"),
      }),
    );
    symlinkSync(spool, join(folder, "link"));
    expect(at(join(folder, "link"))).toThrow(/symbolic link/);
    writeFileSync(join(folder, "file"), "");
    expect(at(join(folder, "file", "spool"))).toThrow(expect.objectContaining({ code: "SECLOG_SPOOL_DIRECTORY" }));
    expect(at("/proc/no/such")).toThrow(expect.objectContaining({ code: "SECLOG_SPOOL_DIRECTORY" }));
    expect(at(join(folder, "file"))).toThrow(expect.objectContaining({ code: "SECLOG_SPOOL_DIRECTORY" }));
  });

  it("delivers diagnostics only after the call that caused them has returned", async () => {
    const log = open({ onFull: "throw" });
    await log.close();
    diagnostics.length = 0;
    expect(log.recordSecurityEvent("authz_fail").id).toBeNull();
    await Promise.resolve();
    expect(diagnostics).toEqual([]);
    await new Promise(setImmediate);
    expect(diagnostics).toMatchObject([{ code: "SECLOG_CLOSED" }]);
  });

  it("starts one shipper for many first uses at once", async () => {
    await using log = open();
    await Promise.all(Array.from({ length: 50 }, async () => log.recordSecurityEvent("authz_fail").stored));
    expect(types().filter((type) => type === "log_started")).toHaveLength(1);
  });
});

it("createSecurityLog() - warns once, at the sixth log of a process", async () => {
  const logs = Array.from({ length: 7 }, () => open());
  await poll(() => diagnostics.map(({ code }) => code)).toEqual(["SECLOG_MANY_LOGS"]);
  await Promise.all(logs.map((log) => log.close({ deadline: 0 })));
});
