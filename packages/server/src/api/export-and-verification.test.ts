/** Downloads and verifications over HTTP, against a real PostgreSQL. */
import { setTimeout as sleep } from "node:timers/promises";
import { type ApiClient, apiClient, type VerificationState } from "@seclog/api";
import { readVkey } from "@seclog/verify";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { store } from "#test/support/life-of-a-log.ts";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { sealLog, TEST_SIGNER } from "#test/support/seal-log.ts";
import { seedLog } from "#test/support/seeded-log.ts";
import type { HttpService } from "../http/listening.ts";
import type { ExportRecord } from "../search/export/record-export.ts";
import { tokenAccess } from "./access.ts";
import { serveApi } from "./serve.ts";

const TOKEN = "t".repeat(32);
let server: TestDatabase;
let service: HttpService;
const records: ExportRecord[] = [];
const errors: unknown[] = [];
let recording: () => Promise<void> = async () => {};

beforeAll(async () => {
  server = await createTestDatabase();
  await seedLog(server);
  service = await start();
});
afterAll(async () => {
  await service.close(100);
  await server[Symbol.asyncDispose]();
});

async function start(of: TestDatabase = server, keys = [readVkey(TEST_SIGNER.vkey)]): Promise<HttpService> {
  return await serveApi({
    url: of.readerUrl,
    listen: { host: "127.0.0.1", port: 0 },
    access: tokenAccess(TOKEN),
    version: "0",
    keys,
    onExport: async (record) => {
      await recording();
      records.push(record);
    },
    onError: (error) => errors.push(error),
  });
}

async function get(query: string, signal?: AbortSignal): Promise<Response> {
  return await fetch(`${service.url}/api/v1/export?${query}`, {
    headers: { authorization: `Bearer ${TOKEN}` },
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Connections of exports that the database still serves. */
async function exporting(): Promise<number> {
  const [row] = await server.query<{ count: number }>(
    "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'seclog export' AND datname = current_database()",
  );
  return row?.count ?? -1;
}

describe("an export", () => {
  it("is a file of the events that match, oldest first, and an event of the log", async () => {
    const response = await get("q=actor:alice&format=ndjson");
    expect(response.headers.get("content-disposition")).toMatch(/^attachment; filename="seclog-[\dT-]+Z\.ndjson"$/);
    expect(response.headers.get("content-type")).toBe("application/x-ndjson; charset=utf-8");
    const lines = (await response.text()).trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { seq: number }).seq)).toEqual([1, 3]);
    await vi.waitUntil(() => records.length === 2);
    const filter = expect.stringMatching(/^actor:alice, up to /);
    expect(records).toEqual([
      { format: "ndjson", filter, actor: "token", reason: "started" },
      { format: "ndjson", filter, actor: "token", reason: "finished", rows: 2 },
    ]);
  });

  it("has the other formats, and a header even when nothing matches", async () => {
    const csv = await (await get("q=actor:nobody-here&format=csv")).text();
    expect(csv).toMatch(/^[\w,]+\r?\n$/);
    expect(await (await get("q=actor:alice&format=cef")).text()).toMatch(/^CEF:/);
    expect(await (await get("q=type:many&format=csv")).text().then((text) => text.split("\n").length)).toBe(12_002);
  });

  it("is refused for a wrong query or format, and when the log cannot record it", async () => {
    const refusal = async (query: string): Promise<unknown> => {
      const response = await get(query);
      return [response.status, ((await response.json()) as { error: { message: string } }).error.message];
    };
    expect(await refusal("q=tpye:x")).toEqual([400, expect.stringContaining("tpye")]);
    expect(await refusal("format=xls")).toEqual([400, expect.stringContaining('format "xls" is not one of ndjson')]);
    recording = () => Promise.reject(new Error("no writer"));
    expect(await refusal("q=actor:alice")).toEqual([500, "internal error"]);
    recording = async () => {};
    expect(String(errors.pop())).toContain("no writer");
  });

  it("waits for a slow client, ends with one that leaves, and lets four run at a time", async () => {
    await server.query(
      `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment, data)
       SELECT gen_random_uuid(), '2022-05-05T05:05:05Z', 'wide', 'info', 'test', 'success', 'security',
         '01a00000-0000-7000-8000-0000000000ff', 1, n, 1, '', jsonb_build_object('t', repeat('x', 2000))
       FROM generate_series(1, 20000) n`,
    );
    const left = new AbortController();
    const responses = await Promise.all([1, 2, 3, 4].map(() => get("q=type:wide", left.signal)));
    for (const { body } of responses) await body?.getReader().read();
    expect([await exporting(), (await get("q=type:wide")).status]).toEqual([4, 503]);
    left.abort();
    await vi.waitUntil(async () => (await exporting()) === 0, { timeout: 5_000 });
    expect((await get("q=actor:alice")).status).toBe(200);
    expect(errors).toEqual([]);
  });

  it("ends also before the database has the first row", async () => {
    const lock = new pg.Client({ connectionString: server.adminUrl });
    await lock.connect();
    await lock.query("BEGIN; LOCK TABLE security_event_log IN ACCESS EXCLUSIVE MODE");
    const left = new AbortController();
    const asked = get("q=type:wide", left.signal).catch(() => {});
    const waiting =
      "SELECT FROM pg_stat_activity WHERE application_name = 'seclog export' AND wait_event_type = 'Lock'";
    await vi.waitUntil(async () => (await server.query(waiting)).length === 1, { timeout: 5_000 });
    left.abort();
    await asked;
    await vi.waitUntil(async () => (await exporting()) === 0, { timeout: 5_000 });
    await lock.end();
  });
});

describe("a verification", () => {
  let database: TestDatabase;
  let own: HttpService;
  let client: ApiClient;

  beforeAll(async () => {
    database = await createTestDatabase();
    await store(database, "bob");
    own = await start(database);
    client = apiClient({ url: own.url, token: TOKEN });
  });
  afterAll(async () => {
    await own.close(100);
    await database[Symbol.asyncDispose]();
  });

  const ended = async (asked = client): Promise<VerificationState> => {
    for (;;) {
      const state = await asked.verification();
      if (state.state !== "running") return state;
      await sleep(20);
    }
  };

  it("runs after its caller has left, once at a time, and tells what it compared", async () => {
    expect(await client.verification()).toMatchObject({ state: "none", checks: [] });
    await client.startVerification();
    expect(await ended()).toMatchObject({ state: "passed", total: 0 });
    const size = await sealLog(database);
    const [one, two] = await Promise.all([client.startVerification(), client.startVerification()]);
    expect([one.state, one.started_at]).toEqual(["running", two.started_at]);
    const end = await ended();
    expect(end).toMatchObject({ state: "passed", done: size, total: size, differences: [] });
    expect(end.checks.every(({ ok }) => ok)).toBe(true);
    expect(end.checks[0]?.detail).toContain("with the keys that were given: log.example/shop+");
  });

  it("says when the keys come from the database, and refuses what is not a key", async () => {
    const other = await start(database, []);
    const asked = apiClient({ url: other.url, token: TOKEN });
    await asked.startVerification();
    const { state, checks } = await ended(asked);
    expect([state, checks[0]?.detail]).toEqual(["passed", expect.stringContaining("come from the database")]);
    await expect(client.startVerification(["x"])).rejects.toMatchObject({ status: 400 });
    await other.close(100);
  });

  it("has no answer when something prevents it", async () => {
    await database.query("REVOKE SELECT ON security_event_seal FROM seclog_reader");
    try {
      await client.startVerification();
      const { state, differences } = await ended();
      expect([state, differences]).toEqual(["unfinished", [expect.stringContaining("was not verified")]]);
    } finally {
      await database.query("GRANT SELECT ON security_event_seal TO seclog_reader");
    }
  });

  it("names what was changed", async () => {
    await database.query("ALTER TABLE security_event_log DISABLE TRIGGER ALL");
    await database.query("UPDATE security_event_log SET actor_id = 'mallory' WHERE actor_id = 'bob' AND seq = 3");
    await client.startVerification([TEST_SIGNER.vkey]);
    const { state, checks, differences } = await ended();
    expect([state, checks.filter(({ ok }) => !ok).map(({ name }) => name)]).toEqual(["failed", ["Events"]]);
    expect(differences).toEqual([expect.stringContaining("number 3")]);
  });

  it("ends with the server, and its connection with it", async () => {
    const other = await start(database);
    await apiClient({ url: other.url, token: TOKEN }).startVerification();
    await other.close(100);
    await vi.waitUntil(async () => {
      const [row] = await database.query<{ count: number }>(
        "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'seclog verify' AND datname = current_database()",
      );
      return row?.count === 0;
    });
  });
});
