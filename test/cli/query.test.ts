/** The built program, against a real PostgreSQL: the commands that find events. */
import { once } from "node:events";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { collect, LONG, ndjson, programOf } from "../support/program.ts";
import { HOSTILE, SOURCE_A, SOURCE_B, seedLog } from "../support/seeded-log.ts";

let database: TestDatabase;
const { seclog, startProgram } = programOf(() => database);

beforeAll(async () => {
  database = await createTestDatabase();
  await seedLog(database);
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

describe("seclog query", LONG, () => {
  it("passes its options to the search", async () => {
    const { code, stdout, stderr } = await seclog(
      "query --ndjson --since 2020-01-01 --until 2022-01-01 --level warning --order oldest --type authz_*,x --actor carol".split(
        " ",
      ),
    );
    expect([code, stderr, ndjson(stdout).map((event) => event["seq"])]).toEqual([0, "", [6]]);
  });

  it("shows hostile text as text, in 80 columns, and returns it exactly in JSON", async () => {
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

  it("suggests a type for an unknown name, and prints what it searched for", async () => {
    const { code, stderr } = await seclog(["query", "--type", "login,authz_fail", "--status", "499"]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/Unknown type "login".*did you mean authn_login_\w+, /);
    expect(stderr).toContain("the pattern '*login*' matches ");
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

  it("suggests a category, a pattern and a service if no event has the one given", async () => {
    const client = new pg.Client({ connectionString: database.adminUrl });
    await client.connect();
    await client.query(
      `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, service, source_id, epoch, seq, v, commitment)
       VALUES (gen_random_uuid(), now() - interval '2 days', 'named', 'info', 'own_category', 'success', 'security', 'cij', $1, 1, 99999, 1, '')`,
      [SOURCE_B],
    );
    await client.end();
    for (const [args, hint] of [
      ["--category autn", /^Neither the catalogue nor .* have the category "autn": did you mean "authn"\?$/m],
      ["--category own_categry", /the category "own_categry": did you mean "own_category"\?$/m],
      ["--type zzz*", /^No type in the catalogue or in the newest 10,000 events matches "zzz\*": known are /m],
      ["--type autn_*", /matches "autn_\*": did you mean "authn_\*"\?$/m],
      ["--service cjz", /^None of the newest 10,000 events has the service "cjz": /m],
    ] as const) {
      const { code, stderr } = await seclog(["query", ...args.split(" ")]);
      expect([args, code, stderr]).toEqual([args, 0, expect.stringMatching(hint)]);
    }
    // Known names that match no event.
    for (const args of ["--category session", "--type session_*", "--service cij", "--category own_category"]) {
      const { code, stderr } = await seclog(["query", ...args.split(" ")]);
      expect([args, code, stderr]).toEqual([args, 0, expect.stringMatching(/^No events match: [^\n]*\n$/)]);
    }
    expect((await seclog(["stats", "--category", "autn"])).stderr).toContain('did you mean "authn"?');
  });

  it("prints --limit events and says whether more match", async () => {
    const two = JSON.parse((await seclog(["query", "--json", "--limit", "2"])).stdout) as {
      events: unknown[];
      more: boolean;
    };
    expect([two.events.length, two.more]).toEqual([2, true]);
    // Five events of an application, and the log's own setup event.
    const all = JSON.parse((await seclog(["query", "--json", "--limit", "6"])).stdout) as {
      events: unknown[];
      more: boolean;
    };
    expect([all.events.length, all.more]).toEqual([6, false]);
    expect((await seclog(["query", "--limit", "2"])).stderr).toContain("2 events; more match");
    const none = await seclog(["query", "--json", "--actor", "nobody"]);
    expect(JSON.parse(none.stdout)).toEqual({ events: [], more: false });
  });

  it("exits silently when the reader closes the output", async () => {
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

describe("the query language", LONG, () => {
  it("selects the same as the options, and both together", async () => {
    const seqs = async (...args: string[]): Promise<unknown[]> => {
      const { code, stdout, stderr } = await seclog(["query", "--ndjson", "--order", "oldest", ...args]);
      expect([code, stderr]).toEqual([0, ""]);
      return ndjson(stdout)
        .filter((event) => event["source_id"] === SOURCE_A)
        .map((event) => event["seq"]);
    };
    for (const [query, options, expected] of [
      ["type:authn_* ip:203.0.113.0/24", ["--type", "authn_*", "--ip", "203.0.113.0/24"], [1, 2]],
      ["level>=error", ["--level", "error"], [3, 4]],
      ["path:/admin", ["--path", "/admin"], [3, 4]],
      ["actor:alice", ["--actor", "alice"], [1, 3]],
      ['"WRONG \\"word"', ["--text", 'WRONG "word'], [1]],
    ] as const) {
      expect([query, await seqs(query)]).toEqual([query, expected]);
      expect([query, await seqs(...options)]).toEqual([query, expected]);
    }
    expect(await seqs("actor:alice", "--level", "error")).toEqual([3]);
    expect(await seqs("since:2020-01-01", "(actor:alice or -path:*)", "until:2021-01-01")).toEqual([6]);
    expect(await seqs("--", "-path:/login", "-type:malicious_csrf")).toEqual([3, 4]);
  });

  it("refuses a query with the character and what was meant, and explains an empty result", async () => {
    const refused = await seclog(["query", "type:x tpye:y"]);
    expect(refused).toEqual({
      code: 2,
      stdout: "",
      stderr: 'seclog: unknown field "tpye": did you mean type? (character 8) [SECLOG_QUERY]\n',
    });
    const none = await seclog(["query", "type:login", "service:x"]);
    expect(none.stderr).toMatch(/Unknown type "login".*did you mean/);
    expect(none.stderr).toContain("No events match: type:login service:x, from ");
  });

  it("counts, in all and by a field", async () => {
    const args = ["count", "since:2020-01-01 type:many,authz_fail", "--json"];
    expect(JSON.parse((await seclog(args)).stdout)).toEqual({ events: 12_003, occurrences: 12_003 });
    const by = JSON.parse((await seclog([...args, "--by", "actor"])).stdout) as { values: unknown[] };
    expect(by.values).toContainEqual({ name: "alice", events: 1, occurrences: 1 });
    expect((await seclog(["count", "actor:alice", "--by", "path"])).stdout).toMatch(/^2 events\n\nEVENTS +PATH/);
    const stats = JSON.parse((await seclog(["stats", "--json", "actor:alice since:2h"])).stdout) as { since: string };
    expect(stats).toMatchObject({ events: 2 });
    expect(Date.now() - Date.parse(stats.since)).toBeLessThan(3 * 3_600_000);
  });
});

describe("seclog top and stats", LONG, () => {
  it("count what happened last, and show it over time", async () => {
    const top = await seclog(["top", "--last", "1d", `source:${SOURCE_A}`]);
    expect([top.code, top.stderr]).toEqual([0, ""]);
    expect(top.stdout).toMatch(/^5 events since [\d:]+ UTC\n[▁-█ ]+\n\nEVENTS +LEVEL/);
    expect(top.stdout).toMatch(/EVENTS +ACTOR[\s\S]* 2 +alice/);
    const json = JSON.parse((await seclog(["top", "--json", "--last", "1d", "actor:alice"])).stdout) as object;
    expect(json).toMatchObject({
      events: 2,
      done: true,
      facets: { actor: { values: [{ name: "alice", events: 2 }] } },
    });
    expect((await seclog(["stats", "actor:alice"])).stdout).toMatch(/^2 events since [^\n]+\n[▁-█ ]+\n/);
  });
});

describe("seclog query, stats and tail", LONG, () => {
  it("refuse a schema that is newer in a breaking way, or older", async () => {
    const ask = async (code: string): Promise<void> => {
      for (const command of ["query", "stats", "tail"]) {
        expect(await seclog([command])).toEqual({ code: 3, stdout: "", stderr: expect.stringContaining(code) });
      }
    };
    await database.query("INSERT INTO seclog_migration VALUES (9999, 'later', true, '')");
    await ask("SECLOG_SCHEMA_NEWER").finally(() => database.query("DELETE FROM seclog_migration WHERE id = 9999"));
    await database.query("UPDATE seclog_migration SET id = -3 WHERE id = 3");
    await ask("SECLOG_SCHEMA_OLDER").finally(() => database.query("UPDATE seclog_migration SET id = 3 WHERE id = -3"));
  });
});

describe("seclog stats", LONG, () => {
  it("counts by type, level, address and hour, and lists the sources", async () => {
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
    expect(latest.find(({ id }) => id === SOURCE_A)).toMatchObject({
      last_seq: 6,
      quarantined: 0,
      last_heartbeat: null,
    });
    expect(latest.filter(({ own }) => own)).toMatchObject([{ service: "seclog", last_seq: 1, last_heartbeat: null }]);
    const text = (await seclog(["stats"])).stdout;
    expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(text).toContain("CLIENT");
  });
});
