/** The program as it is built, against a real PostgreSQL. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { sourcesIn } from "./support/sources.ts";

const program = fileURLToPath(new URL("../packages/server/bin/seclog.js", import.meta.url));

/** Each step starts a program, on a machine that may have more to do. */
const LONG = { timeout: 180_000 };

let database: TestDatabase;
let folder: string;
const running: ChildProcess[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  await seed();
  folder = mkdtempSync(join(tmpdir(), "seclog-cli-"));
});

afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

type Environment = { readonly [name: string]: string | undefined };

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Nothing of the developer's own settings, and the four URLs unless `environment` says otherwise. */
function environmentWith(environment: Environment): NodeJS.ProcessEnv {
  return {
    PATH: process.env["PATH"],
    SECLOG_ADMIN_URL: database.serverUrl,
    SECLOG_DATABASE_URL: database.writerUrl,
    SECLOG_READER_URL: database.readerUrl,
    SECLOG_SEALER_URL: database.sealerUrl,
    ...environment,
  };
}

function startProgram(args: readonly string[], environment: Environment = {}): ChildProcess {
  const options: SpawnOptions = { env: environmentWith(environment), stdio: ["ignore", "pipe", "pipe"] };
  const child = spawn(process.execPath, [program, ...args], options);
  running.push(child);
  return child;
}

async function seclog(args: readonly string[], environment: Environment = {}): Promise<Result> {
  const child = startProgram(args, environment);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout: stdout(), stderr: stderr() };
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = "";
  stream?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}

/** Waits as long as it takes; says what for when that is most of the test's time. */
async function eventually(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + LONG.timeout * 0.8;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`never came: ${what}`);
    await sleep(50);
  }
}

function ndjson(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

interface Inserted {
  readonly source: string;
  readonly seq: number;
  readonly type?: string;
  readonly level?: string;
  readonly at?: string;
  readonly ip?: string;
  readonly actor?: string;
  readonly path?: string;
  readonly data?: string;
  readonly agent?: string;
}

/** A row and its source's position, as the writer's functions leave them. */
async function insert(client: Pick<pg.Client, "query">, event: Inserted): Promise<void> {
  await client.query(
    `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, ip_address, actor_id, path, data,
       user_agent, logger, source_id, epoch, seq, v, commitment)
     VALUES (gen_random_uuid(), $3, $4, $5, 'test', 'failure', $6, $7, $8, $9, $10, 'security', $1, 1, $2, 1, '')`,
    [
      event.source,
      event.seq,
      event.at ?? new Date().toISOString(),
      event.type ?? "authz_fail",
      event.level ?? "warning",
      event.ip ?? null,
      event.actor ?? null,
      event.path ?? null,
      event.data ?? null,
      event.agent ?? null,
    ],
  );
  await client.query(
    `INSERT INTO security_event_source (id, epoch, last_seq, key_hash, updated_at) VALUES ($1, 1, $2, '', clock_timestamp())
     ON CONFLICT (id) DO UPDATE SET last_seq = excluded.last_seq, updated_at = clock_timestamp()`,
    [event.source, event.seq],
  );
}

const SOURCE_A = "01a00000-0000-7000-8000-00000000000a";
const SOURCE_B = "01a00000-0000-7000-8000-00000000000b";
const SOURCE_C = "01a00000-0000-7000-8000-00000000000c";
const SOURCE_D = "01a00000-0000-7000-8000-00000000000d";
const HOSTILE = "/\x1b]8;;http://evil\x07\x1b[2J\u202e\u200b\r\n\u{e0041}";

/** What the tests below look for. Two of the years have no partition of their own. */
async function seed(): Promise<void> {
  const client = new pg.Client({ connectionString: database.adminUrl });
  await client.connect();
  const events: Omit<Inserted, "source" | "seq">[] = [
    {
      type: "authn_login_fail",
      ip: "203.0.113.9",
      actor: "alice",
      path: "/login",
      data: '{"reason":"wrong \\"word\\""}',
    },
    { type: "authn_login_success", level: "info", ip: "203.0.113.77", actor: "bob", path: "/login" },
    { type: "authz_fail", level: "critical", ip: "198.51.100.1", actor: "alice", path: "/admin/100%_sure" },
    { type: "authz_fail", level: "error", ip: "2001:db8::1", path: "/admin/100 percent sure" },
    { type: "malicious_csrf", path: HOSTILE, actor: "x\u202ey", agent: "a\x1bb" },
    { type: "authz_fail", at: "2020-02-02T10:00:00Z", actor: "carol" },
  ];
  for (const [index, event] of events.entries()) await insert(client, { source: SOURCE_A, seq: index + 1, ...event });
  await client.query(
    `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment)
     SELECT gen_random_uuid(), '2021-05-05T05:05:05Z', 'many', 'info', 'test', 'success', 'security', $1, 1, n, 1, ''
     FROM generate_series(1, 12000) n`,
    [SOURCE_B],
  );
  await client.end();
}

describe("seclog query", LONG, () => {
  it("hands its options to the search", async () => {
    const { code, stdout, stderr } = await seclog(
      "query --ndjson --since 2020-01-01 --until 2022-01-01 --level warning --order oldest --type authz_*,x --actor carol".split(
        " ",
      ),
    );
    expect([code, stderr, ndjson(stdout).map((event) => event["seq"])]).toEqual([0, "", [6]]);
  });

  it("shows hostile text as text, in 80 columns, and gives it back exactly in JSON", async () => {
    const table = await seclog(["query", "--type", "malicious_csrf"], { COLUMNS: "200" });
    expect(table.stdout).toContain("/\\x1b]8;;http://evil\\x07\\x1b[2J\\u202e\\u200b\\r\\n\\u{e0041}");
    expect(table.stdout).toContain("x\\u202ey");
    const narrow = await seclog(["query"]);
    for (const { stdout } of [table, narrow]) expect(stdout).not.toMatch(/[^\P{C}\n]/u);
    expect(narrow.stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(narrow.stdout).toMatch(/ critical authz_fail +198\.51\.100\.1 /);
    const json = await seclog(["query", "--json", "--type", "malicious_csrf"]);
    expect(json.stdout).not.toMatch(/[^\P{C}\n]/u);
    const { events, more } = JSON.parse(json.stdout) as { events: Record<string, unknown>[]; more: boolean };
    expect(more).toBe(false);
    expect(events.map(({ path, actor_id }) => [path, actor_id])).toEqual([[HOSTILE, "x\u202ey"]]);
  });

  it("suggests a type where there is none of that name, and says what it looked for", async () => {
    const { code, stderr } = await seclog(["query", "--type", "login,authz_fail", "--status", "499"]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/There is no type "login".*did you mean authn_login_\w+, /);
    expect(stderr).toContain("--type '*login*' matches ");
    expect(stderr).not.toContain('"authz_fail"');
    expect(stderr).toMatch(/No events match: event_type login or authz_fail, status_code 499, from /);
    for (const command of ["query", "tail", "stats"]) {
      const { stdout } = await seclog([command, "--help"]);
      for (const option of ["service", "status", "method", "route", "host", "outcome", "category", "target"]) {
        expect(stdout).toContain(`  --${option} <`);
      }
      expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    }
  });

  it("suggests a category, a pattern and a service where no event has such a one", async () => {
    const client = new pg.Client({ connectionString: database.adminUrl });
    await client.connect();
    await client.query(
      `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, service, source_id, epoch, seq, v, commitment)
       VALUES (gen_random_uuid(), now() - interval '2 days', 'named', 'info', 'own_category', 'success', 'security', 'cij', $1, 1, 99999, 1, '')`,
      [SOURCE_B],
    );
    await client.end();
    for (const [args, hint] of [
      ["--category autn", /^There is no category .* named "autn": did you mean "authn"\?$/m],
      ["--category own_categry", /named "own_categry": did you mean "own_category"\?$/m],
      ["--type zzz*", /^No type of the catalogue or of the newest 10,000 events matches "zzz\*": there are /m],
      ["--type autn_*", /matches "autn_\*": did you mean "authn_\*"\?$/m],
      ["--service cjz", /^None of the newest 10,000 events is of the service "cjz": /m],
    ] as const) {
      const { code, stderr } = await seclog(["query", ...args.split(" ")]);
      expect([args, code, stderr]).toEqual([args, 0, expect.stringMatching(hint)]);
    }
    // Known ones that merely match nothing.
    for (const args of ["--category session", "--type session_*", "--service cij", "--category own_category"]) {
      const { code, stderr } = await seclog(["query", ...args.split(" ")]);
      expect([args, code, stderr]).toEqual([args, 0, expect.stringMatching(/^No events match: [^\n]*\n$/)]);
    }
    expect((await seclog(["stats", "--category", "autn"])).stderr).toContain('did you mean "authn"?');
  });

  it("gives --limit events and says whether there are more", async () => {
    const two = JSON.parse((await seclog(["query", "--json", "--limit", "2"])).stdout) as {
      events: unknown[];
      more: boolean;
    };
    expect([two.events.length, two.more]).toEqual([2, true]);
    // Five of an application, and the database's own that it was set up.
    const all = JSON.parse((await seclog(["query", "--json", "--limit", "6"])).stdout) as {
      events: unknown[];
      more: boolean;
    };
    expect([all.events.length, all.more]).toEqual([6, false]);
    expect((await seclog(["query", "--limit", "2"])).stderr).toContain("2 events; there are more");
    const none = await seclog(["query", "--json", "--actor", "nobody"]);
    expect(JSON.parse(none.stdout)).toEqual({ events: [], more: false });
  });

  it("ends without a word when nobody reads on", async () => {
    const child = startProgram([
      "query",
      "--ndjson",
      "--limit",
      "all",
      "--since",
      "2021-01-01",
      "--until",
      "2022-01-01",
    ]);
    const stderr = collect(child.stderr);
    await once(child.stdout as NodeJS.ReadableStream, "data");
    child.stdout?.destroy();
    const [code] = (await once(child, "close")) as [number];
    expect([code, stderr()]).toEqual([0, ""]);
  });

  it("colours on request only", async () => {
    const colour = "\x1b[";
    expect((await seclog(["query"])).stdout).not.toContain(colour);
    expect((await seclog(["query"], { FORCE_COLOR: "1" })).stdout).toContain(colour);
    expect((await seclog(["query"], { FORCE_COLOR: "1", NO_COLOR: "1" })).stdout).not.toContain(colour);
  });
});

describe("seclog tail", LONG, () => {
  it("shows every event once, whatever the order in which transactions commit", async () => {
    const early = new pg.Client({ connectionString: database.adminUrl });
    const late = new pg.Client({ connectionString: database.adminUrl });
    await Promise.all([early.connect(), late.connect()]);
    const child = startProgram(["tail", "--json", "--lines", "0", "--interval", "0.05", "--type", "tail_*"]);
    const stdout = collect(child.stdout);
    const seen = (): unknown[] => ndjson(stdout().replace(/[^\n]*$/, "")).map((event) => event["event_type"]);
    try {
      // The positions must have been read before anything is written: a first event says so.
      await insert(early, { source: SOURCE_A, seq: 7, type: "before" });
      let seq = 8;
      await eventually(async () => {
        await insert(early, { source: SOURCE_A, seq: seq++, type: "tail_ready" });
        return seen().includes("tail_ready");
      }, "a first event");
      await early.query("BEGIN");
      await insert(early, { source: SOURCE_C, seq: 1, type: "tail_early" });
      await late.query("BEGIN");
      await insert(late, { source: SOURCE_D, seq: 1, type: "tail_late" });
      await late.query("COMMIT");
      await eventually(() => seen().includes("tail_late"), "what was committed");
      expect(seen()).not.toContain("tail_early");
      await early.query("COMMIT");
      await eventually(() => seen().includes("tail_early"), "what was begun before and committed after");
      // It survives the loss of its connection, and misses nothing meanwhile.
      const stderr = collect(child.stderr);
      await late.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = $1",
        [new URL(database.readerUrl).username],
      );
      await insert(late, { source: SOURCE_D, seq: 2, type: "tail_meanwhile" });
      await eventually(() => seen().includes("tail_meanwhile"), "what came while the connection was lost");
      expect(stderr()).not.toContain("undefined");
      const once_ = ["tail_late", "tail_early", "tail_meanwhile"];
      expect(seen().filter((type) => once_.includes(type as string))).toEqual(once_);
    } finally {
      await Promise.all([early.end(), late.end()]);
    }
    child.kill("SIGINT");
    expect(await once(child, "close")).toEqual([0, null]);
  });

  it("begins with the last events, oldest first", async () => {
    const child = startProgram(["tail", "--json", "-n", "2", "--type", "authn_*"]);
    const stdout = collect(child.stdout);
    await eventually(() => ndjson(stdout().replace(/[^\n]*$/, "")).length === 2, "two events");
    expect(ndjson(stdout()).map((event) => event["seq"])).toEqual([1, 2]);
    child.kill("SIGTERM");
    expect(await once(child, "close")).toEqual([0, null]);
  });

  it("ends at once, also while a question is under way", async () => {
    const child = startProgram(["tail", "--json", "-n", "1", "--type", "authn_*"]);
    const stdout = collect(child.stdout);
    await eventually(() => stdout().includes("\n"), "the last event");
    const locker = new pg.Client({ connectionString: database.adminUrl });
    await locker.connect();
    try {
      await locker.query("BEGIN");
      await locker.query("LOCK TABLE security_event_source IN ACCESS EXCLUSIVE MODE");
      const asks = async (): Promise<boolean> =>
        (
          await locker.query("SELECT FROM pg_stat_activity WHERE usename = $1 AND wait_event_type = 'Lock'", [
            new URL(database.readerUrl).username,
          ])
        ).rows.length > 0;
      await eventually(asks, "a question that waits");
      child.kill("SIGTERM");
      expect(await once(child, "close")).toEqual([0, null]);
      // The server has not even noticed yet.
      expect(await asks()).toBe(true);
    } finally {
      await locker.end();
    }
  });
});

describe("seclog query, stats and tail", LONG, () => {
  it("refuse a schema that is newer in a breaking way, or older", async () => {
    const ask = async (code: string): Promise<void> => {
      for (const command of ["query", "stats", "tail"]) {
        expect(await seclog([command])).toEqual({ code: 1, stdout: "", stderr: expect.stringContaining(code) });
      }
    };
    await database.query("INSERT INTO seclog_migration VALUES (9999, 'later', true, '')");
    await ask("SECLOG_SCHEMA_NEWER").finally(() => database.query("DELETE FROM seclog_migration WHERE id = 9999"));
    await database.query("UPDATE seclog_migration SET id = -3 WHERE id = 3");
    await ask("SECLOG_SCHEMA_OLDER").finally(() => database.query("UPDATE seclog_migration SET id = 3 WHERE id = -3"));
  });
});

describe("seclog stats", LONG, () => {
  it("counts by type, level, address and hour, and knows the sources", async () => {
    const { stdout, code } = await seclog(["stats", "--json", "--since", "2020-01-01", "--until", "2022-01-01"]);
    expect(code).toBe(0);
    const stats = JSON.parse(stdout) as Record<string, unknown>;
    expect(stats).toMatchObject({
      events: 12_001,
      occurrences: 12_001,
      by_type: [
        { name: "many", events: 12_000 },
        { name: "authz_fail", events: 1 },
      ],
      by_hour: [{ name: "2021-05-05T05:00Z", events: 12_000 }, { name: "2020-02-02T10:00Z" }],
    });
    const { latest } = stats["sources"] as { latest: Record<string, unknown>[] };
    expect(latest.find(({ id }) => id === SOURCE_D)).toMatchObject({
      last_seq: 2,
      quarantined: 0,
      last_heartbeat: null,
    });
    expect(latest.filter(({ own }) => own)).toMatchObject([{ service: "seclog", last_seq: 1, last_heartbeat: null }]);
    const text = (await seclog(["stats"])).stdout;
    expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(text).toContain("CLIENT");
  });
});

describe("seclog, its arguments and environment", LONG, () => {
  it("refuses a password in the arguments without repeating it", async () => {
    for (const secret of [
      "postgresql://me:hunter2@db/seclog",
      "--url=postgres://me:hunter2@db/seclog",
      "postgresql://db/seclog?user=me&password=hunter2",
      "host=db password=hunter2",
      "--url=password=hunter2 user=me",
    ]) {
      const { code, stdout, stderr } = await seclog(["query", secret]);
      expect(code).toBe(2);
      expect(stderr).toContain("argument 2 holds a password");
      expect(stdout + stderr).not.toContain("hunter2");
    }
  });

  it("lets the log be searched for what looks like a password", async () => {
    for (const text of ["password=x", "https://shop.example/login?user=me&password=x"]) {
      expect(await seclog(["query", "--json", "--text", text])).toMatchObject({ code: 0, stderr: "" });
    }
  });

  it("reads a URL from a file", async () => {
    const file = join(folder, "reader-url");
    writeFileSync(file, `${database.readerUrl}\n`, { mode: 0o600 });
    const environment = { SECLOG_READER_URL: undefined, SECLOG_READER_URL_FILE: file };
    expect((await seclog(["query", "--limit", "1"], environment)).code).toBe(0);
    const missing = await seclog(["query"], { ...environment, SECLOG_READER_URL_FILE: join(folder, "no-such-file") });
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining("SECLOG_READER_URL_FILE")]);
    const both = await seclog(["query"], { SECLOG_READER_URL_FILE: file });
    expect([both.code, both.stdout]).toEqual([2, ""]);
    expect(both.stderr).toContain("SECLOG_READER_URL and SECLOG_READER_URL_FILE are both set");
  });

  it.each([
    [["query", "--since", "yesterday"], '--since "yesterday" is no time'],
    [["query", "--since", "2026-02-31x"], "is no time"],
    [["query", "--since", "2026-02-31"], '--since "2026-02-31" is no time: 2026-02 has the days 01 to 28'],
    [["stats", "--until", "2026-11-01T24:00"], '--until "2026-11-01T24:00" is no time: hours go from 00 to 23'],
    [["erase", "--actor", "x", "--since", "2026-11-31", "--reason", "r"], "2026-11 has the days 01 to 30"],
    [["hold", "--until", "2026-02-29", "--reason", "r"], "2026-02 has the days 01 to 28"],
    [["query", "--since", "1d", "--until", "2d"], "nothing could match"],
    [["query", "--level", "loud"], '--level "loud" is none of debug'],
    [["query", "--ip", "10.0.0.0/33"], '--ip "10.0.0.0/33" is no address or network'],
    [["query", "--ip", "fe80::1%eth0"], "is no address or network"],
    [["query", "--limit", "0"], '--limit "0" is neither'],
    [["query", "--type", "a b"], '--type "a b" cannot be an event type'],
    [["query", "--timeout", "0"], '--timeout "0" is no number'],
    [["query", "--no-such-option"], "--no-such-option"],
    [["tail", "--interval", "0"], '--interval "0" is not from'],
    [["doctor", "--processes", "many"], '--processes "many" is no number'],
    [["setup", "--database", ""], "--database is empty"],
    [["setup", "--print-sql", "--database", " "], "--database is empty"],
    [["ship"], "--spool"],
    [["ship", "--spool", "/usr"], 'the spool "/usr" is no spool, it holds neither sources nor a spool\'s files'],
    [["help", "qurey"], 'there is no command "qurey": did you mean query?'],
    [["qurey", "--help"], 'there is no command "qurey": did you mean query?'],
    [["help", "zzzzzz"], 'there is no command "zzzzzz": '],
    [["ship", "--spool", "misspelt"], 'the spool "misspelt" does not exist'],
    [["fly"], "unknown command 'fly'"],
  ])("%j ends with 2 and the reason", async (args, reason) => {
    const { code, stdout, stderr } = await seclog(args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(reason);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  it("ends with 2 where a URL is missing or would weaken the session, and never prints its password", async () => {
    const cases: [Environment, string][] = [
      [{ SECLOG_READER_URL: undefined }, "SECLOG_READER_URL is not set"],
      [{ SECLOG_READER_URL: "mysql://me:hunter2@db/x" }, "SECLOG_READER_URL"],
      [{ SECLOG_READER_URL: "postgresql://me:hunter2@127.0.0.1/x?options=-c%20synchronous_commit=off" }, "options"],
      [{ SECLOG_READER_URL: "postgresql://me:hunter2@db.example/x?sslmode=prefer" }, "sslmode=prefer"],
    ];
    for (const [environment, reason] of cases) {
      const { code, stderr } = await seclog(["query"], environment);
      expect([code, stderr]).toEqual([2, expect.stringContaining(reason)]);
      expect(stderr).not.toContain("hunter2");
    }
  });

  it("ends with 1 and advice where the database refuses, with a stack only for SECLOG_DEBUG", async () => {
    const port = new URL(database.readerUrl).port;
    const refused = { SECLOG_READER_URL: `postgresql://nobody:hunter2@127.0.0.1:${port}/seclog` };
    const { code, stderr } = await seclog(["stats"], refused);
    expect(code).toBe(1);
    expect(stderr).toMatch(/password authentication failed .*SECLOG_READER_URL \[SECLOG_DATABASE\]\n$/);
    const debugged = await seclog(["stats"], { ...refused, SECLOG_DEBUG: "1" });
    expect(debugged.stderr).toMatch(/\n {4}at /);
    expect(stderr + debugged.stderr).not.toContain("hunter2");
    const asWriter = await seclog(["query"], { SECLOG_READER_URL: database.writerUrl });
    expect([asWriter.code, asWriter.stderr]).toEqual([1, expect.stringContaining("permission denied")]);
  });

  it("prints its help with the exit codes", async () => {
    const { code, stdout } = await seclog(["--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain("Exit codes:");
    for (const command of ["setup", "doctor", "ship", "tail", "query", "stats", "erase", "prune", "hold", "retention"])
      expect(stdout).toContain(`  ${command} `);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(await seclog(["help"])).toEqual({ code, stdout, stderr: "" });
    const query = await seclog(["query", "--help"]);
    expect(query.stdout).toContain("--limit <number>");
    expect(await seclog(["help", "query"])).toEqual(query);
    expect((await seclog(["help", "fly"])).code).toBe(2);
  });
});

describe("seclog setup", LONG, () => {
  it("prints the SQL without secrets and without a connection", async () => {
    const environment = {
      SECLOG_ADMIN_URL: undefined,
      SECLOG_DATABASE_URL: "postgresql://shop_writer:hunter2@127.0.0.1:1/shop_log",
      SECLOG_READER_URL: "postgresql://shop_reader:hunter2@127.0.0.1:1/shop_log",
    };
    const { code, stdout } = await seclog(["setup", "--print-sql"], environment);
    expect(code).toBe(0);
    for (const name of ["shop_writer", "shop_reader", "shop_log", "security_event_log"]) expect(stdout).toContain(name);
    expect(stdout).not.toContain("hunter2");
  });

  it("changes nothing where everything is there", async () => {
    const { code, stdout } = await seclog(["setup", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      database: database.name,
      databaseCreated: false,
      migrationsApplied: [],
      warnings: [],
    });
    expect((await seclog(["setup"])).stdout).toContain("nothing had to be changed");
  });
});

describe("seclog doctor", LONG, () => {
  interface Report {
    readonly ok: boolean;
    readonly checks: readonly {
      readonly area: string;
      readonly status: string;
      readonly finding: string;
      readonly advice?: string;
    }[];
  }

  /** The faults and warnings, without those of the test's server: it has no fsync. */
  async function findings(args: readonly string[] = [], environment: Environment = {}): Promise<string[]> {
    const { code, stdout } = await seclog(["doctor", "--json", ...args], environment);
    const { ok, checks } = JSON.parse(stdout) as Report;
    const faults = checks.filter(({ status }) => status === "fault");
    expect(ok).toBe(faults.length === 0);
    expect(code).toBe(faults.length === 0 ? 0 : 1);
    const bad = checks.filter(({ status }) => status === "fault" || status === "warning");
    return bad
      .map(({ area, status, finding }) => `${area} ${status}: ${finding}`)
      .filter((text) => !text.includes("fsync"));
  }

  it("finds nothing wrong with a fresh setup, and knows what it did not look at", async () => {
    // Left by the tests above: events of years that have no partition.
    const expected = [
      expect.stringMatching(/^reader warning: .* in the default partition of security_event_log_standard/),
    ];
    expect(await findings()).toEqual(expected);
    const { stdout } = await seclog(["doctor"], { SECLOG_ADMIN_URL: undefined });
    expect(stdout).toContain("not looked at: SECLOG_ADMIN_URL is not set");
    expect(stdout).toContain("may insert events and move its own sources' positions, and nothing");
    expect(stdout).toContain("may read what leaves are made of and append to the tree, and nothing");
    expect(stdout).toContain("nothing is sealed yet");
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(
      (
        await seclog(["doctor"], {
          SECLOG_ADMIN_URL: undefined,
          SECLOG_DATABASE_URL: undefined,
          SECLOG_READER_URL: undefined,
          SECLOG_SEALER_URL: undefined,
        })
      ).code,
    ).toBe(2);
  });

  it("names privileges that are too many or too few", async () => {
    const writer = new URL(database.writerUrl).username;
    const reader = new URL(database.readerUrl).username;
    const sealer = new URL(database.sealerUrl).username;
    const [partition] = await database.query<{ name: string }>(
      "SELECT relid::regclass::text AS name FROM pg_partition_tree('security_event_log') WHERE isleaf LIMIT 1",
    );
    await database.query(`GRANT DELETE ON security_event_log TO ${writer}`);
    await database.query(`GRANT TRUNCATE ON ${partition?.name} TO ${writer}`);
    await database.query(`ALTER ROLE ${writer} CREATEDB`);
    await database.query(`GRANT CREATE ON SCHEMA public TO ${writer}`);
    await database.query(`GRANT INSERT (created_at) ON security_event_log TO ${writer}`);
    await database.query("REVOKE SELECT ON security_event_source FROM seclog_reader");
    await database.query(`GRANT UPDATE (path) ON security_event_log TO ${reader}`);
    await database.query(`GRANT SELECT (salt, actor_id) ON security_event_log TO ${sealer}`);
    await database.query("GRANT EXECUTE ON FUNCTION seclog_prune(text, timestamptz, text) TO seclog_sealer");
    try {
      const text = (await findings()).join("\n");
      expect(text).toContain("may DELETE on security_event_log");
      expect(text).toContain(`may TRUNCATE on ${partition?.name}`);
      expect(text).toContain("allowed to create databases");
      expect(text).toContain("create objects in the schema public");
      expect(text).toContain("INSERT of created_at");
      expect(text).toContain(`${reader} may UPDATE on security_event_log`);
      expect(text).toContain(`${reader} may not SELECT on security_event_source`);
      expect(text).toContain("sealer fault: it may read salt, actor_id, which name people");
      expect(text).toContain(`${sealer} may call public.seclog_prune(text, timestamptz, text)`);
    } finally {
      await database.query(`REVOKE ALL ON security_event_log, ${partition?.name} FROM ${writer}, ${reader}`);
      await database.query(`REVOKE INSERT (created_at) ON security_event_log FROM ${writer}`);
      await database.query(`REVOKE UPDATE (path) ON security_event_log FROM ${reader}`);
      await database.query(`REVOKE SELECT (salt, actor_id) ON security_event_log FROM ${sealer}`);
      await database.query("REVOKE EXECUTE ON FUNCTION seclog_prune(text, timestamptz, text) FROM seclog_sealer");
      await database.query(`REVOKE CREATE ON SCHEMA public FROM ${writer}`);
      await database.query(`ALTER ROLE ${writer} NOCREATEDB`);
      await database.query("GRANT SELECT ON security_event_source TO seclog_reader");
    }
  });

  it("reckons processes × connections against the server's limit", async () => {
    const [{ free } = { free: 0 }] = await database.query<{ free: number }>(
      "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - current_setting('reserved_connections')::int AS free",
    );
    const per = (processes: number): Promise<string[]> =>
      findings(["--processes", String(processes), "--pool-max", "3"]);
    const over = Math.floor(free / 3) + 1;
    expect((await per(over)).join("\n")).toContain(
      `${over} processes × 3 = ${over * 3} connections, and the server admits ${free}`,
    );
    expect((await per(over - 1)).join("\n")).toContain("is more than half");
    expect((await per(1)).join("\n")).not.toContain("processes");
  });

  it("finds a disabled trigger, a quarantined event and partitions that end", async () => {
    await database.query("ALTER TABLE security_event_log_short_default DISABLE TRIGGER seclog_no_truncate");
    await database.query("ALTER TABLE security_event_tile DISABLE TRIGGER seclog_append_only");
    await database.query("ALTER TABLE security_event_quarantine DISABLE TRIGGER seclog_commit");
    await database.query(
      "INSERT INTO security_event_quarantine (source_id, seq, reason, record, commitment) VALUES ($1, 99, 'no reason', '', '')",
      [SOURCE_A],
    );
    const partitions = await database.query<{ name: string }>(
      "SELECT relid::regclass::text AS name FROM pg_partition_tree('security_event_log') WHERE parentrelid = 'security_event_log_long'::regclass AND relid::regclass::text ~ '_\\d{4}_\\d\\d$'",
    );
    for (const { name } of partitions)
      await database.query(`ALTER TABLE security_event_log_long DETACH PARTITION ${name}`);
    const [middle] = await database.query<{ name: string }>(
      "SELECT 'security_event_log_standard_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM') AS name",
    );
    await database.query(`ALTER TABLE security_event_log_standard DETACH PARTITION ${middle?.name}`);
    const text = (await findings()).join("\n");
    const month = middle?.name.slice(-7).replace("_", "-");
    expect(text).toContain(`security_event_log_standard has no partition from ${month}-01 to `);
    expect(text).toContain(
      "changes are not refused on security_event_log_short_default, security_event_quarantine, security_event_tile",
    );
    expect(text).toContain("1 event could not be stored and is set aside");
    expect(text).toContain("security_event_log_long has no partition for now");
    await database.query("ALTER TABLE security_event_log_short_default ENABLE TRIGGER seclog_no_truncate");
    await database.query("ALTER TABLE security_event_tile ENABLE TRIGGER seclog_append_only");
    await database.query("ALTER TABLE security_event_quarantine ENABLE TRIGGER seclog_commit");
  });

  it("says when what is stored is no longer sealed", async () => {
    const source = "01a00000-0000-7000-8000-0000000000e1";
    const store = (seq: number, age: string): Promise<unknown> =>
      database.query(
        `WITH position AS (INSERT INTO security_event_source (id, epoch, last_seq, key_hash) VALUES ($1, 1, $2, '')
           ON CONFLICT (id) DO UPDATE SET last_seq = excluded.last_seq)
         INSERT INTO security_event_log (id, occurred_at, created_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment)
         VALUES (gen_random_uuid(), now(), now() - $3::interval, 'sealing', 'info', 'test', 'success', 'security', $1, 1, $2, 1, '')`,
        [source, seq, age],
      );
    const sealing = async (): Promise<string[]> =>
      (await findings([], { SECLOG_ADMIN_URL: undefined })).filter((text) => text.includes("sealed"));
    await store(1, "3 hours");
    // As if everything that is there were sealed.
    await database.query("INSERT INTO security_event_checkpoint (size, origin, root) VALUES (1, 'test', '')");
    await database.query(
      `INSERT INTO security_event_seal (first_leaf, source_id, first_seq, last_seq)
       SELECT row_number() OVER (), id, 1, 1000000 FROM security_event_source WHERE id <> $1`,
      [source],
    );
    expect(await sealing()).toEqual(["reader warning: the oldest event that is not sealed was stored 3 hours ago"]);
    await database.query("INSERT INTO security_event_seal VALUES (0, $1, 1, 1)", [source]);
    expect(await sealing()).toEqual([]);
    await store(2, "40 seconds");
    expect(await sealing()).toEqual([]);
    // A record in quarantine has to be sealed as well.
    await database.query("INSERT INTO security_event_seal VALUES (1000, $1, 2, 2)", [source]);
    await database.query(
      "INSERT INTO security_event_quarantine (source_id, seq, reason, record, created_at) VALUES ($1, 3, 'none', '', now() - interval '5 minutes')",
      [source],
    );
    await database.query("UPDATE security_event_source SET last_seq = 3 WHERE id = $1", [source]);
    expect(await sealing()).toEqual(["reader warning: the oldest event that is not sealed was stored 5 minutes ago"]);
  });

  it("finds roles that cannot connect, are superusers, or lead elsewhere", async () => {
    const unreachable = await findings([], { SECLOG_DATABASE_URL: "postgresql://app:hunter2@127.0.0.1:1/seclog" });
    expect(unreachable.join("\n")).toContain("writer fault: cannot connect");
    expect((await findings([], { SECLOG_READER_URL: database.adminUrl })).join("\n")).toContain(
      "postgres is a superuser",
    );
    expect((await findings([], { SECLOG_DATABASE_URL: database.serverUrl })).join("\n")).toContain(
      "no tables of Seclog",
    );
  });

  it("looks at a spool", async () => {
    const spool = join(folder, "open-spool");
    const { mkdirSync } = await import("node:fs");
    mkdirSync(spool);
    chmodSync(spool, 0o777);
    expect((await findings(["--spool", spool])).join("\n")).toContain(
      `others than its owner may write to ${spool} (mode 777)`,
    );
    chmodSync(spool, 0o755);
    expect((await findings(["--spool", spool])).join("\n")).toContain("others than its owner may enter");
    symlinkSync(spool, `${spool}-link`);
    expect((await findings(["--spool", `${spool}-link`])).join("\n")).toContain("is a symbolic link");
    expect((await findings(["--spool", `${spool}-none`])).join("\n")).toContain("does not exist");
  });
});

describe("seclog ship", LONG, () => {
  /** An application that dies with its events on disk, shipped or not. */
  async function leaveBehind(spool: string, count: number, secondHandler = ""): Promise<void> {
    const code = `
      import { createSecurityLog } from "seclog";
      import { fileHandler } from "seclog/file";
      import { postgresHandler } from "seclog/postgres";
      const log = createSecurityLog({ service: "left-behind", spool: { directory: ${JSON.stringify(spool)} },
        handlers: [postgresHandler({ url: "postgresql://app:none@127.0.0.1:1/seclog" }), ${secondHandler}] });
      let last;
      for (let n = 0; n < ${count}; n++) last = log.recordSecurityEvent("authz_fail", null, { userid: "u" + n });
      await last.durable;
      process.kill(process.pid, "SIGKILL");`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
      cwd: fileURLToPath(new URL("../packages/server", import.meta.url)),
      stdio: ["ignore", "ignore", "inherit"],
    });
    expect(await once(child, "close")).toEqual([null, "SIGKILL"]);
  }

  it("stores what a killed process left, once, and leaves nothing", async () => {
    const spool = join(folder, "spool");
    await leaveBehind(spool, 2_500);
    const doctor = await seclog(["doctor", "--spool", spool]);
    expect(doctor.stdout).toContain("1 source left behind by processes that have ended");
    const shipped = await seclog(["ship", "--spool", spool, "--json"]);
    expect(shipped.stderr).toBe("");
    expect(shipped.code).toBe(0);
    expect(JSON.parse(shipped.stdout)).toMatchObject({ sources: 1, finished: 1, quarantined: 0, complete: true });
    const [row] = await database.query(
      "SELECT count(*)::int AS events, count(DISTINCT seq)::int AS seqs, max(seq)::int AS last, count(*) FILTER (WHERE event_type = 'authz_fail')::int AS recorded FROM security_event_log WHERE service = 'left-behind'",
    );
    expect(row).toMatchObject({ recorded: 2_500 });
    expect([row?.["seqs"], row?.["last"]]).toEqual([row?.["events"], row?.["events"]]);
    expect(sourcesIn(spool)).toEqual([]);
    const again = await seclog(["ship", "--spool", spool]);
    expect([again.code, again.stdout]).toEqual([0, "Nothing was left behind.\n"]);
  });

  it("keeps the events where the database cannot be reached, and ends with Ctrl-C", async () => {
    const spool = join(folder, "spool");
    await leaveBehind(spool, 3);
    const child = startProgram(["ship", "--spool", spool], {
      SECLOG_DATABASE_URL: "postgresql://app:none@127.0.0.1:1/seclog",
    });
    const stderr = collect(child.stderr);
    await eventually(() => stderr().includes("trying again, Ctrl-C gives up"), "a failure that passes");
    child.kill("SIGINT");
    expect(await once(child, "close")).toEqual([130, null]);
    expect((await seclog(["ship", "--spool", spool])).stdout).toMatch(/^\d+ events shipped from 1 source left behind/);
  });

  it("says who else waits for what it has shipped, and counts nothing a second time", async () => {
    const spool = join(folder, "two-handlers");
    await leaveBehind(spool, 3, 'fileHandler({ path: "/dev/null/seclog.ndjson" })');
    const waits = "Kept for other handlers of the application: file. It ships to them when it runs.\n";
    const first = await seclog(["ship", "--spool", spool]);
    expect([first.code, first.stderr]).toEqual([0, ""]);
    expect(first.stdout).toMatch(/^\d+ events shipped from 1 source left behind/);
    expect(first.stdout).toContain(waits);
    expect(await seclog(["ship", "--spool", spool])).toEqual({ code: 0, stdout: waits, stderr: "" });
  });
});
