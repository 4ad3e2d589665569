/** A spool that has reached maxBytes. */

import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { control, delivered, open, poll, spool, types } from "../support/log-on-disk.ts";

describe("a full spool", () => {
  it("drops the newest, counts them, rejects their receipts, and reports that once it has room", async () => {
    writeFileSync(control, "stuck");
    const MiB = 1024 * 1024;
    await using log = open({ spool: { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB } });
    const text = "x".repeat(8_000);
    let last = log.recordSecurityEvent("authz_fail", null, { text });
    for (let n = 0; n < 2_000 && last.id !== null; n++) {
      last = log.recordSecurityEvent("authz_fail", null, { text });
      if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await expect(last.durable).rejects.toMatchObject({ code: "SECLOG_SPOOL_FULL" });
    await expect(last.stored).rejects.toMatchObject({ code: "SECLOG_SPOOL_FULL" });
    for (let n = 0; n < 9; n++) log.recordSecurityEvent("authn_login_fail");
    expect(log.health()).toMatchObject({ dropped: 10 });
    rmSync(control);
    await poll(() => types()).toContain("events_dropped");
    const report = delivered().find(({ type }) => type === "events_dropped");
    expect(report).toMatchObject({ count: 10, data: { types: { authz_fail: 1, authn_login_fail: 9 } } });
    const seqs = delivered().map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, i) => i + 1));
    await expect(log.recordSecurityEvent("authz_fail").durable).resolves.toBeUndefined();
  });

  it("never takes more than maxBytes, however many events one turn records", async () => {
    writeFileSync(control, "stuck");
    const MiB = 1024 * 1024;
    const log = open({ spool: { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB } });
    for (let n = 0; n < 10_000; n++) log.recordSecurityEvent("authz_fail", null, { n });
    expect(log.health().dropped).toBeGreaterThan(0);
    await log.close({ deadline: 0 });
    const sizes = readdirSync(join(spool, log.sourceId)).map((name) => statSync(join(spool, log.sourceId, name)).size);
    const taken = sizes.reduce((sum, size) => sum + size, 0);
    expect(taken).toBeLessThanOrEqual(2 * MiB);
    expect(taken).toBeGreaterThan(1.5 * MiB);
  });

  it("does not keep close() from reporting what was dropped", async () => {
    writeFileSync(control, "stuck");
    const MiB = 1024 * 1024;
    const log = open({ spool: { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB } });
    for (let n = 0; n < 10_000; n++) log.recordSecurityEvent("authz_fail", null, { n });
    const { dropped } = log.health();
    expect(dropped).toBeGreaterThan(0);
    const closing = log.close();
    rmSync(control);
    await closing;
    expect(delivered().find(({ type }) => type === "events_dropped")).toMatchObject({ count: dropped });
    expect(delivered().at(-1)).toMatchObject({ type: "log_stopped", data: { dropped } });
  });

  it("counts what other processes have in the same folder", async () => {
    writeFileSync(control, "stuck");
    const MiB = 1024 * 1024;
    const limited = { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB };
    const first = open({ spool: limited });
    const text = "x".repeat(8_000);
    while (first.recordSecurityEvent("authz_fail", null, { text }).id !== null) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const second = open({ spool: limited });
    await poll(() => {
      const { id } = second.recordSecurityEvent("authz_fail", null, { text });
      return id;
    }).toBeNull();
    expect(second.health().spooledBytes).toBeLessThan(MiB);
    await Promise.all([first.close({ deadline: 0 }), second.close({ deadline: 0 })]);
  });

  it("accepts a log's closing events, however much other logs have written", async () => {
    const MiB = 1024 * 1024;
    writeFileSync(control, "stuck");
    const other = open({ spool: { directory: spool, segmentBytes: MiB, maxBytes: 4 * MiB } });
    const text = "x".repeat(8_000);
    while (other.recordSecurityEvent("authz_fail", null, { text }).id !== null) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const log = open({ spool: { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB } });
    await poll(() => log.recordSecurityEvent("authz_fail").id).toBeNull();
    const { dropped } = log.health();
    const closing = log.close();
    rmSync(control);
    await closing;
    const own = delivered().filter(({ sourceId }) => sourceId === log.sourceId);
    const counts = { type: "events_dropped", count: dropped };
    expect(own.slice(-2)).toMatchObject([counts, { type: "log_stopped", data: { dropped } }]);
    expect(log.health().dropped).toBe(dropped);
    await other.close();
  });

  it("is not full of stored events: open files with nothing left to ship are rotated", async () => {
    const MiB = 1024 * 1024;
    const limited = { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB };
    const text = "x".repeat(6_000);
    const first = open({ spool: limited });
    for (let n = 0; n < 145; n++) await first.recordSecurityEvent("authz_fail", null, { text }).durable;
    const second = open({ spool: limited });
    let taken = 0;
    for (const end = performance.now() + 10_000; taken < 300 && performance.now() < end; ) {
      const receipt = second.recordSecurityEvent("authz_fail", null, { text });
      if (receipt.id === null) await new Promise((resolve) => setTimeout(resolve, 20));
      else taken += await receipt.durable.then(() => 1);
    }
    // More than its own file holds.
    expect(taken).toBe(300);
    await Promise.all([first.close(), second.close()]);
  });

  it.each([undefined, "throw", "drop"] as const)(
    "throws for a strict event with onFull %s, unless that is drop",
    async (onFull) => {
      writeFileSync(control, "stuck");
      const MiB = 1024 * 1024;
      const log = open({
        spool: { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB },
        onFull,
        durability: { authz_admin: "strict" },
      });
      const text = "x".repeat(8_000);
      while (log.recordSecurityEvent("authz_fail", null, { text }).id !== null)
        await new Promise((resolve) => setImmediate(resolve));
      const strict = (): unknown => log.recordSecurityEvent("authz_admin");
      if (onFull === "drop") expect(strict()).toMatchObject({ id: null });
      else expect(strict).toThrow(expect.objectContaining({ code: "SECLOG_SPOOL_FULL" }));
      expect(() => log.recordSecurityEvent("authz_fail")).not.toThrow();
      await log.close({ deadline: 0 });
    },
  );

  it("waits for the disk in a loop that never lets the event loop turn, within its memory and without a loss", async () => {
    await using log = open({ spool: { directory: spool, memoryBytes: 1024 * 1024 } });
    for (let n = 0; n < 20_000; n++) log.recordSecurityEvent("authz_fail", null, { n });
    expect(log.health().dropped).toBe(0);
    await log.flush({ deadline: 20_000 });
    expect(delivered()).toHaveLength(20_001);
  });
});
