/** Calls the operations without a command, as an HTTP route would. test/removal.test.ts covers their effect on the log, and the commands' output. */
import { encodeEvent, type SecurityEvent } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { exampleBatch, exampleEvent } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { sealLog } from "#test/support/seal-log.ts";
import { OwnerConnection } from "../database/owner.ts";
import { openReader } from "../database/reader.ts";
import { parseFilter } from "../search/filter.ts";
import { findEvents } from "../search/find-events.ts";
import { listClasses, setClasses } from "./classes.ts";
import { erase } from "./erase.ts";
import { listHolds, placeHold, releaseHold } from "./hold.ts";
import { dropMonths, type PruneOutcome, planPrune } from "./prune.ts";

const REASON = "ticket 4711";
const ON_RECORD = { id: expect.any(String), source_id: expect.any(String), seq: expect.any(Number) };

let database: TestDatabase;
let owner: OwnerConnection;

beforeAll(async () => {
  database = await createTestDatabase();
  owner = await OwnerConnection.open(database.name, database.serverUrl);
});

afterAll(async () => {
  await owner.close();
  await database[Symbol.asyncDispose]();
});

let sources = 0;

async function store(...events: Partial<SecurityEvent>[]): Promise<void> {
  const sourceId = `01936d2f-5c00-7000-8000-${String(++sources).padStart(12, "0")}`;
  const records = events.map((event, index) =>
    Buffer.from(encodeEvent({ ...exampleEvent(index + 1, sourceId), ...event })),
  );
  const handler = postgresHandler({ url: database.writerUrl });
  await handler.handle(exampleBatch({ sourceId, records }), AbortSignal.timeout(20_000));
  await handler.close();
}

/** The number of events that name an actor. */
async function found(actor: string): Promise<number> {
  const reader = openReader(undefined, database.readerUrl);
  try {
    let events = 0;
    const filter = parseFilter({ actor });
    for await (const { rows } of findEvents(reader, filter, { order: "oldest", limit: 100 })) events += rows.length;
    return events;
  } finally {
    await reader.destroy();
  }
}

describe("erase()", () => {
  it("counts what a search finds, changes nothing in a dry run, and is recorded", async () => {
    await store({ actorId: "alice" }, { actorId: "bob", data: { userid: "alice" } }, { actorId: "alice2" });
    const criteria = { actor: ["alice"] };
    expect(await found("alice")).toBe(2);
    const planned = await erase(owner, criteria, { reason: REASON, dryRun: true });
    expect(planned).toMatchObject({ erased: 2, held: 0, quarantined: 0, recorded_as: null });
    expect(await found("alice")).toBe(2);
    const done = await erase(owner, criteria, { reason: REASON });
    expect(done).toEqual({ ...planned, recorded_as: ON_RECORD });
    expect([await found("alice"), await found("alice2")]).toEqual([0, 1]);
    expect(await erase(owner, criteria, { reason: REASON })).toMatchObject({ erased: 0, recorded_as: null });
  });
});

describe("placeHold(), listHolds() and releaseHold()", () => {
  it("protect events from erasure until the release", async () => {
    await store({ actorId: "held" });
    const hold = await placeHold(owner, { reason: "case 3", until: new Date("2100-01-01T00:00:00Z") });
    expect(hold).toMatchObject({ reason: "case 3", class: null, since: null, until: "2100-01-01T00:00:00Z" });
    expect(await listHolds(owner)).toEqual([hold]);
    expect(await erase(owner, { actor: ["held"] }, { reason: REASON })).toMatchObject({ erased: 0, held: 1 });
    expect(await releaseHold(owner, hold.id, "closed")).toEqual({ ...hold, released_at: expect.any(String) });
    expect(await erase(owner, { actor: ["held"] }, { reason: REASON })).toMatchObject({ erased: 1, held: 0 });
    await expect(releaseHold(owner, hold.id, "closed")).rejects.toMatchObject({
      code: "SECLOG_REMOVAL",
      message: expect.stringContaining(`hold ${hold.id} does not exist or was already released`),
    });
  });
});

describe("planPrune() and dropMonths()", () => {
  it("plan without changes, drop what may be dropped, and stop between two months on a signal", async () => {
    for (const month of ["2024-01", "2024-02", "2024-03"]) {
      await database.query("SELECT seclog_add_partition('standard', $1)", [`${month}-01T00:00:00Z`]);
    }
    await database.query(`DO $$ DECLARE part text; BEGIN FOR part IN SELECT relname FROM pg_class
      WHERE relname ~ '^security_event_log_standard_2024_\\d\\d$' LOOP
      EXECUTE format('ALTER TABLE public.%I OWNER TO seclog_owner', part); END LOOP; END $$`);
    await store({ occurredAt: "2024-01-15T00:00:00.000000Z" });
    await sealLog(database);
    await store({ occurredAt: "2024-02-15T00:00:00.000000Z" });
    const plan = await planPrune(owner, "1 years", ["standard"]);
    expect(plan.months).toMatchObject([
      { month: "2024-01", rows: 1, exact: true, sealed: true, hold: null },
      { month: "2024-02", rows: 1, exact: true, sealed: false, hold: null },
      { month: "2024-03", rows: 0, exact: true, sealed: true, hold: null },
    ]);
    expect(await planPrune(owner, "1 years", ["standard"])).toEqual({ ...plan, before: expect.any(String) });

    const stop = new AbortController();
    const news: string[] = [];
    const outcomes: PruneOutcome[] = [];
    const dropped = (async () => {
      const options = { reason: REASON, signal: stop.signal, onProgress: (what: string) => news.push(what) };
      for await (const outcome of dropMonths(owner, plan.months, options)) {
        if (outcomes.push(outcome) === 2) stop.abort(new Error("enough"));
      }
    })();
    await expect(dropped).rejects.toThrow("enough");
    expect(news).toEqual(["2024_01", "2024_02"].map((month) => `dropping security_event_log_standard_${month}`));
    expect(outcomes).toMatchObject([
      { month: "2024-01", dropped: true, rows: 1, why: null, recorded_as: ON_RECORD },
      { month: "2024-02", dropped: false, why: expect.stringContaining("unsealed"), recorded_as: null },
    ]);
    const left = await planPrune(owner, "1 years", ["standard"]);
    expect(left.months.map(({ month }) => month)).toEqual(["2024-02", "2024-03"]);
  });
});

describe("listClasses() and setClasses()", () => {
  it("set only what differs, and refuse an unknown category before changing anything", async () => {
    const before = await listClasses(owner);
    expect([before.classes.get("authn"), before.changed]).toEqual(["standard", []]);
    const unknown = setClasses(
      owner,
      new Map([
        ["authn", "long"],
        ["autn", "long"],
      ] as const),
    );
    await expect(unknown).rejects.toMatchObject({
      code: "SECLOG_CONFIG",
      message: expect.stringContaining("did you mean authn?"),
    });
    expect(await listClasses(owner)).toEqual(before);
    const wanted = new Map([
      ["authn", "long"],
      ["session", "standard"],
      ["orders", "short"],
    ] as const);
    const { classes, changed } = await setClasses(owner, wanted, { allowUnknown: true });
    expect([classes.get("authn"), classes.get("orders"), changed]).toEqual(["long", "short", ["authn", "orders"]]);
  });
});

describe("every operation", () => {
  const soon = new Date("2100-01-01T00:00:00Z");
  const now = new Date("2026-01-01T00:00:00Z");
  const month = { partition: "p", class: "standard", month: "2024-01", rows: 0, exact: true, sealed: true, hold: null };
  /** Past the types, as a caller without them would call it. */
  const any = <T>(value: unknown): T => value as T;

  it.each<[what: string, operation: () => Promise<unknown>, says: RegExp]>([
    ["erase() without a person", () => erase(owner, {}, { reason: REASON }), /nothing says whom to erase/],
    ["erase() by time alone", () => erase(owner, { since: now }, { reason: REASON }), /nothing says whom to erase/],
    ["erase() of an empty actor", () => erase(owner, { actor: [""] }, { reason: REASON }), /actor is empty/],
    ["erase() of no target", () => erase(owner, { target: [] }, { reason: REASON }), /target is empty/],
    ["erase() of no event", () => erase(owner, { event: [] }, { reason: REASON }), /event is empty/],
    ["erase() of a wrong id", () => erase(owner, { event: ["7"] }, { reason: REASON }), /"7" is not an event's id/],
    [
      "erase() of a wrong address",
      () => erase(owner, { ip: "localhost" }, { reason: REASON }),
      /"localhost" is not an/,
    ],
    ["erase() of an unclear network", () => erase(owner, { ip: "10.0.0.1/8" }, { reason: REASON }), /mixes an address/],
    [
      "erase() backwards in time",
      () => erase(owner, { actor: ["a"], since: soon, until: now }, { reason: REASON }),
      /since 2100\S+ is not before until 2026/,
    ],
    ["erase() without a reason", () => erase(owner, { actor: ["a"] }, { reason: " " }), /reason is empty/],
    ["placeHold() without a reason", () => placeHold(owner, { reason: "" }), /reason is empty/],
    ["placeHold() for 5 MB of reasons", () => placeHold(owner, { reason: "x".repeat(5e6) }), /has 5000000 characters/],
    ["placeHold() for a NUL", () => placeHold(owner, { reason: "a\0b" }), /contains a NUL/],
    [
      "placeHold() on no class",
      () => placeHold(owner, { reason: "a", class: any("own") }),
      /"own" is not one of short/,
    ],
    ["placeHold() backwards", () => placeHold(owner, { reason: "a", since: soon, until: now }), /is not before until/],
    ["placeHold() at no time", () => placeHold(owner, { reason: "a", until: new Date("x") }), /until is not a time/],
    ["releaseHold() of no number", () => releaseHold(owner, Number.NaN, "a"), /"NaN" is not the number of a hold/],
    ["releaseHold() without a reason", () => releaseHold(owner, 1, ""), /reason is empty/],
    ["planPrune() of no age", () => planPrune(owner, any("tomorrow")), /"tomorrow" is not an age/],
    ["planPrune() of a negative age", () => planPrune(owner, any("-40 years")), /"-40 years" is not an age/],
    ["planPrune() of SQL", () => planPrune(owner, "1 years", any(["x; drop"])), /"x; drop" is not one of/],
    ["dropMonths() without a reason", () => dropMonths(owner, [month], { reason: "" }).next(), /reason is empty/],
    [
      "dropMonths() of no month",
      () => dropMonths(owner, [{ ...month, month: "2024-13" }], { reason: REASON }).next(),
      /"2024-13" is not a month/,
    ],
    ["setClasses() of no class", () => setClasses(owner, new Map([["authn", any("ever")]])), /"ever" is not one of/],
    ["setClasses() of no category", () => setClasses(owner, new Map([["A B", "long"]])), /"A B" cannot be a category/],
  ])("refuses %s before it asks the database", async (_, operation, says) => {
    await expect(operation()).rejects.toMatchObject({ code: "SECLOG_CONFIG", message: expect.stringMatching(says) });
  });
});

describe("OwnerConnection", () => {
  it("wraps database failures in coded errors that keep PostgreSQL's code", async () => {
    await expect(owner.transaction("ROLLBACK", (client) => client.query("SELECT 1 / 0"))).rejects.toMatchObject({
      code: "SECLOG_DATABASE",
      cause: { code: "22012" },
    });
    await expect(OwnerConnection.open(`${database.name}x`, database.serverUrl)).rejects.toMatchObject({
      code: "SECLOG_SCHEMA_MISSING",
    });
  });
});
