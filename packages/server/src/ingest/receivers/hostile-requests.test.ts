/** What a stranger, or a sender that was taken over, may send: each is answered as it should be, and memory is bounded. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { otlpProtobuf } from "seclog/formats";
import { exampleEvent } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sendRaw } from "#test/support/http-client.ts";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { type Collector, startCollector } from "./collector.ts";
import { addToken } from "./token-file.ts";

let database: TestDatabase;
let collector: Collector;
let token: string;
const spool = mkdtempSync(join(tmpdir(), "seclog-hostile-"));
const REQUEST_MS = 1_000;

beforeAll(async () => {
  database = await createTestDatabase();
  token = addToken(spool, { name: "shop", services: ["shop"] }).token;
  collector = await startCollector({
    listen: { host: "127.0.0.1", port: 0 },
    spool,
    url: database.writerUrl,
    bodyBytes: 1024 * 1024,
    requestEvents: 1_000,
    timeouts: { header: REQUEST_MS, request: REQUEST_MS },
    onTrouble: () => {},
  });
});
afterAll(async () => {
  await collector.close();
  await database[Symbol.asyncDispose]();
  rmSync(spool, { recursive: true, force: true });
});

const JSON_TYPE = { "content-type": "application/json" };
const event = (key: string): object => ({ event_type: "sensitive_delete", data: { key } });

async function post(
  body: string | Uint8Array<ArrayBuffer>,
  headers: { readonly [name: string]: string } = JSON_TYPE,
  path = "/v1/events",
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${collector.url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, ...headers },
    body,
  });
  const text = await response.text();
  return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : {} };
}

const raw = (lines: string): Promise<string> => sendRaw(Number(new URL(collector.url).port), lines);
const head = (more: string): string =>
  `POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n${more}\r\n\r\n`;

async function stored(key: string): Promise<number> {
  const [row] = await database.query<{ n: number }>(
    "SELECT count(*)::int AS n FROM security_event_log WHERE data ->> 'key' = $1",
    [key],
  );
  return row?.n ?? -1;
}

describe("28: a token", () => {
  it.each([
    ["that is missing", {}],
    ["that is empty", { authorization: "Bearer " }],
    ["of another form", { authorization: "Bearer admin" }],
    ["with an unknown id", { authorization: `Bearer seclog_00000000_${"A".repeat(43)}` }],
    ["in Basic credentials that are not base64", { authorization: "Basic ???" }],
    ["of 8 KiB", { authorization: `Bearer ${"A".repeat(7_000)}` }],
  ])("%s is refused", async (_, headers) => {
    const { status, body } = await post("{}", { ...JSON_TYPE, authorization: "", ...headers });
    expect(status).toBe(401);
    expect(JSON.stringify(body)).not.toContain("AAAA");
  });

  it("is limited for an address that keeps guessing, and a valid one still passes", async () => {
    const guesses = await Promise.all(
      Array.from({ length: 30 }, () => post("{}", { ...JSON_TYPE, authorization: "Bearer x" })),
    );
    expect(guesses.at(-1)?.status).toBe(429);
    expect((await post(JSON.stringify(event("28")))).status).toBe(202);
  });
});

describe("29: a body", () => {
  it("that ends before its Content-Length is not recorded", async () => {
    const text = JSON.stringify([event("29a"), event("29a")]);
    const answer = await raw(`${head(`content-length: ${text.length + 1}`)}${text}`);
    expect(answer).toMatch(/^(?:HTTP\/1\.1 408|$)/);
    expect(await stored("29a")).toBe(0);
  });

  it("whose Content-Length is larger than any body is refused before it is read", async () => {
    const answer = await raw(head("content-length: 99999999999"));
    expect(answer).toContain("413");
  });

  it("in chunks that never end is cut off by size, and by time", async () => {
    const chunk = `10000\r\n${" ".repeat(0x10000)}\r\n`;
    expect(await raw(`${head("transfer-encoding: chunked")}${chunk.repeat(40)}`)).toContain("413");
    const start = performance.now();
    expect(await raw(`${head("transfer-encoding: chunked")}4\r\n    \r\n`)).toMatch(/^(?:HTTP\/1\.1 408|$)/);
    expect(performance.now() - start).toBeLessThan(REQUEST_MS * 5);
  });

  it("with two lengths, or both a length and chunks, is refused", async () => {
    expect(await raw(head("content-length: 2\r\ncontent-length: 3"))).toContain("400");
    expect(await raw(head("content-length: 2\r\ntransfer-encoding: chunked"))).toContain("400");
  });

  it("that is a bomb is refused, within bounded memory", async () => {
    const bomb = Uint8Array.from(gzipSync(Buffer.alloc(100 * 1024 * 1024, " "), { level: 1 }));
    const before = process.memoryUsage.rss();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post(bomb, { ...JSON_TYPE, "content-encoding": "gzip" })),
    );
    for (const { status } of answers) expect(status).toBe(413);
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 1024 * 1024);
  });

  it.each([
    ["of an unknown type", { "content-type": "text/plain" }, 415],
    ["without a type", { "content-type": "" }, 415],
    ["in zstd", { ...JSON_TYPE, "content-encoding": "zstd" }, 415],
    ["in gzip within gzip", { ...JSON_TYPE, "content-encoding": "gzip, gzip" }, 415],
    ["that claims to be gzip", { ...JSON_TYPE, "content-encoding": "gzip" }, 400],
  ])("%s is refused", async (_, headers, status) => {
    expect((await post("{}", headers)).status).toBe(status);
  });

  it("with too large or too many headers is refused", async () => {
    expect(await raw(`GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${"a".repeat(20_000)}\r\n\r\n`)).toContain("431");
  });
});

describe("30: an Idempotency-Key", () => {
  it.each([["a".repeat(256)], ["\u00e9"]])("that is not a short printable text is refused", async (key) => {
    expect((await post(JSON.stringify(event("30")), { ...JSON_TYPE, "idempotency-key": key })).status).toBe(400);
  });

  it("with the same body is answered alike, with another one refused, and belongs to its sender", async () => {
    const headers = { ...JSON_TYPE, "idempotency-key": "30" };
    const body = JSON.stringify([event("30b"), {}]);
    const first = await post(body, headers);
    const second = await post(body, headers);
    expect([first.status, second.status]).toEqual([202, 200]);
    expect(second.body).toEqual(first.body);
    expect((await post("[]", headers)).status).toBe(409);
    await expect.poll(() => stored("30b")).toBe(1);
  });
});

describe("31: OTLP", () => {
  const PROTOBUF = { "content-type": "application/x-protobuf" };

  it("that is cut anywhere is refused, or read as far as it is whole", async () => {
    const whole = Uint8Array.from(otlpProtobuf([exampleEvent(1)]));
    for (const length of [1, 2, 3, 10, 50, whole.length - 1]) {
      expect((await post(whole.slice(0, length), PROTOBUF, "/v1/logs")).status).toBe(400);
    }
  });
});

describe("33: a batch", () => {
  it("of more events than a request may have is refused as a whole", async () => {
    const many = JSON.stringify(Array.from({ length: 1_001 }, () => event("33")));
    expect((await post(many)).status).toBe(413);
    expect(await stored("33")).toBe(0);
  });

  it("with one bad event in it is taken but for that", async () => {
    const batch = Array.from({ length: 1_000 }, (_, index) => (index === 500 ? { event_type: 7 } : event("33b")));
    expect(await post(JSON.stringify(batch))).toMatchObject({
      status: 202,
      body: { accepted: 999, items: [{ index: 500 }] },
    });
    await expect.poll(() => stored("33b"), { timeout: 15_000 }).toBe(999);
  });
});
