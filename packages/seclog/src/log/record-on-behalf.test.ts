import { afterEach, describe, expect, it } from "vitest";
import { runWithRequest, setActor } from "../record/context.ts";
import { memoryLog } from "../testing/memory-log.ts";
import { recordOnBehalf } from "./record-on-behalf.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

function openLog(): ReturnType<typeof memoryLog> {
  const log = memoryLog({ service: "collector", environment: "test", host: "relay-1" });
  ends.push(() => log.close());
  return log;
}

describe("recordOnBehalf()", () => {
  it("records as another application, in the log's own sequence", async () => {
    const log = openLog();
    const record = recordOnBehalf(log, { service: "shop", logger: "accounts", host: "web-1" });
    const receipts = [record("authz_fail", undefined, { userid: "ada" }), record("sys_restart", undefined, {})];
    log.recordSecurityEvent("sys_startup");
    await receipts[1]?.durable;
    const [first, second, own] = await log.events();
    expect(receipts.map(({ seq }) => seq)).toEqual([first?.seq, second?.seq]);
    expect([first, second, own].map((event) => event?.seq)).toEqual([2, 3, 4]);
    expect(first).toMatchObject({ service: "shop", logger: "accounts", host: "web-1" });
    expect(own).toMatchObject({ service: "collector", host: "relay-1", logger: "security" });
    expect(first?.sourceId).toBe(own?.sourceId);
  });

  it("does not give the log's service, environment and host to an application that names none", async () => {
    const log = openLog();
    recordOnBehalf(log, {})("authz_fail", undefined, {});
    const event = (await log.events()).at(-1);
    for (const member of ["service", "environment", "host"]) expect(event).not.toHaveProperty(member);
  });

  it("takes neither request nor actor of the request that brought the event", async () => {
    const log = openLog();
    const record = recordOnBehalf(log, { service: "shop" });
    runWithRequest({ method: "POST", url: "/v1/events", headers: {} }, () => {
      setActor("the collector's");
      record("authz_fail", undefined, {});
    });
    const event = (await log.events()).at(-1);
    expect(event).not.toHaveProperty("path");
    expect(event).not.toHaveProperty("actorId");
  });

  it("refuses what is not a log", () => {
    expect(() => recordOnBehalf({ name: "x" }, {})).toThrow("createSecurityLog");
  });
});
