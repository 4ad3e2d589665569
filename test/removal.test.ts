/** The built `seclog erase`, `prune`, `hold` and `retention`, against a real PostgreSQL. */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeEvent } from "../packages/seclog/src/event/encode.ts";
import type { SecurityEvent } from "../packages/seclog/src/event/event.ts";
import { createSecurityLog } from "../packages/seclog/src/log/create-security-log.ts";
import { postgresHandler } from "../packages/seclog/src/postgres/handler.ts";
import { exampleBatch, exampleEvent } from "../packages/seclog/src/testing/example-events.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { type Environment, LONG, programOf } from "./support/program.ts";
import { sealLog } from "./support/seal-log.ts";

const REASON = ["--reason", "ticket 4711"];

let database: TestDatabase;
const opened: pg.Client[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
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

const { seclog } = programOf(() => database);

async function json(args: readonly string[], environment?: Environment): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await seclog([...args, "--json"], environment);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

let nextSource = 0;

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

const count = async (where: string): Promise<number> =>
  (await database.query<{ n: number }>(`SELECT count(*)::int AS n FROM security_event_log WHERE ${where}`))[0]?.n ?? -1;

describe("seclog erase", LONG, () => {
  it("prints what it would do, does it with --yes, and names the event that records it", async () => {
    const at = (hour: number): string => `2026-11-22T${hour}:00:00.000000Z`;
    await store(
      { actorId: "alice", occurredAt: at(10) },
      { actorId: "alice", occurredAt: at(11), type: "authn_login_fail" },
      { actorId: "alice", occurredAt: at(12), category: "admin" },
      { actorId: "bob", occurredAt: at(13), ipAddress: "203.0.113.77" },
    );
    await database.query(
      "INSERT INTO security_event_quarantine VALUES (gen_random_uuid(), 1, 'bad', '{\"actor_id\":\"alice\"}')",
    );
    const dry = await seclog(["erase", "--actor", "alice", ...REASON]);
    expect([dry.code, dry.stderr]).toEqual([0, "Nothing was changed. Add --yes to erase.\n"]);
    expect(dry.stdout).toBe(`Would erase 3 events from 2026-11-22 10:00:00 to 2026-11-22 12:00:00 UTC
EVENTS EVENT
     2 authz_fail
     1 authn_login_fail
Would erase 1 record in quarantine
`);
    expect(await json(["erase", "--actor", "alice", "--until", at(12).slice(0, 16), ...REASON])).toEqual({
      dry_run: true,
      erased: 2,
      held: 0,
      quarantined: 0,
      first_at: at(10),
      last_at: at(11),
      types: { authn_login_fail: 1, authz_fail: 1 },
      recorded_as: null,
    });
    expect(await count("actor_id = 'alice'")).toBe(3);
    expect(await count("event_type = 'log_erased'")).toBe(0);

    const done = await seclog(["erase", "--actor", "alice", ...REASON, "--yes"]);
    expect([done.code, done.stderr]).toEqual([0, ""]);
    const [event] = await database.query<{ id: string; seq: string; data: unknown; actor_id: string }>(
      "SELECT id, seq, data, actor_id FROM security_event_log WHERE event_type = 'log_erased'",
    );
    expect(event).toMatchObject({
      data: { reason: "ticket 4711", rows: 4 },
      actor_id: new URL(database.adminUrl).username,
    });
    expect(done.stdout).toContain("Erased 3 events from ");
    expect(done.stdout).toContain(
      `On record as log_erased, event ${event?.id} (number ${event?.seq} of the log's own source)\n`,
    );
    expect(await count("actor_id = 'alice'")).toBe(0);
    // Queried like any other event.
    const queried = await json(["query", "--type", "log_erased"]);
    expect(queried["events"]).toMatchObject([{ id: event?.id, service: "seclog" }]);

    const again = await seclog(["erase", "--actor", "alice", ...REASON, "--yes"]);
    expect([again.code, again.stdout]).toEqual([
      0,
      'No events match, so there is nothing to erase. Searched for actor_id or userid "alice".\n',
    ]);
    expect(await json(["erase", "--ip", "203.0.113.64/26", ...REASON, "--yes"])).toMatchObject({
      dry_run: false,
      erased: 1,
      recorded_as: { seq: Number(event?.seq) + 1 },
    });
  });

  it("keeps the events that a hold covers until its release", async () => {
    await store({ actorId: "held", occurredAt: "2026-11-20T10:00:00.000000Z" }, { actorId: "held" });
    const placed = await json([
      "hold",
      ...REASON,
      "--since",
      "2026-11-20",
      "--until",
      "2026-11-21",
      "--class",
      "standard",
    ]);
    expect(placed).toMatchObject({
      reason: "ticket 4711",
      class: "standard",
      since: "2026-11-20T00:00:00Z",
      until: "2026-11-21T00:00:00Z",
      released_at: null,
    });
    expect((await seclog(["erase", "--actor", "held", ...REASON])).stdout).toContain(
      "A hold keeps 1 event: see npx @seclog/server hold --list",
    );
    expect(await json(["erase", "--actor", "held", ...REASON, "--yes"])).toMatchObject({ erased: 1, held: 1 });
    const list = await seclog(["hold", "--list"]);
    expect(list.stdout).toMatch(/ 1 standard 2026-11-20 to 2026-11-21 +\d{4}-\d\d-\d\d - +ticket 4711\n$/);
    const released = await seclog(["hold", "--release", String(placed["id"]), "--reason", "closed"]);
    expect([released.code, released.stdout]).toEqual([0, `Hold ${placed["id"]} released, and recorded in the log.\n`]);
    const twice = await seclog(["hold", "--release", String(placed["id"]), "--reason", "closed"]);
    expect([twice.code, twice.stderr]).toEqual([
      1,
      expect.stringMatching(/hold 1 does not exist or was already released.*SECLOG_REMOVAL/),
    ]);
    expect(await json(["hold", "--list"])).toMatchObject({ holds: [{ id: 1, released_at: expect.any(String) }] });
    expect(await json(["erase", "--actor", "held", ...REASON, "--yes"])).toMatchObject({ erased: 1, held: 0 });
    const own = await database.query(
      "SELECT data FROM security_event_log WHERE event_type = 'log_retention' ORDER BY seq",
    );
    expect(own.map(({ data }) => data)).toMatchObject([
      { hold: 1, class: "standard" },
      { released: 1, reason: "closed" },
    ]);
  });

  it("works for an administrator who is not a superuser, and leaves that role's rights as they were", async () => {
    await store({ actorId: "dora" });
    const name = `dba_${database.name}`;
    const adminUrl = Object.assign(new URL(database.serverUrl), { username: name, password: "x" }).href;
    await database.query(`CREATE ROLE ${name} LOGIN PASSWORD 'x'`);
    await database.query(`GRANT CONNECT ON DATABASE ${database.name} TO ${name}`);
    try {
      const refused = await seclog(["erase", "--actor", "dora", ...REASON, "--yes"], { SECLOG_ADMIN_URL: adminUrl });
      expect([refused.code, refused.stdout]).toEqual([3, ""]);
      expect(refused.stderr).toContain("may not act as seclog_owner");
      await database.query(`GRANT seclog_owner TO ${name} WITH ADMIN OPTION, SET FALSE, INHERIT FALSE`);
      expect(
        await json(["erase", "--actor", "dora", ...REASON, "--yes"], { SECLOG_ADMIN_URL: adminUrl }),
      ).toMatchObject({ erased: 1 });
      const [event] = await database.query("SELECT actor_id FROM security_event_log_own ORDER BY seq DESC LIMIT 1");
      expect(event).toEqual({ actor_id: name });
      const client = new pg.Client({
        connectionString: Object.assign(new URL(adminUrl), { pathname: `/${database.name}` }).href,
      });
      await client.connect();
      await expect(client.query("SET ROLE seclog_owner")).rejects.toMatchObject({ code: "42501" });
      await client.end();
    } finally {
      await database.query(`DROP OWNED BY ${name}`);
      await database.query(`DROP ROLE ${name}`);
    }
  });

  it("gives up while another session locks the log, and changes nothing", async () => {
    await store({ actorId: "erika" });
    const locker = await connect(database.adminUrl);
    await locker.query(
      "BEGIN; SELECT FROM security_event_source WHERE id = (SELECT own_source FROM security_event_tree) FOR UPDATE",
    );
    const { code, stdout, stderr } = await seclog(["erase", "--actor", "erika", ...REASON, "--yes"]);
    await locker.query("ROLLBACK");
    expect([code, stdout, stderr]).toEqual([
      1,
      "",
      expect.stringMatching(/locked, so nothing was erased.*SECLOG_REMOVAL/),
    ]);
    expect(await count("actor_id = 'erika'")).toBe(1);
  });

  it("finds a value as the application had it, even where the log keeps only part of it", async () => {
    const dn = (name: string): string => `${"OU=A department with a very long name,".repeat(8)}DC=example,CN=${name}`;
    const forms = [
      { actor: dn("Jane"), path: "/long" },
      { actor: dn("Joan"), path: "/other" },
      { target: dn("Jane"), path: "/target" },
      { actor: 4711, path: "/number" },
      { actor: "back\\slash and 'quote'", path: "/signs" },
    ];
    const writer = createSecurityLog({
      spool: "memory",
      handlers: [postgresHandler({ url: database.writerUrl })],
    });
    for (const { path, ...who } of forms) {
      const request = {
        method: "GET",
        url: `${path}?token=1`,
        headers: {},
        socket: { remoteAddress: "::ffff:203.0.113.200" },
      };
      writer.recordSecurityEvent("authz_fail", request, { ...who, onuserid: dn("Jim") });
    }
    await writer.close();

    const paths = async (...args: string[]): Promise<string[]> => {
      const { events } = (await json(["query", "--since", "1h", "--order", "oldest", ...args])) as {
        events: { path: string; actor_id: string | null }[];
      };
      return events.map(({ path }) => path);
    };
    expect(await paths("--actor", dn("Jane"))).toEqual(["/long"]);
    expect(await paths("--target", dn("Jane"))).toEqual(["/target"]);
    expect(await paths("--actor", "4711")).toEqual(["/number"]);
    expect(await paths("--actor", "back\\slash and 'quote'")).toEqual(["/signs"]);
    expect(await paths("--path", "/long?token=1")).toEqual(["/long"]);
    expect(await paths("--path", "https://shop.example/long#top")).toEqual(["/long"]);
    for (const ip of ["203.0.113.200", "::ffff:203.0.113.200", "203.0.113.200:443", "[::ffff:203.0.113.200]:443"]) {
      expect(await paths("--ip", ip)).toHaveLength(5);
    }
    expect(await paths("--ip", "::ffff:203.0.113.0/120")).toHaveLength(5);

    const missed = await seclog(["query", "--actor", dn("Jack")]);
    expect(missed.stderr).toMatch(
      /No events match: actor_id or userid "OU=A department.*from 20.* The default is the last day/,
    );
    expect((await seclog(["erase", "--actor", dn("Jack"), ...REASON])).stdout).toMatch(
      /nothing to erase\. Searched for actor_id or userid "OU=A department/,
    );
    // Another person's name begins with the same 256 characters.
    expect(await json(["erase", "--actor", dn("Jane"), ...REASON, "--yes"])).toMatchObject({ erased: 1 });
    expect(await paths("--actor", dn("Joan"))).toEqual(["/other"]);
    expect(await json(["erase", "--target", dn("Jane"), ...REASON, "--yes"])).toMatchObject({ erased: 1 });
    // The account of the three remaining events is in their data, which keeps longer texts.
    expect(await json(["erase", "--target", dn("Jim"), ...REASON, "--yes"])).toMatchObject({ erased: 3 });
  });

  it("matches the same events for --actor and --target as query, stats and tail do", async () => {
    const long = `CN=${"x".repeat(300)}`;
    const writer = createSecurityLog({ spool: "memory", handlers: [postgresHandler({ url: database.writerUrl })] });
    const record = (path: string, details: Record<string, unknown>): void => {
      const request = { method: "GET", url: path, headers: {}, socket: { remoteAddress: "203.0.113.201" } };
      writer.recordSecurityEvent("user_deleted", request, details as { userid: string; onuserid: string });
    };
    // As in the README.
    record("/same/readme", { userid: "root-7", onuserid: "77007" });
    record("/same/number", { userid: 77007, onuserid: 77008 });
    record("/same/longer", { userid: "root-7", onuserid: 770077 });
    record("/same/text", { userid: "other", onuserid: 'say "userid":"77007"' });
    record("/same/new", { userid: "other", onuserid: "other", newuserid: "77007" });
    record("/same/column", { actor: "77007", target: "root-7", userid: "77008", onuserid: "x'; DROP TABLE y; --" });
    record("/same/long", { actor: long, onuserid: long, userid: "other" });
    await writer.close();

    for (const [args, expected] of [
      [
        ["--target", "77007"],
        ["/same/readme", "/same/new"],
      ],
      [
        ["--actor", "77007"],
        ["/same/number", "/same/column"],
      ],
      [
        ["--actor", "root-7"],
        ["/same/readme", "/same/longer"],
      ],
      [["--target", "root-7"], ["/same/column"]],
      [["--target", "77008"], ["/same/number"]],
      [["--target", "x'; DROP TABLE y; --"], ["/same/column"]],
      [["--actor", "root-7", "--target", "77007"], ["/same/readme"]],
      [["--actor", long, "--target", long], ["/same/long"]],
      [["--target", "7700"], []],
    ] as const) {
      const { events } = (await json(["query", "--since", "1h", "--order", "oldest", ...args])) as {
        events: { path: string }[];
      };
      expect([args, events.map(({ path }) => path)]).toEqual([args, expected]);
      expect(await json(["stats", "--since", "1h", ...args])).toMatchObject({ events: expected.length });
      expect(await json(["erase", "--since", "1h", ...args, ...REASON])).toMatchObject({ erased: expected.length });
    }
  });

  it.each([
    [["erase", "--actor", "x"], "--reason"],
    [["erase", "--actor", "x", "--reason", " "], "--reason is empty: say why"],
    [["erase", ...REASON], "nothing says whom to erase: add --actor, --target, --ip or --event"],
    [["erase", "--since", "1d", ...REASON], "nothing says whom to erase"],
    [["erase", "--actor", "", ...REASON], "--actor is empty"],
    [["erase", "--target", "", ...REASON], "--target is empty"],
    [["erase", "--event", "1", ...REASON], '"1" is not an event\'s id'],
    [["erase", "--ip", "nowhere", ...REASON], '--ip "nowhere" is not an address'],
    [["erase", "--ip", "10.0.0.1/8", ...REASON, "--yes"], "write 10.0.0.0/8 for the network, or 10.0.0.1"],
    [["erase", "--actor", "x", "--since", "1d", "--until", "2d", ...REASON], "no event could match"],
    [["erase", "--actor", "x", "--database", "", ...REASON], "--database is empty"],
    [["prune", ...REASON], "--older-than"],
    [["prune", "--older-than", "1d"], "--reason"],
    [["prune", "--older-than", "0d", ...REASON], '--older-than "0d" is not an age'],
    [["prune", "--older-than", "18", ...REASON], "is not an age"],
    [["prune", "--older-than", "1d", "--class", "own", ...REASON], '--class "own" is not one of short, standard, long'],
    [["hold"], "--reason is missing"],
    [["hold", "--list", "--release", "1"], "one thing at a time"],
    [["hold", "--release", "one", ...REASON], '--release "one" is not the number of a hold'],
    [["hold", "--class", "all", ...REASON], '--class "all" is not one of'],
    [["retention", "authn=short", "authn=long"], '"authn" is set twice, to short and to long: name each category once'],
    [["retention", "autn=long"], 'unknown category "autn": did you mean authn?'],
    [["retention", "orders=long"], 'unknown category "orders": known are authn, authz,'],
    [["retention", "authn"], '"authn" sets nothing'],
    [["retention", "authn=forever"], 'authn "forever" is not one of short, standard, long'],
  ])("%j ends with 2 and the reason", async (args, reason) => {
    const { code, stdout, stderr } = await seclog(args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(reason);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });
});

it("seclog erase refuses a reason that is too long", LONG, async () => {
  const { code, stderr } = await seclog(["erase", "--actor", "x", "--reason", "y".repeat(1001)]);
  expect([code, stderr]).toEqual([
    2,
    expect.stringContaining("--reason has 1001 characters, more than 1000: shorten it"),
  ]);
});

describe("seclog prune", LONG, () => {
  it("states in its help which months always stay", async () => {
    const { stdout } = await seclog(["prune", "--help"]);
    expect(stdout.replace(/\s+/g, " ")).toContain(
      "drop months whose last day is older; the current month and the one before always stay",
    );
  });

  it("lists the months it would drop, drops those that it may, and skips the others", async () => {
    const owner = await connect(database.adminUrl);
    await owner.query("SET ROLE seclog_owner");
    for (const [name, month] of [
      ["short", "2024-01"],
      ["standard", "2024-01"],
      ["standard", "2024-02"],
      ["standard", "2024-03"],
      ["standard", "2024-04"],
    ]) {
      await owner.query("SELECT seclog_add_partition($1, $2)", [name, `${month}-01T00:00:00Z`]);
    }
    const at = (month: string): Partial<SecurityEvent> => ({ occurredAt: `2024-${month}-15T00:00:00.000000Z` });
    await store(at("01"), at("02"), at("03"), { occurredAt: "2023-01-01T00:00:00.000000Z" });
    await sealLog(database);
    await store(at("02"), { occurredAt: new Date().toISOString().replace("Z", "000Z") });
    const { id: hold } = await json(["hold", "--reason", "case 3", "--since", "2024-03-31", "--until", "2024-04-01"]);

    const args = ["prune", "--older-than", "1y", ...REASON];
    const dry = await seclog(args);
    expect(dry.code).toBe(0);
    expect(dry.stdout).toBe(`MONTH   CLASS    EVENTS SEALED HOLD
2024-01 short         0 yes    -
2024-01 standard      1 yes    -
2024-02 standard      2 no     -
2024-03 standard      1 yes    ${hold}: case 3
2024-04 standard      0 yes    -
`);
    expect(dry.stderr).toContain("security_event_log_standard_default has 1 event older than that");
    expect(dry.stderr).toContain("Nothing was changed.");
    expect((await json([...args, "--class", "short"]))["partitions"]).toMatchObject([
      { month: "2024-01", class: "short" },
    ]);
    expect(await count("true")).toBeGreaterThan(5);

    // A reader's transaction outlasts the first attempt.
    const reader = await connect(database.readerUrl);
    await reader.query("BEGIN; SELECT count(*) FROM security_event_log WHERE retention = 'standard'");
    const running = seclog([...args, "--yes"]);
    const waits =
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND usename = current_user";
    await expect
      .poll(async () => (await database.query(waits)).length, { timeout: 60_000, interval: 20 })
      .toBeGreaterThan(0);
    await expect.poll(async () => (await database.query(waits)).length, { timeout: 60_000, interval: 20 }).toBe(0);
    await reader.query("COMMIT");
    const done = await running;
    expect(done.code).toBe(1);
    const lines = done.stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^security_event_log_short_2024_01 dropped: 0 events, recorded as event [0-9a-f-]{36}$/);
    expect(lines[1]).toMatch(/^security_event_log_standard_2024_01 dropped: 1 event, recorded as event /);
    expect(lines[2]).toBe(
      "security_event_log_standard_2024_02 stays: it has unsealed events: check that seclog seal is running",
    );
    expect(lines[3]).toBe(
      `security_event_log_standard_2024_03 stays: security_event_log_standard_2024_03 is under hold ${hold}: case 3; npx @seclog/server hold --release releases it`,
    );
    expect(lines[4]).toMatch(/^security_event_log_standard_2024_04 dropped: 0 events/);
    expect(done.stderr).toContain("2 months could not be dropped.");
    const left = await database.query<{ name: string }>(
      "SELECT relname::text AS name FROM pg_class WHERE relname ~ '_2024_\\d\\d$' AND relkind = 'r' ORDER BY 1",
    );
    expect(left.map(({ name }) => name)).toEqual([
      "security_event_log_standard_2024_02",
      "security_event_log_standard_2024_03",
    ]);
    expect(await count("occurred_at < '2024-01-01'")).toBe(1);

    // A reader's transaction never ends.
    await json(["hold", "--release", String(hold), "--reason", "closed"]);
    await reader.query("BEGIN; SELECT count(*) FROM security_event_log WHERE retention = 'standard'");
    const stuck = await seclog([...args, "--yes", "--json"]);
    const { partitions } = JSON.parse(stuck.stdout) as { partitions: Record<string, unknown>[] };
    expect(stuck.code).toBe(1);
    expect(partitions).toMatchObject([
      { month: "2024-02", dropped: false, sealed: false },
      {
        month: "2024-03",
        dropped: false,
        why: expect.stringMatching(/locked during all 5 attempts.*pg_stat_activity/),
      },
    ]);
    await reader.query("COMMIT");
    expect(JSON.parse((await seclog([...args, "--yes", "--json"])).stdout)).toMatchObject({
      partitions: [
        { month: "2024-02", dropped: false },
        { month: "2024-03", dropped: true, rows: 1, recorded_as: { seq: expect.any(Number) } },
      ],
    });
  });

  it("keeps this month and the last one, whose partitions would be created again", async () => {
    const { partitions } = await json(["prune", "--older-than", "1d", "--class", "short", ...REASON]);
    expect(partitions).toEqual([]);
    expect((await seclog(["prune", "--older-than", "1d", "--class", "short", ...REASON])).stdout).toMatch(
      /^No month of short ended before \d{4}-\d\d-01\.\n$/,
    );
  });
});

describe("seclog retention", LONG, () => {
  it("lists how long each category is kept, and records changes", async () => {
    const before = (await json(["retention"])) as { categories: Record<string, string> };
    expect(before.categories).toMatchObject({ authn: "standard", log: "standard" });
    const wanted = ["authn=short", "shop.orders=long", "authz=standard"];
    expect((await seclog(["retention", ...wanted])).stderr).toContain('"shop.orders"');
    expect((await json(["retention"]))["categories"]).toEqual(before.categories);
    const set = await seclog(["retention", ...wanted, "--allow-unknown"]);
    expect(set.code).toBe(0);
    expect(set.stdout).toMatch(/^CATEGORY +CLASS\n/);
    expect(set.stdout).toMatch(/\nauthn +short\n/);
    expect(set.stdout).toMatch(/\nshop\.orders +long\n/);
    expect(set.stdout).toMatch(/\n\(any other\) +standard\n$/);
    expect(set.stderr).toContain("Changed and recorded: authn, shop.orders.");
    expect((await json(["retention", "authn=short", "shop.orders=long"]))["changed"]).toEqual([]);
    // A category that stored events have needs no --allow-unknown.
    await store({ category: "shop.stock", occurredAt: new Date().toISOString().replace("Z", "000Z") });
    expect((await json(["retention", "shop.stock=standard"]))["changed"]).toEqual([]);
    const own = await database.query(
      "SELECT data FROM security_event_log WHERE event_type = 'log_retention' AND data->>'category' IS NOT NULL ORDER BY seq",
    );
    expect(own).toEqual([
      { data: { category: "authn", class: "short" } },
      { data: { category: "shop.orders", class: "long" } },
    ]);
    // Applies to what an application stores after its next start.
    await store({ category: "authn", type: "authn_login_fail", actorId: "kept-short" });
    expect(await count("actor_id = 'kept-short' AND retention = 'short'")).toBe(1);
  });
});
