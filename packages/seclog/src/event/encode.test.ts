import canonicalize from "canonicalize";
import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { EVENT_COLUMNS } from "./columns.ts";
import { decodeEvent, encodeCore, encodeEvent, encodePersonal, eventToJson } from "./encode.ts";
import { type EventNotes, IP_SOURCES, OUTCOMES, type SecurityEvent } from "./event.ts";
import type { JsonObject } from "./json.ts";
import { LEVELS } from "./level.ts";

/** Text as an event has it: well-formed, without NUL. */
const text = fc.string({ unit: "binary", maxLength: 40 }).map((value) => value.toWellFormed().replaceAll("\0", ""));
const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const time = fc
  .date({ min: new Date(0), max: new Date("9999-12-31"), noInvalidDate: true })
  .map((date) => date.toISOString().replace("Z", "123Z"));

/** Any JSON value that survives a round trip: `-0` is `0` in RFC 8785, and assigning `__proto__` sets a prototype. */
const object = fc
  .dictionary(text, fc.jsonValue({ maxDepth: 3 }))
  .map((value) => JSON.parse(JSON.stringify(value).replaceAll("\\u0000", "").toWellFormed()) as JsonObject);

const event: fc.Arbitrary<SecurityEvent> = fc.record(
  {
    v: fc.constant(1),
    id: fc.uuid({ version: 7 }),
    occurredAt: time,
    sourceId: fc.uuid({ version: 7 }),
    epoch: count,
    seq: count,
    type: fc.stringMatching(/^[a-z0-9_.:-]{1,100}$/),
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
    count,
    startedAt: time,
    endedAt: time,
    actorId: text,
    actorType: text,
    targetId: text,
    targetType: text,
    ipAddress: fc.oneof(fc.ipV4(), fc.constant("2001:db8::1")),
    ipSource: fc.constantFrom(...IP_SOURCES),
    ipChain: text,
    methodOriginal: text,
    path: text,
    requestHost: text,
    requestId: text,
    traceId: fc.stringMatching(/^[0-9a-f]{32}$/),
    spanId: fc.stringMatching(/^[0-9a-f]{16}$/),
    userAgent: text,
    data: object,
    notes: fc.record(
      {
        escaped: fc.array(text),
        truncated: fc.dictionary(text, count),
        sha256: fc.dictionary(text, text),
        redacted: fc.array(text),
        converted: fc.dictionary(text, text),
        flags: fc.array(text),
      },
      { requiredKeys: [] },
    ) as fc.Arbitrary<EventNotes>,
  },
  {
    requiredKeys: [
      ...(["v", "id", "occurredAt", "sourceId", "epoch", "seq"] as const),
      ...(["type", "level", "category", "outcome", "logger"] as const),
    ],
  },
);

const CORE = new Set([
  ...["v", "id", "occurredAt", "sourceId", "epoch", "seq", "type", "level", "category", "outcome", "logger"],
  ...["service", "environment", "host", "method", "route", "statusCode", "allowedMethods"],
  ...["count", "startedAt", "endedAt"],
]);

function columns(of: SecurityEvent, part: "core" | "personal"): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(of)
      .filter(([property]) => CORE.has(property) === (part === "core"))
      .map(([property, value]) => [EVENT_COLUMNS[property as keyof typeof EVENT_COLUMNS].name, value]),
  );
}

const bytes = (value: string) => new TextEncoder().encode(value);

describe("encodeEvent()", () => {
  it("round-trips: decoding returns the event, and encoding that returns the same bytes", () => {
    fc.assert(
      fc.property(event, (original) => {
        const encoded = encodeEvent(original);
        const decoded = decodeEvent(bytes(encoded));
        expect(decoded).toEqual(JSON.parse(JSON.stringify(original)));
        expect(encodeEvent(decoded)).toBe(encoded);
      }),
    );
  });

  it("writes two lines, each the RFC 8785 form of its part's columns", () => {
    fc.assert(
      fc.property(event, (original) => {
        const [core, personal, ...rest] = encodeEvent(original).split("\n");
        expect(core).toBe(canonicalize(columns(original, "core")));
        expect(personal).toBe(canonicalize(columns(original, "personal")));
        expect(rest).toEqual([]);
      }),
    );
  });

  it("equals its two parts encoded separately", () => {
    fc.assert(
      fc.property(event, ({ data, ...rest }) => {
        const json = data === undefined ? undefined : canonicalize(data);
        expect(`${encodeCore(rest)}\n${encodePersonal(rest, json)}`).toBe(
          encodeEvent(data === undefined ? rest : { ...rest, data }),
        );
      }),
    );
  });
});

const MINIMAL =
  '{"category":"authn","epoch":1,"event_type":"a","id":"x","level":"info","logger":"security","occurred_at":"t","outcome":"success","seq":1,"source_id":"s","v":1}';

describe("decodeEvent()", () => {
  it("reads the smallest event", () => {
    expect(decodeEvent(bytes(`${MINIMAL}\n{}`)).type).toBe("a");
  });

  it.each([
    ["no second line", MINIMAL],
    ["three lines", `${MINIMAL}\n{}\n{}`],
    ["a trailing newline", `${MINIMAL}\n{}\n`],
    ["no JSON", "{\n{}"],
    ["a list", `${MINIMAL}\n[]`],
    ["a missing member", `${MINIMAL.replace('"seq":1,', "")}\n{}`],
    ["a member of the wrong type", `${MINIMAL.replace('"seq":1', '"seq":"1"')}\n{}`],
    ["a list as data", `${MINIMAL}\n{"data":[]}`],
    ["an unknown level", `${MINIMAL.replace('"info"', '"notice"')}\n{}`],
    ["an unknown outcome", `${MINIMAL.replace('"success"', '"denied"')}\n{}`],
    ["an unknown ip_source", `${MINIMAL}\n{"ip_source":"dns"}`],
  ])("refuses %s", (_, encoded) => {
    expect(() => decodeEvent(bytes(encoded))).toThrow(expect.objectContaining({ code: "SECLOG_EVENT_MALFORMED" }));
  });

  it("refuses bytes that are not UTF-8", () => {
    const broken = Buffer.concat([bytes(`${MINIMAL}\n{"path":"`), Buffer.from([0xff]), bytes('"}')]);
    expect(() => decodeEvent(broken)).toThrow(expect.objectContaining({ code: "SECLOG_EVENT_MALFORMED" }));
  });

  it("refuses the format of a newer program with a code of its own", () => {
    expect(() => decodeEvent(bytes(`${MINIMAL.replace('"v":1', '"v":2')}\n{}`))).toThrow(
      expect.objectContaining({ code: "SECLOG_EVENT_VERSION" }),
    );
  });

  it("throws only its own errors, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        expect(() => decodeEvent(noise)).toThrow(expect.objectContaining({ name: "SeclogError" }));
      }),
    );
  });
});

it("eventToJson() - is one line with the columns' names", () => {
  fc.assert(
    fc.property(event, (original) => {
      const line = eventToJson(original);
      expect(line).not.toContain("\n");
      expect(Object.keys(JSON.parse(line)).sort()).toEqual(
        Object.keys({ ...columns(original, "core"), ...columns(original, "personal") }).sort(),
      );
    }),
  );
});
