import { expect, it } from "vitest";
import { defineEvents } from "../event/define-events.ts";
import type { EventDefinitions } from "../event/definition.ts";
import type { SecurityEvent } from "../event/event.ts";
import { createClientIp } from "./client-ip.ts";
import { eventClock } from "./clock.ts";
import { runWithRequest, setActor } from "./context.ts";
import { createDataEncoder } from "./data.ts";
import { Recorder } from "./recorder.ts";
import { createRedactor, REDACTED, type RedactOptions } from "./redact.ts";

const traced = {
  method: "GET",
  url: "/",
  headers: { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
};

interface Call {
  readonly type?: unknown;
  readonly request?: unknown;
  readonly data?: unknown;
  readonly events?: EventDefinitions;
  readonly redact?: RedactOptions;
}

/** What an event keeps of one call. */
function kept({ type = "authz_fail", request, data, events = {}, redact }: Call): Partial<SecurityEvent> {
  const redactor = createRedactor(redact);
  const recorder = new Recorder({
    logger: "security",
    service: undefined,
    environment: undefined,
    host: undefined,
    events,
    clock: eventClock(),
    clientIp: createClientIp(),
    redactor,
    encodeData: createDataEncoder(redactor),
  });
  const position = { sourceId: "01a204f8-8c28-7000-9f1a-38f98eabf569", epoch: 1, lastSeq: 0 };
  const { text } = recorder.record(recorder.resolve(type), request, data, position);
  const columns = Object.assign({}, ...text.split("\n").map((line) => JSON.parse(line) as object));
  return Object.fromEntries(
    Object.entries(columns).map(([name, value]) => [name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), value]),
  );
}

const trap = (): never => {
  throw new Error("trap");
};

/** An object in which reading this member throws. */
function trapped(name: string, others: object = {}): object {
  return Object.defineProperty({ ...others }, name, { get: trap, enumerable: true });
}

it("recordSecurityEvent() - treats a fact that is null as absent, without a note", () => {
  const facts = ["outcome", "statusCode", "allowedMethods", "route", "count", "startedAt", "endedAt"];
  const parties = ["actor", "userid", "target"];
  const data = Object.fromEntries([...facts, ...parties].map((name) => [name, null]));
  expect(kept({ data })).toEqual({ ...kept({}), id: expect.any(String), occurredAt: expect.any(String) });
});

it("recordSecurityEvent() - keeps in a flag neither a secret nor a character that PostgreSQL refuses", () => {
  const validate = (message: string) => {
    const schema = {
      "~standard": { version: 1, vendor: "test", validate: () => ({ issues: [{ message }] }) },
    } as const;
    const events = defineEvents({ own: { description: "An own event.", schema } });
    return kept({ type: "own", data: { a: 1 }, events }).notes;
  };
  expect(validate("received password=hunter2 \0 \ud800")).toEqual({
    flags: ["data: received password=[redacted] \\u0000 \\ud800"],
    redacted: ["notes.flags"],
    escaped: ["notes.flags"],
  });
  // A secret across the limit of the flag's length leaves no half.
  expect(JSON.stringify(validate(`${"x".repeat(185)} 4111111111111111`))).not.toContain("4111");
  expect(JSON.stringify(kept({ type: "Hack token=hunter2\0" }))).not.toMatch(/hunter2|\\u0000.*hunter|\0/);
});

it.each([
  ["outcome", trapped("outcome")],
  ["actor", { actor: trapped("id") }],
  ["allowedMethods", trapped("allowedMethods")],
  ["allowedMethods", { allowedMethods: { toString: trap } }],
  ["route", trapped("route")],
  ["startedAt", { startedAt: Object.assign(new Date(0), { getTime: trap }) }],
  ["target", trapped("target")],
  ["userid", trapped("userid")],
])("recordSecurityEvent() - loses only %s to a trap in it, and flags that", (name, data) => {
  const others = Object.getOwnPropertyDescriptors({ statusCode: 403, reason: "no role" });
  const event = kept({
    request: { method: "GET", url: "/a", headers: {} },
    data: Object.defineProperties(data, others),
  });
  expect(event).toMatchObject({ method: "GET", path: "/a", statusCode: 403, data: { reason: "no role" } });
  expect(event.notes?.flags).toEqual([`${name} could not be read`]);
});

it("recordSecurityEvent() - loses only the refinement to a trap in what refines an event", () => {
  expect(kept({ type: "upload_validation", data: trapped("result", { filename: "a" }) })).toMatchObject({
    level: "info",
    data: { filename: "a", result: "[Unserializable]" },
  });
});

it("redact.paths - redact the facts of a call, and note that", () => {
  const paths = ["actorId", "actorType", "targetId", "targetType", "allowedMethods", "route"];
  const party = { id: "a", type: "b" };
  const event = kept({
    data: { actor: party, target: party, allowedMethods: "GET", route: "/a" },
    redact: { paths },
  });
  expect(event).toMatchObject(Object.fromEntries(paths.map((path) => [path, REDACTED])));
  expect([...(event.notes?.redacted ?? [])].sort()).toEqual(paths.sort());
});

it("redact.paths - below data also match names that are facts elsewhere", () => {
  const event = kept({ data: { userid: "u1" }, redact: { paths: ["data.userid"] } });
  expect([event.actorId, event.data, event.notes?.redacted]).toEqual([
    undefined,
    { userid: REDACTED },
    ["data.userid"],
  ]);
});

it("recordSecurityEvent() - keeps ids that look like card numbers, wherever the application names them", () => {
  const id = "4111111111111111";
  const event = kept({
    request: { method: "GET", url: `/orders/${id}`, headers: { "x-request-id": id, "user-agent": `app/${id}` } },
    data: { actor: "480000000000000004", target: { id, type: "order" }, orderId: id },
  });
  expect(event).toMatchObject({
    ...{ actorId: "480000000000000004", targetId: id, path: `/orders/${id}`, requestId: id, userAgent: `app/${id}` },
    data: { orderId: id },
  });
  expect(event.notes).toBeUndefined();
});

it("redact.names - redact the column of that name, and note that", () => {
  const data = { userid: "ada@example.com", target: "t1", nested: { userid: "x" } };
  const event = kept({ data, redact: { names: ["userid", "trace_id"] }, request: traced });
  expect([event.actorId, event.targetId, event.traceId, event.data]).toEqual([
    REDACTED,
    "t1",
    undefined,
    { nested: { userid: REDACTED } },
  ]);
  expect(event.notes).toEqual({ redacted: ["traceId", "actorId", "data.nested.userid"] });
});

it("recordSecurityEvent() - notes an actor or a target with a secret as redacted", () => {
  const event = kept({ data: { actor: { id: "sk_live_abcdefgh12345678" }, target: "password=hunter22" } });
  expect([event.actorId, event.targetId]).toEqual([REDACTED, "password=[redacted]"]);
  expect(event.notes).toEqual({ redacted: ["actorId", "targetId"] });
});

it("recordSecurityEvent() - flags an invalid fact and leaves it in the data", () => {
  expect(kept({ data: { userid: { a: 1 } } })).toMatchObject({
    data: { userid: { a: 1 } },
    notes: { flags: ["userid is not an id"] },
  });
  expect(kept({ data: { userid: ["../../", "x"], statusCode: "many", outcome: "won" } }).data).toEqual({
    userid: ["../../", "x"],
    statusCode: "many",
    outcome: "won",
  });
  expect(kept({ data: { actor: {}, userid: "u1" } })).toMatchObject({ actorId: "u1", data: { actor: {} } });
});

it("recordSecurityEvent() - flags by name the members of an actor that it does not keep", () => {
  const event = kept({ data: { actor: { id: 1, type: "user", email: "a@example.com", roles: [] } } });
  expect([event.actorId, event.actorType, event.data]).toEqual(["1", "user", undefined]);
  expect(event.notes?.flags).toEqual(["of actor only id and type are kept, not email, roles"]);
  expect(kept({ data: { target: { id: 1, type: 5 } } }).notes?.flags).toEqual(["target.type is not a string"]);
});

it("recordSecurityEvent() - quotes a value passed in place of the request, beside other data", () => {
  expect(kept({ request: "str", data: { a: 1 } })).toMatchObject({
    data: { a: 1 },
    notes: { flags: ['the request argument is not a request: {"value":"str"}'] },
  });
  expect(JSON.stringify(kept({ request: "password=hunter2", data: { a: 1 } }))).not.toContain("hunter2");
  expect(kept({ request: { password: "hunter2", b: "x".repeat(9999) }, data: { a: 1 } }).notes?.flags?.[0]).toMatch(
    /^the request argument is not a request: .{100,300}$/,
  );
});

it("recordSecurityEvent() - uses the context's actor if the call names none, and survives a trap in it", () => {
  runWithRequest({ method: "GET", url: "/a", headers: {} }, () => {
    setActor("u1");
    expect(kept({}).actorId).toBe("u1");
    expect(kept({ data: { a: 1 } }).actorId).toBe("u1");
    expect(kept({ data: { userid: "u2" } }).actorId).toBe("u2");
    expect(kept({ data: { userid: ["u2"] } }).actorId).toBeUndefined();
    setActor(trapped("id") as { id: string });
    expect(kept({ data: { a: 1 } })).toMatchObject({
      path: "/a",
      data: { a: 1 },
      notes: { flags: ["actor could not be read"] },
    });
  });
});

it("the time of one call - replaces the clock's within seven days, also in the id", () => {
  const occurredAt = new Date(Date.now() - 86_400_000);
  const event = kept({ data: { occurredAt, a: 1 } });
  expect(event).toMatchObject({ occurredAt: occurredAt.toISOString().replace("Z", "000Z"), data: { a: 1 } });
  expect(Number.parseInt((event.id ?? "").replace("-", "").slice(0, 12), 16)).toBe(occurredAt.getTime());
  expect(event).not.toHaveProperty("notes");
  // The log's own events have the clock's.
  expect(kept({ type: "log_stopped", data: { occurredAt } }).data).toHaveProperty("occurredAt");
});

it.each([
  ["eight days ago", -8 * 86_400_000],
  ["in an hour", 3_600_000],
])("19: a time that the call names %s is not believed", (_, offset) => {
  const occurredAt = new Date(Date.now() + offset);
  const event = kept({ data: { occurredAt } });
  expect(Math.abs(Date.parse(event.occurredAt ?? "") - Date.now())).toBeLessThan(60_000);
  expect(event).toMatchObject({
    data: { occurredAt: occurredAt.toISOString() },
    notes: { flags: ["occurredAt is not a date of the last seven days"] },
  });
});

// Row 19 of the project's list of hostile inputs.
it("19: an event's time is the clock's, whatever the data contain", () => {
  const claimed = { occurredAt: "1999-01-01T00:00:00Z", occurred_at: new Date(0), created_at: Number.NaN, time: "-1" };
  const before = new Date().toISOString();
  const { occurredAt = "", data, notes } = kept({ data: claimed });
  expect(occurredAt >= before.slice(0, -1) && occurredAt < "2255").toBe(true);
  expect(data).toEqual({ ...claimed, occurred_at: "1970-01-01T00:00:00.000Z", created_at: "NaN" });
  expect(notes).toEqual({
    converted: { "data.created_at": "number" },
    flags: ["occurredAt is not a date of the last seven days"],
  });
});

it.each([
  [new Date(0), "1970-01-01T00:00:00.000000Z"],
  [new Date("2026-11-22T19:43:22.123Z"), "2026-11-22T19:43:22.123000Z"],
  [new Date("9999-12-31T23:59:59.999Z"), "9999-12-31T23:59:59.999000Z"],
])("19: startedAt accepts %s", (startedAt, text) => {
  expect(kept({ data: { startedAt, endedAt: startedAt } })).toMatchObject({ startedAt: text, endedAt: text });
});

it.each([new Date(-1), new Date(253_402_300_800_000), new Date(8.64e15), new Date(Number.NaN), Number.NaN, 0, "soon"])(
  "19: %s is none, and stays in the data",
  (startedAt) => {
    const event = kept({ data: { startedAt } });
    expect(event).not.toHaveProperty("startedAt");
    expect(event.data).toHaveProperty("startedAt");
    expect(event.notes?.flags).toEqual(["startedAt is not a date between 1970 and 9999"]);
  },
);

it("the level of one call - replaces the type's, and is no data; anything else is flagged and stays there", () => {
  expect(kept({ type: "malicious_cors", data: { level: "warning", origin: "https://evil.example" } })).toMatchObject({
    level: "warning",
    data: { origin: "https://evil.example" },
  });
  expect(kept({ type: "upload_validation", data: { result: "FAILED", level: "info" } }).level).toBe("info");
  const odd = kept({ type: "malicious_cors", data: { level: "gold" } });
  expect(odd).toMatchObject({ level: "critical", data: { level: "gold" } });
  expect(odd.notes?.flags).toEqual(["level is not debug, info, warning, error or critical"]);
  // The log's own events report levels as data.
  expect(kept({ type: "log_level_changed", data: { level: "error", previous: "info" } })).toMatchObject({
    level: "warning",
    data: { level: "error", previous: "info" },
  });
});
