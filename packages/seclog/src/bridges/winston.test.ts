import { afterEach, describe, expect, it } from "vitest";
import winston from "winston";
import { loggerHandler } from "../handlers/logger.ts";
import { createSecurityLog } from "../log/create-security-log.ts";
import { runWithRequest } from "../record/context.ts";
import { type MemoryLog, memoryLog } from "../testing/memory-log.ts";
import { SeclogTransport, type WinstonBridgeOptions } from "./winston.ts";

const ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

function opened(
  options: WinstonBridgeOptions = {},
  settings: winston.LoggerOptions = {},
): { log: MemoryLog; logger: winston.Logger } {
  const log = memoryLog();
  ends.push(() => log.close());
  const logger = winston.createLogger({
    level: "silly",
    format: winston.format.json(),
    defaultMeta: { logger: "security" },
    transports: [new SeclogTransport(log, options)],
    ...settings,
  });
  return { log, logger };
}

describe("SeclogTransport", () => {
  it("records the type, the level, the time, the live request and the error of a record", async () => {
    const format = winston.format.combine(winston.format.timestamp(), winston.format.colorize());
    const { log, logger } = opened({}, { format });
    const req = { method: "PUT", url: "/users/8?x=1", headers: { "user-agent": "probe" }, on: () => {} };
    logger.warn("authz_fail", { userid: "ada", req, error: new TypeError("no"), password: "hunter2" });
    runWithRequest({ method: "POST", url: "/pay", headers: {} }, () => logger.error(new RangeError("no such order")));
    const [event, error] = await log.events();
    expect(event).toMatchObject({
      type: "authz_fail",
      level: "warning",
      actorId: "ada",
      method: "PUT",
      path: "/users/8",
      userAgent: "probe",
      data: { bridge: "winston", error: { name: "TypeError", message: "no" }, password: "[redacted]" },
    });
    expect(event?.occurredAt).toMatch(/\.\d{3}000Z$/);
    expect(error).toMatchObject({
      type: "logged_message",
      level: "error",
      path: "/pay",
      data: { message: "no such order" },
    });
    expect(JSON.stringify(error)).not.toContain("winston.test");
  });

  it.each([
    [winston.config.npm.levels, "http", "info"],
    [winston.config.npm.levels, "silly", "debug"],
    [winston.config.syslog.levels, "notice", "info"],
    [winston.config.syslog.levels, "emerg", "critical"],
  ])("of %o takes %s as %s", async (levels, level, wanted) => {
    const least = Object.keys(levels).at(-1) ?? "";
    const { log, logger } = opened({}, { levels, level: least });
    logger.log(level, "authn_login_fail");
    expect((await log.events()).map((event) => event.level)).toEqual([wanted]);
  });

  it("takes the levels that the logger or its own option says, and nothing while silent", async () => {
    const { log, logger } = opened({}, { level: "warn" });
    logger.info("authn_login_success");
    logger.warn("authn_login_fail");
    const [transport] = logger.transports as unknown as SeclogTransport[];
    transport!.silent = true;
    logger.warn("authz_fail");
    expect((await log.events()).map(({ type }) => type)).toEqual(["authn_login_fail"]);
    const own = opened({ level: "error" });
    own.logger.warn("authn_login_fail");
    own.logger.error("authz_fail");
    expect((await own.log.events()).map(({ type }) => type)).toEqual(["authz_fail"]);
  });

  it("takes the records of a logger or a label named security, and of those that the options choose", async () => {
    const { log, logger } = opened({}, { defaultMeta: {} });
    logger.warn("authz_fail");
    logger.child({ label: "security" }).warn("authz_admin");
    expect((await log.events()).map(({ type }) => type)).toEqual(["authz_admin"]);
    const typed = opened({ filter: () => true, type: (info) => (info["code"] === 7 ? "sequence_fail" : undefined) });
    typed.logger.warn("step 3 before step 2", { code: 7 });
    expect((await typed.log.events()).map(({ type, data }) => [type, data?.["message"]])).toEqual([
      ["sequence_fail", "step 3 before step 2"],
    ]);
  });

  it("goes on when a record or the application's filter throws", async () => {
    const { log, logger } = opened({
      filter: (info) => {
        if (info["bad"] === true) throw new Error("of the application");
        return true;
      },
    });
    logger.warn("authz_fail", { bad: true });
    logger.warn("authz_admin");
    expect((await log.events()).map(({ type }) => type)).toEqual(["authz_admin"]);
  });

  it.each([
    ["as they are", winston.format.json(), ["authz_fail", "log_started"], 3],
    // The forwarded event comes back as a record, once, and goes no further.
    [
      "without their marks",
      winston.format((info) => JSON.parse(JSON.stringify({ level: info.level, message: info.message })))(),
      ["authz_fail", "log_started"],
      5,
    ],
  ] as const)(
    "does not run in circles with loggerHandler(), whose records arrive %s",
    async (_, format, forwarded, recorded) => {
      const messages: string[] = [];
      const logger = winston.createLogger({
        format: winston.format.combine(
          winston.format((info) => {
            messages.push(String(info.message).split(" ")[0] ?? "");
            return info;
          })(),
          format,
        ),
      });
      const log = createSecurityLog({ spool: "memory", heartbeat: false, handlers: [loggerHandler(logger)] });
      ends.push(() => log.close());
      logger.add(new SeclogTransport(log, { filter: () => true }));
      log.recordSecurityEvent("authz_fail", null, { userid: "ada" });
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(messages.sort()).toEqual(forwarded);
      expect(log.health().recorded).toBe(recorded - 1);
    },
  );
});
