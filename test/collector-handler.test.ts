/** `seclog/collector` and `seclog collect` together: an application without the database keeps exactly once. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecurityLog, encodeEvent } from "seclog";
import { collectorHandler } from "seclog/collector";
import { EVENT_SELECT, rowToEvent } from "seclog/postgres";
import { exampleBatch, handlerContract } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Collector, startCollector } from "../packages/server/src/ingest/receivers/collector.ts";
import { addToken } from "../packages/server/src/ingest/receivers/token-file.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";

let database: TestDatabase;
let collector: Collector;
let token: string;
const folder = mkdtempSync(join(tmpdir(), "seclog-collector-handler-"));

beforeAll(async () => {
  database = await createTestDatabase();
  token = addToken(folder, { name: "shop", services: ["example", "shop"] }).token;
  collector = await startCollector({
    listen: { host: "127.0.0.1", port: 0 },
    spool: folder,
    url: database.writerUrl,
    relayUrl: database.relayUrl,
    onTrouble: () => {},
  });
});
afterAll(async () => {
  await collector.close();
  await database[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const inTime = (): AbortSignal => AbortSignal.timeout(20_000);
const handlerOf = (options = {}) => collectorHandler({ url: collector.url, token, ...options });

describe("collectorHandler() - keeps the handler contract", () => {
  const cases = handlerContract({
    skip: { "refuses an older epoch": "a relay takes one: fencing is the spool's business" },
    open: async () => ({
      create: () => handlerOf(),
      storedSeqs: async (sourceId) => {
        const rows = await database.query<{ seq: string }>(
          "SELECT seq FROM security_event_log WHERE source_id = $1 ORDER BY seq",
          [sourceId],
        );
        return rows.map(({ seq }) => Number(seq));
      },
      storedRecord: async (sourceId, seq) => {
        const [row] = await database.query(
          `SELECT ${EVENT_SELECT} FROM security_event_log WHERE source_id = $1 AND seq = $2`,
          [sourceId, seq],
        );
        return row && Buffer.from(encodeEvent(rowToEvent(row)));
      },
    }),
  });
  for (const { title, run, skip } of cases) it.skipIf(skip !== undefined)(title, run);
});

describe("collectorHandler()", () => {
  it("ships a log's events from its thread, with the log's own source", async () => {
    const log = createSecurityLog({
      service: "shop",
      spool: { directory: join(folder, "shop") },
      handlers: [handlerOf()],
    });
    await log.recordSecurityEvent("authz_fail", null, { userid: "ada" }).stored;
    const rows = await database.query<{ seq: string; event_type: string }>(
      "SELECT seq, event_type FROM security_event_log WHERE source_id = $1 ORDER BY seq",
      [log.sourceId],
    );
    await log.close();
    expect(rows.map((row) => `${row.seq} ${row.event_type}`)).toEqual(["1 log_started", "2 authz_fail"]);
  });

  it.each([
    ["a wrong token", () => ({ token: `seclog_00000000_${"A".repeat(43)}` }), "destination", "SECLOG_HANDLER_STOPPED"],
    ["a wrong path", () => ({ url: `${collector.url}/else/` }), "destination", "SECLOG_HANDLER_STOPPED"],
    ["a collector that is away", () => ({ url: "http://127.0.0.1:1" }), "retry", "SECLOG_HANDLER_RETRY"],
  ] as const)("rejects for %s", async (_, options, kind, code) => {
    const handler = handlerOf(options());
    const error = await handler.handle(exampleBatch({ count: 2 }), inTime()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind, code });
    expect(String(error)).not.toContain(token);
    await handler.close();
  });

  it("stops for a store that was rolled back, before and after it sends", async () => {
    const sourceId = "01936d2f-5c00-7000-8000-0000000000aa";
    const handler = handlerOf();
    const { source, ...batch } = exampleBatch({ sourceId, firstSeq: 6, count: 2 });
    const known = { ...source, acknowledged: 5 };
    const stopped = { kind: "destination", code: "SECLOG_STORE_BEHIND", stored: 0 };
    await expect(handler.handle({ ...batch, source: known, events: [] }, inTime())).rejects.toMatchObject(stopped);
    await expect(handler.confirm?.(known, inTime())).rejects.toMatchObject(stopped);
    await handler.close();
  });

  it("refuses what is not a token", () => {
    expect(() => handlerOf({ token: "secret" })).toThrow("seclog tokens create");
    expect(() => handlerOf({ gzip: true })).toThrow("gzip");
  });
});
