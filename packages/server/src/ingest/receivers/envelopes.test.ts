import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeEnvelopes, encodeQuarantined } from "seclog/queues";
import { type ExampleBatchOptions, exampleBatch } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { type Collector, startCollector } from "./collector.ts";
import { addToken } from "./token-file.ts";

let database: TestDatabase;
let collector: Collector;
const tokens: { [name: string]: string } = {};
const spool = mkdtempSync(join(tmpdir(), "seclog-envelopes-"));

beforeAll(async () => {
  database = await createTestDatabase();
  for (const name of ["shop", "blog"]) tokens[name] = addToken(spool, { name, services: ["example"] }).token;
  tokens["other"] = addToken(spool, { name: "other", services: ["other"] }).token;
  collector = await startCollector({
    listen: { host: "127.0.0.1", port: 0 },
    spool,
    url: database.writerUrl,
    relayUrl: database.relayUrl,
    onTrouble: () => {},
  });
});
afterAll(async () => {
  await collector.close();
  await database[Symbol.asyncDispose]();
  rmSync(spool, { recursive: true, force: true });
});

let sources = 0;
const newSource = (): string => `01936d2f-5c00-7000-8000-${String(++sources).padStart(12, "0")}`;

function envelope(options: ExampleBatchOptions): Uint8Array {
  return encodeEnvelopes(exampleBatch(options), { maxBytes: 8_000_000 })[0]?.bytes ?? new Uint8Array();
}

async function post(body: Uint8Array, name = "shop"): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${collector.url}/v1/events`, {
    method: "POST",
    headers: { "content-type": "application/vnd.seclog.envelope", authorization: `Bearer ${tokens[name]}` },
    body: Uint8Array.from(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe("an envelope", () => {
  it("is stored under its own source and numbers, once", async () => {
    const sourceId = newSource();
    expect(await post(envelope({ sourceId, count: 10 }))).toEqual({ status: 200, body: { stored: 10 } });
    expect(await post(envelope({ sourceId, count: 10 }))).toEqual({ status: 200, body: { stored: 10 } });
    expect(await post(envelope({ sourceId, firstSeq: 6, count: 10 }))).toEqual({ status: 200, body: { stored: 15 } });
    const [row] = await database.query<{ rows: number; distinct: number }>(
      "SELECT count(*)::int AS rows, count(DISTINCT seq)::int AS distinct FROM security_event_log WHERE source_id = $1",
      [sourceId],
    );
    expect(row).toEqual({ rows: 15, distinct: 15 });
    const answer = await fetch(`${collector.url}/v1/sources/${sourceId}`, {
      headers: { authorization: `Bearer ${tokens["shop"]}` },
    });
    expect(await answer.json()).toEqual({ stored: 15 });
  });

  it("that comes before its predecessor is refused with the position", async () => {
    const sourceId = newSource();
    expect(await post(envelope({ sourceId, firstSeq: 5, count: 2 }))).toMatchObject({
      status: 409,
      body: { code: "SECLOG_BATCH_EARLY", stored: 0 },
    });
  });

  it("of another sender's source is refused", async () => {
    const sourceId = newSource();
    await post(envelope({ sourceId, count: 2 }));
    expect(await post(envelope({ sourceId, firstSeq: 3, count: 2 }), "blog")).toMatchObject({
      status: 409,
      body: { code: "SECLOG_SOURCE_SENDER" },
    });
  });

  it("with another service's events is refused, and stores nothing", async () => {
    const sourceId = newSource();
    const answer = await post(envelope({ sourceId, count: 2 }), "other");
    expect(answer).toMatchObject({ status: 403, body: { code: "not-allowed" } });
    expect(answer.body["error"]).toContain('names the service "example"');
    expect(await database.query("SELECT FROM security_event_source WHERE id = $1", [sourceId])).toEqual([]);
  });

  it("that was altered, or never was one, is refused", async () => {
    const bytes = Uint8Array.from(envelope({ sourceId: newSource(), count: 2 }));
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    for (const body of [bytes, new Uint8Array(), Buffer.from("SECLOGE\x01garbage")]) {
      expect(await post(body)).toMatchObject({ status: 400, body: { code: "SECLOG_ENVELOPE" } });
    }
  });

  it("with a record in quarantine keeps its place", async () => {
    const sourceId = newSource();
    await post(envelope({ sourceId, count: 2 }));
    const { source } = exampleBatch({ sourceId });
    const quarantined = { source, seq: 3, reason: "too large", record: Buffer.from("x") };
    const { bytes } = encodeQuarantined(quarantined, { maxBytes: 8_000_000 });
    expect(await post(bytes)).toEqual({ status: 200, body: { stored: 3 } });
    expect(await post(envelope({ sourceId, firstSeq: 4, count: 1 }))).toEqual({ status: 200, body: { stored: 4 } });
  });
});
