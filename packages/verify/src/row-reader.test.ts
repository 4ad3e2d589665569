import { createHash, randomBytes } from "node:crypto";
import pg from "pg";
import copyStreams from "pg-copy-streams";
import { type JsonObject, LEVELS, type SecurityEvent } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { exampleBatch } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { fc } from "#test/support/properties.ts";
import { SNAPSHOT_SQL } from "#test/support/snapshot.ts";
import { rowsOf } from "./copy-rows.ts";
import { canonicalTime, copyValues } from "./copy-values.ts";
import { databaseLog } from "./database-log.ts";
import { EVENT_COLUMNS } from "./event-columns.ts";
import { RowReader } from "./row-reader.ts";

const wellFormed = (value: string): string => value.replace(/\p{Surrogate}/gu, "");
const text = fc.string({ unit: "binary", maxLength: 40 }).map((value) => wellFormed(value.replaceAll("\0", "")));
/** Every character that COPY or JSON escapes. */
const awkward = fc
  .array(fc.constantFrom(...'\b\f\n\r\t\v\\"\u0001\u001f\u007f /N.é\u2028𐍈'), { maxLength: 20 })
  .map((characters) => characters.join(""));
const any = fc.oneof(text, awkward);
const time = fc
  .tuple(
    fc.date({ min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T00:00:00Z"), noInvalidDate: true }),
    fc.oneof(
      fc.constant("000000"),
      fc.nat(999_999).map((micros) => String(micros).padStart(6, "0")),
    ),
  )
  .map(([date, micros]) => `${date.toISOString().slice(0, 19)}.${micros}Z`);
const json = fc
  .dictionary(any, fc.jsonValue({ maxDepth: 3, stringUnit: "binary" }))
  .map(
    (value) =>
      JSON.parse(
        JSON.stringify(value, (_, part) => (typeof part === "string" ? wellFormed(part) : part)),
      ) as JsonObject,
  );
const event = fc.record(
  {
    occurredAt: time,
    type: any.map((value) => value || "x"),
    level: fc.constantFrom(...LEVELS),
    category: any,
    outcome: fc.constantFrom("success", "failure", "unknown"),
    logger: any,
    service: any,
    environment: any,
    host: any,
    method: any,
    route: any,
    statusCode: fc.integer({ min: 100, max: 999 }),
    allowedMethods: any,
    count: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    startedAt: time,
    endedAt: time,
    actorId: any,
    actorType: any,
    targetId: any,
    targetType: any,
    ipAddress: fc.oneof(fc.ipV4(), fc.constantFrom("::1", "2001:db8::1", "::ffff:192.0.2.1")),
    ipSource: fc.constantFrom("socket"),
    ipChain: any,
    methodOriginal: any,
    path: any,
    requestHost: any,
    requestId: any,
    traceId: fc.constant("0af7651916cd43dd8448eb211c80319c"),
    spanId: fc.constant("b7ad6b7169203331"),
    userAgent: any,
    data: json,
    notes: fc.record({ flags: fc.array(any), truncated: fc.dictionary(any, fc.nat()) }),
  },
  { requiredKeys: ["type"] },
) as fc.Arbitrary<Partial<SecurityEvent>>;

describe("RowReader", () => {
  let database: TestDatabase;
  let reader: pg.Client;
  beforeAll(async () => {
    database = await createTestDatabase();
    reader = new pg.Client({ connectionString: database.readerUrl });
    await reader.connect();
  });
  afterAll(async () => {
    await reader?.end();
    await database?.[Symbol.asyncDispose]();
  });

  it("reproduces the two recorded lines of every row exactly", async () => {
    const handler = postgresHandler({ url: database.writerUrl });
    const log = databaseLog((sql) => reader.query(copyStreams.to(sql)));
    let number = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 40 }), async (events) => {
        const source = `01936d2f-5c00-7000-8000-${String(++number).padStart(12, "0")}`;
        const records = events.flatMap(
          (given, index) => exampleBatch({ sourceId: source, firstSeq: index + 1, event: given }).records,
        );
        await handler.handle(exampleBatch({ sourceId: source, records }), AbortSignal.timeout(20_000));
        await reader.query(`BEGIN; ${SNAPSHOT_SQL}`);
        const rows = new RowReader();
        const seen: string[] = [];
        const intervals = [{ source, first: 1, last: events.length }];
        for await (const { rows: bytes, start } of rowsOf(log.read({ name: "events", window: 0, intervals }))) {
          rows.read(bytes, start);
          const [core = "", commitment = ""] = rows.entry().split("\n");
          expect(rows.leaf).toBe(createHash("sha256").update(`\0${rows.entry()}`).digest("binary"));
          expect(commitment).toMatch(/^[0-9a-f]{64}$/);
          expect(rows.personal).toBe("kept");
          expect(rows.seq).toBe(seen.length + 1);
          expect(rows.source()).toBe(source);
          seen.push(`${core}\n${rows.personalLine()}`);
        }
        await reader.query("COMMIT");
        expect(seen).toEqual(records.map((record) => Buffer.from(record).toString()));
      }),
      { numRuns: 40 },
    );
    await handler.close();
  });

  /** A row of COPY's text whose other columns are all NULL. */
  const row = (values: { readonly [column: string]: string }): Buffer =>
    Buffer.from(`${EVENT_COLUMNS.map((name) => values[name] ?? "\\N").join("\t")}\n`);
  const read = (bytes: Buffer): RowReader => {
    const reader = new RowReader();
    reader.read(bytes, 0);
    return reader;
  };
  const salt = randomBytes(16);
  const commitmentOf = (line: string): string => createHash("sha256").update(salt).update(line).digest("hex");
  const salted = { salt: `\\\\x${salt.toString("hex")}`, commitment: `\\\\x${commitmentOf('{"path":"/a"}')}` };

  it("distinguishes a kept, an erased and a changed personal part", () => {
    expect(read(row({ ...salted, path: "/a" })).personal).toBe("kept");
    expect(read(row({ ...salted, path: "/b" })).personal).toBe("changed");
    expect(read(row({ ...salted })).personal).toBe("changed");
    expect(read(row({ commitment: salted.commitment })).personal).toBe("erased");
    expect(read(row({ commitment: salted.commitment, path: "/a" })).personal).toBe("changed");
    // A salt that takes over the first bytes of the line would hash to the same.
    const longer = `${salted.salt}${Buffer.from("{").toString("hex")}`;
    expect(read(row({ ...salted, salt: longer, path: "/a" })).personal).toBe("changed");
    expect(read(row({ ...salted, salt: "\\\\x" })).personal).toBe("changed");
    expect(read(row({ ...salted, path: "/a", commitment: "\\N" })).personal).toBe("changed");
  });

  it.each([
    ["2026-11-22 19:43:22+00", "2026-11-22T19:43:22.000000Z"],
    ["2026-11-22 19:43:22.5+00", "2026-11-22T19:43:22.500000Z"],
    ["2026-11-22 19:43:22.123456+00", "2026-11-22T19:43:22.123456Z"],
    ["2026-11-22 19:43:22.123456+01", "2026-11-22 19:43:22.123456+01"],
    ["infinity", "infinity"],
    ["-infinity", "-infinity"],
    ["12026-11-22 19:43:22+00", "12026-11-22 19:43:22+00"],
    ["10000-01-02 03:04:05.123456+00", "10000-01-02 03:04:05.123456+00"],
    ["0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC"],
    ["0044-03-15 12:00:00.5+00 BC", "0044-03-15 12:00:00.5+00 BC"],
    ["0044-03-15 12:00:00.123456+00 BC", "0044-03-15 12:00:00.123456+00 BC"],
    ["2026-11-22 19:43:22.+00", "2026-11-22 19:43:22.+00"],
    ["2026-11-22 19:43:22.1234567+00", "2026-11-22 19:43:22.1234567+00"],
    ["2026-11-22 19:43:2:.123456+00", "2026-11-22 19:43:2:.123456+00"],
  ])("reads the time %s as %s", (given, expected) => {
    expect(read(row({ occurred_at: given })).entry()).toContain(`{"occurred_at":"${expected}"}`);
    expect(canonicalTime(given)).toBe(expected);
  });

  it("does not read a time across the end of its column", () => {
    const ended = { ended_at: "infinity", environment: "x yyyyyyyy.123456+00" };
    expect(read(row(ended)).entry()).toContain('{"ended_at":"infinity","environment":"x yyyyyyyy.123456+00"}');
    const occurred = { occurred_at: "infinity", route: "ab.cdefgh+jk" };
    expect(read(row(occurred)).entry()).toContain('{"occurred_at":"infinity","route":"ab.cdefgh+jk"}');
  });

  it("uses only as much memory as a long value needs", () => {
    const megabytes = 30;
    const bytes = row({ ...salted, path: "x".repeat(megabytes * 1_048_576) });
    const small = Buffer.from(
      row({ ...salted, path: "/a" })
        .toString()
        .repeat(100_000),
    );
    const before = process.memoryUsage().arrayBuffers;
    expect(read(bytes).personalLine()).toHaveLength(megabytes * 1_048_576 + '{"path":""}'.length);
    expect(read(small).personal).toBe("kept");
    expect((process.memoryUsage().arrayBuffers - before) / 1_048_576).toBeLessThan(4 * megabytes);
  });

  it("has room for a long value whose every character is escaped", () => {
    for (const [given, expected] of [
      ["\u0001", "\\u0001"],
      ["\\v", "\\u000b"],
      ['"', '\\"'],
      ["\\\\", "\\\\"],
      ["\\n", "\\n"],
      ["é", "é"],
    ] as const) {
      const count = 1_000_000;
      const line = read(row({ ...salted, path: given.repeat(count) })).personalLine();
      expect(line === `{"path":"${expected.repeat(count)}"}`).toBe(true);
    }
  });

  it("refuses rows with too few or too many columns", () => {
    const good = row({ path: "/a" }).toString();
    expect(() => read(Buffer.from(good.replace("\t", "")))).toThrow("column");
    expect(() => read(Buffer.from(good.replace("\n", "\t1\n")))).toThrow("too many columns");
    expect(() => read(Buffer.from("\n"))).toThrow();
  });
});

describe("copyValues()", () => {
  it("reverses COPY's escapes", () => {
    expect(copyValues("a\\tb\t\\N\t\\\\x00\t\\\\N\t")).toEqual(["a\tb", null, "\\x00", "\\N", ""]);
  });
});
