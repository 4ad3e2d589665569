import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { sealLog } from "#test/support/seal-log.ts";
import { encodeEvent } from "../event/encode.ts";
import type { SecurityEvent } from "../event/event.ts";
import { exampleBatch, exampleEvent } from "../testing/example-events.ts";
import { postgresHandler } from "./handler.ts";
import { EVENT_SELECT, type EventRow, rowToEvent } from "./rows.ts";

let database: TestDatabase;
let owner: pg.Client;
const opened: pg.Client[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  owner = await connect(database.adminUrl);
  await owner.query("SET ROLE seclog_owner");
  await owner.query("SELECT seclog_keep('session', 'short'), seclog_keep('admin', 'long')");
});
afterAll(async () => {
  for (const client of opened) await client.end();
  await database[Symbol.asyncDispose]();
});

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  opened.push(client);
  return client;
}

/** Resolves when a session waits for a lock in this database. */
async function waiting(): Promise<void> {
  const locked = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  await expect.poll(async () => (await database.query(locked)).length, { timeout: 60_000 }).toBe(1);
}

let nextSource = 0;

/** Stores events in a new source, as an application does, and returns its id. */
async function store(...events: Partial<SecurityEvent>[]): Promise<string> {
  const sourceId = `01936d2f-5c00-7000-8000-${String(++nextSource).padStart(12, "0")}`;
  const handler = postgresHandler({ url: database.writerUrl });
  const records = events.map((event, index) =>
    Buffer.from(encodeEvent({ ...exampleEvent(index + 1, sourceId), ...event })),
  );
  await handler.handle(exampleBatch({ sourceId, records }), AbortSignal.timeout(20_000));
  await handler.close();
  return sourceId;
}

async function addMonth(month: string): Promise<void> {
  for (const name of ["short", "standard", "long"]) {
    await owner.query("SELECT seclog_add_partition($1, $2)", [name, `${month}-01T00:00:00Z`]);
  }
}

async function prune(
  retention: string,
  month: string,
  reason: string | null = "kept long enough",
): Promise<{ pruned: number; recorded_as: number }> {
  const { rows } = await owner.query<{ pruned: number; recorded_as: number }>(
    "SELECT pruned::int, recorded_as::int FROM public.seclog_prune($1, $2, $3)",
    [retention, `${month}T00:00:00Z`, reason],
  );
  return rows[0] as { pruned: number; recorded_as: number };
}

async function exists(table: string): Promise<boolean> {
  const [row] = await database.query<{ there: boolean }>("SELECT to_regclass($1) IS NOT NULL AS there", [table]);
  return row?.there ?? false;
}

async function ownEvents(): Promise<SecurityEvent[]> {
  const rows = await database.query<EventRow & { salt: Buffer; commitment: Buffer }>(
    `SELECT ${EVENT_SELECT}, salt, commitment FROM security_event_log_own ORDER BY security_event_log_own.seq`,
  );
  return rows.map((row) => {
    const event = rowToEvent(row);
    const [, personal = ""] = encodeEvent(event).split("\n");
    expect(row.commitment).toEqual(createHash("sha256").update(row.salt).update(personal).digest());
    return event;
  });
}

/** Everything that proves what was stored. */
async function proofs(): Promise<unknown[]> {
  return await Promise.all(
    ["seal", "tile", "checkpoint", "signature", "key"].map((table) =>
      database.query(`SELECT * FROM security_event_${table} ORDER BY 1, 2`),
    ),
  );
}

describe("seclog_prune()", () => {
  it("drops a month, and keeps its proofs and its numbers", async () => {
    await addMonth("2025-03");
    const old = { occurredAt: "2025-03-31T23:59:59.999999Z" };
    const late = { occurredAt: "2025-04-01T00:00:00.000000Z" };
    const one = await store(old, old, late, old, { ...old, category: "session" }, old, old);
    const two = await store(late, old);
    await sealLog(database);
    const before = await proofs();
    const plan = await prune("standard", "2025-03-01");
    expect(plan.pruned).toBe(6);
    expect(await exists("security_event_log_standard_2025_03")).toBe(false);
    expect(await exists("security_event_log_short_2025_03")).toBe(true);
    expect(await proofs()).toEqual(before);
    const left = await database.query(
      "SELECT source_id, seq::int FROM security_event_log WHERE source_id = ANY ($1) ORDER BY 1, 2",
      [[one, two]],
    );
    expect(left).toEqual([
      { source_id: one, seq: 3 },
      { source_id: one, seq: 5 },
      { source_id: two, seq: 1 },
    ]);
    const removed = await database.query("SELECT * FROM security_event_removed ORDER BY source_id");
    const kept = { own_seq: String(plan.recorded_as), kind: "pruned" };
    expect(removed).toEqual([
      { ...kept, source_id: one, seqs: "{[1,3),[4,5),[6,8)}" },
      { ...kept, source_id: two, seqs: "{[2,3)}" },
    ]);
    const lines = `${one} {[1,3),[4,5),[6,8)}\n${two} {[2,3)}\n`;
    const event = (await ownEvents()).find(({ seq }) => seq === plan.recorded_as);
    expect(event).toMatchObject({
      type: "log_retention",
      actorId: new URL(database.adminUrl).username,
      data: {
        before: "2025-04-01T00:00:00Z",
        partitions: ["security_event_log_standard_2025_03"],
        reason: "kept long enough",
        rows: 6,
        sha256: createHash("sha256").update(lines).digest("hex"),
      },
    });
    // Partitions created ahead are for other months.
    const ensured = await connect(database.sealerUrl);
    await ensured.query("SELECT public.seclog_make_partitions()");
    expect(await exists("security_event_log_standard_2025_03")).toBe(false);
    // The log continues, and a late event lands in the default partition.
    await store(old);
    expect(await sealLog(database)).toBeGreaterThan(0);
  });

  it("drops an empty month, and records that", async () => {
    await addMonth("2025-02");
    const { pruned, recorded_as } = await prune("long", "2025-02-01");
    expect(pruned).toBe(0);
    expect((await ownEvents()).at(-1)).toMatchObject({
      seq: recorded_as,
      data: { rows: 0, sha256: createHash("sha256").digest("hex") },
    });
  });

  it("refuses a month with events that are not sealed", async () => {
    await addMonth("2025-05");
    const old = { occurredAt: "2025-05-01T00:00:00.000000Z" };
    await store(old);
    await sealLog(database);
    const source = await store(old, old);
    const events = await ownEvents();
    await expect(prune("standard", "2025-05-01")).rejects.toMatchObject({
      code: "SL020",
      message: expect.stringContaining("1 source(s)"),
    });
    expect(await ownEvents()).toEqual(events);
    await sealLog(database);
    expect(await prune("short", "2025-05-01")).toMatchObject({ pruned: 0 });
    // A number that a writer invented was never part of the seal, and must not keep the month for ever.
    await database.query(
      `INSERT INTO security_event_log SELECT (jsonb_populate_record(log, '{"seq":3}')).* FROM security_event_log AS log
        WHERE source_id = $1 AND seq = 2`,
      [source],
    );
    await database.query(
      `INSERT INTO security_event_log SELECT (jsonb_populate_record(log, jsonb_build_object('seq', 1, 'source_id',
          (SELECT own_source FROM security_event_tree)))).* FROM security_event_log AS log WHERE source_id = $1 AND seq = 2`,
      [source],
    );
    expect(await prune("standard", "2025-05-01")).toMatchObject({ pruned: 3 });
    expect((await ownEvents()).at(-1)).toMatchObject({ data: { rows: 3, strays: 2 } });
    const removed = await database.query("SELECT seqs::text FROM security_event_removed WHERE source_id = $1", [
      source,
    ]);
    expect(removed).toEqual([{ seqs: "{[1,3)}" }]);
  });

  it("refuses a month that a hold covers, until it is released", async () => {
    await addMonth("2025-06");
    await store({ occurredAt: "2025-06-15T00:00:00.000000Z" });
    await sealLog(database);
    const hold = async (...values: (string | null)[]): Promise<string> =>
      (await owner.query<{ id: string }>("SELECT seclog_hold($1, $2, $3, $4) AS id", values)).rows[0]?.id ?? "";
    const others = [
      await hold("another class", "long", null, null),
      await hold("before", null, null, "2025-06-01T00:00:00Z"),
      await hold("after", "standard", "2025-07-01T00:00:00Z", null),
    ];
    const covering = [
      await hold("case 7", null, null, null),
      await hold('its "last" second', "standard", "2025-06-30T23:59:59.999Z", "2026-01-01"),
    ];
    for (const id of covering) {
      await expect(prune("standard", "2025-06-01")).rejects.toMatchObject({
        code: "SL021",
        message: expect.stringContaining(`is under hold ${id}: `),
      });
      await owner.query("SELECT seclog_release($1, 'the case is over')", [id]);
    }
    expect(await prune("standard", "2025-06-01")).toMatchObject({ pruned: 1 });
    for (const id of others) await owner.query("SELECT seclog_release($1, 'test')", [id]);
    const data = (await ownEvents()).map((event) => event.data);
    expect(data).toContainEqual({ hold: Number(others[0]), reason: "another class", class: "long" });
    expect(data).toContainEqual({ hold: Number(others[1]), reason: "before", until: "2025-06-01T00:00:00.000000Z" });
    expect(data).toContainEqual({
      class: "standard",
      hold: Number(covering[1]),
      reason: 'its "last" second',
      since: "2025-06-30T23:59:59.999000Z",
      until: "2026-01-01T00:00:00.000000Z",
    });
    expect(data).toContainEqual({ released: Number(covering[0]), reason: "the case is over" });
    expect(data).toContainEqual({ category: "session", class: "short" });
  });

  it("waits for a hold that is being placed", async () => {
    await addMonth("2025-10");
    const lawyer = await connect(database.adminUrl);
    await lawyer.query("SET ROLE seclog_owner; BEGIN");
    await lawyer.query("SELECT seclog_hold('case 9', NULL, '2025-10-11', '2025-10-12')");
    const pruning = expect(prune("long", "2025-10-01")).rejects.toMatchObject({ code: "SL021" });
    await waiting();
    await lawyer.query("COMMIT");
    await pruning;
    await owner.query("SELECT seclog_release(max(id), 'test') FROM security_event_hold");
    expect(await prune("long", "2025-10-01")).toMatchObject({ pruned: 0 });
  });

  it.each([
    ["a month that is not there", "standard", "2024-01-01"],
    ["half a month", "standard", "2025-07-02"],
    ["the own partition", "own", "2025-07-01"],
    ["an unknown class", "standard_2025", "2025-07-01"],
  ])("refuses %s", async (_, retention, month) => {
    await expect(prune(retention, month)).rejects.toMatchObject({ code: "SL022" });
  });

  it("drops neither a table that only has the name nor a month twice", async () => {
    await addMonth("2025-08");
    expect(await prune("short", "2025-08-01")).toMatchObject({ pruned: 0 });
    await expect(prune("short", "2025-08-01")).rejects.toMatchObject({ code: "SL022" });
    await owner.query("ALTER TABLE security_event_log_long DETACH PARTITION security_event_log_long_2025_08");
    await expect(prune("long", "2025-08-01")).rejects.toMatchObject({ code: "SL022" });
    expect(await exists("security_event_log_long_2025_08")).toBe(true);
    for (const reason of [null, " "])
      await expect(prune("standard", "2025-08-01", reason)).rejects.toThrow("why to prune");
  });

  it.each([
    ["hold", "SELECT seclog_hold(' ', NULL, NULL, NULL)"],
    ["hold", "SELECT seclog_hold('x', 'forever', NULL, NULL)"],
    ["hold", "SELECT seclog_hold('x', NULL, '2026-01-02', '2026-01-01')"],
    ["keep", "SELECT seclog_keep('authn', 'own')"],
  ])("a %s that cannot be is refused: %s", async (_, sql) => {
    await expect(owner.query(sql)).rejects.toMatchObject({ code: "23514" });
  });

  it("gives up after two seconds at a lock that a reader holds, and changes nothing", async () => {
    await addMonth("2025-09");
    await store({ occurredAt: "2025-09-15T00:00:00.000000Z" });
    await sealLog(database);
    const reader = await connect(database.readerUrl);
    await reader.query("BEGIN; SELECT count(*) FROM security_event_log");
    const events = await ownEvents();
    const start = performance.now();
    await expect(prune("standard", "2025-09-01")).rejects.toMatchObject({ code: "55P03" });
    expect(performance.now() - start).toBeGreaterThan(1_900);
    await reader.query("COMMIT");
    expect(await ownEvents()).toEqual(events);
    expect(await prune("standard", "2025-09-01")).toMatchObject({ pruned: 1 });
  });

  it("lets applications continue to store", async () => {
    const months = ["2024-03", "2024-04", "2024-05", "2024-06", "2024-07", "2024-08"];
    for (const month of months) await addMonth(month);
    await store(...months.map((month) => ({ occurredAt: `${month}-11T00:00:00.000000Z` })));
    await sealLog(database);
    const sourceId = "01936d2f-5c00-7000-8000-00000000beef";
    const handler = postgresHandler({ url: database.writerUrl });
    const now = new Date().toISOString().replace("Z", "000Z");
    let stored = 0;
    let done = false;
    const shipping = (async () => {
      while (!done || stored < 300) {
        const batch = { sourceId, firstSeq: stored + 1, count: 50, acknowledged: stored, event: { occurredAt: now } };
        await handler.handle(exampleBatch(batch), AbortSignal.timeout(20_000));
        stored += 50;
      }
    })();
    while (stored === 0) await sleep(5);
    // While partitions are created as well.
    const maker = await connect(database.sealerUrl);
    const making = maker.query("SELECT public.seclog_make_partitions(6)");
    for (const month of months) {
      for (let left = 10; ; left--) {
        try {
          expect(await prune("standard", `${month}-01`)).toMatchObject({ pruned: 1 });
          break;
        } catch (error) {
          if ((error as { code?: string }).code !== "55P03" || left === 0) throw error;
        }
      }
    }
    await making;
    done = true;
    await shipping;
    await handler.close();
    const [row] = await database.query<{ rows: number; seqs: number }>(
      "SELECT count(*)::int AS rows, count(DISTINCT seq)::int AS seqs FROM security_event_log WHERE source_id = $1",
      [sourceId],
    );
    expect(row).toEqual({ rows: stored, seqs: stored });
  });
});
