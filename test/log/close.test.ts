/** What close() settles, waits for and leaves behind. */

import { rmSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { control, diagnostics, open, spool, types } from "../support/log-on-disk.ts";

describe("close()", () => {
  it("settles every promise, even one first read afterwards", async () => {
    const stuck = { name: "stuck", handle: () => new Promise<void>(() => {}), close: () => Promise.resolve() };
    for (const option of [{ directory: spool }, "memory"] as const) {
      const log = open({ spool: option, handlers: [stuck] });
      const [before, after] = [log.recordSecurityEvent("authz_fail"), log.recordSecurityEvent("authz_fail")];
      const { stored } = before;
      await log.close({ deadline: 20 });
      await expect(stored).rejects.toMatchObject({ code: "SECLOG_CLOSED" });
      await expect(after.stored).rejects.toMatchObject({ code: "SECLOG_CLOSED" });
      if (option === "memory") await expect(after.durable).rejects.toMatchObject({ code: "SECLOG_CLOSED" });
      else await after.durable;
      await expect(log.flush()).rejects.toMatchObject({ code: "SECLOG_CLOSED" });
    }
  });

  it("refuses everything the application still records, even under the name of one of the log's own events", async () => {
    const log = open();
    const closing = log.close();
    for (const type of ["authz_fail", "log_started", "log_stopped"] as const) {
      const receipt = log.recordSecurityEvent(type);
      expect(receipt.id).toBeNull();
      await expect(receipt.durable).rejects.toMatchObject({ code: "SECLOG_CLOSED" });
    }
    await closing;
    expect(types()).toEqual(["log_started", "log_stopped"]);
  });

  it("leaves nothing to flush when everything was stored", async () => {
    const log = open();
    log.recordSecurityEvent("authz_fail");
    await log.close();
    await log.flush();
  });
});

it.each<[unknown, number]>([
  [Number.POSITIVE_INFINITY, 0],
  [Number.NaN, 1],
  [2 ** 31, 1],
])("close({ deadline: %s }) - waits for the handlers", async (deadline, complaints) => {
  writeFileSync(control, "stuck");
  const log = open();
  const { stored } = log.recordSecurityEvent("authz_fail", null, {});
  const closing = log.close({ deadline: deadline as number });
  await new Promise((resolve) => setTimeout(resolve, 300));
  rmSync(control);
  await closing;
  await expect(stored).resolves.toBeUndefined();
  expect(diagnostics.filter(({ code }) => code === "SECLOG_CONFIG")).toHaveLength(complaints);
});

it("close() - waits only a few seconds for a handler that does not close, in a log without a disk", async () => {
  const handler = { name: "stuck", handle: async () => {}, close: () => new Promise<void>(() => {}) };
  const log = open({ spool: "memory", handlers: [handler] });
  const begun = performance.now();
  await log.close({ deadline: 100 });
  expect(performance.now() - begun).toBeLessThan(9_000);
});

it("close() - reports how many events in memory may not have been stored", async () => {
  const stuck = { name: "stuck", handle: () => new Promise<void>(() => {}), close: () => Promise.resolve() };
  const log = open({ spool: "memory", handlers: [stuck] });
  for (let n = 0; n < 3; n++) log.recordSecurityEvent("authz_fail", null, { n });
  await log.close({ deadline: 50 });
  // Three, and that it started and stopped.
  expect(diagnostics).toContainEqual(
    expect.objectContaining({
      code: "SECLOG_CLOSED",
      message: expect.stringMatching(/^5 events may not have been stored: /),
    }),
  );
});
