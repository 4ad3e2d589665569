import { createHash } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { fc } from "#test/support/properties.ts";
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
  // Erasure must find people in any row, even those stored before this constraint existed.
  await database.query("ALTER TABLE security_event_log DROP CONSTRAINT security_event_log_values");
  owner = await connect(database.adminUrl);
  await owner.query("SET ROLE seclog_owner");
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
    Buffer.from(
      encodeEvent({ ...exampleEvent(index + 1, sourceId), actorId: "nobody", ipAddress: "192.0.2.1", ...event }),
    ),
  );
  await handler.handle(exampleBatch({ sourceId, records }), AbortSignal.timeout(20_000));
  await handler.close();
  return sourceId;
}

interface Criteria {
  readonly actor?: string;
  readonly target?: string;
  readonly address?: string;
  readonly events?: readonly string[];
  readonly since?: string;
  readonly until?: string;
  readonly reason?: string | null;
}

interface Erased {
  readonly erased: number;
  readonly held: number;
  readonly quarantined: number;
  readonly first_at: Date | null;
  readonly last_at: Date | null;
  readonly types: { readonly [type: string]: number };
  readonly recorded_as: number | null;
}

async function erase(
  criteria: Criteria,
  options: { readonly dry?: true; readonly as?: pg.Client } = {},
): Promise<Erased> {
  const { actor, target, address, events, since, until, reason = "asked for by the person" } = criteria;
  const { rows } = await (options.as ?? owner).query<Erased>(
    `SELECT erased::int, held::int, quarantined::int, first_at, last_at, types, recorded_as::int
      FROM public.seclog_erase($1, $2, $3, $4, $5, $6, $7, $8)`,
    [actor, target, address, events, since, until, reason, options.dry ?? false],
  );
  return rows[0] as Erased;
}

const PERSONAL =
  "actor_id actor_type data ip_address ip_chain ip_source method_original notes path request_host request_id span_id target_id target_type trace_id user_agent".split(
    " ",
  );

interface Row extends EventRow {
  readonly seq: string;
  readonly created_at: Date;
  readonly salt: Buffer | null;
  readonly commitment: Buffer;
  readonly part: string;
}

async function rows(where: string, values: unknown[] = []): Promise<Row[]> {
  return await database.query<Row>(
    `SELECT ${EVENT_SELECT}, created_at, salt, commitment, retention, tableoid::regclass::text AS part
      FROM security_event_log WHERE ${where} ORDER BY source_id, seq`,
    values,
  );
}

const sha256 = (...parts: (Buffer | string)[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** The log's own event of a removal, and whether its commitment fits. */
async function ownEvent(seq: number | null): Promise<SecurityEvent> {
  const [row] = await rows("retention = 'own' AND seq = $1", [seq]);
  if (row === undefined || row.salt === null) throw new Error(`the log has not recorded event ${seq} itself`);
  const event = rowToEvent(row);
  const [, personal = ""] = encodeEvent(event).split("\n");
  expect(row.commitment).toEqual(sha256(row.salt, personal));
  expect(row.part).toBe("security_event_log_own");
  return event;
}

/** The removals recorded under a number, in the form that is hashed. */
async function removed(ownSeq: number | null): Promise<string> {
  const found = await database.query<{ line: string; kind: string }>(
    "SELECT source_id || ' ' || seqs || E'\\n' AS line, kind FROM security_event_removed WHERE own_seq = $1 ORDER BY source_id",
    [ownSeq],
  );
  expect(found.every(({ kind }) => kind === "erased")).toBe(true);
  return found.map(({ line }) => line).join("");
}

describe("seclog_erase()", () => {
  it("erases personal data in every partition, keeps the rest and the commitments, and is recorded", async () => {
    const full: Partial<SecurityEvent> = {
      actorId: "alice",
      actorType: "user",
      targetId: "order-7",
      targetType: "order",
      ipAddress: "203.0.113.9",
      ipSource: "x-forwarded-for",
      ipChain: "203.0.113.9, 10.0.0.1",
      methodOriginal: "get",
      requestHost: "shop.example",
      requestId: "r1",
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      notes: { cut: ["path"] } as unknown as NonNullable<SecurityEvent["notes"]>,
      count: 3,
      startedAt: "2026-11-22T19:43:00.000000Z",
      endedAt: "2026-11-22T19:43:01.000000Z",
    };
    await owner.query("SELECT seclog_keep('session', 'short'), seclog_keep('admin', 'long')");
    const month = new Date().toISOString().slice(0, 7);
    const here = `${month}-02T10:00:00.000001Z`;
    const source = await store(
      { ...full, occurredAt: here },
      { ...full, occurredAt: here, category: "session" },
      { occurredAt: here, category: "session" },
      { ...full, occurredAt: here, category: "admin" },
      { ...full, occurredAt: "2020-02-02T02:02:02.000002Z" },
      { ...full, occurredAt: "2020-02-02T02:02:02.000002Z", category: "session" },
      { ...full, occurredAt: "2020-02-02T02:02:02.000002Z", category: "admin", type: "privilege_permissions_changed" },
    );
    // A class of a later program.
    await database.query(
      `INSERT INTO security_event_log SELECT (jsonb_populate_record(log, '{"retention":"century","seq":9}')).*
        FROM security_event_log AS log WHERE source_id = $1 AND seq = 1`,
      [source],
    );
    const before = await rows("source_id = $1", [source]);
    expect(new Set(before.map(({ part }) => part.replace(month.replace("-", "_"), "now")))).toEqual(
      new Set([
        "security_event_log_standard_now",
        "security_event_log_short_now",
        "security_event_log_long_now",
        "security_event_log_standard_default",
        "security_event_log_short_default",
        "security_event_log_long_default",
        "security_event_log_other",
      ]),
    );

    const plan = await erase({ actor: "alice" }, { dry: true });
    const expected = {
      erased: 7,
      held: 0,
      quarantined: 0,
      first_at: new Date("2020-02-02T02:02:02.000Z"),
      last_at: new Date(`${month}-02T10:00:00.000Z`),
      types: { authz_fail: 6, privilege_permissions_changed: 1 },
    };
    expect(plan).toEqual({ ...expected, recorded_as: null });
    expect(await rows("source_id = $1", [source])).toEqual(before);

    const done = await erase({ actor: "alice", reason: 'Art. 17, "ticket" \\ 4711 – 你好\u0007' });
    expect(done).toEqual({ ...expected, recorded_as: expect.any(Number) });
    const after = await rows("source_id = $1", [source]);
    for (const [index, row] of after.entries()) {
      const was = before[index] as Row;
      if (row.seq === "3") {
        expect(row).toEqual(was);
        continue;
      }
      for (const column of [...PERSONAL, "salt"]) expect([column, was[column] ?? null]).not.toEqual([column, null]);
      const blank = Object.fromEntries([...PERSONAL, "salt"].map((column) => [column, null]));
      expect(row).toEqual({ ...was, ...blank });
      // So the leaf is the same.
      expect(encodeEvent(rowToEvent(row)).split("\n")).toEqual([encodeEvent(rowToEvent(was)).split("\n")[0], "{}"]);
    }

    const lines = await removed(done.recorded_as);
    expect(lines).toBe(`${source} {[1,3),[4,8),[9,10)}\n`);
    expect(await ownEvent(done.recorded_as)).toMatchObject({
      type: "log_erased",
      level: "warning",
      category: "log",
      service: "seclog",
      actorId: new URL(database.adminUrl).username,
      data: { reason: 'Art. 17, "ticket" \\ 4711 – 你好\u0007', rows: 7, sha256: sha256(lines).toString("hex") },
    });

    expect(await erase({ actor: "alice" })).toMatchObject({ erased: 0, held: 0, types: {}, recorded_as: null });
  });

  it("erases where all criteria match, and finds an account in data as well", async () => {
    const at = (hour: string): string => `2026-11-22T${hour}:00:00.000000Z`;
    const source = await store(
      { occurredAt: at("10"), actorId: "bert", ipAddress: "198.51.100.7" },
      { occurredAt: at("11"), actorId: "bert", ipAddress: "198.51.100.8" },
      { occurredAt: at("12"), actorId: "bert", ipAddress: "2001:db8::7" },
      { occurredAt: at("13"), actorId: "admin", data: { userid: "bert" } },
      { occurredAt: at("14"), actorId: "admin", data: { newuserid: "bert", nested: { a: [1] } } },
      { occurredAt: at("15"), actorId: "admin", targetId: "bert" },
      { occurredAt: at("16"), actorId: "admin", data: { userid: 4711 } },
      { occurredAt: at("17"), actorId: "admin", data: { userid: 47112, more: '"userid":"bert"' } },
      { occurredAt: at("18"), actorId: "Bert", data: { userid: "bert2", word: "bert" } },
    );
    const seqs = async (criteria: Criteria): Promise<number[]> => {
      const found: number[] = [];
      await owner.query("BEGIN");
      const { recorded_as } = await erase(criteria);
      const { rows: ranges } = await owner.query<{ part: string }>(
        `SELECT unnest(seqs)::text AS part FROM security_event_removed WHERE own_seq = $1 AND source_id = $2`,
        [recorded_as, source],
      );
      await owner.query("ROLLBACK");
      for (const { part } of ranges) {
        const [from = 0, to = 0] = part.match(/\d+/g)?.map(Number) ?? [];
        for (let seq = from; seq < to; seq++) found.push(seq);
      }
      return found;
    };
    expect(await seqs({ actor: "bert" })).toEqual([1, 2, 3, 4]);
    expect(await seqs({ target: "bert" })).toEqual([4, 5, 6]);
    expect(await seqs({ actor: "4711" })).toEqual([7]);
    expect(await seqs({ target: "4711" })).toEqual([7]);
    expect(await seqs({ actor: "bert", address: "198.51.100.0/24" })).toEqual([1, 2]);
    expect(await seqs({ actor: "bert", address: "2001:db8::7" })).toEqual([3]);
    expect(await seqs({ actor: "bert", since: at("11"), until: at("13") })).toEqual([2, 3]);
    const [second] = await rows("source_id = $1 AND seq = 2", [source]);
    expect(await seqs({ events: [String(second?.["id"]), "00000000-0000-7000-8000-000000000000"] })).toEqual([2]);
    expect(await seqs({ events: [String(second?.["id"])], address: "2001:db8::7" })).toEqual([]);
    await expect(erase({})).rejects.toThrow("whom to erase is not said");
    await expect(erase({ since: at("11") })).rejects.toThrow("whom to erase is not said");
    for (const reason of [null, "", "  "]) {
      await expect(erase({ actor: "bert", reason })).rejects.toThrow("why to erase is not said");
    }
  });

  it("spares what a hold covers, and erases it once the hold has ended", async () => {
    const source = await store(
      { occurredAt: "2026-11-20T00:00:00.000000Z", actorId: "held" },
      { occurredAt: "2026-11-21T00:00:00.000000Z", actorId: "held" },
      { occurredAt: "2026-11-21T00:00:00.000000Z", actorId: "held", category: "session" },
      { occurredAt: "2026-11-22T00:00:00.000000Z", actorId: "held" },
    );
    const hold = async (...values: (string | null)[]): Promise<string> =>
      (await owner.query<{ id: string }>("SELECT seclog_hold($1, $2, $3, $4) AS id", values)).rows[0]?.id ?? "";
    const all = await hold("case 1", "standard", "2026-11-21", "2026-11-22");
    expect(await erase({ actor: "held" }, { dry: true })).toMatchObject({ erased: 3, held: 1 });
    const first = await erase({ actor: "held" });
    expect(first).toMatchObject({ erased: 3, held: 1 });
    expect(await removed(first.recorded_as)).toBe(`${source} {[1,2),[3,5)}\n`);
    expect((await rows("actor_id = 'held'")).map(({ seq }) => seq)).toEqual(["2"]);
    expect(await erase({ actor: "held" })).toMatchObject({ erased: 0, held: 1, recorded_as: null });
    await owner.query("SELECT seclog_release($1, 'over')", [all]);
    expect(await erase({ actor: "held" })).toMatchObject({ erased: 1, held: 0 });
  });

  it("waits for a hold that is being placed", async () => {
    await store({ occurredAt: "2026-11-10T00:00:00.000000Z", actorId: "nearly" });
    const lawyer = await connect(database.adminUrl);
    await lawyer.query("SET ROLE seclog_owner; BEGIN");
    await lawyer.query("SELECT seclog_hold('case 2', NULL, '2026-11-10', '2026-11-11')");
    const erasing = erase({ actor: "nearly" });
    await waiting();
    await lawyer.query("COMMIT");
    expect(await erasing).toMatchObject({ erased: 0, held: 1 });
    await owner.query("SELECT seclog_release(max(id), 'test') FROM security_event_hold");
  });

  it("never erases the log's own events, even those that name the person", async () => {
    const [own] = await rows("retention = 'own' AND seq = 1");
    const name = String(own?.["actor_id"]);
    const ids = (await rows("retention = 'own'")).map((row) => String(row["id"]));
    for (const criteria of [{ actor: name }, { events: ids }]) {
      expect(await erase(criteria)).toMatchObject({ erased: 0, held: 0, recorded_as: null });
    }
    expect((await rows("retention = 'own'")).every((row) => row.salt !== null && row["actor_id"] === name)).toBe(true);
  });

  it.each(["writer", "reader", "sealer"] as const)(
    "is refused to the %s, as is everything else that removes",
    async (role) => {
      const client = await connect(database[`${role}Url`]);
      await expect(erase({ actor: "x" }, { as: client })).rejects.toMatchObject({ code: "42501" });
      await expect(erase({ actor: "x" }, { as: client, dry: true })).rejects.toMatchObject({ code: "42501" });
      for (const call of [
        "seclog_prune('short', '2026-01-01', 'x')",
        "seclog_hold('x', NULL, NULL, NULL)",
        "seclog_release(1, 'x')",
        "seclog_keep('authn', 'short')",
        "seclog_own_event('log_erased', '{}')",
        "seclog_next_own_seq()",
      ]) {
        await expect(client.query(`SELECT public.${call}`)).rejects.toMatchObject({ code: "42501" });
      }
      for (const sql of [
        "UPDATE public.security_event_log SET actor_id = NULL",
        "DELETE FROM public.security_event_hold",
        "INSERT INTO public.security_event_removed VALUES (1, 'erased', gen_random_uuid(), '{[1,2)}')",
        "DROP TABLE public.security_event_log_short_default",
        "SET seclog.maintenance = 'on'; UPDATE public.security_event_log SET actor_id = NULL",
      ]) {
        await expect(client.query(sql)).rejects.toMatchObject({ code: "42501" });
      }
    },
  );

  it("is the only way: the owner's own UPDATE is refused, even right after it", async () => {
    await store({ actorId: "carl" });
    await owner.query("BEGIN");
    expect(await erase({ actor: "carl" })).toMatchObject({ erased: 1 });
    await expect(owner.query("UPDATE security_event_log SET actor_id = NULL")).rejects.toThrow("never changed");
    await owner.query("ROLLBACK");
    await owner.query("BEGIN");
    expect((await owner.query("SELECT seclog_release(999999, 'no such hold') AS released")).rows).toEqual([
      { released: false },
    ]);
    await expect(owner.query("UPDATE security_event_log SET actor_id = NULL")).rejects.toThrow("never changed");
    await owner.query("ROLLBACK");
    await expect(owner.query("DELETE FROM security_event_removed")).rejects.toThrow("never changed");
  });

  it("copes with rows that a writer invented: without salt, with one number twice, with the largest numbers", async () => {
    const source = await store({ actorId: "mallory" }, { actorId: "nobody else" });
    await database.query(
      `INSERT INTO security_event_log SELECT (jsonb_populate_record(log, made.up::jsonb)).* FROM security_event_log AS log,
        unnest(ARRAY['{"seq":1,"occurred_at":"2026-11-22T00:00:00Z"}', '{"seq":9223372036854775807,"salt":null}',
          '{"seq":-9223372036854775808}', '{"seq":9223372036854775806}', '{"seq":0}']) AS made (up)
        WHERE source_id = $1 AND seq = 1`,
      [source],
    );
    const done = await erase({ actor: "mallory" });
    expect(done).toMatchObject({ erased: 6 });
    expect(await removed(done.recorded_as)).toBe(
      `${source} {[-9223372036854775808,-9223372036854775807),[0,2),[9223372036854775806,)}\n`,
    );
    expect(await rows("actor_id = 'mallory'")).toEqual([]);
  });

  it("erases exactly the person that is named, whatever the name", async () => {
    const { erased: none } = await erase({ actor: "no such person" }, { dry: true });
    expect(none).toBe(0);
    const hostile = [
      ...[
        "' OR true --",
        "%",
        "_",
        "\\",
        '"',
        '","userid":"',
        "$1",
        "%s",
        "%1$s",
        "$$",
        "a\\",
        '\\"',
        "[0-9]+",
        ".*",
        "\u2028",
      ],
      ...[
        "\u0001",
        "\u007f",
        "\ufffe",
        "\u{10ffff}",
        "ÅÄ",
        "A\u030aA\u0308",
        "null",
        "{}",
        "1",
        "11",
        " ",
        "x".repeat(3000),
      ],
    ];
    const name = fc.oneof(
      fc.constantFrom(...hostile),
      fc
        .string({ unit: "binary", minLength: 1, maxLength: 20 })
        .map((text) => text.replaceAll("\0", "0").toWellFormed()),
      fc
        .array(fc.constantFrom(...hostile.filter(({ length }) => length < 20)), { minLength: 1, maxLength: 3 })
        .map((parts) => parts.join("")),
    );
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(name, { minLength: 3, maxLength: 6 }), async (names) => {
        const source = await store(
          ...names.map((actorId): Partial<SecurityEvent> => ({ actorId, data: {} })),
          ...names.map((userid): Partial<SecurityEvent> => ({ data: { userid } })),
          ...names.map((targetId): Partial<SecurityEvent> => ({ targetId, data: { resource: targetId } })),
        );
        const [who = ""] = names;
        const left = async (): Promise<string[]> =>
          (await rows("source_id = $1 AND salt IS NOT NULL", [source])).map(({ seq }) => String(seq));
        const numbers = Array.from({ length: 3 * names.length }, (_, index) => index + 1);
        const has = (...seqs: number[]): string[] => numbers.filter((seq) => !seqs.includes(seq)).map(String);
        await erase({ actor: who, reason: who.trim() === "" ? "blank" : who });
        expect(await left()).toEqual(has(1, names.length + 1));
        const { recorded_as } = await erase({ target: who, reason: `${who}.` });
        expect(await left()).toEqual(has(1, names.length + 1, 2 * names.length + 1));
        expect((await ownEvent(recorded_as)).data).toMatchObject({ reason: `${who}.` });
      }),
      { numRuns: 25 },
    );
    await expect(erase({ actor: "a\0b" })).rejects.toMatchObject({ code: "22021" });
    await expect(erase({ actor: "a", reason: "a\0b" })).rejects.toMatchObject({ code: "22021" });
  });

  it("blanks the person's records in quarantine, by the whole name, unless a hold may cover them", async () => {
    const quarantine = async (seq: number, record: Buffer, why = "the server refused it"): Promise<void> => {
      await database.query("INSERT INTO security_event_quarantine VALUES ($1, $2, $3, $4)", [source, seq, why, record]);
    };
    const source = await store({ actorId: "nobody" });
    const record = (event: Partial<SecurityEvent>): Buffer =>
      Buffer.from(encodeEvent({ ...exampleEvent(1, source), ...event }));
    await quarantine(2, record({ actorId: 'do"ra' }));
    await quarantine(3, record({ actorId: "pandora" }));
    await quarantine(4, record({ actorId: "x", data: { userid: 'do"ra' } }));
    await quarantine(5, Buffer.concat([record({ actorId: 'do"ra' }), Buffer.of(0xff, 0x00, 0xc3)]));
    await quarantine(6, record({ actorId: "other" }), 'invalid input syntax: "do\\"ra"');
    await quarantine(7, record({ actorId: 'do"ra', ipAddress: "203.0.113.200" }));
    const state = (): Promise<{ seq: number; blank: boolean }[]> =>
      database.query(
        `SELECT seq::int, salt IS NULL AND reason = 'erased' AND record = '' AS blank FROM security_event_quarantine
          WHERE source_id = $1 ORDER BY seq`,
        [source],
      );
    const blank = async (): Promise<number[]> => (await state()).filter((row) => row.blank).map(({ seq }) => seq);
    const commitments =
      "SELECT seq, commitment, created_at FROM security_event_quarantine WHERE source_id = $1 ORDER BY seq";
    const before = await database.query(commitments, [source]);

    expect(await erase({ actor: 'do"ra' }, { dry: true })).toMatchObject({ erased: 0, quarantined: 5 });
    expect(await erase({ actor: 'do"ra', address: "203.0.113.200" })).toMatchObject({ erased: 0, quarantined: 1 });
    expect(await blank()).toEqual([7]);
    // Raw bytes cannot be searched by time or network.
    expect(await erase({ actor: 'do"ra', since: "2020-01-01" })).toMatchObject({ quarantined: 0 });
    expect(await erase({ actor: 'do"ra', address: "203.0.113.0/24" })).toMatchObject({ quarantined: 0 });
    await owner.query("SELECT seclog_hold('case 3', 'short', NULL, '2021-01-01')");
    expect(await erase({ actor: 'do"ra' })).toMatchObject({ erased: 0, held: 4, quarantined: 0, recorded_as: null });
    await owner.query("SELECT seclog_release(max(id), 'over') FROM security_event_hold");
    await store({ actorId: 'do"ra' });
    const done = await erase({ actor: 'do"ra' });
    expect(done).toMatchObject({ erased: 1, held: 0, quarantined: 4 });
    expect(await blank()).toEqual([2, 4, 5, 6, 7]);
    expect(await database.query(commitments, [source])).toEqual(before);
    const lines = await removed(done.recorded_as);
    expect(lines).toContain(`${source} {[2,3),[4,7)}\n`);
    expect((await ownEvent(done.recorded_as)).data).toMatchObject({ rows: 5, sha256: sha256(lines).toString("hex") });
    const [third] = await rows("source_id = $1", [source]);
    expect(third?.["actor_id"]).toBe("nobody");
    expect(await erase({ actor: 'do"ra' })).toMatchObject({ quarantined: 0, recorded_as: null });
    await expect(owner.query("UPDATE security_event_quarantine SET record = ''")).rejects.toThrow("never changed");
  });
});
