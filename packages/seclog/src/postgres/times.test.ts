/** Row 19 of the project's list of hostile inputs: a machine's clock and a caller's times may be of any year. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { createSecurityLog } from "../log/create-security-log.ts";
import { exampleBatch } from "../testing/example-events.ts";
import { postgresHandler } from "./handler.ts";

vi.mock("../runtime/timers.ts", () => import("#test/support/global-timers.ts"));

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());
afterEach(() => {
  vi.useRealTimers();
});

const YEARS = [-9_999, 1900, 1969, 1970, 1999, 2080, 2254, 2255, 9999, 10_000, 275_000];

describe("19: a clock of any year", () => {
  it.each(YEARS)("%i: every event is stored, and flagged when the clock cannot be right", async (year) => {
    vi.setSystemTime(new Date(0).setUTCFullYear(year, 6, 1));
    const service = `clock of ${year}`;
    const log = createSecurityLog({
      spool: "memory",
      handlers: [postgresHandler({ url: database.writerUrl })],
      service,
      heartbeat: false,
      diagnostics: () => {},
    });
    const startedAt = new Date(0);
    const endedAt = new Date("9999-12-31T23:59:59.999Z");
    for (let index = 0; index < 100; index++) {
      const data = { startedAt, endedAt, past: new Date(-8.64e15), future: new Date(8.64e15) };
      log.recordSecurityEvent("authz_fail", null, data);
    }
    await log.close();
    const [row] = await database.query(
      `SELECT count(*)::int AS events, count(DISTINCT occurred_at)::int AS times, min(started_at) AS started,
          max(ended_at) AS ended, max(extract(year FROM occurred_at AT TIME ZONE 'UTC'))::int AS year,
          count(notes->'flags')::int AS flagged, max(data->>'past') AS past, max(data->>'future') AS future
        FROM security_event_log WHERE service = $1 AND event_type = 'authz_fail'`,
      [service],
    );
    const credible = year >= 1970 && year < 2255;
    expect(row).toEqual({
      events: 100,
      times: 100,
      started: startedAt,
      ended: endedAt,
      year: Math.min(Math.max(year, 1970), 2255),
      flagged: credible ? 0 : 100,
      past: "-271821-04-20T00:00:00.000Z",
      future: "+275760-09-13T00:00:00.000Z",
    });
    expect(await database.query("SELECT reason FROM security_event_quarantine")).toEqual([]);
  });

  it("leaves the partitions of the present intact", async () => {
    const handler = postgresHandler({ url: database.writerUrl });
    const sourceId = "01936d2f-5c00-7000-8000-000000000019";
    const occurredAt = new Date().toISOString().replace("Z", "000Z");
    await handler.handle(exampleBatch({ sourceId, event: { occurredAt } }), AbortSignal.timeout(20_000));
    await handler.close();
    const parts = await database.query<{ part: string }>(
      "SELECT tableoid::regclass::text AS part FROM security_event_log WHERE source_id = $1",
      [sourceId],
    );
    expect(parts).toEqual([{ part: `security_event_log_standard_${occurredAt.slice(0, 7).replace("-", "_")}` }]);
  });
});
