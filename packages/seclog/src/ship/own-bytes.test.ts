/** A handler that writes into what it is given harms nobody but itself. */
import { describe, expect, it } from "vitest";
import { createSecurityLog } from "../create-security-log.ts";
import type { SecurityEvent } from "../event/event.ts";
import { HandlerError, type QuarantinedRecord, type SecurityEventHandler } from "./handler.ts";

const close = (): Promise<void> => Promise.resolve();

function open(...handlers: SecurityEventHandler[]): ReturnType<typeof createSecurityLog> {
  return createSecurityLog({ spool: "memory", handlers, heartbeat: false, diagnostics: () => {} });
}

describe("EventBatch.records of a log in memory", () => {
  it("are each handler's own, and whole again at each try", async () => {
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
      // Behind the vandal, as it would be with a slow destination.
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

  it("are quarantined as they were recorded, and telling of that ends", async () => {
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
    // Two events, and the two that tell of them; those are not told of again.
    expect(kept.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    for (const { record } of kept) expect(Buffer.from(record).toString()).toMatch(/^\{"category":/);
    expect(log.health()).toMatchObject({ recorded: 4, handlers: [{ quarantined: 4 }] });
  });
});
