import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PostgresProxy } from "#faults/proxy.js";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { createSecurityLog } from "../log/create-security-log.ts";
import type { HandlerError, SecurityEventHandler } from "../ship/handler.ts";
import { exampleBatch } from "../testing/example-events.ts";
import { type PostgresHandlerOptions, postgresHandler } from "./handler.ts";

let database: TestDatabase;
let handlers: SecurityEventHandler[] = [];
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
  for (const handler of handlers) await handler.close();
  handlers = [];
});

function create(options: PostgresHandlerOptions = {}): SecurityEventHandler {
  const handler = postgresHandler(options.pool === undefined ? { url: database.writerUrl, ...options } : options);
  handlers.push(handler);
  return handler;
}

function store(
  handler: SecurityEventHandler,
  firstSeq: number,
  count: number,
  acknowledged = firstSeq - 1,
): Promise<void> {
  return handler.handle(exampleBatch({ sourceId, firstSeq, count, acknowledged }), AbortSignal.timeout(20_000));
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

/** A message of PostgreSQL's protocol. */
function message(type: string, body: string): Buffer {
  const bytes = Buffer.from(`${type}\0\0\0\0${body}`, "latin1");
  bytes.writeInt32BE(bytes.length - 1, 1);
  return bytes;
}

const exactly = (events: number) => ({ rows: events, distinct: events, position: events });

describe("postgresHandler() - failures", () => {
  let proxy: PostgresProxy;
  beforeEach(async () => {
    proxy = await PostgresProxy.start(Number(new URL(database.writerUrl).port));
  });
  afterEach(() => proxy[Symbol.asyncDispose]());

  function throughProxy(options: PostgresHandlerOptions = {}): SecurityEventHandler {
    return create({ url: proxy.through(database.writerUrl), ...options });
  }

  /** Cuts the next connection that commits, before (`request`) or after (`answer`) the server receives the COMMIT. */
  function cutAtCommit(when: "request" | "answer"): void {
    proxy.trap = ({ type, data }) => {
      if (type !== "Q" || data.toString("latin1", 5) !== "COMMIT\0") return undefined;
      proxy.trap = undefined;
      return { how: "reset", pass: when === "request" ? 0 : data.length };
    };
  }

  it.each(["request", "answer"] as const)(
    "a batch whose connection was cut around COMMIT (%s) is stored exactly once",
    async (when) => {
      const handler = throughProxy();
      await store(handler, 1, 50);
      cutAtCommit(when);
      await expect(store(handler, 51, 50)).rejects.toMatchObject({ kind: "retry" });
      // The server may not have finished the cut transaction yet.
      await expect.poll(() => stored().then(({ position }) => position)).toBe(when === "answer" ? 100 : 50);
      await store(handler, 51, 50);
      expect(await stored()).toEqual(exactly(100));
    },
  );

  it("rolls back a batch after one that failed, and stores both later", async () => {
    const handler = throughProxy();
    await store(handler, 1, 10);
    cutAtCommit("request");
    const results = await Promise.allSettled([store(handler, 11, 10), store(handler, 21, 10, 10)]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(await stored()).toEqual(exactly(10));
    await Promise.all([store(handler, 11, 10), store(handler, 21, 10, 10)]);
    expect(await stored()).toEqual(exactly(30));
  });

  it("times out on a silent connection by its own clock, and continues with smaller transactions", async () => {
    const handler = throughProxy({ statementTimeout: 2_000 });
    await store(handler, 1, 10);
    proxy.stall();
    await expect(store(handler, 11, 200)).rejects.toMatchObject({
      kind: "retry",
      message: "PostgreSQL: no reply within 4000 ms",
    });
    proxy.resume();
    await store(handler, 11, 200);
    expect(await stored()).toEqual(exactly(210));
  });

  it("quarantines only the event whose number and time another client's row has taken", async () => {
    const handler = create();
    await store(handler, 1, 2);
    await database.query(
      `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment)
        VALUES (gen_random_uuid(), '2026-11-22 19:43:04.000004Z', 'x', 'info', 'user', 'success', 'security', $1, 1, 4, 1, '\\x00')`,
      [sourceId],
    );
    // The first time it could be another attempt at the same batch.
    await expect(store(handler, 3, 3)).rejects.toMatchObject({ kind: "retry" });
    await expect(store(handler, 3, 3)).rejects.toMatchObject({
      kind: "event",
      message: expect.stringContaining("one of the numbers 3 to 5 of source"),
    });
    // Now as the shipper narrows it down.
    await store(handler, 3, 1);
    await expect(store(handler, 4, 1)).rejects.toMatchObject({ kind: "retry" });
    await expect(store(handler, 4, 1)).rejects.toMatchObject({ kind: "event" });
    const { source, records } = exampleBatch({ sourceId, firstSeq: 4, count: 1, acknowledged: 3 });
    const record = records[0] ?? new Uint8Array();
    await handler.quarantine?.({ source, seq: 4, reason: "clash", record }, AbortSignal.timeout(20_000));
    await store(handler, 5, 1);
    expect(await stored()).toEqual(exactly(5));
  });

  it("stores a batch in parts over a link that dies before the whole batch is through", async () => {
    const handler = throughProxy();
    await store(handler, 1, 10);
    // Authentication and opening a source take about 2 KB, an event half a kilobyte.
    proxy.budget = 20_000;
    proxy.cut();
    let acknowledged = 10;
    let failures = 0;
    while (acknowledged < 1_000) {
      const failure = await store(handler, acknowledged + 1, 1_000 - acknowledged).then(
        () => undefined,
        (error: HandlerError) => error,
      );
      if (failure !== undefined) expect(failure.kind).toBe("retry");
      acknowledged = failure === undefined ? 1_000 : Math.max(acknowledged, failure.stored ?? 0);
      expect((await stored()).position).toBeGreaterThanOrEqual(acknowledged);
      expect(++failures).toBeLessThan(200);
    }
    expect(await stored()).toEqual(exactly(1_000));
    // Once the link holds, parts grow again.
    proxy.budget = undefined;
    proxy.cut();
    await store(handler, 1_001, 4_000).catch(() => store(handler, 1_001, 4_000));
    expect(await stored()).toEqual(exactly(5_000));
  });

  it("ends a call at once when its signal aborts", async () => {
    const handler = throughProxy();
    await store(handler, 1, 10);
    proxy.stall();
    const controller = new AbortController();
    const call = handler.handle(
      exampleBatch({ sourceId, firstSeq: 11, count: 10, acknowledged: 10 }),
      controller.signal,
    );
    setTimeout(() => controller.abort(), 50);
    await expect(call).rejects.toMatchObject({ kind: "retry" });
    proxy.resume();
    await store(handler, 11, 10);
    expect(await stored()).toEqual(exactly(20));
  });

  it("retries after a session was terminated midway", async () => {
    const handler = create();
    for (let round = 0; round < 10; round++) {
      const failure = store(handler, round * 100 + 1, 100).then(
        () => undefined,
        (error: unknown) => error,
      );
      await database.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'seclog' AND datname = $1",
        [database.name],
      );
      expect(await failure).toSatisfy((error) => error === undefined || (error as HandlerError).kind === "retry");
      await store(handler, round * 100 + 1, 100);
    }
    expect(await stored()).toEqual(exactly(1000));
  });

  it("retries when no server listens", async () => {
    await expect(store(create({ url: "postgresql://a:b@127.0.0.1:1/c" }), 1, 1)).rejects.toMatchObject({
      kind: "retry",
    });
  });

  it.each(["its own", "the application's"])("survives a server that ends %s new connection at once", async (whose) => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      // In one packet: authenticated, ready, terminated.
      socket.once("data", () => {
        const fatal = "SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0";
        socket.end(Buffer.concat([message("R", "\0\0\0\0"), message("Z", "I"), message("E", fatal)]));
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `postgresql://a:b@127.0.0.1:${(server.address() as AddressInfo).port}/c?sslmode=disable`;
    const pool = new pg.Pool({ connectionString: url });
    pool.on("error", () => {});
    try {
      const call = store(create(whose === "its own" ? { url } : { pool }), 1, 1);
      await expect(call).rejects.toMatchObject({ kind: "retry" });
    } finally {
      await pool.end();
      server.close();
    }
  });

  it("close() does not wait for a connection that a silent server never completes", async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket.on("error", () => {}))).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `postgresql://a:b@127.0.0.1:${(server.address() as AddressInfo).port}/c?sslmode=disable`;
    const handler = create({ url, connectTimeout: 600_000 });
    try {
      const giveUp = new AbortController();
      const call = handler.handle(exampleBatch({ sourceId, firstSeq: 1, count: 1 }), giveUp.signal);
      await once(server, "connection");
      giveUp.abort();
      await expect(call).rejects.toMatchObject({ kind: "retry" });
      await handler.close();
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });

  it("stops at a wrong password, a missing database and a missing table", async () => {
    const wrong = new URL(database.writerUrl);
    wrong.password = "wrong";
    await expect(store(create({ url: wrong.href }), 1, 1)).rejects.toMatchObject({ kind: "destination" });
    const missing = new URL(database.writerUrl);
    missing.pathname = "/seclog_no_such";
    await expect(store(create({ url: missing.href }), 1, 1)).rejects.toMatchObject({ kind: "destination" });
    const empty = new URL(database.adminUrl);
    empty.pathname = "/postgres";
    await expect(store(create({ url: empty.href }), 1, 1)).rejects.toMatchObject({ code: "SECLOG_SCHEMA_MISSING" });
  });

  it("retries when the database is read-only", async () => {
    await database.query(`ALTER DATABASE ${database.name} SET default_transaction_read_only = on`);
    try {
      await expect(store(create(), 1, 1)).rejects.toMatchObject({
        kind: "retry",
        message: expect.stringMatching(/read-only transaction \(SQLSTATE 25006\).*@seclog\/server doctor/),
      });
    } finally {
      await database.query("SET default_transaction_read_only = off");
      await database.query(`ALTER DATABASE ${database.name} RESET default_transaction_read_only`);
    }
    await store(create(), 1, 1);
    expect(await stored()).toEqual(exactly(1));
  });

  it("does not let another spool move a source's position", async () => {
    await store(create(), 1, 1);
    const batch = exampleBatch({ sourceId, firstSeq: 2, count: 1 });
    const thief = { ...batch, source: { ...batch.source, epoch: 9, key: "f".repeat(32) } };
    await expect(create().handle(thief, AbortSignal.timeout(20_000))).rejects.toMatchObject({ kind: "destination" });
    expect(await stored()).toEqual(exactly(1));
  });
});

describe("postgresHandler() - what it stores", () => {
  it("does not connect before the first batch, and then opens one connection for each concurrent batch", async () => {
    await using proxy = await PostgresProxy.start(Number(new URL(database.writerUrl).port));
    const handler = create({ url: proxy.through(database.writerUrl) });
    expect(proxy.connections).toBe(0);
    await Promise.all([store(handler, 1, 10), store(handler, 11, 10, 0)]);
    expect(proxy.connections).toBe(2);
    expect(await stored()).toEqual(exactly(20));
  });

  it("works through the application's own pool, and leaves it usable", async () => {
    const pool = new pg.Pool({ connectionString: database.writerUrl, max: 2 });
    // Its connections may outlive end(), and are then terminated when the database is dropped.
    pool.on("error", () => {});
    const handler = create({ pool });
    expect(handler.worker).toBeUndefined();
    await Promise.all([store(handler, 1, 100), store(handler, 101, 100, 0)]);
    await handler.close();
    expect((await pool.query("SHOW statement_timeout")).rows).toEqual([{ statement_timeout: "0" }]);
    await pool.end();
    expect(await stored()).toEqual(exactly(200));
  });

  it("commits with synchronous_commit = on, whatever the role's setting", async () => {
    const role = new URL(database.writerUrl).username;
    await database.query(`ALTER ROLE ${role} SET synchronous_commit = off`);
    await database.query(
      `CREATE FUNCTION public.seclog_test_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('synchronous_commit') <> 'on' THEN RAISE 'synchronous_commit is off'; END IF; RETURN NEW; END $$`,
    );
    await database.query(
      "CREATE TRIGGER seclog_test_commit AFTER UPDATE ON security_event_source FOR EACH ROW EXECUTE FUNCTION public.seclog_test_commit()",
    );
    try {
      await store(create(), 1, 1);
    } finally {
      await database.query("DROP FUNCTION public.seclog_test_commit() CASCADE");
      await database.query(`ALTER ROLE ${role} RESET synchronous_commit`);
    }
    expect(await stored()).toEqual(exactly(1));
  });

  it("stores a batch that takes longer than the role's own timeouts", async () => {
    const role = new URL(database.writerUrl).username;
    const limits = [
      "statement_timeout = 60",
      "lock_timeout = 60",
      "idle_in_transaction_session_timeout = 60",
      "idle_session_timeout = 60",
      ...(await database.query("SELECT FROM pg_settings WHERE name = 'transaction_timeout'")).map(
        () => "transaction_timeout = 300",
      ),
    ];
    for (const limit of limits) await database.query(`ALTER ROLE ${role} SET ${limit}`);
    await database.query(`CREATE FUNCTION public.seclog_test_slow() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_sleep(0.4); RETURN NEW; END $$`);
    await database.query(
      "CREATE TRIGGER seclog_test_slow AFTER UPDATE ON security_event_source FOR EACH ROW EXECUTE FUNCTION public.seclog_test_slow()",
    );
    try {
      const handler = create();
      for (let first = 1; first <= 30; first += 10) await store(handler, first, 10);
    } finally {
      await database.query("DROP FUNCTION public.seclog_test_slow() CASCADE");
      await database.query(`ALTER ROLE ${role} RESET ALL`);
    }
    expect(await stored()).toEqual(exactly(30));
  });

  it("stores events of any time, each in a partition of its category's class", async () => {
    await database.query("INSERT INTO security_event_retention VALUES ('authz', 'long')");
    const handler = create();
    const times = ["0001-01-01T00:00:00.000000Z", "2026-11-22T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"];
    const records = times.flatMap((occurredAt, index) => {
      return exampleBatch({ sourceId, firstSeq: index + 1, event: { occurredAt } }).records;
    });
    await handler.handle(exampleBatch({ sourceId, records }), AbortSignal.timeout(20_000));
    await database.query("DELETE FROM security_event_retention");
    const rows = await database.query<{ part: string }>(
      "SELECT tableoid::regclass::text AS part FROM security_event_log WHERE source_id = $1 ORDER BY seq",
      [sourceId],
    );
    expect(rows).toHaveLength(3);
    for (const { part } of rows) expect(part).toMatch(/^security_event_log_long_/);
    expect(rows[0]?.part).toBe("security_event_log_long_default");
  });

  it("reports what is wrong with the first event of a batch that is still being sent", async () => {
    const batch = exampleBatch({ sourceId, count: 4_000, event: { occurredAt: "2026-02-30T00:00:00.000000Z" } });
    await expect(create().handle(batch, AbortSignal.timeout(20_000))).rejects.toMatchObject({
      kind: "event",
      message: expect.stringContaining("out of range"),
    });
  });

  it("quarantines an event whose value the table cannot hold", async () => {
    const handler = create();
    const call = handler.handle(
      exampleBatch({ sourceId, count: 1, event: { occurredAt: "2026-02-30T00:00:00.000000Z" } }),
      AbortSignal.timeout(20_000),
    );
    await expect(call).rejects.toMatchObject({ kind: "event" });
    const { source } = exampleBatch({ sourceId });
    const record = Buffer.from([0, 1, 255]);
    await handler.quarantine?.({ source, seq: 1, reason: "no such day", record }, AbortSignal.timeout(20_000));
    expect(
      await database.query("SELECT seq::int, reason, record FROM security_event_quarantine WHERE source_id = $1", [
        sourceId,
      ]),
    ).toEqual([{ seq: 1, reason: "no such day", record }]);
  });
});

describe("postgresHandler() - with an administrator's additions to the table", () => {
  const REFUSALS = {
    "a CHECK constraint":
      "ALTER TABLE security_event_log ADD CONSTRAINT house_rule CHECK (data->>'resource' <> 'bad') NOT VALID",
    "a trigger": `
      CREATE FUNCTION public.house_rule() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.data->>'resource' = 'bad' THEN RAISE EXCEPTION 'not in this house'; END IF; RETURN NEW; END $$;
      CREATE TRIGGER house_rule BEFORE INSERT ON security_event_log FOR EACH ROW EXECUTE FUNCTION public.house_rule()`,
  };
  afterEach(async () => {
    await database.query("ALTER TABLE security_event_log DROP CONSTRAINT IF EXISTS house_rule");
    await database.query("DROP FUNCTION IF EXISTS public.house_rule() CASCADE");
  });

  it.each(Object.entries(REFUSALS))("quarantines the one event of 50 that %s refuses", async (_, ddl) => {
    await database.query(ddl);
    const log = createSecurityLog({
      spool: "memory",
      handlers: [create()],
      service: sourceId,
      heartbeat: false,
      diagnostics: () => {},
    });
    for (let index = 1; index <= 50; index++) {
      log.recordSecurityEvent("authz_fail", null, { resource: index === 17 ? "bad" : "good" });
    }
    await log.close();
    const stored = await database.query<{ source: string; seq: number; position: number }>(
      `SELECT l.source_id AS source, l.seq::int, s.last_seq::int AS position
        FROM security_event_log l JOIN security_event_source s ON s.id = l.source_id WHERE l.service = $1`,
      [sourceId],
    );
    const quarantined = await database.query<{ seq: number; reason: string }>(
      "SELECT seq::int, reason FROM security_event_quarantine WHERE source_id = $1",
      [stored[0]?.source],
    );
    expect(quarantined).toEqual([{ seq: expect.any(Number), reason: expect.stringMatching(/house/) }]);
    const seqs = [...stored, ...quarantined].map(({ seq }) => seq).sort((a, b) => a - b);
    // 50, log_started and log_stopped.
    expect(seqs).toEqual(Array.from({ length: 52 }, (_, index) => index + 1));
    expect(stored[0]?.position).toBe(52);
  });

  it("retries an event that no partition takes, without blaming the event", async () => {
    await store(create(), 1, 1);
    await database.query("ALTER TABLE security_event_log DETACH PARTITION security_event_log_standard");
    await database.query("ALTER TABLE security_event_log DETACH PARTITION security_event_log_other");
    const handler = create();
    try {
      await expect(store(handler, 2, 1)).rejects.toMatchObject({
        kind: "retry",
        message: expect.stringContaining("no partition"),
      });
    } finally {
      await database.query("ALTER TABLE security_event_log ATTACH PARTITION security_event_log_other DEFAULT");
      await database.query(
        "ALTER TABLE security_event_log ATTACH PARTITION security_event_log_standard FOR VALUES IN ('standard')",
      );
    }
    await store(handler, 2, 1);
    expect(await stored()).toEqual(exactly(2));
  });
});

describe("postgresHandler() - options", () => {
  it.each([
    [{ url: "postgresql://u:p@localhost/d", colour: "red" }, "colour"],
    [{ url: "postgresql://u:p@localhost/d", poolMax: 0 }, "poolMax"],
    [{ url: "postgresql://u:p@localhost/d", statementTimeout: -1 }, "statementTimeout"],
    [{ url: "mysql://u:p@localhost/d" }, "mysql:"],
    [{ url: "postgresql://u:p@localhost/d?options=-c%20synchronous_commit%3Doff" }, "options"],
    [{ url: "postgresql://u:p@localhost/d?synchronous_commit=off" }, "synchronous_commit"],
    [{ url: "postgresql://u:p@localhost/d?sslmode=no-verify" }, "no-verify"],
    [{ url: "postgresql://u:p@localhost/d?sslmode=prefer" }, "prefer"],
    [{ url: "postgresql://localhost/d" }, "user"],
    [{ url: "postgresql://u:p@localhost" }, "database"],
    [{ url: "secret-password" }, "not a URL"],
    [{ urlFile: "/no/such/file" }, "urlFile"],
    [{ pool: {} }, "pool"],
  ])("%j is refused with the option's name, without the secret", (options, named) => {
    expect(() => postgresHandler(options as PostgresHandlerOptions)).toThrow(named);
    expect(() => postgresHandler(options as PostgresHandlerOptions)).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.not.stringMatching(/u:p|secret-password/) }),
    );
  });

  it("requires TLS of another machine, and does not send the password without it", async () => {
    const url = new URL(database.writerUrl);
    url.searchParams.set("sslmode", "require");
    await expect(store(create({ url: url.href }), 1, 1)).rejects.toMatchObject({
      kind: "destination",
      message: expect.stringContaining("SSL"),
    });
  });
});
