import pino from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { loggerHandler } from "../handlers/logger.ts";
import { createSecurityLog } from "../log/create-security-log.ts";
import { runWithRequest } from "../record/context.ts";
import { type MemoryLog, memoryLog } from "../testing/memory-log.ts";
import { type PinoBridgeOptions, seclogStream } from "./pino.ts";

const ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

function opened(
  options: PinoBridgeOptions = {},
  settings: pino.LoggerOptions = {},
): { log: MemoryLog; logger: pino.Logger } {
  const log = memoryLog();
  ends.push(() => log.close());
  return { log, logger: pino({ name: "security", level: "trace", ...settings }, seclogStream(log, options)) };
}

describe("seclogStream()", () => {
  it("records the type, the level, the time, the request and the error of a record", async () => {
    const { log, logger } = opened();
    const cause = new Error("no row");
    const error = Object.assign(new Error("refused", { cause }), { code: "EACCES", config: { headers: {} } });
    const req = {
      id: "req-1",
      method: "DELETE",
      url: "/orders/7?token=x",
      headers: { host: "shop.example", "user-agent": "probe" },
      remoteAddress: "203.0.113.9",
    };
    const before = Date.now();
    logger.warn(
      {
        event: "authz_fail",
        userid: "ada",
        err: error,
        req: { ...req, query: { token: "x" } },
        res: { statusCode: 403 },
      },
      "not yours",
    );
    const [event] = await log.events();
    expect(event).toMatchObject({
      type: "authz_fail",
      level: "warning",
      actorId: "ada",
      method: "DELETE",
      path: "/orders/7",
      statusCode: 403,
      ipAddress: "203.0.113.9",
      userAgent: "probe",
      requestHost: "shop.example",
      requestId: "req-1",
      data: { bridge: "pino", message: "not yours", err: { name: "Error", code: "EACCES" } },
    });
    expect(Math.abs(Date.parse(event?.occurredAt ?? "") - before)).toBeLessThan(2_000);
    expect(event?.occurredAt).toMatch(/\.\d{3}000Z$/);
    expect(event).not.toHaveProperty("notes");
    expect(JSON.stringify(event)).not.toMatch(/stack|token|pino\.test/);
  });

  it.each([
    ["trace", "debug"],
    ["info", "info"],
    ["warn", "warning"],
    ["error", "error"],
    ["fatal", "critical"],
  ] as const)("takes %s as %s", async (level, wanted) => {
    const { log, logger } = opened();
    logger[level]({ event: "authn_login_fail" });
    expect((await log.events()).map((event) => event.level)).toEqual([wanted]);
  });

  it("takes the records of a logger named security, and of those that the options choose", async () => {
    const { log, logger } = opened({}, { name: "shop" });
    logger.warn("authz_fail");
    logger.child({ name: "security" }).warn("authz_fail");
    expect(await log.events()).toHaveLength(1);
    const named = opened({ loggers: ["audit"] }, { name: "audit" });
    named.logger.warn("authz_fail");
    expect(await named.log.events()).toHaveLength(1);
    const filtered = opened({ filter: (record) => record["audit"] === true });
    filtered.logger.warn("authz_fail");
    filtered.logger.warn({ audit: true }, "authz_admin");
    expect((await filtered.log.events()).map(({ type }) => type)).toEqual(["authz_admin"]);
  });

  it("makes a valid type of anything, and flags what it does not know", async () => {
    const { log, logger } = opened();
    logger.warn("authn_login_fail:joe");
    logger.warn("Something went wrong");
    logger.warn({ event: "Order Refused!" });
    logger.warn({ event: "log_erased", rows: 7 });
    logger.warn({ event: { name: "user_created" }, onuserid: "8" });
    const events = await log.events();
    expect(events.map(({ type, notes }) => [type, notes?.flags])).toEqual([
      ["authn_login_fail", undefined],
      ["logged_message", ['unknown type "logged_message"']],
      ["order_refused_", ['type "Order Refused!" is not an event name']],
      ["logged_message", ['unknown type "logged_message"']],
      ["user_created", undefined],
    ]);
    expect(events[0]?.data).toEqual({ argument: "joe", bridge: "pino" });
    expect(events[1]?.data).toEqual({ message: "Something went wrong", bridge: "pino" });
    expect(events[3]?.data).toMatchObject({ event: "log_erased", rows: 7 });
  });

  it("redacts secrets by name and by text", async () => {
    const { log, logger } = opened();
    logger.warn(
      {
        event: "authn_login_fail",
        password: "hunter2",
        req: { method: "GET", url: "/", headers: { authorization: "Bearer abcdefghijkl" } },
      },
      "token=sk_live_abcdefgh12345678",
    );
    const [event] = await log.events();
    expect(JSON.stringify(event)).not.toMatch(/hunter2|sk_live|abcdefghijkl/);
    expect(event?.data).toMatchObject({ password: "[redacted]" });
  });

  it("keeps members that have the name of a fact apart, and one named __proto__ as data", async () => {
    const log = memoryLog();
    ends.push(() => log.close());
    const stream = seclogStream(log);
    stream.write(
      '{"level":40,"name":"security","msg":"authz_fail","occurredAt":"1999","bridge":"x","__proto__":{"a":1}}\n',
    );
    const [event] = await log.events();
    expect(event?.data).toMatchObject({ record: { occurredAt: "1999", bridge: "x" }, bridge: "pino" });
    expect(Object.hasOwn(event?.data ?? {}, "__proto__")).toBe(true);
  });

  it("reads lines however they are cut, and reports those that are not records", async () => {
    const log = memoryLog();
    ends.push(() => log.close());
    const stream = seclogStream(log);
    const unknown: string[] = [];
    stream.on("unknown", (line: string) => unknown.push(line));
    const bytes = Buffer.from(
      '{"name":"security","msg":"authz_fail","who":"é€😀"}\nplain\n[1]\n\n{"name":"security","msg":"authz_admin"}',
    );
    for (const byte of bytes) stream.write(Buffer.from([byte]));
    await new Promise<void>((done) => void stream.end(done));
    expect((await log.events()).map(({ type, data }) => [type, data?.["who"]])).toEqual([
      ["authz_fail", "é€😀"],
      ["authz_admin", undefined],
    ]);
    expect(unknown).toEqual(["plain", "[1]"]);
  });

  it("belongs to the current request, and takes the trace of a record outside of one", async () => {
    const { log, logger } = opened();
    runWithRequest({ method: "POST", url: "/pay", headers: {} }, () => logger.warn("authz_fail"));
    const [trace_id, span_id] = ["a".repeat(32), "b".repeat(16)];
    logger.warn({ trace_id, span_id, trace_flags: "01" }, "authz_fail");
    const [inside, outside] = await log.events();
    expect(inside).toMatchObject({ method: "POST", path: "/pay" });
    expect(outside).toMatchObject({ traceId: trace_id, spanId: span_id });
  });

  it("never throws into the logger, even if an event of durability strict cannot be kept", async () => {
    const log = {
      recordSecurityEvent: () => {
        throw new Error("the disk is full");
      },
    };
    expect(() => pino({ name: "security" }, seclogStream(log)).warn("authz_fail")).not.toThrow();
  });

  it("does not run in circles with loggerHandler(), which writes to the same logger", async () => {
    const lines: string[] = [];
    // Written once the log exists: the two need each other.
    let stream: ReturnType<typeof seclogStream> | undefined;
    const logger = pino(
      { name: "security" },
      {
        write(line: string) {
          lines.push(line);
          stream?.write(line);
        },
      },
    );
    const log = createSecurityLog({ spool: "memory", heartbeat: false, handlers: [loggerHandler(logger)] });
    ends.push(() => log.close());
    stream = seclogStream(log, { filter: () => true });
    log.recordSecurityEvent("authz_fail", null, { userid: "ada" });
    logger.warn({ event: "authn_login_fail" });
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    const { recorded } = log.health();
    expect(lines.map((line) => JSON.parse(line).security_event?.event_type ?? "direct").sort()).toEqual([
      "authz_fail",
      "direct",
      "log_started",
    ]);
    expect(recorded).toBe(3);
  });
});
