import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { type Collector, type CollectorOptions, startCollector } from "./collector.ts";
import type { NewToken } from "./token.ts";
import { addToken, revokeToken } from "./token-file.ts";

let database: TestDatabase;
let spool: string;
let collector: Collector | undefined;
let trouble: unknown[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());
beforeEach(() => {
  spool = mkdtempSync(join(tmpdir(), "seclog-collect-"));
  trouble = [];
});
afterEach(async () => {
  await collector?.close();
  collector = undefined;
  rmSync(spool, { recursive: true, force: true });
});

const SHOP: NewToken = { name: "shop", services: ["shop-api", "shop-admin"] };

async function start(options: Partial<CollectorOptions> = {}, token: NewToken = SHOP): Promise<string> {
  const { token: secret } = addToken(spool, token);
  collector = await startCollector({
    listen: { host: "127.0.0.1", port: 0 },
    spool,
    url: database.writerUrl,
    onTrouble: (error) => trouble.push(error),
    ...options,
  });
  return secret;
}

interface Sent {
  readonly type?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly path?: string;
}

async function post(
  token: string | undefined,
  body: string | Uint8Array<ArrayBuffer>,
  { type = "application/json", headers = {}, path = "/v1/events" }: Sent = {},
): Promise<{ status: number; headers: Headers; body: Record<string, unknown> }> {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(`${collector?.url}${path}`, {
    method: "POST",
    headers: { "content-type": type, ...authorization, ...headers },
    body,
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
}

type Row = Record<string, unknown>;

/** The rows of a type, once there are so many. */
async function rows(type: string, count = 1): Promise<Row[]> {
  let found: Row[] = [];
  await expect
    .poll(
      async () => {
        found = await database.query<Row>("SELECT * FROM security_event_log WHERE event_type = $1 ORDER BY seq", [
          type,
        ]);
        return found.length;
      },
      { timeout: 15_000 },
    )
    .toBe(count);
  return found;
}

describe("POST /v1/events", () => {
  it("stores a JSON event with its facts in the columns, as the sender's", async () => {
    const token = await start();
    const sent = {
      event_type: "authn_login_fail",
      service: "shop-admin",
      environment: "staging",
      host: "web-1",
      logger: "accounts",
      method: "POST",
      path: "/login?next=/secret",
      status_code: 401,
      ip_address: "203.0.113.7",
      user_agent: "curl/8",
      request_id: "abc-1",
      trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
      span_id: "00f067aa0ba902b7",
      actor_id: "ada",
      actor_type: "user",
      data: { reason: "password" },
    };
    expect(await post(token, JSON.stringify(sent))).toMatchObject({ status: 202, body: { accepted: 1, refused: 0 } });
    const [row] = await rows("authn_login_fail");
    expect(row).toMatchObject({
      service: "shop-admin",
      environment: "staging",
      host: "web-1",
      logger: "accounts",
      level: "warning",
      outcome: "failure",
      method: "POST",
      path: "/login",
      status_code: 401,
      ip_address: "203.0.113.7",
      ip_source: "socket",
      user_agent: "curl/8",
      request_id: "abc-1",
      trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
      span_id: "00f067aa0ba902b7",
      actor_id: "ada",
      actor_type: "user",
      data: { reason: "password", collector: { sender: "shop", receiver: "json" } },
      notes: null,
    });
    expect(trouble).toEqual([]);
  });

  it("takes an array, NDJSON and gzip, and says what it refused of each", async () => {
    const token = await start();
    const good = { event_type: "sensitive_read", data: { userid: "ada" } };
    const array = await post(token, JSON.stringify([good, 7, { data: {} }, good]));
    expect(array).toMatchObject({
      status: 202,
      body: {
        accepted: 2,
        refused: 2,
        items: [
          { index: 1, code: "malformed" },
          { index: 2, code: "malformed" },
        ],
      },
    });
    const lines = `${JSON.stringify(good)}\nnot json\n\n${JSON.stringify(good)}\r\n`;
    expect(await post(token, lines, { type: "application/x-ndjson; charset=utf-8" })).toMatchObject({
      status: 202,
      body: { accepted: 2, refused: 1, items: [{ index: 1 }] },
    });
    const zipped = gzipSync(JSON.stringify([good]));
    expect(await post(token, zipped, { headers: { "content-encoding": "gzip" } })).toMatchObject({ status: 202 });
    await rows("sensitive_read", 5);
  });

  it("overwrites what a sender may not say, and keeps what it said", async () => {
    const token = await start();
    const said = {
      event_type: "authz_change",
      service: "bank",
      source_id: "01936d2f-5c00-7000-8000-000000000001",
      seq: 7,
      id: "x",
      occurred_at: "2020-01-01T00:00:00Z",
      created_at: "2020-01-01T00:00:00Z",
      data: { collector: { sender: "bank" }, occurredAt: "2020-01-01" },
    };
    const before = Date.now();
    expect((await post(token, JSON.stringify(said))).status).toBe(202);
    const [row] = await rows("authz_change");
    expect(row?.["service"]).toBe("shop-api");
    expect(row?.["source_id"]).not.toBe(said.source_id);
    expect(row?.["occurred_at"]).toSatisfy((at: Date) => at.getTime() >= before - 1);
    expect(row?.["data"]).toMatchObject({
      collector: {
        sender: "shop",
        time: "2020-01-01T00:00:00.000Z",
        claimed: { service: "bank", source_id: said.source_id, seq: 7, id: "x", collector: { sender: "bank" } },
      },
    });
  });

  it("dates events by the sender's clock if its token says so", async () => {
    const token = await start({}, { ...SHOP, trustClock: true });
    const at = new Date(Date.now() - 3_600_000);
    await post(token, JSON.stringify({ event_type: "user_created", occurred_at: at.toISOString() }));
    expect((await rows("user_created"))[0]?.["occurred_at"]).toEqual(at);
  });

  it("records a repeated key once, also by two requests at once", async () => {
    const token = await start();
    const body = JSON.stringify([{ event_type: "user_updated" }, { event_type: "user_updated" }, {}]);
    const headers = { "idempotency-key": "batch-1" };
    const answers = await Promise.all([1, 2, 3].map(() => post(token, body, { headers })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 202]);
    for (const answer of answers) expect(answer.body).toMatchObject({ accepted: 2, refused: 1, items: [{ index: 2 }] });
    expect((await post(token, "[]", { headers })).status).toBe(409);
    await rows("user_updated", 2);
  });

  it("remembers keys when it starts again", async () => {
    const token = await start();
    const headers = { "idempotency-key": "batch-2" };
    const body = JSON.stringify({ event_type: "user_archived" });
    expect((await post(token, body, { headers })).status).toBe(202);
    await collector?.close();
    await start({}, { name: "other", services: ["x"] });
    expect((await post(token, body, { headers })).status).toBe(200);
    await rows("user_archived", 1);
  });

  it("refuses a missing, a wrong and a revoked token, and records that", async () => {
    const token = await start();
    expect(await post(undefined, "{}")).toMatchObject({ status: 401 });
    expect((await post(undefined, "{}")).headers.get("www-authenticate")).toContain("Bearer");
    expect(await post(`${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`, "{}")).toMatchObject({ status: 401 });
    const basic = Buffer.from(`anyone:${token}`).toString("base64");
    const event = JSON.stringify({ event_type: "session_created" });
    expect((await post(undefined, event, { headers: { authorization: `Basic ${basic}` } })).status).toBe(202);
    revokeToken(spool, "shop");
    await expect.poll(async () => (await post(token, event)).status).toBe(401);
    expect((await rows("authn_token_reuse", 1))[0]).toMatchObject({ actor_id: "shop", service: "seclog-collect" });
    await rows("unauthenticated_request", 3);
    expect(JSON.stringify(await database.query("SELECT * FROM security_event_log"))).not.toContain(token.slice(16));
    expect(readFileSync(join(spool, "collector", "tokens.json"), "utf8")).not.toContain(token.slice(16));
  });

  it("refuses types that the token does not allow, and the log's own", async () => {
    const token = await start({}, { ...SHOP, types: ["upload_*", "log_read"] });
    const body = JSON.stringify(
      ["upload_complete", "crypt_decrypt_fail", "log_read"].map((event_type) => ({ event_type })),
    );
    expect(await post(token, body)).toMatchObject({
      status: 202,
      body: {
        accepted: 1,
        refused: 2,
        items: [
          { index: 1, code: "not-allowed" },
          { index: 2, code: "not-allowed" },
        ],
      },
    });
    expect(await post(token, JSON.stringify({ event_type: "crypt_decrypt_fail" }))).toMatchObject({ status: 403 });
    const found = await rows("authz_fail", 2);
    for (const row of found) expect(row).toMatchObject({ actor_id: "shop", service: "seclog-collect" });
  });

  it("flags a type that it does not know, as any log does", async () => {
    const token = await start();
    await post(token, JSON.stringify({ event_type: "refund_refused" }));
    expect((await rows("refund_refused"))[0]?.["notes"]).toEqual({ flags: ['unknown type "refund_refused"'] });
  });

  it("takes events while the database is away, and says when its spool is full", async () => {
    const token = await start({ url: "postgresql://nobody:x@127.0.0.1:1/none", spoolBytes: 32 * 1024 * 1024 });
    const event = JSON.stringify({ event_type: "mcp_tool_poisoning", data: { text: "x".repeat(7_000) } });
    const batch = `[${Array.from({ length: 100 }, () => event).join(",")}]`;
    let status = 202;
    for (let sent = 0; status === 202 && sent < 60; sent++) {
      const answer = await post(token, batch);
      status = answer.status;
      if (status === 503) expect(answer.headers.get("retry-after")).toBe("5");
    }
    expect(status).toBe(503);
    const ready = await fetch(`${collector?.url}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.text()).toContain("the spool has");
    expect((await fetch(`${collector?.url}/healthz`)).status).toBe(200);
  });

  it("says how it is doing", async () => {
    const token = await start();
    await post(token, JSON.stringify({ event_type: "sys_restart" }));
    expect(await (await fetch(`${collector?.url}/readyz`)).text()).toBe("ok\n");
    const metrics = await (await fetch(`${collector?.url}/metrics`)).text();
    expect(metrics).toMatch(/^seclog_collect_events_total\{receiver="json",outcome="recorded"\} 1$/m);
    expect(metrics).toMatch(/^seclog_collect_responses_total\{status="202"\} 1$/m);
    expect(metrics).toMatch(/^seclog_collect_ready 1$/m);
    expect((await fetch(`${collector?.url}/v1/events`)).status).toBe(405);
    expect((await fetch(`${collector?.url}/nowhere`)).status).toBe(404);
  });

  it("lets no second collector use its spool", async () => {
    await start();
    const again = startCollector({
      listen: { host: "127.0.0.1", port: 0 },
      spool,
      url: database.writerUrl,
      onTrouble: () => {},
    });
    await expect(again).rejects.toMatchObject({ code: "SECLOG_SPOOL_LOCKED" });
  });
});
