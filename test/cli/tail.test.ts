/** The built program, against a real PostgreSQL: the command that follows the log. */
import { once } from "node:events";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { collect, eventually, LONG, ndjson, programOf } from "../support/program.ts";
import { insert, SOURCE_A, SOURCE_C, SOURCE_D, seedLog } from "../support/seeded-log.ts";

let database: TestDatabase;
const { startProgram } = programOf(() => database);

beforeAll(async () => {
  database = await createTestDatabase();
  await seedLog(database);
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

describe("seclog tail", LONG, () => {
  it("shows every event once, in whatever order transactions commit", async () => {
    const early = new pg.Client({ connectionString: database.adminUrl });
    const late = new pg.Client({ connectionString: database.adminUrl });
    await Promise.all([early.connect(), late.connect()]);
    const child = startProgram(["tail", "--json", "--lines", "0", "--interval", "0.05", "--type", "tail_*"]);
    const stdout = collect(child.stdout);
    const seen = (): unknown[] => ndjson(stdout().replace(/[^\n]*$/, "")).map((event) => event["event_type"]);
    try {
      // The positions must be read before anything is written: a first event shows that they were.
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
      // It survives a lost connection and misses nothing meanwhile.
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

  it("starts with the last events, oldest first", async () => {
    const child = startProgram(["tail", "--json", "-n", "2", "--type", "authn_*"]);
    const stdout = collect(child.stdout);
    await eventually(() => ndjson(stdout().replace(/[^\n]*$/, "")).length === 2, "two events");
    expect(ndjson(stdout()).map((event) => event["seq"])).toEqual([1, 2]);
    child.kill("SIGTERM");
    expect(await once(child, "close")).toEqual([0, null]);
  });

  it("stops at once, even while a query runs", async () => {
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
      // The server has not noticed yet.
      expect(await asks()).toBe(true);
    } finally {
      await locker.end();
    }
  });
});
