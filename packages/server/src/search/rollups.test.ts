import { both, type Query } from "@seclog/api";
import pg from "pg";
import { formatPrivateKey, parsePrivateKey } from "seclog/merkle";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { addEvents, addSource, sealAll, seed } from "#test/support/sealed-tree.ts";
import { type Database, openReader } from "../database/reader.ts";
import { SessionPool } from "../database/session.ts";
import { countFacets, countMatching, countOverTime } from "./aggregate.ts";
import { readQuery } from "./filter-query.ts";
import { keepRollups } from "./roll-up.ts";
import { countRollups } from "./rollups.ts";
import { rangeOf } from "./search-events.ts";

const SOURCES = ["01a00000-0000-7000-8000-0000000000a1", "01a00000-0000-7000-8000-0000000000a2"] as const;
const NOW = new Date();
const OPTIONS = { budgetMs: 60_000 };

let server: TestDatabase;
let database: Database;

beforeEach(async () => {
  server = await createTestDatabase();
  database = openReader(undefined, server.readerUrl);
});
afterEach(async () => {
  await database.destroy();
  await server[Symbol.asyncDispose]();
});

/** Stores numbers of a source, spread over three days, and moves its position over them. */
async function store(source: string, from: number, to: number): Promise<void> {
  await server.query(
    `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, service, count, logger, source_id, epoch, seq, v, commitment)
     SELECT gen_random_uuid(), now() - make_interval(secs => n * 97), 'type_' || n % 5, (ARRAY['info', 'warning', 'critical'])[1 + n % 3]::security_event_level,
       'cat_' || n % 2, 'success', CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN 'a' ELSE 'b' END, CASE n % 7 WHEN 0 THEN n END,
       'security', $1, 1, n, 1, '' FROM generate_series($2::int, $3::int) AS n`,
    [source, from, to],
  );
  await server.query(
    `INSERT INTO security_event_source (id, epoch, last_seq, key_hash) VALUES ($1, 1, $2, '')
     ON CONFLICT (id) DO UPDATE SET last_seq = excluded.last_seq`,
    [source, to],
  );
}

async function roll(most: number): Promise<number> {
  const [row] = await server.query<{ passed: number }>("SELECT seclog_roll($1)::int AS passed", [most]);
  return row?.passed ?? 0;
}

const QUERIES = [
  "",
  "type:type_*,x level>=warning",
  "-service:a",
  "service:* or category:cat_1",
  "since:1000m type:type_2,type_3",
];

/** Compares every count with that of the rows. */
async function compare(): Promise<void> {
  for (const text of QUERIES) {
    const query: Query = readQuery(text, NOW);
    const range = await rangeOf(database, query);
    const rolled = range === undefined ? undefined : await countRollups(database, query, range);
    expect([text, rolled === undefined]).toEqual([text, false]);
    // A word of the event's data makes the same query one that only rows can decide.
    const rows = both(query, readQuery('-"no event has this"', NOW));
    const exact = { reached: expect.anything(), done: true };
    expect([text, await countMatching(database, query, OPTIONS)]).toEqual([
      text,
      { ...(await countMatching(database, rows, OPTIONS)), ...exact },
    ]);
    const facets = async (which: Query): Promise<unknown> =>
      (await countFacets(database, which, ["type", "level", "service", "ip"], 10, OPTIONS)).facets;
    expect([text, await facets(query)]).toEqual([text, await facets(rows)]);
    const bars = async (which: Query): Promise<unknown> =>
      (await countOverTime(database, which, { ...OPTIONS, most: 60, by: "level" }))?.buckets;
    expect([text, await bars(query)]).toEqual([text, await bars(rows)]);
  }
}

describe("rollups", () => {
  it("count what the rows do: not yet, in part, and all of them", async () => {
    await store(SOURCES[0], 1, 1500);
    await store(SOURCES[1], 1, 900);
    await compare();
    expect(await roll(1000)).toBe(1000);
    await store(SOURCES[1], 901, 1000);
    await compare();
    while ((await roll(700)) > 0);
    await compare();
  });

  it("are kept by the sealer's role, and cannot be written by it or the reader", async () => {
    await store(SOURCES[0], 1, 300);
    const pool = new SessionPool({ role: "sealer", url: server.sealerUrl, purpose: "test", access: "READ WRITE" }, 1);
    const failures: unknown[] = [];
    try {
      const signal = new AbortController().signal;
      await keepRollups({ pool, once: true, signal, onFailure: (error) => failures.push(error) });
      expect(failures).toEqual([]);
      const [{ numbers } = { numbers: 0 }] = await server.query<{ numbers: number }>(
        "SELECT sum(last_seq)::int AS numbers FROM security_event_rolled",
      );
      expect(numbers).toBeGreaterThanOrEqual(300);
      await expect(pool.query("DELETE FROM public.security_event_rollup")).rejects.toThrow("permission denied");
      await expect(pool.query("SELECT public.seclog_unroll()")).rejects.toThrow("permission denied");
    } finally {
      await pool.end();
    }
  });

  it("lose a month with its partition, keep what an erasure leaves, and are made anew alike", async () => {
    const log = parsePrivateKey(formatPrivateKey("log.example/shop", seed()));
    const source = await addSource(server);
    await addEvents(server, source, 40);
    await sealAll(server, log);
    while ((await roll(50)) > 0);
    const counts = async (): Promise<unknown> =>
      await server.query(
        "SELECT hour, retention, event_type, events::int, occurrences::int FROM security_event_rollup ORDER BY 1, 2, 3, 4",
      );
    const before = await counts();
    await server.query("SELECT seclog_unroll()");
    expect(await counts()).toEqual([]);
    while ((await roll(7)) > 0);
    expect(await counts()).toEqual(before);
    const admin = new pg.Client({ connectionString: server.adminUrl });
    await admin.connect();
    try {
      const [event] = await server.query<{ id: string }>(
        `SELECT id FROM security_event_log WHERE source_id = '${source}' LIMIT 1`,
      );
      await admin.query("SELECT * FROM seclog_erase(NULL, NULL, NULL, ARRAY[$1::uuid], NULL, NULL, 'a test', false)", [
        event?.id,
      ]);
      const [erased] = await server.query<{ salt: unknown }>("SELECT salt FROM security_event_log WHERE id = $1", [
        event?.id,
      ]);
      expect(erased).toEqual({ salt: null });
      await server.query("SELECT seclog_unroll()");
      while ((await roll(50)) > 0);
      expect(await counts()).toEqual(expect.arrayContaining(before as unknown[]));
      const total = async (): Promise<number> =>
        (await countMatching(database, readQuery("-type:log_*", NOW), OPTIONS)).events;
      expect(await total()).toBeGreaterThanOrEqual(40);
      await admin.query(
        "SELECT seclog_prune('standard', date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', 'a test')",
      );
      const left = await server.query<{ retention: string }>("SELECT DISTINCT retention FROM security_event_rollup");
      expect(left.map(({ retention }) => retention)).toEqual(["own"]);
      expect(await total()).toBe(0);
    } finally {
      await admin.end();
    }
  });
});
