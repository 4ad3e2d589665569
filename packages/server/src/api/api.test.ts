/** The API as a server, asked by its own client, against a real PostgreSQL. */
import { type ApiClient, ApiError, apiClient, type EventRecord, type StreamItem, type ViewsResult } from "@seclog/api";
import { Ajv2020 } from "ajv/dist/2020.js";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { insert, SOURCE_A, SOURCE_C, SOURCE_D, seedLog } from "#test/support/seeded-log.ts";
import type { HttpService } from "../http/listening.ts";
import { tokenAccess } from "./access.ts";
import { openApi } from "./openapi.ts";
import { SCHEMAS } from "./schemas.ts";
import { serveApi } from "./serve.ts";

const TOKEN = "t".repeat(32);
let server: TestDatabase;
let admin: pg.Client;
let service: HttpService;
let client: ApiClient;
const errors: unknown[] = [];

beforeAll(async () => {
  server = await createTestDatabase();
  await seedLog(server);
  admin = new pg.Client({ connectionString: server.adminUrl });
  await admin.connect();
  service = await serveApi({
    url: server.readerUrl,
    listen: { host: "127.0.0.1", port: 0 },
    access: tokenAccess(TOKEN),
    version: "0",
    intervalMs: 50,
    onError: (error) => errors.push(error),
  });
  client = apiClient({ url: service.url, token: TOKEN, fetch: checkedFetch });
});
afterAll(async () => {
  await service.close(100);
  await admin.end();
  await server[Symbol.asyncDispose]();
});

/** Checks each response against the schema that the OpenAPI document promises. */
const ajv = new Ajv2020({ strict: false });
ajv.addSchema({ $id: "api", components: { schemas: SCHEMAS } });
const checkedFetch: typeof fetch = async (input, init) => {
  const response = await fetch(input, init);
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("text/event-stream")) return response;
  const path = new URL(String(input)).pathname;
  const { paths } = openApi("0") as {
    paths: {
      [path: string]: {
        get: { responses: { [status: string]: { content?: { [type: string]: { schema: { $ref: string } } } } } };
      };
    };
  };
  const known = Object.entries(paths).find(([pattern]) =>
    new RegExp(`^${pattern.replace(/\{\w+\}/g, "[^/]+")}$`).test(path),
  )?.[1];
  const content = known?.get.responses[response.ok ? "200" : "default"]?.content;
  const { $ref } = content?.["application/json"]?.schema ?? { $ref: "#/components/schemas/ApiFailure" };
  const validate = ajv.getSchema(`api${$ref}`);
  const body: unknown = await response.clone().json();
  expect([path, validate?.(body), validate?.errors]).toEqual([path, true, null]);
  return response;
};

/** A search's events over all its pages. */
async function all(selection: Parameters<ApiClient["events"]>[0]): Promise<readonly EventRecord[]> {
  const events: EventRecord[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await client.events({ ...selection, ...(cursor === undefined ? {} : { cursor }) });
    events.push(...page.events);
    expect(page.done).toBe(page.cursor === null);
    cursor = page.cursor;
  }
  return events;
}

describe("events", () => {
  it("come in pages, each once, in both orders, also 12,000 of one microsecond", async () => {
    for (const order of ["newest", "oldest"] as const) {
      const events = await all({ q: "type:many", limit: 1000, order });
      const seqs = events.map(({ seq }) => seq);
      expect(seqs).toHaveLength(12_000);
      expect(new Set(seqs).size).toBe(12_000);
      expect(seqs[0]).toBe(order === "oldest" ? 1 : 12_000);
    }
  });

  it("match the query and the times", async () => {
    const types = async (selection: Parameters<typeof all>[0]): Promise<unknown> =>
      (await all(selection)).map(({ event_type, seq }) => `${event_type} ${seq}`);
    expect(await types({ q: "actor:alice", since: "1d" })).toEqual(["authz_fail 3", "authn_login_fail 1"]);
    expect(await types({ q: "actor:carol" })).toEqual(["authz_fail 6"]);
    expect(await types({ q: "actor:carol", since: "1d" })).toEqual([]);
    expect(await types({ q: '"percent SURE"', order: "oldest" })).toEqual(["authz_fail 4"]);
    expect(await types({ until: "1990-01-01" })).toEqual([]);
  });

  it("keep their pages while others arrive, before and after them", async () => {
    const first = await client.events({ q: `source:${SOURCE_A}`, limit: 3 });
    await insert(admin, { source: SOURCE_C, seq: 1, type: "arrived" });
    await insert(admin, { source: SOURCE_A, seq: 7, type: "arrived" });
    const second = await client.events({ q: `source:${SOURCE_A}`, limit: 3, cursor: first.cursor ?? "" });
    expect([...first.events, ...second.events].map(({ seq }) => seq)).toEqual([5, 4, 3, 2, 1, 6]);
  });

  it("return in time with what they have, and a cursor, if a search is long", async () => {
    const page = await client.events({ q: '"nothing has this text"', budget: 50, limit: 10 });
    expect(page.events).toEqual([]);
    expect(page.reached).not.toBeNull();
    expect(await all({ q: '"nothing has this text"', budget: 50 })).toEqual([]);
  });

  it("are refused with the character at fault, and with what the cursor belongs to", async () => {
    const failure = async (path: string): Promise<unknown> => {
      const response = await fetch(`${service.url}/api/v1/${path}`, { headers: { authorization: `Bearer ${TOKEN}` } });
      return [response.status, ((await response.json()) as { error: object }).error];
    };
    await expect(client.events({ q: "type:x tpye:y" })).rejects.toBeInstanceOf(ApiError);
    expect(await failure("events?q=type:x%20tpye:y")).toEqual([
      400,
      {
        code: "SECLOG_QUERY",
        message: 'unknown field "tpye": did you mean type? (character 8)',
        at: 7,
        length: 4,
        suggestion: "type",
      },
    ]);
    const { cursor } = await client.events({ limit: 1 });
    for (const [path, message] of [
      ["events?limit=0", "is not a number from 1 to 1000"],
      ["events?limits=1", 'unknown parameter "limits": there are q, since'],
      ["events?q=a&q=b", "q is given twice"],
      ["events?order=up", "is not one of newest, oldest"],
      ["events?since=yesterday", "is not a time"],
      ["events?cursor=AAAA", "cursor cannot be read"],
      [`events?cursor=${Buffer.from('[1,1,"x",[],""]').toString("base64url")}`, "cursor cannot be read"],
      [`events?q=type:x&cursor=${cursor}`, "belongs to another query"],
      ["facets?fields=nothing", 'fields: "nothing" is not one of type,'],
      ["facets", "fields is missing"],
      ["count?before=x", "before"],
      ["entities/moon/x", "is not one of ip, actor"],
    ] as const) {
      expect([path, await failure(path)]).toEqual([
        path,
        [400, { code: expect.any(String), message: expect.stringContaining(message) }],
      ]);
    }
    expect(await failure("nothing")).toEqual([
      404,
      { code: "NOT_FOUND", message: expect.stringContaining("openapi.json") },
    ]);
    expect(await failure("events/01a00000-0000-7000-8000-0000000000ff")).toEqual([
      404,
      { code: "NOT_FOUND", message: expect.stringContaining("no event has the id") },
    ]);
  });
});

describe("counts", () => {
  it("agree with PostgreSQL, in all, over time, by field and for an entity", async () => {
    const [{ events, occurrences } = { events: 0, occurrences: 0 }] = await server.query<{
      events: number;
      occurrences: number;
    }>(
      "SELECT count(*)::int AS events, sum(coalesce(count, 1))::int AS occurrences FROM security_event_log WHERE level >= 'warning'",
    );
    expect(await client.count({ q: "level>=warning" })).toMatchObject({ events, occurrences, done: true });
    const timeline = await client.timeline({ q: "level>=warning", buckets: 30, by: "level" });
    expect(timeline.buckets.length).toBeLessThanOrEqual(30);
    expect(timeline.buckets.reduce((sum, bucket) => sum + bucket.events, 0)).toBe(events);
    expect(timeline.buckets.map(({ by }) => by["critical"] ?? 0).reduce((a, b) => a + b)).toBe(1);
    const minutes = await client.timeline({ since: "1h", buckets: 200, by: "none" });
    expect(minutes.step_seconds).toBeLessThanOrEqual(60);
    const { facets } = await client.facets({ q: "since:1d", fields: "type,actor", limit: 2 });
    expect(facets["actor"]?.values[0]).toEqual({ name: "alice", events: 2, occurrences: 2 });
    expect(facets["type"]?.approximate).toBe(false);
    const entity = await client.entity("actor", "alice");
    expect(entity).toMatchObject({
      query: "actor=alice",
      events: 2,
      facets: { ip: { values: [{ events: 1 }, { events: 1 }] } },
    });
    expect(entity.first_seen).not.toBeNull();
    expect(await client.timeline({ until: "1990-01-01" })).toMatchObject({ from: null, buckets: [] });
  });

  it("find an actor whatever signs its name has", async () => {
    const names = ["a\tb", "\u001b[31m root", "line\nbreak", 'quo"te\\', "st*r"];
    for (const [index, actor] of names.entries())
      await insert(admin, { source: `01a00000-0000-7000-8000-0000000000f${index}`, seq: 1, actor });
    const found = await Promise.all(names.map(async (name) => (await client.entity("actor", name)).events));
    expect(found).toEqual(names.map(() => 1));
  });
});

describe("an event", () => {
  it("comes with its neighbours and its leaf", async () => {
    const [event] = await all({ q: `source:${SOURCE_A} seq:3` });
    const detail = await client.event(event?.id ?? "");
    expect(detail.event).toEqual(event);
    expect([detail.before.map(({ seq }) => seq), detail.after.map(({ seq }) => seq), detail.leaf]).toEqual([
      [1, 2],
      [4, 5, 6, 7],
      null,
    ]);
    await expect(client.proof(event?.id ?? "")).rejects.toMatchObject({
      status: 404,
      failure: { code: "SECLOG_PROOF" },
    });
  });
});

describe("the log", () => {
  it("says its sources, its integrity, its catalogue and its own description", async () => {
    expect((await client.sources()).sources.map(({ id }) => id)).toContain(SOURCE_A);
    expect(await client.integrity()).toMatchObject({ leaves: 0, checkpoint: null, holds: 0 });
    expect((await client.catalogue()).types.map(({ type }) => type)).toContain("authn_login_fail");
    const headers = { authorization: `Bearer ${TOKEN}` };
    const { views } = (await (await checkedFetch(`${service.url}/api/v1/views`, { headers })).json()) as ViewsResult;
    for (const { query } of views) expect((await client.events({ q: query })).done).toBe(true);
    const response = await fetch(`${service.url}/api/v1/openapi.json`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    const document = (await response.json()) as { openapi: string; paths: object };
    expect(document.openapi).toBe("3.1.0");
    expect(Object.keys(document.paths)).toContain("/api/v1/events/{id}/proof");
  });
});

describe("the stream", () => {
  it("sends what arrives and matches, and goes on after its last id", async () => {
    type Events = StreamItem & { readonly kind: "events" };
    const next = async (items: AsyncGenerator<StreamItem>): Promise<StreamItem> =>
      (await items.next()).value as StreamItem;
    const leave = new AbortController();
    const items = client.stream({ q: "type:streamed_*" }, leave.signal);
    expect((await next(items)).kind).toBe("ready");
    await insert(admin, { source: SOURCE_D, seq: 1, type: "other" });
    await insert(admin, { source: SOURCE_D, seq: 2, type: "streamed_a" });
    const { id, events } = (await next(items)) as Events;
    expect(events.map(({ event_type }) => event_type)).toEqual(["streamed_a"]);
    leave.abort();
    await expect(items.next()).rejects.toThrow();

    await insert(admin, { source: SOURCE_D, seq: 3, type: "streamed_b" });
    const again = new AbortController();
    const resumed = client.stream({ q: "type:streamed_*", lastId: id }, again.signal);
    expect((await next(resumed)).kind).toBe("ready");
    const missed = (await next(resumed)) as Events;
    expect(missed.events.map(({ event_type }) => event_type)).toEqual(["streamed_a", "streamed_b"]);
    again.abort();

    const late = new AbortController();
    const gap = client.stream({ lastId: "2020-01-01T00:00:00.000000Z" }, late.signal);
    expect([(await next(gap)).kind, (await next(gap)).kind]).toEqual(["ready", "gap"]);
    late.abort();
  });
});

describe("the server", () => {
  it.each<[what: string, headers: { [name: string]: string }, method: string, status: number]>([
    ["no token", { authorization: "" }, "GET", 401],
    ["another token", { authorization: `Bearer ${TOKEN}x` }, "GET", 401],
    ["another method", {}, "POST", 405],
    ["another site", { "sec-fetch-site": "cross-site" }, "GET", 403],
  ])("refuses %s", async (_, headers, method, status) => {
    const response = await fetch(`${service.url}/api/v1/sources`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, ...headers },
    });
    expect([response.status, response.headers.get("cache-control")]).toEqual([status, "no-store"]);
    expect(await response.json()).toMatchObject({ error: { message: expect.any(String) } });
  });

  it("refuses to listen where others could connect", async () => {
    const options = { url: server.readerUrl, access: tokenAccess(TOKEN), version: "0", onError: () => {} };
    await expect(serveApi({ ...options, listen: { host: "0.0.0.0", port: 0 } })).rejects.toThrow("loopback only");
  });

  it("hides what the database says", async () => {
    await server.query("REVOKE SELECT ON security_event_hold FROM seclog_reader");
    try {
      await expect(client.integrity()).rejects.toMatchObject({ status: 503, failure: { code: "SECLOG_DATABASE" } });
      expect(String(errors.at(-1))).toContain("permission denied");
    } finally {
      await server.query("GRANT SELECT ON security_event_hold TO seclog_reader");
    }
  });
});
