import { createHash } from "node:crypto";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PostgresProxy } from "#faults/proxy.js";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { type ExampleBatchOptions, exampleBatch } from "../testing/example-events.ts";
import { postgresHandler } from "./handler.ts";
import { type RelayBatch, type RelaySource, type RelayStore, type RelayStoreOptions, relayStore } from "./relay.ts";

let database: TestDatabase;
let stores: { close(): Promise<void> }[] = [];
let nextSource = 0;
let sourceId = "";

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());
beforeEach(() => {
  sourceId = `01936d2f-5c00-7000-8000-${String(++nextSource).padStart(12, "0")}`;
});
afterEach(async () => {
  for (const store of stores) await store.close();
  stores = [];
});

function create(options: RelayStoreOptions = {}): RelayStore {
  const store = relayStore({ url: database.relayUrl, ...options });
  stores.push(store);
  return store;
}

const inTime = (): AbortSignal => AbortSignal.timeout(20_000);

function sourceOf(overrides: Partial<RelaySource> = {}): RelaySource {
  const keyHash = createHash("sha256").update(exampleBatch({ sourceId }).source.key).digest("hex");
  return { id: sourceId, epoch: 1, keyHash, acknowledged: 0, sender: "shop", ...overrides };
}

/** Events of the test's source, as an envelope brings them. */
function batch(
  firstSeq: number,
  count: number,
  source: Partial<RelaySource> = {},
  options: ExampleBatchOptions = {},
): RelayBatch {
  const { records } = exampleBatch({ sourceId, firstSeq, count, ...options });
  return { source: sourceOf(source), firstSeq, records };
}

async function stored(): Promise<{ rows: number; distinct: number; position: number }> {
  const [row] = await database.query<{ rows: number; distinct: number; position: number }>(
    `SELECT count(*)::int AS rows, count(DISTINCT seq)::int AS distinct,
        (SELECT last_seq::int FROM security_event_source WHERE id = $1) AS position
      FROM security_event_log WHERE source_id = $1`,
    [sourceId],
  );
  return row ?? { rows: -1, distinct: -1, position: -1 };
}

const exactly = (events: number) => ({ rows: events, distinct: events, position: events });

async function knownSource(): Promise<{ epoch: number; sender: string | null }[]> {
  return await database.query("SELECT epoch, sender FROM security_event_source WHERE id = $1", [sourceId]);
}

describe("store()", () => {
  it("stores consecutive batches, and resolves with the position", async () => {
    const store = create();
    expect(await store.position(sourceId, inTime())).toBe(0);
    expect(await store.store(batch(1, 10), inTime())).toBe(10);
    expect(await store.store(batch(11, 5), inTime())).toBe(15);
    expect(await store.position(sourceId, inTime())).toBe(15);
    expect(await stored()).toEqual(exactly(15));
    expect(await knownSource()).toEqual([{ epoch: 1, sender: "shop" }]);
  });

  it("takes batches of one source at once, and commits them in order", async () => {
    const store = create();
    const positions = await Promise.all(
      Array.from({ length: 12 }, (_, index) => store.store(batch(1 + 50 * index, 50), inTime())),
    );
    expect(positions).toEqual(Array.from({ length: 12 }, (_, index) => 50 * (index + 1)));
    expect(await stored()).toEqual(exactly(600));
  });

  it("takes more calls of many sources at once than it has connections", async () => {
    const store = create({ poolMax: 2 });
    const ids = Array.from({ length: 8 }, (_, index) => `${sourceId.slice(0, -3)}9${nextSource}${index}`.slice(0, 36));
    const calls = ids.flatMap((id) =>
      [1, 21, 11].map((firstSeq) => {
        const { records } = exampleBatch({ sourceId: id, firstSeq, count: 10 });
        return store
          .store({ source: sourceOf({ id }), firstSeq, records }, inTime())
          .catch(({ code }) => code as string);
      }),
    );
    expect(await Promise.all(calls)).toEqual(ids.flatMap(() => [10, "SECLOG_BATCH_EARLY", 20]));
  });

  it("skips what is stored, once it has confirmed that it is", async () => {
    await create().store(batch(1, 10), inTime());
    const store = create();
    expect(await store.store(batch(1, 10), inTime())).toBe(10);
    expect(await store.store(batch(6, 10), inTime())).toBe(15);
    expect(await store.store(batch(2, 3), inTime())).toBe(15);
    expect(await stored()).toEqual(exactly(15));
  });

  it("refuses a batch that comes early with the position, without copying it", async () => {
    const store = create();
    await expect(store.store(batch(5, 5), inTime())).rejects.toMatchObject({
      code: "SECLOG_BATCH_EARLY",
      kind: "retry",
      stored: 0,
    });
    expect(await knownSource()).toEqual([]);
    await store.store(batch(1, 2), inTime());
    await expect(store.store(batch(5, 5), inTime())).rejects.toMatchObject({ code: "SECLOG_BATCH_EARLY", stored: 2 });
    expect(await store.store(batch(3, 2), inTime())).toBe(4);
    expect(await store.store(batch(5, 5), inTime())).toBe(9);
    expect(await stored()).toEqual(exactly(9));
  });

  it("does not let a batch that comes early fail the one after it", async () => {
    const store = create();
    const [early, good] = await Promise.allSettled([
      store.store(batch(50, 5), inTime()),
      store.store(batch(1, 5), inTime()),
    ]);
    expect(early).toMatchObject({ status: "rejected", reason: { code: "SECLOG_BATCH_EARLY" } });
    expect(good).toEqual({ status: "fulfilled", value: 5 });
  });

  it("stores a batch in transactions of at most batchSize events", async () => {
    const store = create({ batchSize: 7 });
    expect(await store.store(batch(1, 30), inTime())).toBe(30);
    expect(await stored()).toEqual(exactly(30));
    const [row] = await database.query<{ n: number }>(
      "SELECT count(DISTINCT xmin::text)::int AS n FROM security_event_log WHERE source_id = $1",
      [sourceId],
    );
    expect(row?.n).toBe(5);
  });

  it.each([
    ["another source's record", () => ({ sourceId: "01936d2f-5c00-7000-8000-00000000ffff" })],
    ["a record that is not an event", () => ({ records: [Buffer.from("{}\n{}")] })],
    ["a record of another number", () => ({ firstSeq: 2 })],
  ])("registers nothing for %s", async (_what, options) => {
    const forged = { ...batch(1, 3, {}, options()), firstSeq: 1 };
    await expect(create().store(forged, inTime())).rejects.toMatchObject({ kind: "event" });
    expect(await knownSource()).toEqual([]);
  });

  it("registers nothing when a later record is not an event of the source", async () => {
    const { records, ...rest } = batch(1, 3);
    const forged = { ...rest, records: [...records.slice(0, 2), Buffer.from("{}\n{}")] };
    await expect(create().store(forged, inTime())).rejects.toMatchObject({
      kind: "event",
      message: expect.stringContaining("event 3 is not in canonical form") as string,
    });
    expect(await knownSource()).toEqual([]);
    expect(await stored()).toMatchObject({ rows: 0 });
  });

  it.each([
    [{ id: "x" }, "not a UUID"],
    [{ epoch: 0 }, "the epoch 0 is not from 1"],
    [{ epoch: 2 ** 31 }, "the epoch 2147483648"],
    [{ keyHash: "ab" }, "not 64 hexadecimal digits"],
    [{ sender: "é".repeat(101) }, "longer than 200 bytes"],
    [{ sender: "a\0" }, "or has a NUL"],
  ])("refuses %o", async (wrong, message) => {
    await expect(create().store(batch(1, 1, wrong), inTime())).rejects.toMatchObject({
      kind: "event",
      message: expect.stringContaining(message) as string,
    });
  });

  it("refuses another key, and leaves the source as it was", async () => {
    const store = create();
    await store.store(batch(1, 3), inTime());
    const keyHash = "0".repeat(64);
    for (const again of [store, create()]) {
      await expect(again.store(batch(4, 3, { keyHash, epoch: 5 }), inTime())).rejects.toMatchObject({
        kind: "destination",
        code: "SECLOG_SOURCE_FENCED",
      });
    }
    expect(await store.store(batch(4, 3), inTime())).toBe(6);
    expect(await knownSource()).toEqual([{ epoch: 1, sender: "shop" }]);
  });

  it("refuses another sender, and names both", async () => {
    const store = create();
    await store.store(batch(1, 3), inTime());
    await expect(store.store(batch(4, 3, { sender: 'bl"og' }), inTime())).rejects.toMatchObject({
      kind: "destination",
      code: "SECLOG_SOURCE_SENDER",
      message: expect.stringContaining(
        'was opened by the queue key "shop", and this comes from the queue key "bl\\"og"',
      ) as string,
    });
    await expect(store.store(batch(4, 3, { sender: "" }), inTime())).rejects.toMatchObject({
      message: expect.stringContaining('the queue key "shop", and this comes from plain envelopes') as string,
    });
    expect(await stored()).toEqual(exactly(3));
  });

  it("takes any sender that knows the hash for a source that its application opened, and leaves it so", async () => {
    const handler = postgresHandler({ url: database.writerUrl });
    stores.push(handler);
    await handler.handle(exampleBatch({ sourceId, count: 3 }), inTime());
    const store = create();
    expect(await store.store(batch(4, 2, { sender: "shop" }), inTime())).toBe(5);
    expect(await store.store(batch(6, 2, { sender: "" }), inTime())).toBe(7);
    expect(await knownSource()).toEqual([{ epoch: 1, sender: null }]);
  });

  it("takes a lower epoch, and keeps the higher one", async () => {
    const store = create();
    await store.store(batch(1, 3, { epoch: 4 }), inTime());
    expect(await store.store(batch(4, 3, { epoch: 2 }), inTime())).toBe(6);
    expect(await create().store(batch(7, 3, { epoch: 9 }), inTime())).toBe(9);
    expect(await store.store(batch(10, 3, { epoch: 2 }), inTime())).toBe(12);
    expect(await knownSource()).toEqual([{ epoch: 9, sender: "shop" }]);
    expect(await stored()).toEqual(exactly(12));
  });

  it("rejects an event that the position covers and the database does not have", async () => {
    const store = create();
    await store.store(batch(1, 5), inTime());
    const other = batch(3, 1, {}, { event: { id: "01936d2f-5c00-7000-8000-0000000fffff" } });
    await expect(store.store(other, inTime())).rejects.toMatchObject({ code: "SECLOG_SOURCE_SEIZED" });
  });

  it("reports a row that a writer inserted under the next number as this event's failure", async () => {
    const store = create();
    await store.store(batch(1, 2), inTime());
    const { records } = batch(3, 1);
    const time = (
      JSON.parse(
        Buffer.from(records[0] ?? [])
          .toString()
          .split("\n")[0] ?? "",
      ) as { occurred_at: string }
    ).occurred_at;
    await database.query(
      `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, salt, commitment)
        VALUES (gen_random_uuid(), $2, 'authz_fail', 'warning', 'authz', 'failure', 'security', $1, 1, 3, 1, '\\x00', '\\x00')`,
      [sourceId, time],
    );
    await expect(store.store(batch(3, 1), inTime())).rejects.toMatchObject({ kind: "event" });
    const record = { source: sourceOf(), seq: 3, reason: "clash", record: records[0] ?? new Uint8Array() };
    expect(await store.quarantine(record, inTime())).toBe(3);
  });

  it.each([
    ["request", 50],
    ["answer", 100],
  ] as const)("stores a batch exactly once whose connection was cut at COMMIT (%s)", async (when, position) => {
    await using proxy = await PostgresProxy.start(Number(new URL(database.relayUrl).port));
    const store = create({ url: proxy.through(database.relayUrl) });
    await store.store(batch(1, 50), inTime());
    proxy.trap = ({ type, data }) => {
      if (type !== "Q" || data.toString("latin1", 5) !== "COMMIT\0") return undefined;
      proxy.trap = undefined;
      return { how: "reset", pass: when === "request" ? 0 : data.length };
    };
    await expect(store.store(batch(51, 50), inTime())).rejects.toMatchObject({ kind: "retry", stored: 50 });
    await expect.poll(() => stored().then((is) => is.position)).toBe(position);
    expect(await store.store(batch(51, 50), inTime())).toBe(100);
    expect(await stored()).toEqual(exactly(100));
  });
});

describe("two stores on one source", () => {
  it("store overlapping and out-of-order batches, each event once", async () => {
    const total = 1_000;
    const batches: RelayBatch[] = [];
    for (let firstSeq = 1; firstSeq <= total; firstSeq += 10) {
      batches.push(batch(firstSeq, Math.min(10 + (firstSeq % 7), total - firstSeq + 1)));
    }
    const work = async (store: RelayStore, own: RelayBatch[]): Promise<void> => {
      // Each goes through all of them, in an order of its own, and puts back what comes early.
      const queue = [...own];
      for (let turn = 0; queue.length > 0; turn++) {
        if (turn > 50_000) throw new Error(`${queue.length} batches are never stored`);
        const at = (turn * 7) % Math.min(queue.length, 5);
        const [next] = queue.splice(at, 1);
        if (next === undefined) continue;
        await store.store(next, inTime()).catch((error: { kind?: string }) => {
          if (error.kind !== "retry") throw error;
          queue.push(next);
          queue.sort((a, b) => a.firstSeq - b.firstSeq);
        });
      }
    };
    const [one, two] = [create(), create()];
    await Promise.all([
      work(one, batches),
      work(
        one,
        batches.filter((_, index) => index % 2 === 0),
      ),
      work(two, batches),
      work(
        two,
        batches.filter((_, index) => index % 3 === 0),
      ),
    ]);
    expect(await stored()).toEqual(exactly(total));
    // The application gives up the queue and continues with its key.
    const handler = postgresHandler({ url: database.writerUrl });
    stores.push(handler);
    await handler.handle(exampleBatch({ sourceId, firstSeq: total - 5, count: 20, acknowledged: total }), inTime());
    expect(await stored()).toEqual(exactly(total + 14));
    expect(await one.store(batch(total + 15, 5), inTime())).toBe(total + 19);
  }, 60_000);

  it("continue after each other at once, without a failure", async () => {
    const [one, two] = [create(), create()];
    for (let round = 0; round < 10; round++) {
      expect(await (round % 2 === 0 ? one : two).store(batch(1 + 10 * round, 10), inTime())).toBe(10 * round + 10);
    }
    // The first has not seen what the second stored, and takes itself to be at 110.
    await one.store(batch(101, 10), inTime());
    await two.store(batch(111, 10), inTime());
    expect(await one.store(batch(111, 20), inTime())).toBe(130);
    expect(await stored()).toEqual(exactly(130));
  });
});

describe("quarantine() and pass()", () => {
  it("put a record and lost numbers on record, and the source continues after them", async () => {
    const store = create();
    await store.store(batch(1, 2), inTime());
    const damaged = { source: sourceOf(), seq: 3, reason: "no event\0", record: Buffer.from("damaged") };
    expect(await store.quarantine(damaged, inTime())).toBe(3);
    expect(await store.quarantine(damaged, inTime())).toBe(3);
    expect(await store.pass(sourceOf(), 4, 8, "the queue was purged", inTime())).toBe(8);
    expect(await store.pass(sourceOf(), 3, 8, "the queue was purged", inTime())).toBe(8);
    expect(await create().pass(sourceOf(), 7, 9, "again", inTime())).toBe(9);
    expect(await store.store(batch(10, 2), inTime())).toBe(11);
    const rows = await database.query(
      "SELECT seq::int, reason, length(record) AS bytes FROM security_event_quarantine WHERE source_id = $1 ORDER BY seq",
      [sourceId],
    );
    expect(rows).toEqual([
      { seq: 3, reason: "no event\\u0000", bytes: 7 },
      ...[4, 5, 6, 7, 8].map((seq) => ({ seq, reason: "the queue was purged", bytes: 0 })),
      { seq: 9, reason: "again", bytes: 0 },
    ]);
  });

  it("work for the first number of an unknown source", async () => {
    const store = create();
    expect(await store.pass(sourceOf(), 1, 3, "lost", inTime())).toBe(3);
    expect(await store.store(batch(4, 1), inTime())).toBe(4);
    expect(await knownSource()).toEqual([{ epoch: 1, sender: "shop" }]);
  });

  it("refuse numbers that come early", async () => {
    const store = create();
    await expect(store.pass(sourceOf(), 2, 3, "lost", inTime())).rejects.toMatchObject({ code: "SECLOG_BATCH_EARLY" });
    const damaged = { source: sourceOf(), seq: 2, reason: "x", record: new Uint8Array() };
    await expect(store.quarantine(damaged, inTime())).rejects.toMatchObject({ code: "SECLOG_BATCH_EARLY" });
  });

  it("report an event that arrives after its number was passed as not stored", async () => {
    const store = create();
    await store.pass(sourceOf(), 1, 3, "lost", inTime());
    await expect(store.store(batch(2, 1), inTime())).rejects.toMatchObject({ code: "SECLOG_SOURCE_SEIZED" });
  });

  it("pass numbers under which a writer has inserted rows, and more than the database passes at once", async () => {
    await database.query(
      `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, salt, commitment)
        SELECT gen_random_uuid(), now(), 'authz_fail', 'warning', 'authz', 'failure', 'security', $1, 1, seq, 1, '\\x00', '\\x00'
          FROM unnest(ARRAY[2, 3, 100001]) AS seq`,
      [sourceId],
    );
    const store = create();
    expect(await store.pass(sourceOf(), 1, 100_500, "lost", inTime())).toBe(100_500);
    const [row] = await database.query(
      "SELECT count(*)::int AS n FROM security_event_quarantine WHERE source_id = $1",
      [sourceId],
    );
    expect(row).toEqual({ n: 100_500 });
  }, 60_000);
});

describe("dropped()", () => {
  it("records what was dropped as the database's own event", async () => {
    const sha256 = Array.from({ length: 120 }, (_, index) => createHash("sha256").update(String(index)).digest("hex"));
    await create().dropped({ queue: "audit\u001b[2J", dropped: 120, sha256, reason: "poison\0\n" }, inTime());
    const [row] = await database.query<{ data: string; actor_id: string; retention: string }>(
      "SELECT data::text, actor_id, retention FROM security_event_log WHERE event_type = 'dead_letters_dropped'",
    );
    expect(row).toMatchObject({ actor_id: new URL(database.relayUrl).username, retention: "own" });
    expect(row?.data).toBe(
      JSON.stringify({ dropped: 120, queue: "audit [2J", reason: "poison  ", sha256: sha256.slice(0, 100) }),
    );
  });
});

describe("relayStore()", () => {
  it("needs a URL of its own", () => {
    expect(() => relayStore({ url: undefined })).toThrow("set SECLOG_RELAY_URL or SECLOG_RELAY_URL_FILE");
    expect(() => relayStore({ poolMin: 3 } as RelayStoreOptions)).toThrow("poolMin");
  });

  it("is refused with a writer's login, and names the variable and the role", async () => {
    await expect(create({ url: database.writerUrl }).store(batch(1, 1), inTime())).rejects.toMatchObject({
      kind: "destination",
      message: expect.stringContaining("to renew the relay's privileges") as string,
    });
    const wrong = new URL(database.relayUrl);
    wrong.password = "wrong";
    await expect(create({ url: wrong.href }).position(sourceId, inTime())).rejects.toMatchObject({
      message: expect.stringContaining("SECLOG_RELAY_URL") as string,
    });
  });

  it("stores nothing after close()", async () => {
    const store = create();
    await store.close();
    await expect(store.store(batch(1, 1), inTime())).rejects.toMatchObject({ kind: "retry" });
    await expect(store.position(sourceId, inTime())).rejects.toMatchObject({ kind: "retry" });
  });
});

describe("the functions for relays", () => {
  let relay: pg.Client;
  beforeAll(async () => {
    relay = new pg.Client({ connectionString: database.relayUrl });
    await relay.connect();
  });
  afterAll(() => relay.end());

  const HASH = `'\\x${"ab".repeat(32)}'::bytea`;
  const ID = "'01936d2f-5c00-7000-8000-0000000000aa'";
  const MOST = "9223372036854775807";

  it.each([
    [`seclog_relay_open(NULL, 1, ${HASH}, '')`, "22023"],
    [`seclog_relay_open(${ID}, NULL, ${HASH}, '')`, "22023"],
    [`seclog_relay_open(${ID}, 1, NULL, '')`, "22023"],
    [`seclog_relay_open(${ID}, 1, ${HASH}, NULL)`, "22023"],
    [`seclog_relay_open(${ID}, 0, ${HASH}, '')`, "22023"],
    [`seclog_relay_open(${ID}, -5, ${HASH}, '')`, "22023"],
    [`seclog_relay_open(${ID}, 1, '', '')`, "22023"],
    [`seclog_relay_open(${ID}, 1, decode(repeat('00', 1000000), 'hex'), '')`, "22023"],
    [`seclog_relay_open(${ID}, 1, ${HASH}, repeat('x', 201))`, "22023"],
    [`seclog_relay_advance(${ID}, ${HASH}, 1, 1)`, "SL004"],
    [`seclog_relay_advance(NULL, NULL, NULL, NULL)`, "SL004"],
    [`seclog_relay_advance(${ID}, ${HASH}, 1, ${MOST})`, "22023"],
    [`seclog_relay_advance(${ID}, ${HASH}, -${MOST}, ${MOST})`, "22003"],
    [`seclog_relay_quarantine(${ID}, ${HASH}, 1, 'x', '')`, "SL004"],
    [`seclog_relay_quarantine(${ID}, ${HASH}, NULL, 'x', '')`, "23502"],
    [`seclog_relay_quarantine(${ID}, ${HASH}, 1, NULL, NULL)`, "23502"],
    [
      `seclog_relay_quarantine(${ID}, ${HASH}, ${MOST}, repeat('x', 10000000), decode(repeat('00', 3000000), 'hex'))`,
      "SL004",
    ],
    [`seclog_relay_confirm(${ID}, ${HASH}, 1, '{}', '{}', '{}')`, "SL004"],
    [`seclog_relay_confirm(${ID}, NULL, NULL, NULL, NULL, NULL)`, "SL004"],
    [`seclog_relay_pass(${ID}, ${HASH}, 1, 1, 'x')`, "SL004"],
    [`seclog_relay_pass(${ID}, ${HASH}, 1, 100001, 'x')`, "22023"],
    [`seclog_relay_pass(${ID}, ${HASH}, 1, 1, ' ')`, "22023"],
    [`seclog_relay_pass(${ID}, ${HASH}, 1, 1, NULL)`, "22023"],
    [`seclog_relay_pass(${ID}, ${HASH}, -${MOST}, ${MOST}, 'x')`, "22003"],
    [`seclog_relay_pass(NULL, NULL, NULL, NULL, 'x')`, "SL004"],
    ["seclog_relay_dropped(NULL, 1, '{}', 'x')", "22023"],
    ["seclog_relay_dropped('q', 0, '{}', 'x')", "22023"],
    [`seclog_relay_dropped('q', ${MOST}, '{}', 'x')`, "22023"],
    ["seclog_relay_dropped('q', 1, '{}', '')", "22023"],
    ["seclog_relay_dropped('q', 1, NULL, 'x')", "22023"],
    ["seclog_relay_dropped('q', 1, ARRAY['\\x00'::bytea], 'x')", "22023"],
    ["seclog_relay_dropped('q', 1, ARRAY[NULL::bytea], 'x')", "22023"],
    [`seclog_relay_dropped('q', 1, array_fill(${HASH}, ARRAY[101]), 'x')`, "22023"],
  ])("refuse %s with %s", async (call, code) => {
    await expect(relay.query(`SELECT public.${call}`)).rejects.toMatchObject({ code });
  });

  it("refuse a known source's position to another hash, a gap, a repetition and a position without events", async () => {
    await create().store(batch(1, 5), inTime());
    const hash = `'\\x${sourceOf().keyHash}'::bytea`;
    for (const [call, code] of [
      [`seclog_relay_advance('${sourceId}', ${HASH}, 6, 6)`, "SL004"],
      [`seclog_relay_advance('${sourceId}', NULL, 6, 6)`, "SL004"],
      [`seclog_relay_confirm('${sourceId}', NULL, 1, '{}', '{}', '{}')`, "SL004"],
      [`seclog_relay_advance('${sourceId}', ${hash}, 5, 6)`, "SL002"],
      [`seclog_relay_advance('${sourceId}', ${hash}, 7, 7)`, "SL003"],
      [`seclog_relay_advance('${sourceId}', ${hash}, 6, 6)`, "SL005"],
      [`seclog_relay_advance('${sourceId}', ${hash}, 6, NULL)`, "SL003"],
      [`seclog_relay_pass('${sourceId}', ${hash}, 6, 3, 'x')`, "SL003"],
      [`seclog_relay_pass('${sourceId}', ${hash}, -3, 6, 'x')`, "SL002"],
      [`seclog_relay_open('${sourceId}', 1, ${hash}, 'other')`, "SL007"],
    ] as const) {
      await expect(relay.query(`SELECT public.${call}`), call).rejects.toMatchObject({ code });
    }
    expect(await stored()).toEqual(exactly(5));
    const [row] = await database.query(
      "SELECT count(*)::int AS n FROM security_event_quarantine WHERE source_id = $1",
      [sourceId],
    );
    expect(row).toEqual({ n: 0 });
  });

  it("refuse the database's own source, even to a client that knows its hash", async () => {
    const [own] = await database.query<{ id: string; hash: string; next: string }>(
      "SELECT id, '\\x' || encode(key_hash, 'hex') AS hash, last_seq + 1 AS next FROM security_event_source WHERE id = (SELECT own_source FROM security_event_tree)",
    );
    for (const [call, values] of [
      ["seclog_relay_open($1, 1, $2, '')", []],
      ["seclog_relay_advance($1, $2, $3, $3)", [own?.next]],
      ["seclog_relay_pass($1, $2, $3, $3, 'x')", [own?.next]],
      ["seclog_relay_quarantine($1, $2, $3, 'x', '')", [own?.next]],
    ] as const) {
      await expect(relay.query(`SELECT public.${call}`, [own?.id, own?.hash, ...values]), call).rejects.toMatchObject({
        code: "SL004",
      });
    }
  });

  it("record at most 1,000 drops an hour", async () => {
    await relay.query("BEGIN");
    await relay.query("SELECT public.seclog_relay_dropped('q', 1, '{}', 'x') FROM generate_series(1, 990)");
    await expect(
      relay.query("SELECT public.seclog_relay_dropped('q', 1, '{}', 'x') FROM generate_series(1, 11)"),
    ).rejects.toMatchObject({ code: "SL006" });
    await relay.query("ROLLBACK");
  });
});
