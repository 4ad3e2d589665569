import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { fc } from "#test/support/properties.ts";
import { canonicalAddress } from "../event/address.ts";
import { encodeEvent } from "../event/encode.ts";
import { IP_SOURCES, OUTCOMES, type SecurityEvent } from "../event/event.ts";
import type { JsonObject } from "../event/json.ts";
import { LEVELS } from "../event/level.ts";
import { exampleBatch } from "../testing/example-events.ts";
import { postgresHandler } from "./handler.ts";
import { EVENT_SELECT, rowToEvent } from "./rows.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

/** Removes lone surrogates. */
const wellFormed = (value: string): string => value.replace(/\p{Surrogate}/gu, "");

/** Texts that an event may contain: without NUL and lone surrogates. */
const text = fc.string({ unit: "binary", maxLength: 40 }).map((value) => wellFormed(value.replaceAll("\0", "")));
const time = fc
  .tuple(
    fc.date({ min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T00:00:00Z"), noInvalidDate: true }),
    fc.nat(999),
  )
  .map(([date, micros]) => date.toISOString().replace("Z", `${String(micros).padStart(3, "0")}Z`));
const address = fc.oneof(fc.ipV4(), fc.ipV6()).map((value) => canonicalAddress(value) ?? "::1");
const hexadecimal = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length });
const json = fc
  .dictionary(text, fc.jsonValue({ maxDepth: 3, stringUnit: "binary" }))
  .map(
    (value) =>
      JSON.parse(
        JSON.stringify(value, (_, part) => (typeof part === "string" ? wellFormed(part) : part)),
      ) as JsonObject,
  );
const event: fc.Arbitrary<Partial<SecurityEvent>> = fc.record(
  {
    occurredAt: time,
    type: text.map((value) => value || "x"),
    level: fc.constantFrom(...LEVELS),
    category: text,
    outcome: fc.constantFrom(...OUTCOMES),
    logger: text,
    service: text,
    environment: text,
    host: text,
    method: text,
    route: text,
    statusCode: fc.integer({ min: 100, max: 999 }),
    allowedMethods: text,
    count: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    startedAt: time,
    endedAt: time,
    actorId: text,
    actorType: text,
    targetId: text,
    targetType: text,
    ipAddress: address,
    ipSource: fc.constantFrom(...IP_SOURCES),
    ipChain: text,
    methodOriginal: text,
    path: text,
    requestHost: text,
    requestId: text,
    traceId: hexadecimal(32),
    spanId: hexadecimal(16),
    userAgent: text,
    data: json,
    notes: fc.record({ flags: fc.array(text), truncated: fc.dictionary(text, fc.nat()) }),
  },
  { requiredKeys: ["type"] },
) as fc.Arbitrary<Partial<SecurityEvent>>;

describe("rowToEvent()", () => {
  it("decodes every row to exactly the bytes that were recorded", async () => {
    const handler = postgresHandler({ url: database.writerUrl });
    let source = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 40 }), async (events) => {
        const sourceId = `01936d2f-5c00-7000-8000-${String(++source).padStart(12, "0")}`;
        const records = events.flatMap((given, index) => {
          return exampleBatch({ sourceId, firstSeq: index + 1, event: given }).records;
        });
        await handler.handle(exampleBatch({ sourceId, records }), AbortSignal.timeout(20_000));
        const rows = await database.query<{ seq: string }>(
          `SELECT ${EVENT_SELECT} FROM security_event_log WHERE source_id = $1 ORDER BY seq`,
          [sourceId],
        );
        expect(rows.map((row) => encodeEvent(rowToEvent(row)))).toEqual(
          records.map((record) => Buffer.from(record).toString()),
        );
      }),
      { numRuns: 40 },
    );
    await handler.close();
  });

  it("returns addresses in the canonical form of inet", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { minLength: 50, maxLength: 200 }),
        async (addresses) => {
          const [row] = await database.query<{ texts: string[] }>(
            "SELECT array_agg(host(a::inet) ORDER BY n) AS texts FROM unnest($1::text[]) WITH ORDINALITY AS t(a, n)",
            [addresses],
          );
          expect(addresses.map(canonicalAddress)).toEqual(row?.texts);
        },
      ),
      { numRuns: 20 },
    );
  });

  it("refuses a row that a driver has converted", () => {
    expect(() => rowToEvent({ occurred_at: new Date() })).toThrow("EVENT_SELECT");
  });
});
