import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PostgresProxy } from "#faults/proxy.js";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { type Database, openReader } from "../database/reader.ts";
import { type FilterOptions, parseFilter } from "./filter.ts";
import { EventFollower, findEvents } from "./queries.ts";

const SOURCE_A = "01a00000-0000-7000-8000-00000000000a";
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
    for await (const rows of findEvents(database, filter, { order: "oldest", limit: 100 })) {
      // Without what the database has recorded itself.
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
    // In LIKE an underscore would be any letter.
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

  it("gives a row as the event has it", async () => {
    const filter = parseFilter({ actor: "carol" });
    const { value } = await findEvents(database, filter, { order: "newest", limit: 1 }).next();
    expect(value?.[0]).toMatchObject({
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
    expect(first.value?.[0]).toMatchObject({ ip_address: "203.0.113.9", data: { reason: 'wrong "word"' } });
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
      for await (const rows of findEvents(database, filter, { order, limit: Number.POSITIVE_INFINITY })) {
        seqs.push(...rows.map((row) => row.seq));
      }
      const expected = Array.from({ length: total }, (_, index) => index + 1);
      expect(seqs).toEqual(order === "oldest" ? expected : expected.reverse());
    },
  );
});

describe("the reader's database", () => {
  it("cannot be written to, whatever the role may do, and gives a long question up", async () => {
    process.env["SECLOG_READER_URL"] = server.adminUrl;
    const powerful = openReader(300);
    process.env["SECLOG_READER_URL"] = server.readerUrl;
    try {
      await expect(powerful.deleteFrom("security_event_source").execute()).rejects.toThrow("read-only transaction");
      const slow = powerful.selectNoFrom((eb) => eb.fn("pg_sleep", [eb.val(60)]).as("slept"));
      await expect(slow.execute()).rejects.toThrow("statement timeout");
    } finally {
      await powerful.destroy();
    }
  });

  it.each(["a question", "BEGIN ISOLATION LEVEL"])(
    "a connection that is lost in %s fails that question, and neither the process nor the next one",
    async (what) => {
      await using proxy = await PostgresProxy.start(Number(new URL(server.readerUrl).port));
      const reader = openReader(undefined, proxy.through(server.readerUrl));
      const ask = () => reader.selectNoFrom((eb) => eb.val(1).as("a question")).execute();
      try {
        for (const how of ["reset", "end"] as const) {
          if (what === "a question") await ask();
          proxy.trap = ({ data }) => (data.includes(what) ? { how, pass: 0 } : undefined);
          await expect(ask()).rejects.toThrow(/terminated|ECONNRESET/);
          proxy.trap = undefined;
        }
        expect(await ask()).toHaveLength(1);
      } finally {
        await reader.destroy();
      }
    },
  );
});

describe("EventFollower", () => {
  it("goes on where it began, source by source, and does not repeat what a filter left out", async () => {
    const source = "01a00000-0000-7000-8000-0000000000f1";
    const later = "01a00000-0000-7000-8000-0000000000f2";
    const store = async (id: string, seq: number, type: string): Promise<void> => {
      await insert(id, seq, { type });
      await server.query(
        `INSERT INTO security_event_source (id, epoch, last_seq, key_hash) VALUES ($1, 1, $2, '')
         ON CONFLICT (id) DO UPDATE SET last_seq = excluded.last_seq, updated_at = clock_timestamp()`,
        [id, seq],
      );
    };
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
