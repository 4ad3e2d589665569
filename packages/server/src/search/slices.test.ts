import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { type Database, openReader } from "../database/reader.ts";
import { microsOf, microsText, timesOfLog, walkSlices } from "./slices.ts";

const SOURCE = "01a00000-0000-7000-8000-0000000000c1";

describe("walkSlices()", () => {
  let server: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    server = await createTestDatabase();
    // A dense hour in the middle of two thousand empty years.
    await server.query(
      `INSERT INTO security_event_log (id, occurred_at, event_type, level, category, outcome, logger, source_id, epoch, seq, v, commitment)
       SELECT gen_random_uuid(), CASE n WHEN 1 THEN '0101-01-01Z'::timestamptz WHEN 2 THEN '9999-12-31T23:59:59.999999Z'
           ELSE '2021-05-05T05:00:00Z'::timestamptz + make_interval(secs => n / 3.0) END,
         'dense', 'info', 'test', 'success', 'security', $1, 1, n, 1, '' FROM generate_series(1, 8000) AS n`,
      [SOURCE],
    );
    database = openReader(150, server.readerUrl);
  });
  afterAll(async () => {
    await database.destroy();
    await server[Symbol.asyncDispose]();
  });

  it.each(["newest", "oldest"] as const)(
    "reads every row once, %s first, though a long slice fails by its time limit",
    async (order) => {
      const times = await timesOfLog(database);
      expect(times).toEqual({
        from: microsOf("0101-01-01T00:00:00Z"),
        to: microsOf("9999-12-31T23:59:59.999999Z") + 1n,
      });
      let [total, slices, failed, reached] = [0, 0, 0, order === "newest" ? times?.to : times?.from];
      for await (const slice of walkSlices({ order, ...(times ?? { from: 0n, to: 0n }) }, async (within) => {
        failed++;
        // As if each row took a tenth of a millisecond.
        const { rows } = await sql<{ events: number }>`
          SELECT events FROM (SELECT count(*) AS events FROM security_event_log WHERE event_type = 'dense' AND ${within}) AS counted
            CROSS JOIN LATERAL pg_sleep(CASE WHEN events > 3000 THEN 10 ELSE 0 END)`.execute(database);
        failed--;
        return rows[0]?.events ?? 0;
      })) {
        total += slice.result;
        slices++;
        const isFurther = order === "newest" ? slice.reached < (reached ?? 0n) : slice.reached > (reached ?? 0n);
        expect(isFurther).toBe(true);
        reached = slice.reached;
      }
      expect(total).toBe(8000);
      expect(failed).toBeGreaterThan(0);
      expect(slices).toBeLessThan(120);
      expect(reached).toBe(order === "newest" ? times?.from : times?.to);
    },
  );

  it("ends before the next slice when its reader has left", async () => {
    const left = new AbortController();
    const slices = walkSlices({ order: "newest", from: 0n, to: 10n ** 15n, signal: left.signal }, async () => 1);
    expect((await slices.next()).value).toMatchObject({ result: 1, done: false });
    left.abort(new Error("left"));
    await expect(slices.next()).rejects.toThrow("left");
  });
});

describe("microsText() and microsOf()", () => {
  it.each([
    "0001-01-01T00:00:00.000000Z",
    "1969-12-31T23:59:59.999999Z",
    "2026-11-22T10:30:00.000001Z",
    "9999-12-31T23:59:59.999999Z",
  ])("keep %s", (time) => {
    expect(microsText(microsOf(time))).toBe(time);
  });
});
