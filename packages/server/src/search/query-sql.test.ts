/** Random queries on random events: PostgreSQL and `matchQuery` select the same. */
import { both, type EventRecord, matchQuery, parseQuery, printQuery, type Query } from "@seclog/api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isLong } from "#test/support/long.ts";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { fc } from "#test/support/properties.ts";
import { type Database, openReader } from "../database/reader.ts";
import type { EventRow } from "./event-rows.ts";
import { readQuery } from "./filter-query.ts";
import { findEvents } from "./find-events.ts";

const SOURCE = "01a00000-0000-7000-8000-00000000000a";
const NOW = new Date("2026-11-22T12:00:00Z");

/** Values that lie close to each other, and some that only a hostile writer stores. */
const POOL = {
  occurred_at: [
    "2026-11-22T10:00:00Z",
    "2026-11-22T11:30:00.000001Z",
    "2026-11-22T12:00:00Z",
    "infinity",
    "-infinity",
    "0044-03-15 12:00:00 BC",
    "12026-01-01",
  ],
  event_type: ["authn_login_fail", "authn_login_success", "authz_fail", "authn%login_fail", "own:type"],
  level: ["debug", "info", "warning", "error", "critical"],
  category: ["authn", "authz", "own_category"],
  outcome: ["success", "failure", "unknown"],
  method: [null, "GET", "POST", "_OTHER"],
  method_original: [null, "propfind", "éa"],
  path: [null, "/login", "/login/form", "/LOGIN", "/a*b", "/100%_sure", "/back\\slash", "/É\u0130\u017f", "/\u{1f600}"],
  route: [null, "/users/:id", "/login"],
  status_code: [null, 0, 200, 401, 403, 499, 500],
  ip_address: [
    null,
    "203.0.113.9",
    "203.0.113.77",
    "203.0.112.0/23",
    "::ffff:203.0.113.9",
    "2001:db8::1",
    "2001:db8:1::1",
  ],
  user_agent: [null, "curl/8", 'say "hi"', "Curl"],
  request_host: [null, "Shop.example:8443", "shop.example", "shop.example.org"],
  host: [null, "web-1", "WEB-1"],
  actor_id: [null, "alice", "ALICE", "12", "a*e", "a_e"],
  target_id: [null, "alice", "t1"],
  data: [
    null,
    '{"userid":"alice"}',
    '{"newuserid":12,"userid":"bob"}',
    '{"10":"x","9":"q\\"é"}',
    '{"onuserid":120}',
    '{ "userid": "alice" }',
    '"userid"',
    "[1]",
  ],
  notes: [null, '{"cut":["path"]}'],
  count: [null, 1, 5, "9223372036854775807"],
  service: [null, "shop", "Shop", "a b", "(x)"],
  seq: [1, 2, 3, 100, "9223372036854775807"],
} as const;

/** Values of queries: those of events, and near misses. */
const VALUES: { readonly [field: string]: readonly string[] } = {
  type: ["authn_*", "*login*", "authn_login_fail", '"authn%login_fail"', "own:type", "*"],
  category: ["authn", "own_*", "AUTHN"],
  outcome: ["success", "failure,unknown"],
  method: ["get", "propfind", "prop*", "_OTHER", "*"],
  path: ["/login", "/LOGIN", '"/a*b"', "/a*b", "/100%_", "/back\\slash", "*f*m", "/É", "*", "/*\u{1f600}"],
  route: ["/users/:id", "/users/*", "*"],
  status: ["4xx", "401", "400-499", "0", "*"],
  ip: [
    "203.0.113.9",
    "203.0.113.0/24",
    "203.0.112.0/23",
    "0.0.0.0/0",
    "::ffff:203.0.113.9",
    "::/0",
    "2001:db8::/32",
    "2001:db8::1",
    "*",
  ],
  agent: ["curl*", "*U*", '"say \\"hi\\""'],
  host: ["shop.example", "SHOP.example:8443", "web-1", "*.example*", "*"],
  actor: ["alice", "ALICE", "12", "bob", "a*e", '"a*e"', "a_e", "*"],
  target: ["alice", "12", "120", "bob", "t*", "*"],
  data: ["userid", '"\\"userid\\":12"', "É", '"q\\""', "*"],
  notes: ["CUT", "*"],
  count: ["1", "5", "2-9", "*"],
  service: ["shop", '"a b"', '"(x)"', "s*", "*"],
  seq: ["1", "2-50", "*"],
  since: ["1h", "2026-11-22T10:00Z", "90m"],
  until: ["1h", "2026-11-22T12:00Z", "30m"],
  source: [SOURCE, "01a00000-0000-7000-8000-00000000000b"],
  level: ["info", "warning,critical"],
};
const TEXTS = ["login", "LOGIN", "É", "é", "\u0130", "\u017f", '\\"hi\\"', "alice /", "a*b", "{", "12", "\\\\", 'q\\"'];

const term = fc.oneof(
  fc.constantFrom(...Object.entries(VALUES).flatMap(([field, values]) => values.map((value) => `${field}:${value}`))),
  fc.constantFrom(
    "level>=warning",
    "level<=info",
    "level>info",
    "status>=403",
    "status<403",
    "seq>2",
    "seq<=3",
    "count>1",
    "actor=a*e",
    "path=/login",
    "path!=/login",
  ),
  fc.constantFrom(...TEXTS.map((text) => `"${text}"`)),
);
const query = fc.letrec<{ query: string }>((tie) => ({
  query: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    term,
    fc.tuple(tie("query"), tie("query")).map(([a, b]) => `(${a} ${b})`),
    fc.tuple(tie("query"), tie("query")).map(([a, b]) => `(${a} or ${b})`),
    tie("query").map((inner) => `-${inner}`),
  ),
})).query;

let server: TestDatabase;
let database: Database;
let rows: readonly EventRow[];

beforeAll(async () => {
  server = await createTestDatabase();
  // Older logs have rows from before this check.
  await server.query("ALTER TABLE security_event_log DROP CONSTRAINT security_event_log_values");
  const record = fc.record(
    Object.fromEntries(Object.entries(POOL).map(([name, values]) => [name, fc.constantFrom(...values)])),
  );
  for (const [index, event] of fc.sample(record, { numRuns: 150, seed: 7 }).entries()) {
    const names = Object.keys(event);
    await server.query(
      `INSERT INTO security_event_log (id, logger, source_id, epoch, v, commitment, ${names.join(", ")})
       VALUES (gen_random_uuid(), 'security', ${index % 4 === 0 ? `'${SOURCE}'` : "gen_random_uuid()"}, 1, 1, '', ${names.map((_, place) => `$${place + 1}`).join(", ")})
       ON CONFLICT DO NOTHING`,
      Object.values(event),
    );
  }
  database = openReader(undefined, server.readerUrl);
  rows = await found(both());
});
afterAll(async () => {
  await database?.destroy();
  await server[Symbol.asyncDispose]();
});

async function found(condition: Query): Promise<readonly EventRow[]> {
  const all: EventRow[] = [];
  for await (const page of findEvents(database, { query: condition }, { order: "oldest", limit: 1000 }))
    all.push(...page.rows);
  return all;
}

describe("querySql()", () => {
  it("selects the events that matchQuery() selects", async () => {
    expect(rows.length).toBeGreaterThan(100);
    await fc.assert(
      fc.asyncProperty(query, async (text) => {
        const condition = readQuery(text, NOW);
        const ids = (events: readonly EventRow[]): string => events.map(({ id }) => id).join("\n");
        const matching = rows.filter((row) => matchQuery(condition, row as unknown as EventRecord, NOW));
        expect(ids(await found(condition))).toBe(ids(matching));
        expect(parseQuery(printQuery(condition))).toEqual(condition);
      }),
      { numRuns: isLong ? 5_000 : 80 },
    );
  });

  it("each kind of term selects some and not all", async () => {
    for (const [field, values] of Object.entries(VALUES)) {
      const counts = values.map(
        (value) =>
          rows.filter((row) => matchQuery(readQuery(`${field}:${value}`, NOW), row as unknown as EventRecord)).length,
      );
      expect([field, counts.some((count) => count > 0)]).toEqual([field, true]);
      if (field !== "seq") expect([field, counts.some((count) => count < rows.length)]).toEqual([field, true]);
    }
  });
});
