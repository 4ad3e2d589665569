/** What flush() waits for, and what it does not wait for. */

import { rmSync, writeFileSync } from "node:fs";
import type { SecurityEvent, SecurityEventHandler } from "seclog";
import { describe, expect, it } from "vitest";
import { control, open, poll, sink, spool } from "../support/log-on-disk.ts";
import { sourcesIn } from "../support/sources.ts";

describe("flush()", () => {
  const stuck: SecurityEventHandler = {
    name: "stuck",
    required: false,
    handle: () => new Promise<void>(() => {}),
    close: () => Promise.resolve(),
  };

  it.each(["disk", "memory"])("waits for required handlers only, with its spool on %s", async (where) => {
    const got: SecurityEvent[] = [];
    const log = open({ spool: where === "disk" ? { directory: spool } : "memory", handlers: [sink(got), stuck] });
    log.recordSecurityEvent("authz_fail");
    await log.flush({ deadline: 10_000 });
    expect(got.map(({ type }) => type)).toEqual(["log_started", "authz_fail"]);
    await log.close({ deadline: 0 });
  });

  it("refuses a deadline that is not a number, and accepts Infinity", async () => {
    await using log = open();
    log.recordSecurityEvent("authz_fail");
    await expect(log.flush({ deadline: Number.NaN })).rejects.toMatchObject({ code: "SECLOG_CONFIG" });
    await log.flush({ deadline: Number.POSITIVE_INFINITY });
  });

  it("has nothing to wait for when no handler is required", async () => {
    const log = open({ handlers: [stuck] });
    await log.flush({ deadline: 5_000 });
    await log.close({ deadline: 0 });
  });

  it("does not wait for what dead processes left; the next close() does", async () => {
    writeFileSync(control, "stuck");
    const dead = open();
    for (let n = 0; n < 100; n++) dead.recordSecurityEvent("authz_fail", null, { n });
    await dead.close({ deadline: 0 });
    rmSync(control);
    const got: SecurityEvent[] = [];
    let letGo = (): void => {};
    const closed = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const log = open({
      handlers: [
        {
          name: "test",
          handle: async ({ source, events }) => {
            if (source.id === dead.sourceId) await closed;
            got.push(...events);
          },
          close: () => Promise.resolve(),
        },
      ],
    });
    await poll(() => sourcesIn(spool)).toHaveLength(2);
    log.recordSecurityEvent("authn_login_fail");
    await log.flush({ deadline: 10_000 });
    expect(got.map(({ type }) => type)).toEqual(["log_started", "authn_login_fail"]);
    const { spooledBytes, handlers } = log.health();
    expect([handlers[0]?.behind, spooledBytes > 0]).toEqual([0, true]);
    letGo();
    await log.close();
    expect(log.health().handlers).toMatchObject([{ shipped: 102 + 3, behind: 0 }]);
    expect(got.filter(({ sourceId }) => sourceId === dead.sourceId)).toHaveLength(102);
  });

  it("says how many events were not stored by the deadline", async () => {
    const log = open({ handlers: [{ ...stuck, required: true }] });
    for (let n = 0; n < 3; n++) log.recordSecurityEvent("authz_fail");
    await expect(log.flush({ deadline: 50 })).rejects.toMatchObject({
      code: "SECLOG_DEADLINE",
      message: expect.stringMatching(/^4 events were not stored within 50 ms/),
    });
    await log.close({ deadline: 0 });
  });
});
