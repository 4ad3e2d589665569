/** A spool's folder that is moved away while its log is open. */

import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SecurityEvent, SecurityEventHandler } from "seclog";
import { drainSpool } from "seclog/spool";
import { describe, expect, it } from "vitest";
import { control, delivered, diagnostics, folder, lastWords, open, poll, sink, spool } from "../support/log-on-disk.ts";
import { sourcesIn } from "../support/sources.ts";

describe("a spool that is gone", () => {
  /** Moves the folder away and puts a file in its place, so that a new spool cannot be opened. */
  const takeAway = async (): Promise<void> => {
    renameSync(spool, join(folder, "moved"));
    writeFileSync(spool, "");
    // After a second, the writer checks its folder again before the next write.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
  };

  it("costs only the events recorded until a new one opens, which are counted and reported", async () => {
    const log = open();
    await log.recordSecurityEvent("authz_fail", null, { resource: "before" }).stored;
    const first = log.sourceId;
    await takeAway();
    const waiting = log.recordSecurityEvent("authz_fail", null, { resource: "waiting" });
    await expect(waiting.durable).rejects.toMatchObject({ code: "SECLOG_SPOOL_LOST" });
    await poll(() => log.health().status).toBe("failing");
    for (let n = 0; n < 3; n++) {
      const { durable } = log.recordSecurityEvent("authz_fail", null, { resource: "refused" });
      await expect(durable).rejects.toMatchObject({ code: "SECLOG_SPOOL_DIRECTORY" });
    }
    expect(log.health()).toMatchObject({ status: "failing", dropped: 3 });
    rmSync(spool);
    await poll(() => log.health().status).toBe("ok");
    await log.recordSecurityEvent("authz_fail", null, { resource: "after" }).stored;
    const events = delivered().filter(({ sourceId }) => sourceId === log.sourceId);
    expect(log.sourceId).not.toBe(first);
    expect(events.map(({ type, data }) => [type, data?.["resource"]])).toEqual([
      ["authz_fail", "waiting"],
      ["events_dropped", undefined],
      ["log_started", undefined],
      ["authz_fail", "after"],
    ]);
    expect(events[1]).toMatchObject({ data: { types: { authz_fail: 3 } } });
    await log.close();
  });

  it("for a moment costs nothing, and does not count as damaged", async () => {
    writeFileSync(control, "stuck");
    await using log = open();
    for (let n = 0; n < 20; n++) await log.recordSecurityEvent("authz_fail", null, { n }).durable;
    renameSync(join(spool, log.sourceId), join(folder, "moved"));
    rmSync(control);
    await poll(() => diagnostics.map(({ message }) => message)).toContainEqual(expect.stringContaining("ENOENT"));
    renameSync(join(folder, "moved"), join(spool, log.sourceId));
    await log.flush();
    expect(log.health()).toMatchObject({ dropped: 0, handlers: [{ shipped: 21, quarantined: 0 }] });
    expect(delivered().map(({ seq }) => seq)).toEqual(Array.from({ length: 21 }, (_, index) => index + 1));
  });

  it("until the log has replaced it is shipped when it returns, although its process still runs", async () => {
    writeFileSync(control, "stuck");
    const log = open();
    for (let n = 0; n < 20; n++) await log.recordSecurityEvent("authz_fail", null, { n }).durable;
    const first = log.sourceId;
    renameSync(join(spool, first), join(folder, "moved"));
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await log.recordSecurityEvent("authz_fail", null, { n: 20 }).durable.catch(() => {});
    await poll(() => log.sourceId).not.toBe(first);
    renameSync(join(folder, "moved"), join(spool, first));
    rmSync(control);
    // The log looks for its owner's file every three seconds, to release it.
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    const got: SecurityEvent[] = [];
    await expect(drainSpool({ directory: spool, handlers: [{ ...sink(got), name: "test" }] })).resolves.toMatchObject({
      finished: 1,
    });
    expect(got.map(({ sourceId, seq }) => `${sourceId} ${seq}`)).toEqual(
      Array.from({ length: 21 }, (_, index) => `${first} ${index + 1}`),
    );
    await log.close();
  });

  it("does not hold up close(), which reports what was dropped", async () => {
    const log = open();
    await log.recordSecurityEvent("authz_fail", null, {}).stored;
    await takeAway();
    await expect(log.recordSecurityEvent("authz_fail", null, {}).durable).rejects.toThrow();
    await poll(() => log.health().status).toBe("failing");
    await log.close({ deadline: 100 });
    await poll(() => diagnostics.map(({ message }) => message)).toContainEqual(
      expect.stringContaining("1 events were not written and are dropped"),
    );
    // The event, and `log_stopped`.
    expect(log.health()).toMatchObject({ status: "failing", dropped: 2 });
  });

  it.each([0, 1_100])(
    "is noticed by the last write of close(), %i ms after the one before: a new one takes over, then the handlers close",
    async (pause) => {
      const calls: string[] = [];
      const handler: SecurityEventHandler = {
        name: "here",
        handle: ({ events }) => Promise.resolve(void calls.push(...events.map(({ type }) => type))),
        close: () => Promise.resolve(void calls.push("close()")),
      };
      const log = open({ handlers: [handler] });
      await log.recordSecurityEvent("authz_fail", null, {}).stored;
      renameSync(join(spool, log.sourceId), join(folder, "moved"));
      await new Promise((resolve) => setTimeout(resolve, pause));
      log.recordSecurityEvent("authn_login_fail", null, { userid: "x" });
      await log.close();
      expect(calls.filter((call) => call === "close()")).toHaveLength(1);
      expect(calls.at(-1)).toBe("close()");
      // An event written to a folder that has moved may have been read there, so it is not recorded again.
      if (pause > 0) expect(calls).toContain("authn_login_fail");
      expect(sourcesIn(spool)).toEqual([]);
    },
  );

  it.each([0, 1_100])(
    "is noticed by the last write of the process, %i ms after the one before, which reports what it costs",
    (pause) => {
      const said = lastWords(`
        await log.recordSecurityEvent("authz_fail", null, {}).stored;
        renameSync(join(spool, log.sourceId), join(spool, "moved"));
        await new Promise((resolve) => setTimeout(resolve, ${pause}));
        for (let n = 0; n < 5; n++) log.recordSecurityEvent("authz_fail", null, { n });
        process.exit(0);`);
      // Five, and `log_stopped`.
      const lost = pause > 0 ? "6 events were not written and are dropped" : "6 events may not have been stored";
      expect(said).toContainEqual(expect.stringContaining(lost));
    },
  );
});
