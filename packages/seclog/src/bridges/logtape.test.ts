import { configure, dispose, getLogger, reset } from "@logtape/logtape";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loggerHandler } from "../handlers/logger.ts";
import { createSecurityLog } from "../log/create-security-log.ts";
import { type MemoryLog, memoryLog } from "../testing/memory-log.ts";
import { getSeclogSink, type LogTapeBridgeOptions, type SinkLog } from "./logtape.ts";

let log: MemoryLog;

beforeEach(() => {
  log = memoryLog();
});

afterEach(async () => {
  await reset();
  await log.close();
});

async function configured(options: LogTapeBridgeOptions = {}, to: SinkLog = log): Promise<void> {
  await configure({
    sinks: { seclog: getSeclogSink(to, options) },
    loggers: [
      { category: "shop", sinks: ["seclog"], lowestLevel: "trace" },
      { category: ["logtape", "meta"], lowestLevel: "fatal" },
    ],
  });
}

describe("getSeclogSink()", () => {
  it("records the type, the level, the time and the properties of a record", async () => {
    await configured();
    const req = { method: "GET", url: "/admin", headers: {}, remoteAddress: "203.0.113.9" };
    getLogger(["shop", "security"]).warn("authz_fail", { userid: "ada", req, error: new TypeError("no") });
    const [event] = await log.events();
    expect(event).toMatchObject({
      type: "authz_fail",
      level: "warning",
      actorId: "ada",
      path: "/admin",
      ipAddress: "203.0.113.9",
      data: { bridge: "logtape", error: { name: "TypeError", message: "no" } },
    });
    expect(event?.occurredAt).toMatch(/\.\d{3}000Z$/);
  });

  it("keeps a secret value out of the message", async () => {
    await configured({ loggers: "all" });
    getLogger("shop").error("The login of {user} with {password} failed", { user: "ada", password: "hunter2" });
    getLogger("shop").error`The order ${7} of ${"ada"} failed`;
    const [named, tagged] = await log.events();
    expect(named).toMatchObject({
      level: "error",
      data: { message: "The login of {user} with {password} failed", user: "ada", password: "[redacted]" },
    });
    expect(tagged?.data).toEqual({ bridge: "logtape", message: "The order {} of {} failed", values: [7, "ada"] });
  });

  it("takes the records of a category with the step security, and of those that the options choose", async () => {
    await configured();
    getLogger(["shop", "orders"]).fatal("authz_fail");
    getLogger(["shop", "security", "login"]).fatal("authn_login_lock");
    expect((await log.events()).map(({ type, level }) => [type, level])).toEqual([["authn_login_lock", "critical"]]);
  });

  it("waits for the events when it is disposed of, and leaves the log open", async () => {
    await configured();
    getLogger(["shop", "security"]).info("authn_login_success");
    await dispose();
    expect(log.health().handlers[0]).toMatchObject({ shipped: 2, behind: 0 });
    expect(log.recordSecurityEvent("authz_fail").id).not.toBeNull();
  });

  it("does not run in circles with loggerHandler()", async () => {
    const logger = getLogger(["shop", "security"]);
    const security = createSecurityLog({ spool: "memory", heartbeat: false, handlers: [loggerHandler(logger)] });
    try {
      await configured({ filter: () => true }, security);
      security.recordSecurityEvent("authz_fail", null, { userid: "ada" });
      logger.warn("authn_login_fail");
      await security.flush();
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(security.health().recorded).toBe(3);
    } finally {
      await security.close();
    }
  });
});
