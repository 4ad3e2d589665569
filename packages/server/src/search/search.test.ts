import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { PostgresProxy } from "#faults/proxy.js";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { type Database, openReader } from "../database/reader.ts";
import { EventFollower } from "./event-follower.ts";
import type { EventRow } from "./event-rows.ts";
import { type FilterOptions, parseFilter } from "./filter.ts";
import { type EventPage, findEvents } from "./find-events.ts";
import { followEvents } from "./follow-events.ts";
import { summarize } from "./summary.ts";

const SOURCE_A = "01a00000-0000-7000-8000-00000000000a";
const LOST = "01a00000-0000-7000-8000-0000000000f4";
const SOURCE_B = "01a00000-0000-7000-8000-00000000000b";

let server: TestDatabase;
let database: Database;

beforeAll(async () => {
  server = await createTestDatabase();
  process.env["SECLOG_READER_URL"] = server.readerUrl;
  database = openReader();
});

afterAll(async () => {
  delete process.env["SECLOG_READER_URL"];
  await database.destroy();
  await server[Symbol.asyncDispose]();
});

interface Inserted {
  readonly type?: string;
  readonly level?: string;
  readonly at?: string;
  readonly ip?: string;
  readonly actor?: string;
  readonly path?: string;
  readonly data?: string;
  readonly more?: { readonly [column: string]: string | number };
}

async function insert(source: string, seq: number, event: Inserted): Promise<void> {
  await server.query(
    `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, ip_address, actor_id, path, data,
       logger, source_id, epoch, seq, v, commitment, ${Object.keys({ target_id: 0, ...event.more }).join(", ")})
     VALUES (gen_random_uuid(), $3, $4, $5, 'test', 'failure', $6, $7, $8, $9, 'security', $1, 1, $2, 1, '',
       ${Object.values({ target_id: "t", ...event.more })
         .map((value) => pg.escapeLiteral(String(value)))
         .join(", ")})`,
    [
      source,
      seq,
      event.at ?? new Date().toISOString(),
      event.type ?? "authz_fail",
      event.level ?? "warning",
      event.ip ?? null,
      event.actor ?? null,
      event.path ?? null,
      event.data ?? null,
    ],
  );
}

/** Stores an event as a writer does, with its source's position. */
async function store(id: string, seq: number, type: string): Promise<void> {
  await insert(id, seq, { type });
  await server.query(
    `INSERT INTO security_event_source (id, epoch, last_seq, key_hash) VALUES ($1, 1, $2, '')
     ON CONFLICT (id) DO UPDATE SET last_seq = excluded.last_seq, updated_at = clock_timestamp()`,
    [id, seq],
  );
}

describe("findEvents()", () => {
  const EVENTS: readonly Inserted[] = [
    {
      type: "authn_login_fail",
      ip: "203.0.113.9",
      actor: "alice",
      path: "/login",
      data: '{"reason":"wrong \\"word\\""}',
    },
    {
      ...{ type: "authn_login_success", level: "info", ip: "203.0.113.77", actor: "bob", path: "/login" },
      more: { status_code: 303, method: "POST", service: "shop", request_host: "Shop.example:8443", host: "web-1" },
    },
    {
      ...{ level: "critical", ip: "198.51.100.1", actor: "alice", path: "/admin/100%_sure" },
      more: { status_code: 403, method: "_OTHER", method_original: "PROPFIND", route: "/admin/:what", target_id: "t3" },
    },
    { level: "error", ip: "2001:db8::1", path: "/admin/100 percent sure" },
    { type: "malicious_csrf", path: "/back\\slash", data: '{"userid":"dave","newuserid":12}' },
    { at: "2020-02-02T10:00:00Z", actor: "carol" },
  ];

  beforeAll(async () => {
    for (const [index, event] of EVENTS.entries()) await insert(SOURCE_A, index + 1, event);
  });

  async function found(options: FilterOptions): Promise<number[]> {
    const seqs: number[] = [];
    const filter = parseFilter({ since: "1d", ...options });
    for await (const { rows } of findEvents(database, filter, { order: "oldest", limit: 100 })) {
      // Without the log's own events.
      seqs.push(...rows.filter((row) => row.source_id === SOURCE_A).map((row) => row.seq));
    }
    return seqs;
  }

  it.each<[FilterOptions, number[]]>([
    [{}, [1, 2, 3, 4, 5]],
    [{ since: "2020-01-01", until: "2020-02-02T10:00:00.001Z" }, [6]],
    [{ since: "2020-01-01", until: "2020-02-02T10:00:00Z" }, []],
    [{ since: "2020-02-02T10:00:00Z", until: "2020-03-01" }, [6]],
    [{ type: ["authn_*"] }, [1, 2]],
    [{ type: ["malicious_csrf", "authn_login_success"] }, [2, 5]],
    // In LIKE, an underscore would match any letter.
    [{ type: ["a_thz*"] }, []],
    [{ type: ["authz*fail"] }, [3, 4]],
    [{ level: "error" }, [3, 4]],
    [{ level: "debug" }, [1, 2, 3, 4, 5]],
    [{ ip: "203.0.113.9" }, [1]],
    [{ ip: "::ffff:203.0.113.9" }, [1]],
    [{ ip: "203.0.113.0/24" }, [1, 2]],
    [{ ip: "203.0.113.9/32" }, [1]],
    [{ ip: "2001:db8::/32" }, [4]],
    [{ ip: "0.0.0.0/0" }, [1, 2, 3]],
    [{ actor: "alice" }, [1, 3]],
    [{ actor: "alic%" }, []],
    [{ path: "/admin" }, [3, 4]],
    [{ path: "/admin/100%_" }, [3]],
    [{ path: "/back\\" }, [5]],
    [{ path: "/*/100*sure" }, [3, 4]],
    [{ path: "/*/100" }, []],
    [{ status: ["403"] }, [3]],
    [{ status: ["3xx,400-499"] }, [2, 3]],
    [{ status: ["5xx"] }, []],
    [{ method: ["post"] }, [2]],
    [{ method: ["PROPFIND", "GET"] }, [3]],
    [{ route: "/admin/:what" }, [3]],
    [{ route: "/admin" }, []],
    [{ service: "shop" }, [2]],
    [{ host: "shop.EXAMPLE" }, [2]],
    [{ host: "shop.example:8443" }, [2]],
    [{ host: "shop.example:8" }, []],
    [{ host: "web-1" }, [2]],
    [{ target: "t3" }, [3]],
    [{ target: "t_" }, []],
    [{ actor: "dave" }, [5]],
    [{ target: "dave" }, [5]],
    [{ actor: "12" }, []],
    [{ target: "12" }, [5]],
    [{ target: "1" }, []],
    [{ outcome: ["success"] }, []],
    [{ outcome: ["failure,unknown"], category: ["test"] }, [1, 2, 3, 4, 5]],
    [{ category: ["authn"] }, []],
    [{ text: 'WRONG "word' }, [1]],
    [{ text: "100%" }, [3]],
    [{ text: "Login" }, [1, 2]],
    [{ text: "'; DROP TABLE security_event_log; --" }, []],
    [{ actor: "alice", level: "critical" }, [3]],
  ])("%j", async (options, expected) => {
    expect(await found(options)).toEqual(expected);
  });

  it("returns a row with the event's values", async () => {
    const filter = parseFilter({ actor: "carol" });
    const { value } = await findEvents(database, filter, { order: "newest", limit: 1 }).next();
    expect(value?.rows[0]).toMatchObject({
      occurred_at: "2020-02-02T10:00:00.000000Z",
      level: "warning",
      outcome: "failure",
      source_id: SOURCE_A,
      seq: 6,
      v: 1,
      ip_address: null,
      started_at: null,
    });
    const first = await findEvents(database, parseFilter({ ip: "203.0.113.9" }), { order: "newest", limit: 1 }).next();
    expect(first.value?.rows[0]).toMatchObject({ ip_address: "203.0.113.9", data: { reason: 'wrong "word"' } });
  });

  it.each([
    [4, true],
    [5, false],
    [6, false],
  ])("says with the last page whether more than %i events match: %s", async (limit, more) => {
    const pages: EventPage[] = [];
    const filter = parseFilter({ since: "1d", category: ["test"] });
    for await (const page of findEvents(database, filter, { order: "newest", limit })) pages.push(page);
    expect(pages.flatMap(({ rows }) => rows)).toHaveLength(Math.min(limit, 5));
    expect(pages.map((page) => page.more)).toEqual([more]);
  });

  it.each(["oldest", "newest"] as const)(
    "pages through many events of one microsecond, each once, %s first",
    async (order) => {
      const total = 12_000;
      await server.query(
        `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment)
       SELECT gen_random_uuid(), '2021-05-05T05:05:05Z'::timestamptz + make_interval(secs => n / 5000), 'paged', 'info', 'test',
              'success', 'security', $1, 1, n, 1, '' FROM generate_series(1, $2::int) n ON CONFLICT DO NOTHING`,
        [SOURCE_B, total],
      );
      const filter = parseFilter({ since: "2021-01-01", until: "2022-01-01" });
      const seqs: number[] = [];
      for await (const { rows } of findEvents(database, filter, { order, limit: Number.POSITIVE_INFINITY })) {
        seqs.push(...rows.map((row) => row.seq));
      }
      const expected = Array.from({ length: total }, (_, index) => index + 1);
      expect(seqs).toEqual(order === "oldest" ? expected : expected.reverse());
    },
  );
});

describe("EventFollower", () => {
  it("continues from its start, source by source, and does not reread what a filter left out", async () => {
    const source = "01a00000-0000-7000-8000-0000000000f1";
    const later = "01a00000-0000-7000-8000-0000000000f2";
    await store(source, 1, "follow_old");
    const follower = new EventFollower(database, parseFilter({ type: ["follow_*"] }));
    expect((await follower.begin(5)).map((row) => row.event_type)).toEqual(["follow_old"]);
    const look = async (): Promise<string[]> => {
      const types: string[] = [];
      for await (const rows of follower.look()) types.push(...rows.map((row) => row.event_type));
      return types;
    };
    expect(await look()).toEqual([]);
    await store(source, 2, "follow_a");
    await store(later, 1, "follow_b");
    expect(await look()).toEqual(["follow_a", "follow_b"]);
    await store(source, 3, "other");
    expect(await look()).toEqual([]);
    await store(source, 4, "follow_c");
    expect(await look()).toEqual(["follow_c"]);
    expect(await look()).toEqual([]);
  });
});

describe("followEvents()", () => {
  it("yields what arrives, survives a lost connection, and ends with its signal", async () => {
    await using proxy = await PostgresProxy.start(Number(new URL(server.readerUrl).port));
    const reader = openReader(undefined, proxy.through(server.readerUrl));
    const follower = new EventFollower(reader, parseFilter({ type: ["outlive_*"] }));
    const news: string[] = [];
    const stop = new AbortController();
    try {
      await follower.begin(0);
      const pages = followEvents(follower, {
        intervalMs: 20,
        signal: stop.signal,
        onLost: (message) => news.push(message),
        onBack: () => news.push("back"),
      });
      await store(LOST, 1, "outlive_a");
      expect((await pages.next()).value?.map(({ seq }: EventRow) => seq)).toEqual([1]);
      let cuts = 0;
      proxy.trap = () => (cuts++ === 0 ? { how: "reset", pass: 0 } : undefined);
      const next = pages.next();
      await vi.waitFor(() => expect(news).toHaveLength(1), 10_000);
      await store(LOST, 2, "outlive_b");
      expect((await next).value?.map(({ seq }: EventRow) => seq)).toEqual([2]);
      expect(news).toEqual([expect.stringContaining("the database (reader) says:")]);
      const last = pages.next();
      await vi.waitFor(() => expect(news.at(-1)).toBe("back"), 10_000);
      stop.abort(new Error("enough"));
      await expect(last).rejects.toThrow();
    } finally {
      await reader.destroy();
    }
  });
});

describe("summarize()", () => {
  it("counts matching events by level, type, address and hour, and names the sources", async () => {
    const source = "01a00000-0000-7000-8000-0000000000f5";
    const at = new Date(Date.now() - 10_000).toISOString();
    const common = { at, level: "critical", more: { service: "tally" } };
    await insert(source, 1, { ...common, type: "tally_a", ip: "192.0.2.7" });
    await insert(source, 2, { ...common, type: "tally_a", more: { service: "tally", count: 9 } });
    await insert(source, 3, { ...common, type: "tally_b" });
    const summary = await summarize(database, parseFilter({ service: "tally" }), 1);
    expect(summary).toMatchObject({
      events: 3,
      occurrences: 11,
      level: [{ name: "critical", events: 3, occurrences: 11 }],
      type: [{ name: "tally_a", events: 2, occurrences: 10 }],
      ip: [{ name: "192.0.2.7", events: 1, occurrences: 1 }],
      totals: { quarantined: 0 },
    });
    expect(summary.hour.map(({ name }) => name)).toEqual([`${at.slice(0, 13)}:00Z`]);
    expect(summary.sources).toHaveLength(1);
  });
});
