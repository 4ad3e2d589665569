/** What one call does: its receipt, its level, its data, however wrong, and when `durable` resolves. */

import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSecurityLog, defineEvents, type SecurityEvent } from "seclog";
import { describe, expect, it } from "vitest";
import { control, delivered, open, sink, spool, threadHandler, types } from "../support/log-on-disk.ts";

describe("recordSecurityEvent()", () => {
  it("returns a receipt whose promises resolve on disk and in the handler, and numbers without a gap", async () => {
    await using log = open();
    const receipts = Array.from({ length: 500 }, (_, i) =>
      log.recordSecurityEvent("authz_fail", null, { resource: `r${i}` }),
    );
    await receipts[499]?.durable;
    await receipts[499]?.stored;
    await receipts[0]?.stored;
    expect(log.health()).toMatchObject({ recorded: 501, handlers: [{ shipped: 501, behind: 0 }] });
    expect(receipts[0]?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const events = delivered();
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 501 }, (_, i) => i + 1));
    expect(events[0]?.type).toBe("log_started");
    expect(new Set(events.map(({ sourceId }) => sourceId))).toEqual(new Set([log.sourceId]));
    const times = events.map(({ occurredAt }) => occurredAt);
    expect(times).toEqual([...new Set(times)].sort());
    expect(events[1]?.id).toBe(receipts[0]?.id);
  });

  it("counts what is below the level without recording it, and always records the log's own events", async () => {
    await using log = open({ level: "error" });
    const receipt = log.recordSecurityEvent("authn_login_fail", null, { userid: "ada" });
    expect(receipt.id).toBeNull();
    await Promise.all([receipt.durable, receipt.stored]);
    expect(log.isEnabled("authn_login_fail")).toBe(false);
    expect(log.isEnabled("authz_fail")).toBe(true);
    expect(log.recordSecurityEvent("upload_validation", null, { result: "FAILED" }).id).not.toBeNull();
    await log.flush();
    expect(types()).toEqual(["log_started", "upload_validation"]);
    expect(log.health()).toMatchObject({ status: "ok", belowLevel: 1, recorded: 2, dropped: 0 });
  });

  it("decides by the level that a call names, before the type's own", async () => {
    await using log = open({ level: "warning" });
    expect(log.recordSecurityEvent("authz_fail", undefined, { level: "info" }).id).toBeNull();
    expect(log.recordSecurityEvent("authn_login_success", undefined, { level: "error" }).id).not.toBeNull();
  });

  it("accepts a new level while it runs, and records the change whatever the level", async () => {
    await using log = open({ level: "error" });
    expect(log.level).toBe("error");
    log.level = "debug";
    log.recordSecurityEvent("authz_change", null, { n: 1 });
    log.level = "debug";
    log.level = "critical";
    log.recordSecurityEvent("authz_change", null, { n: 2 });
    expect(() => Object.assign(log, { level: "loud" })).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.stringContaining('not "loud"') }),
    );
    expect([log.level, log.isEnabled("authz_change")]).toEqual(["critical", false]);
    await log.flush();
    expect(delivered().map(({ type, data }) => [type, data?.["level"] ?? data?.["n"], data?.["previous"]])).toEqual([
      ["log_started", "error", undefined],
      ["log_level_changed", "debug", "error"],
      ["authz_change", 1, undefined],
      ["log_level_changed", "critical", "debug"],
    ]);
  });

  it("records any argument, however wrong, and flags it", async () => {
    await using log = open();
    const record = log.recordSecurityEvent as (
      type: unknown,
      request?: unknown,
      data?: unknown,
    ) => { id: string | null };
    record("no_such_event");
    record("Bad Type\u0000 with spaces and \u202e");
    record("");
    record("x".repeat(10_000));
    record(42);
    record("authz_fail", { resource: "given as the request" });
    record("authz_fail", "a string", 12n);
    record("authz_fail", undefined, {
      statusCode: "ab",
      outcome: "maybe",
      count: -1,
      startedAt: new Date(Number.NaN),
      actor: { id: { a: 1 } },
    });
    record(
      "authz_fail",
      new Proxy(
        {},
        {
          get: () => {
            throw new Error("trap");
          },
        },
      ),
      new Proxy(
        {},
        {
          get: () => {
            throw new Error("trap");
          },
          ownKeys: () => {
            throw new Error("trap");
          },
        },
      ),
    );
    record("authz_fail", undefined, {
      actor: "../../etc",
      userid: "x".repeat(1_000_000),
      target: { id: 7, type: "doc" },
    });
    await log.flush();
    const [, unknown, bad, empty, long, number, asRequest, text, wrong, trapped, parties] = delivered();
    expect(unknown).toMatchObject({
      type: "no_such_event",
      notes: { flags: [expect.stringContaining("unknown type")] },
    });
    expect(bad?.type).toMatch(/^[a-z0-9_.:-]{1,100}$/);
    expect(empty?.type).toBe("unknown");
    expect(long?.type).toHaveLength(100);
    expect(number?.notes?.flags).toHaveLength(1);
    expect(asRequest).toMatchObject({
      data: { resource: "given as the request" },
      notes: { flags: ["the request argument is not a request"] },
    });
    expect(text?.type).toBe("authz_fail");
    expect(wrong?.notes?.flags).toHaveLength(5);
    expect(trapped?.type).toBe("authz_fail");
    expect(parties).toMatchObject({ actorId: "../../etc", targetId: "7", targetType: "doc" });
    expect(log.health()).toMatchObject({ recorded: 11, dropped: 0 });
  });

  it("types the data of a call: known members are checked, and more may be added, even by an interface", async () => {
    interface MyData {
      resource: string;
      tenant: number;
    }
    const log = createSecurityLog({ spool: "memory", handlers: [sink([])] });
    const { recordSecurityEvent } = log;
    const response: { getHeader(name: string): number | string | string[] | undefined } = { getHeader: () => "GET" };
    recordSecurityEvent("illegal_request_method", null, {
      statusCode: 405,
      allowedMethods: response.getHeader("Allow"),
    });
    const data: MyData = { resource: "r", tenant: 1 };
    recordSecurityEvent("authz_fail", null, data);
    recordSecurityEvent("authz_fail", null, { resource: "r", more: [1, 2] });
    recordSecurityEvent("authz_fail");
    // @ts-expect-error the test: this event does not exist
    recordSecurityEvent("authz_fial");
    // @ts-expect-error the test: a resource is text
    recordSecurityEvent("authz_fail", null, { resource: 5 });
    // @ts-expect-error the test: an outcome is one of three
    recordSecurityEvent("authz_fail", null, { outcome: "maybe" });
    await log.close();
  });

  it("ignores data that throw, below the level", () => {
    const log = createSecurityLog({ level: "warning", spool: "memory", handlers: [sink([])] });
    const hostile = {
      get result(): "FAILED" {
        throw new Error("trap");
      },
    };
    expect(log.recordSecurityEvent("upload_validation", null, hostile).id).toBeNull();
  });

  it("assigns a number and a time of its own to an event recorded by another one's toJSON()", async () => {
    const got: SecurityEvent[] = [];
    const log = createSecurityLog({ spool: "memory", handlers: [sink(got)] });
    log.recordSecurityEvent("authz_fail", null, {
      resource: "outer",
      more: {
        toJSON: () => {
          log.recordSecurityEvent("authz_fail", null, { resource: "inner" });
          return "json";
        },
      },
    });
    await log.close();
    expect(got.map(({ seq, data }) => [seq, data?.["resource"]])).toEqual([
      [1, undefined],
      [2, "inner"],
      [3, "outer"],
      [4, undefined],
    ]);
    const times = got.map(({ occurredAt }) => occurredAt);
    expect(times).toEqual([...times].sort());
  });

  it("checks the data of an application's own events by their schema", async () => {
    const schema = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) =>
          (value as { n?: unknown }).n === 1 ? { value } : { issues: [{ message: "n must be 1", path: ["n"] }] },
      },
    } as const;
    const log = createSecurityLog({
      spool: { directory: spool },
      handlers: [threadHandler()],
      events: defineEvents({ refund_refused: { level: "error", outcome: "failure", category: "payment", schema } }),
    });
    log.recordSecurityEvent("refund_refused", null, { n: 1 });
    log.recordSecurityEvent("refund_refused", null, { n: 2 });
    await log.close();
    expect(delivered().slice(1, 3)).toMatchObject([
      { level: "error", category: "payment" },
      { notes: { flags: ["data.n: n must be 1"] } },
    ]);
    expect(delivered()[1]?.notes).toBeUndefined();
  });

  it("resolves `process` when written, and returns from `strict` when on disk", async () => {
    await using log = open({ durability: { authz_fail: "process", sys_startup: "strict" } });
    await log.recordSecurityEvent("authz_fail").durable;
    const strict = log.recordSecurityEvent("sys_startup");
    await strict.durable;
    expect(readdirSync(join(spool, log.sourceId))).toContain("00000001.seg");
  });

  it("never causes an unhandled rejection by a receipt's promises, read or not", async () => {
    const seen: unknown[] = [];
    const listener = (reason: unknown): number => seen.push(reason);
    process.on("unhandledRejection", listener);
    const log = open();
    void log.recordSecurityEvent("authz_fail").stored;
    writeFileSync(control, "stuck");
    void log.recordSecurityEvent("authz_fail").stored;
    await log.close({ deadline: 50 });
    void log.recordSecurityEvent("authz_fail").durable;
    void log.recordSecurityEvent("authz_fail").stored;
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off("unhandledRejection", listener);
    expect(seen).toEqual([]);
    expect(log.health().dropped).toBe(2);
  });
});

describe("spool: memory", () => {
  it("ships on the application's thread; durable means stored", async () => {
    const got: string[] = [];
    const log = createSecurityLog({
      spool: "memory",
      handlers: [
        {
          name: "array",
          handle: ({ events }) => Promise.resolve(void got.push(...events.map(({ type }) => type))),
          close: () => Promise.resolve(),
        },
      ],
    });
    await log.recordSecurityEvent("authz_fail").durable;
    expect(got).toEqual(["log_started", "authz_fail"]);
    await log.close();
    expect(got).toEqual(["log_started", "authz_fail", "log_stopped"]);
  });
});
