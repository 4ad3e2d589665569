/** A handler that writes into its arguments harms only itself. */
import { describe, expect, it } from "vitest";
import type { SecurityEvent } from "../event/event.ts";
import { createSecurityLog } from "../log/create-security-log.ts";
import { HandlerError, type QuarantinedRecord, type SecurityEventHandler } from "./handler.ts";

const close = (): Promise<void> => Promise.resolve();

function open(...handlers: SecurityEventHandler[]): ReturnType<typeof createSecurityLog> {
  return createSecurityLog({ spool: "memory", handlers, heartbeat: false, diagnostics: () => {} });
}

describe("EventBatch.records of a log in memory", () => {
  it("are each handler's own copy, and intact again at every attempt", async () => {
    const seen: SecurityEvent[] = [];
    let tries = 0;
    const vandal: SecurityEventHandler = {
      name: "vandal",
      handle: async ({ records, events }) => {
        tries += 1;
        const types = events.map(({ type }) => type);
        for (const record of records) new Uint8Array(record.buffer).fill(0);
        if (tries === 1) throw new HandlerError("retry", "once more");
        expect(types).toContain("log_started");
      },
      close,
    };
    const reader: SecurityEventHandler = {
      name: "reader",
      // Later than the vandal, as with a slow destination.
      handle: async (batch) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        seen.push(...batch.events);
      },
      close,
    };
    await using log = open(vandal, reader);
    for (let n = 1; n <= 50; n++) log.recordSecurityEvent("authz_fail", null, { resource: `r${n}` });
    await log.flush();
    expect(seen.map(({ seq }) => seq)).toEqual(Array.from({ length: 51 }, (_, index) => index + 1));
    expect(tries).toBeGreaterThan(1);
    expect(log.health().handlers).toMatchObject([{ quarantined: 0 }, { quarantined: 0 }]);
  });

  it("leave the log's own account intact although a handler sets or deletes a batch's members", async () => {
    const seen: number[] = [];
    const codes: unknown[] = [];
    let tries = 0;
    const vandal: SecurityEventHandler = {
      name: "vandal",
      handle: async (batch) => {
        tries += 1;
        const loose = batch as { records?: unknown; source?: unknown; firstSeq?: unknown; lastSeq?: unknown };
        (batch.records as unknown[]).length = 0;
        Object.assign(batch.source, { id: null, epoch: null, key: null, acknowledged: null });
        loose.records = null;
        delete loose.lastSeq;
        loose.firstSeq = null;
        loose.source = null;
        if (tries === 1) throw new TypeError("records is null");
      },
      close,
    };
    const reader: SecurityEventHandler = {
      name: "reader",
      handle: async (batch) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        seen.push(...batch.events.map(({ seq }) => seq));
      },
      close,
    };
    await using log = createSecurityLog({
      spool: "memory",
      handlers: [vandal, reader],
      heartbeat: false,
      diagnostics: (diagnostic) => codes.push(diagnostic),
    });
    for (let n = 1; n <= 50; n++) log.recordSecurityEvent("authz_fail", null, { resource: `r${n}` });
    await log.flush();
    expect(seen).toEqual(Array.from({ length: 51 }, (_, index) => index + 1));
    expect(log.health().handlers).toMatchObject([
      { name: "vandal", shipped: 51, lastError: { code: "SECLOG_HANDLER_RETRY", message: "records is null" } },
      { name: "reader", shipped: 51, quarantined: 0 },
    ]);
    expect(JSON.stringify(codes)).not.toContain("SECLOG_SPOOL_DIRECTORY");
  });

  it("name the source in diagnostics although the handler's quarantine() changed its argument", async () => {
    const kept: unknown[] = [];
    const vandal: SecurityEventHandler = {
      name: "vandal",
      handle: async (batch) => {
        Object.assign(batch, { records: null, firstSeq: null, lastSeq: null });
        throw new HandlerError("event", "it is not wanted");
      },
      quarantine: async (record) => {
        kept.push(record.source.id);
        Object.assign(record.source, { id: null });
        Object.assign(record, { source: null, seq: null, record: null });
      },
      close,
    };
    await using log = open(vandal);
    log.recordSecurityEvent("authz_fail");
    await log.flush();
    await log.flush();
    expect(new Set(kept).size).toBe(1);
    expect(log.health().handlers).toMatchObject([{ quarantined: 4 }]);
    expect(log.health().handlers[0]).not.toHaveProperty("lastError");
  });

  it("are quarantined as recorded, and the reports about that end", async () => {
    const kept: QuarantinedRecord[] = [];
    const vandal: SecurityEventHandler = {
      name: "vandal",
      handle: async ({ records }) => {
        for (const record of records) record.fill(0);
        throw new HandlerError("event", "it is all zeros");
      },
      quarantine: async (record) => {
        kept.push({ ...record, record: Uint8Array.from(record.record) });
        record.record.fill(0);
      },
      close,
    };
    await using log = open(vandal);
    log.recordSecurityEvent("authz_fail");
    await log.flush();
    await log.flush();
    // Two events and the two events that report them, which are not reported again.
    expect(kept.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    for (const { record } of kept) expect(Buffer.from(record).toString()).toMatch(/^\{"category":/);
    expect(log.health()).toMatchObject({ recorded: 4, handlers: [{ quarantined: 4 }] });
  });
});
