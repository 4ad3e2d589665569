/** The shipper's thread, with handlers that fail. */

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { EventBatch, SecurityEventHandler } from "seclog";
import { HandlerError } from "seclog/handler";
import { describe, expect, it } from "vitest";
import { control, delivered, diagnostics, open, poll, spool, threadHandler } from "../support/log-on-disk.ts";
import { sourcesIn } from "../support/sources.ts";

describe("the shipper", () => {
  it("resumes after its thread crashed, and delivers everything", async () => {
    await using log = open();
    log.recordSecurityEvent("authz_fail", null, { n: 1 });
    await log.flush();
    writeFileSync(control, "crash");
    for (let n = 2; n <= 200; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.flush({ deadline: 15_000 });
    expect(new Set(delivered().map(({ data }) => data?.["n"])).size).toBe(201);
    expect(diagnostics.map(({ message }) => message)).toContainEqual(expect.stringContaining("thread ended"));
  });

  it("retries while a handler is stuck, reports that in health(), and catches up", async () => {
    writeFileSync(control, "stuck");
    await using log = open();
    for (let n = 0; n < 50; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await expect(log.flush({ deadline: 300 })).rejects.toMatchObject({ code: "SECLOG_DEADLINE" });
    await poll(() => log.health()).toMatchObject({
      status: "degraded",
      handlers: [
        {
          name: "test",
          status: "retrying",
          behind: 51,
          lastError: { message: "stuck by the test", code: "SECLOG_HANDLER_RETRY" },
        },
      ],
    });
    rmSync(control);
    await log.flush();
    expect(log.health()).toMatchObject({ status: "ok", handlers: [{ status: "ok", behind: 0, shipped: 51 }] });
  });

  it("stops for a destination that an operator must fix, raises an alarm, and keeps the events", async () => {
    writeFileSync(control, "stopped");
    await using log = open();
    await poll(() => log.health()).toMatchObject({ status: "failing", handlers: [{ status: "stopped" }] });
    expect(diagnostics).toContainEqual(
      expect.objectContaining({ level: "error", handler: "test", code: "SECLOG_HANDLER_STOPPED" }),
    );
    rmSync(control);
    await log.flush({ deadline: 20_000 });
  });

  it("quarantines one poison event among 1,000, delivers the other 999, and reports it", async () => {
    writeFileSync(control, "poison:arsenic");
    await using log = open();
    for (let n = 0; n < 1_000; n++)
      log.recordSecurityEvent("authz_fail", null, { n, text: n === 617 ? "arsenic" : "water" });
    await log.flush({ deadline: 20_000 });
    const failed = delivered().filter(({ type }) => type === "authz_fail");
    expect(failed).toHaveLength(999);
    const [first] = readFileSync(join(spool, "quarantine.ndjson"), "utf8").split("\n");
    const line = JSON.parse(first ?? "") as { seq: number; reason: string; record_base64: string };
    expect(line).toMatchObject({ seq: 619, reason: "it holds arsenic" });
    expect(Buffer.from(line.record_base64, "base64").toString()).toContain("arsenic");
    // The `event_quarantined` event quotes the reason, is rejected for that too, and is not reported again.
    await poll(() => log.health().handlers[0]?.quarantined).toBe(2);
    await log.flush();
    expect(log.health()).toMatchObject({ recorded: 1_002, handlers: [{ quarantined: 2, behind: 0 }] });
  });

  it("calls a handler that cannot leave the application's thread there, in order and in small batches", async () => {
    const batches: EventBatch[] = [];
    const handler: SecurityEventHandler = {
      name: "here",
      handle: (batch) => {
        batches.push(batch);
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    };
    const log = open({ handlers: [handler, threadHandler()] });
    for (let n = 0; n < 1_000; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.flush();
    await log.close();
    expect(batches.flatMap(({ events }) => events.map(({ seq }) => seq))).toEqual(
      Array.from({ length: 1_002 }, (_, i) => i + 1),
    );
    expect(Math.max(...batches.map(({ records }) => records.length))).toBeLessThanOrEqual(100);
    expect(delivered()).toHaveLength(1_002);
    expect(sourcesIn(spool)).toEqual([]);
  });

  it("passes on one event's rejection by a handler on the application's thread", async () => {
    const seen: number[] = [];
    const log = open({
      handlers: [
        {
          name: "here",
          handle: ({ events }) => {
            if (events.some(({ seq }) => seq === 7)) throw new HandlerError("event", "not seven");
            seen.push(...events.map(({ seq }) => seq));
            return Promise.resolve();
          },
          close: () => Promise.resolve(),
        },
      ],
    });
    for (let n = 0; n < 20; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.flush();
    expect([...new Set(seen)]).not.toContain(7);
    await log.close();
    expect([...new Set(seen)].length).toBeGreaterThanOrEqual(21);
  });
});
