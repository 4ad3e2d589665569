/** The log as a whole, built, on a real disk with its real thread: what a call, a crash and a close do. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createSecurityLog,
  type Diagnostic,
  defineEvents,
  type EventBatch,
  type SecurityEvent,
  type SecurityEventHandler,
  type SecurityLogOptions,
} from "seclog";
import { drainSpool, HandlerError } from "seclog/ship";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sourcesIn } from "./support/sources.ts";

const MODULE = new URL("support/test-handler.js", import.meta.url).href;

let folder: string;
let spool: string;
let out: string;
let control: string;
let diagnostics: Diagnostic[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-log-"));
  spool = join(folder, "spool");
  out = join(folder, "out.ndjson");
  control = join(folder, "control");
  diagnostics = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Lives in the shipper's thread; `handle` here is never called. */
function threadHandler(name = "test"): SecurityEventHandler {
  return {
    name,
    handle: () => Promise.reject(new Error("called on the wrong thread")),
    close: () => Promise.resolve(),
    worker: { module: MODULE, options: { out, control, name } },
  };
}

function open(options: Partial<SecurityLogOptions> = {}): ReturnType<typeof createSecurityLog> {
  return createSecurityLog({
    spool: { directory: spool },
    handlers: [threadHandler()],
    diagnostics: (diagnostic) => diagnostics.push(diagnostic),
    ...options,
  });
}

function delivered(): SecurityEvent[] {
  if (!existsSync(out)) return [];
  return readFileSync(out, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as SecurityEvent);
}

/** Keeps what it gets. */
function sink(got: SecurityEvent[]): SecurityEventHandler {
  return {
    name: "sink",
    handle: ({ events }) => Promise.resolve(void got.push(...events)),
    close: () => Promise.resolve(),
  };
}

const types = (): string[] => delivered().map(({ type }) => type);
const poll = (check: () => unknown): ReturnType<typeof expect.poll> => expect.poll(check, { interval: 20 });

describe("recordSecurityEvent()", () => {
  test("gives a receipt whose promises resolve on disk and in the handler, and numbers without a hole", async () => {
    await using log = open();
    const receipts = Array.from({ length: 500 }, (_, i) =>
      log.recordSecurityEvent("authz_fail", null, { resource: `r${i}` }),
    );
    await receipts[499]?.durable;
    await receipts[499]?.stored;
    await receipts[0]?.stored;
    expect(log.health()).toMatchObject({ recorded: 501, handlers: [{ shipped: 501, behind: 0 }] });
    expect(receipts[0]?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const events = delivered();
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 501 }, (_, i) => i + 1));
    expect(events[0]?.type).toBe("log_started");
    expect(new Set(events.map(({ sourceId }) => sourceId))).toEqual(new Set([log.sourceId]));
    const times = events.map(({ occurredAt }) => occurredAt);
    expect(times).toEqual([...new Set(times)].sort());
    expect(events[1]?.id).toBe(receipts[0]?.id);
  });

  test("does not record below the level, and counts it; the log's own events it always records", async () => {
    await using log = open({ level: "error" });
    const receipt = log.recordSecurityEvent("authn_login_fail", null, { userid: "ada" });
    expect(receipt.id).toBeNull();
    await Promise.all([receipt.durable, receipt.stored]);
    expect(log.isEnabled("authn_login_fail")).toBe(false);
    expect(log.isEnabled("authz_fail")).toBe(true);
    expect(log.recordSecurityEvent("upload_validation", null, { result: "FAILED" }).id).not.toBeNull();
    await log.flush();
    expect(types()).toEqual(["log_started", "upload_validation"]);
    expect(log.health()).toMatchObject({ status: "ok", belowLevel: 1, recorded: 2, dropped: 0 });
  });

  test("may change its level while it runs, and puts that on record whatever the level", async () => {
    await using log = open({ level: "error" });
    expect(log.level).toBe("error");
    log.level = "debug";
    log.recordSecurityEvent("authz_change", null, { n: 1 });
    log.level = "debug";
    log.level = "critical";
    log.recordSecurityEvent("authz_change", null, { n: 2 });
    expect(() => Object.assign(log, { level: "loud" })).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.stringContaining('not "loud"') }),
    );
    expect([log.level, log.isEnabled("authz_change")]).toEqual(["critical", false]);
    await log.flush();
    expect(delivered().map(({ type, data }) => [type, data?.["level"] ?? data?.["n"], data?.["previous"]])).toEqual([
      ["log_started", "error", undefined],
      ["log_level_changed", "debug", "error"],
      ["authz_change", 1, undefined],
      ["log_level_changed", "critical", "debug"],
    ]);
  });

  test("records what it is given, however wrong, and flags it", async () => {
    await using log = open();
    const record = log.recordSecurityEvent as (
      type: unknown,
      request?: unknown,
      data?: unknown,
    ) => { id: string | null };
    record("no_such_event");
    record("Bad Type\u0000 with spaces and \u202e");
    record("");
    record("x".repeat(10_000));
    record(42);
    record("authz_fail", { resource: "given as the request" });
    record("authz_fail", "a string", 12n);
    record("authz_fail", undefined, {
      statusCode: "ab",
      outcome: "maybe",
      count: -1,
      startedAt: new Date(Number.NaN),
      actor: { id: { a: 1 } },
    });
    record(
      "authz_fail",
      new Proxy(
        {},
        {
          get: () => {
            throw new Error("trap");
          },
        },
      ),
      new Proxy(
        {},
        {
          get: () => {
            throw new Error("trap");
          },
          ownKeys: () => {
            throw new Error("trap");
          },
        },
      ),
    );
    record("authz_fail", undefined, {
      actor: "../../etc",
      userid: "x".repeat(1_000_000),
      target: { id: 7, type: "doc" },
    });
    await log.flush();
    const [, unknown, bad, empty, long, number, asRequest, text, wrong, trapped, parties] = delivered();
    expect(unknown).toMatchObject({
      type: "no_such_event",
      notes: { flags: [expect.stringContaining("unknown type")] },
    });
    expect(bad?.type).toMatch(/^[a-z0-9_.:-]{1,100}$/);
    expect(empty?.type).toBe("unknown");
    expect(long?.type).toHaveLength(100);
    expect(number?.notes?.flags).toHaveLength(1);
    expect(asRequest).toMatchObject({
      data: { resource: "given as the request" },
      notes: { flags: ["the request argument is no request"] },
    });
    expect(text?.type).toBe("authz_fail");
    expect(wrong?.notes?.flags).toHaveLength(5);
    expect(trapped?.type).toBe("authz_fail");
    expect(parties).toMatchObject({ actorId: "../../etc", targetId: "7", targetType: "doc" });
    expect(log.health()).toMatchObject({ recorded: 11, dropped: 0 });
  });

  test("types the data of a call: what is known is checked, more may be added, also by an interface", async () => {
    interface MyData {
      resource: string;
      tenant: number;
    }
    const log = createSecurityLog({ spool: "memory", handlers: [sink([])] });
    const { recordSecurityEvent } = log;
    const response: { getHeader(name: string): number | string | string[] | undefined } = { getHeader: () => "GET" };
    recordSecurityEvent("illegal_request_method", null, {
      statusCode: 405,
      allowedMethods: response.getHeader("Allow"),
    });
    const data: MyData = { resource: "r", tenant: 1 };
    recordSecurityEvent("authz_fail", null, data);
    recordSecurityEvent("authz_fail", null, { resource: "r", more: [1, 2] });
    recordSecurityEvent("authz_fail");
    // @ts-expect-error no such event: this is what is tested
    recordSecurityEvent("authz_fial");
    // @ts-expect-error a resource is text: this is what is tested
    recordSecurityEvent("authz_fail", null, { resource: 5 });
    // @ts-expect-error an outcome is one of three: this is what is tested
    recordSecurityEvent("authz_fail", null, { outcome: "maybe" });
    await log.close();
  });

  test("below the level, data that throw are nothing to it", () => {
    const log = createSecurityLog({ level: "warning", spool: "memory", handlers: [sink([])] });
    const hostile = {
      get result(): "FAILED" {
        throw new Error("trap");
      },
    };
    expect(log.recordSecurityEvent("upload_validation", null, hostile).id).toBeNull();
  });

  test("an event recorded from within another one's data has a number and a time of its own", async () => {
    const got: SecurityEvent[] = [];
    const log = createSecurityLog({ spool: "memory", handlers: [sink(got)] });
    log.recordSecurityEvent("authz_fail", null, {
      resource: "outer",
      more: {
        toJSON: () => {
          log.recordSecurityEvent("authz_fail", null, { resource: "inner" });
          return "json";
        },
      },
    });
    await log.close();
    expect(got.map(({ seq, data }) => [seq, data?.["resource"]])).toEqual([
      [1, undefined],
      [2, "inner"],
      [3, "outer"],
      [4, undefined],
    ]);
    const times = got.map(({ occurredAt }) => occurredAt);
    expect(times).toEqual([...times].sort());
  });

  test("checks the data of an application's own events by their schema", async () => {
    const schema = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) =>
          (value as { n?: unknown }).n === 1 ? { value } : { issues: [{ message: "n must be 1", path: ["n"] }] },
      },
    } as const;
    const log = createSecurityLog({
      spool: { directory: spool },
      handlers: [threadHandler()],
      events: defineEvents({ refund_refused: { level: "error", outcome: "failure", category: "payment", schema } }),
    });
    log.recordSecurityEvent("refund_refused", null, { n: 1 });
    log.recordSecurityEvent("refund_refused", null, { n: 2 });
    await log.close();
    expect(delivered().slice(1, 3)).toMatchObject([
      { level: "error", category: "payment" },
      { notes: { flags: ["data.n: n must be 1"] } },
    ]);
    expect(delivered()[1]?.notes).toBeUndefined();
  });

  test("delivery: process resolves when written, strict returns when on disk", async () => {
    await using log = open({ delivery: { authz_fail: "process", sys_startup: "strict" } });
    await log.recordSecurityEvent("authz_fail").durable;
    const strict = log.recordSecurityEvent("sys_startup");
    await strict.durable;
    expect(readdirSync(join(spool, log.sourceId))).toContain("00000001.seg");
  });

  test("an event recorded in the turn in which the process ends is on disk, and the next process ships it", async () => {
    const script = `
      import { createSecurityLog } from "seclog";
      const log = createSecurityLog({ spool: { directory: ${JSON.stringify(spool)} }, handlers: [{ name: "test", handle: () => new Promise(() => {}), close: async () => {} }] });
      log.recordSecurityEvent("authz_fail", null, { resource: "last words" });
      process.exit(3);`;
    const file = join(import.meta.dirname, `exit-${process.pid}.tmp.mjs`);
    writeFileSync(file, script);
    try {
      const run = spawnSync(process.execPath, [file], { encoding: "utf8", timeout: 60_000 });
      expect([run.status, run.stderr]).toEqual([3, ""]);
    } finally {
      rmSync(file);
    }
    await using log = open();
    await poll(() => types()).toEqual(expect.arrayContaining(["authz_fail", "log_stopped"]));
    await poll(() => sourcesIn(spool)).toEqual([log.sourceId]);
  });

  test("what an exit listener records when the log has ended is refused: nobody would write it", () => {
    const said = lastWords(
      `process.on("exit", () => console.log(log.recordSecurityEvent("authz_fail").id, log.health().dropped));
       process.exit();`,
    );
    expect(said).toContain("null 1");
  });

  test("does not keep the process alive", () => {
    const file = join(import.meta.dirname, `alive-${process.pid}.tmp.mjs`);
    writeFileSync(
      file,
      `import { createSecurityLog } from "seclog";
       createSecurityLog({ spool: { directory: ${JSON.stringify(spool)} }, handlers: [{ name: "test", handle: async () => {}, close: async () => {} }] }).recordSecurityEvent("authz_fail");`,
    );
    try {
      expect(spawnSync(process.execPath, [file], { timeout: 20_000 }).status).toBe(0);
    } finally {
      rmSync(file);
    }
  });

  test("a module that the handler could not read once is read again", () => {
    writeFileSync(control, "");
    // While the file `control` is there, no descriptor is left for what lies in the package pg.
    const hooks = `
      import { existsSync } from "node:fs";
      export async function load(url, context, next) {
        if (/node_modules.pg.(esm|lib)/.test(url) && existsSync(${JSON.stringify(control)})) throw new Error("EMFILE");
        return await next(url, context);
      }`;
    const preload = `
      import { register } from "node:module";
      register("data:text/javascript,${encodeURIComponent(hooks)}");`;
    const file = join(import.meta.dirname, `modules-${process.pid}.tmp.mjs`);
    writeFileSync(
      file,
      `import { createSecurityLog } from "seclog";
       import { postgresHandler } from "seclog/postgres";
       import { rmSync } from "node:fs";
       setTimeout(() => process.exit(1), 50_000);
       createSecurityLog({
         spool: { directory: ${JSON.stringify(spool)} },
         handlers: [postgresHandler({ url: "postgresql://nobody@127.0.0.1:1/nothing?sslmode=disable" })],
         diagnostics({ message }) {
           console.error(message);
           if (message.includes("EMFILE")) rmSync(${JSON.stringify(control)}, { force: true });
           // It has come to the database, which nobody runs.
           if (message.includes("ECONNREFUSED")) process.exit(0);
         },
       }).recordSecurityEvent("authz_fail");`,
    );
    try {
      const args = ["--import", `data:text/javascript,${encodeURIComponent(preload)}`, file];
      const run = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
      expect(run.stderr).toContain("EMFILE");
      expect([run.status, run.stderr]).toEqual([0, expect.stringContaining("ECONNREFUSED")]);
    } finally {
      rmSync(file);
    }
  });

  test("unread and unhandled promises of receipts never become unhandled rejections", async () => {
    const seen: unknown[] = [];
    const listener = (reason: unknown): number => seen.push(reason);
    process.on("unhandledRejection", listener);
    const log = open();
    void log.recordSecurityEvent("authz_fail").stored;
    writeFileSync(control, "stuck");
    void log.recordSecurityEvent("authz_fail").stored;
    await log.close({ deadline: 50 });
    void log.recordSecurityEvent("authz_fail").durable;
    void log.recordSecurityEvent("authz_fail").stored;
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off("unhandledRejection", listener);
    expect(seen).toEqual([]);
    expect(log.health().dropped).toBe(2);
  });
});

describe("flush()", () => {
  const stuck: SecurityEventHandler = {
    name: "stuck",
    required: false,
    handle: () => new Promise<void>(() => {}),
    close: () => Promise.resolve(),
  };

  test.each(["disk", "memory"])("waits for required handlers only, with its spool on %s", async (where) => {
    const got: SecurityEvent[] = [];
    const log = open({ spool: where === "disk" ? { directory: spool } : "memory", handlers: [sink(got), stuck] });
    log.recordSecurityEvent("authz_fail");
    await log.flush({ deadline: 10_000 });
    expect(got.map(({ type }) => type)).toEqual(["log_started", "authz_fail"]);
    await log.close({ deadline: 0 });
  });

  test("takes no deadline that is none, and Infinity", async () => {
    await using log = open();
    log.recordSecurityEvent("authz_fail");
    await expect(log.flush({ deadline: Number.NaN })).rejects.toMatchObject({ code: "SECLOG_CONFIG" });
    await log.flush({ deadline: Number.POSITIVE_INFINITY });
  });

  test("has nothing to wait for when no handler is required", async () => {
    const log = open({ handlers: [stuck] });
    await log.flush({ deadline: 5_000 });
    await log.close({ deadline: 0 });
  });

  test("does not wait for what dead processes left; the next close() does", async () => {
    writeFileSync(control, "stuck");
    const dead = open();
    for (let n = 0; n < 100; n++) dead.recordSecurityEvent("authz_fail", null, { n });
    await dead.close({ deadline: 0 });
    rmSync(control);
    const got: SecurityEvent[] = [];
    let letGo = (): void => {};
    const closed = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const log = open({
      handlers: [
        {
          name: "test",
          handle: async ({ source, events }) => {
            if (source.id === dead.sourceId) await closed;
            got.push(...events);
          },
          close: () => Promise.resolve(),
        },
      ],
    });
    await poll(() => sourcesIn(spool)).toHaveLength(2);
    log.recordSecurityEvent("authn_login_fail");
    await log.flush({ deadline: 10_000 });
    expect(got.map(({ type }) => type)).toEqual(["log_started", "authn_login_fail"]);
    const { spooledBytes, handlers } = log.health();
    expect([handlers[0]?.behind, spooledBytes > 0]).toEqual([0, true]);
    letGo();
    await log.close();
    expect(log.health().handlers).toMatchObject([{ shipped: 102 + 3, behind: 0 }]);
    expect(got.filter(({ sourceId }) => sourceId === dead.sourceId)).toHaveLength(102);
  });

  test("says how many events it waited for in vain", async () => {
    const log = open({ handlers: [{ ...stuck, required: true }] });
    for (let n = 0; n < 3; n++) log.recordSecurityEvent("authz_fail");
    await expect(log.flush({ deadline: 50 })).rejects.toMatchObject({
      code: "SECLOG_DEADLINE",
      message: expect.stringMatching(/^4 events were not stored within 50 ms/),
    });
    await log.close({ deadline: 0 });
  });
});

describe("close()", () => {
  test("settles every promise, also one that is first read afterwards", async () => {
    const stuck = { name: "stuck", handle: () => new Promise<void>(() => {}), close: () => Promise.resolve() };
    for (const option of [{ directory: spool }, "memory"] as const) {
      const log = open({ spool: option, handlers: [stuck] });
      const [before, after] = [log.recordSecurityEvent("authz_fail"), log.recordSecurityEvent("authz_fail")];
      const { stored } = before;
      await log.close({ deadline: 20 });
      await expect(stored).rejects.toMatchObject({ code: "SECLOG_CLOSED" });
      await expect(after.stored).rejects.toMatchObject({ code: "SECLOG_CLOSED" });
      if (option === "memory") await expect(after.durable).rejects.toMatchObject({ code: "SECLOG_CLOSED" });
      else await after.durable;
      await expect(log.flush()).rejects.toMatchObject({ code: "SECLOG_CLOSED" });
    }
  });

  test("takes nothing from the application any more, also not by the name of an event of the log's own", async () => {
    const log = open();
    const closing = log.close();
    for (const type of ["authz_fail", "log_started", "log_stopped"] as const) {
      const receipt = log.recordSecurityEvent(type);
      expect(receipt.id).toBeNull();
      await expect(receipt.durable).rejects.toMatchObject({ code: "SECLOG_CLOSED" });
    }
    await closing;
    expect(types()).toEqual(["log_started", "log_stopped"]);
  });

  test("leaves nothing to flush when everything was stored", async () => {
    const log = open();
    log.recordSecurityEvent("authz_fail");
    await log.close();
    await log.flush();
  });
});

test.each<[unknown, number]>([
  [Number.POSITIVE_INFINITY, 0],
  [Number.NaN, 1],
  [2 ** 31, 1],
])("close({ deadline: %s }) - waits for the handlers", async (deadline, complaints) => {
  writeFileSync(control, "stuck");
  const log = open();
  const { stored } = log.recordSecurityEvent("authz_fail", null, {});
  const closing = log.close({ deadline: deadline as number });
  await new Promise((resolve) => setTimeout(resolve, 300));
  rmSync(control);
  await closing;
  await expect(stored).resolves.toBeUndefined();
  expect(diagnostics.filter(({ code }) => code === "SECLOG_CONFIG")).toHaveLength(complaints);
});

test("close() - waits a few seconds for a handler in a log without a disk that does not close", async () => {
  const handler = { name: "stuck", handle: async () => {}, close: () => new Promise<void>(() => {}) };
  const log = open({ spool: "memory", handlers: [handler] });
  const begun = performance.now();
  await log.close({ deadline: 100 });
  expect(performance.now() - begun).toBeLessThan(9_000);
});

describe("the shipper", () => {
  test("goes on after its thread crashed, and delivers everything", async () => {
    await using log = open();
    log.recordSecurityEvent("authz_fail", null, { n: 1 });
    await log.flush();
    writeFileSync(control, "crash");
    for (let n = 2; n <= 200; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.flush({ deadline: 15_000 });
    expect(new Set(delivered().map(({ data }) => data?.["n"])).size).toBe(201);
    expect(diagnostics.map(({ message }) => message)).toContainEqual(expect.stringContaining("thread ended"));
  });

  test("retries while a handler is stuck, says so in health, and catches up", async () => {
    writeFileSync(control, "stuck");
    await using log = open();
    for (let n = 0; n < 50; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await expect(log.flush({ deadline: 300 })).rejects.toMatchObject({ code: "SECLOG_DEADLINE" });
    await poll(() => log.health()).toMatchObject({
      status: "degraded",
      handlers: [
        {
          name: "test",
          status: "retrying",
          behind: 51,
          lastError: { message: "stuck by the test", code: "SECLOG_HANDLER_RETRY" },
        },
      ],
    });
    rmSync(control);
    await log.flush();
    expect(log.health()).toMatchObject({ status: "ok", handlers: [{ status: "ok", behind: 0, shipped: 51 }] });
  });

  test("stops for a destination that somebody must mend, alarms, and keeps the events", async () => {
    writeFileSync(control, "stopped");
    await using log = open();
    await poll(() => log.health()).toMatchObject({ status: "failing", handlers: [{ status: "stopped" }] });
    expect(diagnostics).toContainEqual(
      expect.objectContaining({ level: "error", handler: "test", code: "SECLOG_HANDLER_STOPPED" }),
    );
    rmSync(control);
    await log.flush({ deadline: 20_000 });
  });

  test("a poison event among 1,000 goes to quarantine, 999 are delivered, and the log says it", async () => {
    writeFileSync(control, "poison:arsenic");
    await using log = open();
    for (let n = 0; n < 1_000; n++)
      log.recordSecurityEvent("authz_fail", null, { n, text: n === 617 ? "arsenic" : "water" });
    await log.flush({ deadline: 20_000 });
    const failed = delivered().filter(({ type }) => type === "authz_fail");
    expect(failed).toHaveLength(999);
    const [first] = readFileSync(join(spool, "quarantine.ndjson"), "utf8").split("\n");
    const line = JSON.parse(first ?? "") as { seq: number; reason: string; record_base64: string };
    expect(line).toMatchObject({ seq: 619, reason: "it holds arsenic" });
    expect(Buffer.from(line.record_base64, "base64").toString()).toContain("arsenic");
    // The event that tells of it quotes the reason, is rejected for that too, and nobody tells of it again.
    await poll(() => log.health().handlers[0]?.quarantined).toBe(2);
    await log.flush();
    expect(log.health()).toMatchObject({ recorded: 1_002, handlers: [{ quarantined: 2, behind: 0 }] });
  });

  test("drives a handler that holds something of the application's on its thread, in order and in slices", async () => {
    const batches: EventBatch[] = [];
    const handler: SecurityEventHandler = {
      name: "here",
      handle: (batch) => {
        batches.push(batch);
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    };
    const log = open({ handlers: [handler, threadHandler()] });
    for (let n = 0; n < 1_000; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.flush();
    await log.close();
    expect(batches.flatMap(({ events }) => events.map(({ seq }) => seq))).toEqual(
      Array.from({ length: 1_002 }, (_, i) => i + 1),
    );
    expect(Math.max(...batches.map(({ records }) => records.length))).toBeLessThanOrEqual(100);
    expect(delivered()).toHaveLength(1_002);
    expect(sourcesIn(spool)).toEqual([]);
  });

  test("a handler on the application's thread may reject one event for good", async () => {
    const seen: number[] = [];
    const log = open({
      handlers: [
        {
          name: "here",
          handle: ({ events }) => {
            if (events.some(({ seq }) => seq === 7)) throw new HandlerError("event", "not seven");
            seen.push(...events.map(({ seq }) => seq));
            return Promise.resolve();
          },
          close: () => Promise.resolve(),
        },
      ],
    });
    for (let n = 0; n < 20; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.flush();
    expect([...new Set(seen)]).not.toContain(7);
    await log.close();
    expect([...new Set(seen)].length).toBeGreaterThanOrEqual(21);
  });
});

describe("a spool that is gone", () => {
  /** The folder is moved away, and what is in its place is no folder: no other spool can be opened. */
  const takeAway = async (): Promise<void> => {
    renameSync(spool, join(folder, "moved"));
    writeFileSync(spool, "");
    // The writer looks again before its next write.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
  };

  test("costs what comes until another can be opened, counted and said, and what waited for the disk is kept", async () => {
    const log = open();
    await log.recordSecurityEvent("authz_fail", null, { resource: "before" }).stored;
    const first = log.sourceId;
    await takeAway();
    const waiting = log.recordSecurityEvent("authz_fail", null, { resource: "waiting" });
    await expect(waiting.durable).rejects.toMatchObject({ code: "SECLOG_SPOOL_LOST" });
    await poll(() => log.health().status).toBe("failing");
    for (let n = 0; n < 3; n++) {
      const { durable } = log.recordSecurityEvent("authz_fail", null, { resource: "refused" });
      await expect(durable).rejects.toMatchObject({ code: "SECLOG_SPOOL_DIRECTORY" });
    }
    expect(log.health()).toMatchObject({ status: "failing", dropped: 3 });
    rmSync(spool);
    await poll(() => log.health().status).toBe("ok");
    await log.recordSecurityEvent("authz_fail", null, { resource: "after" }).stored;
    const events = delivered().filter(({ sourceId }) => sourceId === log.sourceId);
    expect(log.sourceId).not.toBe(first);
    expect(events.map(({ type, data }) => [type, data?.["resource"]])).toEqual([
      ["authz_fail", "waiting"],
      ["events_dropped", undefined],
      ["log_started", undefined],
      ["authz_fail", "after"],
    ]);
    expect(events[1]).toMatchObject({ data: { types: { authz_fail: 3 } } });
    await log.close();
  });

  test("for a moment costs nothing, and nothing in it counts as damaged", async () => {
    writeFileSync(control, "stuck");
    await using log = open();
    for (let n = 0; n < 20; n++) await log.recordSecurityEvent("authz_fail", null, { n }).durable;
    renameSync(join(spool, log.sourceId), join(folder, "moved"));
    rmSync(control);
    await poll(() => diagnostics.map(({ message }) => message)).toContainEqual(expect.stringContaining("ENOENT"));
    renameSync(join(folder, "moved"), join(spool, log.sourceId));
    await log.flush();
    expect(log.health()).toMatchObject({ dropped: 0, handlers: [{ shipped: 21, quarantined: 0 }] });
    expect(delivered().map(({ seq }) => seq)).toEqual(Array.from({ length: 21 }, (_, index) => index + 1));
  });

  test("until the log has gone on without it is shipped when it is back, though its process lives", async () => {
    writeFileSync(control, "stuck");
    const log = open();
    for (let n = 0; n < 20; n++) await log.recordSecurityEvent("authz_fail", null, { n }).durable;
    const first = log.sourceId;
    renameSync(join(spool, first), join(folder, "moved"));
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await log.recordSecurityEvent("authz_fail", null, { n: 20 }).durable.catch(() => {});
    await poll(() => log.sourceId).not.toBe(first);
    renameSync(join(folder, "moved"), join(spool, first));
    rmSync(control);
    // Its owner's file is looked for every three seconds.
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    const got: SecurityEvent[] = [];
    await expect(drainSpool({ directory: spool, handlers: [{ ...sink(got), name: "test" }] })).resolves.toMatchObject({
      finished: 1,
    });
    expect(got.map(({ sourceId, seq }) => `${sourceId} ${seq}`)).toEqual(
      Array.from({ length: 21 }, (_, index) => `${first} ${index + 1}`),
    );
    await log.close();
  });

  test("is left behind by close(), which says what it dropped", async () => {
    const log = open();
    await log.recordSecurityEvent("authz_fail", null, {}).stored;
    await takeAway();
    await expect(log.recordSecurityEvent("authz_fail", null, {}).durable).rejects.toThrow();
    await poll(() => log.health().status).toBe("failing");
    await log.close({ deadline: 100 });
    await poll(() => diagnostics.map(({ message }) => message)).toContainEqual(
      expect.stringContaining("1 events were not written and are dropped"),
    );
    // That it stopped could not be recorded either.
    expect(log.health()).toMatchObject({ status: "failing", dropped: 2 });
  });

  test.each([0, 1_100])(
    "is found by the last write of close(), %i ms after the one before: all goes on with a new one, then the handlers are closed",
    async (pause) => {
      const calls: string[] = [];
      const handler: SecurityEventHandler = {
        name: "here",
        handle: ({ events }) => Promise.resolve(void calls.push(...events.map(({ type }) => type))),
        close: () => Promise.resolve(void calls.push("close()")),
      };
      const log = open({ handlers: [handler] });
      await log.recordSecurityEvent("authz_fail", null, {}).stored;
      renameSync(join(spool, log.sourceId), join(folder, "moved"));
      await new Promise((resolve) => setTimeout(resolve, pause));
      log.recordSecurityEvent("authn_login_fail", null, { userid: "x" });
      await log.close();
      expect(calls.filter((call) => call === "close()")).toHaveLength(1);
      expect(calls.at(-1)).toBe("close()");
      // What was written to a folder that was no longer there, nobody knows of: it may have been read.
      if (pause > 0) expect(calls).toContain("authn_login_fail");
      expect(sourcesIn(spool)).toEqual([]);
    },
  );

  test.each([0, 1_100])(
    "is found by the last write of the process, %i ms after the one before, and what it costs is said",
    (pause) => {
      const said = lastWords(`
        await log.recordSecurityEvent("authz_fail", null, {}).stored;
        renameSync(join(spool, log.sourceId), join(spool, "moved"));
        await new Promise((resolve) => setTimeout(resolve, ${pause}));
        for (let n = 0; n < 5; n++) log.recordSecurityEvent("authz_fail", null, { n });
        process.exit(0);`);
      // Five and that it stopped.
      const lost = pause > 0 ? "6 events were not written and are dropped" : "of 6 events it is not known";
      expect(said).toContainEqual(expect.stringContaining(lost));
    },
  );
});

test("close() - counts and says what a disk that refuses did not take", () => {
  const said = lastWords(
    `await log.recordSecurityEvent("authz_fail", null, {}).stored;
     // More than goes into a file, and so into none.
     for (let n = 0; n < 400; n++) log.recordSecurityEvent("authz_fail", null, { n, text: "x".repeat(1_000) });
     await new Promise((resolve) => setTimeout(resolve, 100));
     await log.close({ deadline: 200 });
     const { recorded, dropped } = log.health();
     console.log(\`dropped \${dropped > 100 && dropped < recorded}\`);
     process.exit(0);`,
    "ulimit -f 64",
  );
  expect(said).toContain("dropped true");
  expect(said).toContainEqual(
    expect.stringMatching(
      /^SECLOG_SPOOL_WRITE: \d+ events were not written and are dropped, and of \d+ events it is not known whether they are kept: /,
    ),
  );
});

test("close() - says of how many events in memory it is not known whether they are stored", async () => {
  const stuck = { name: "stuck", handle: () => new Promise<void>(() => {}), close: () => Promise.resolve() };
  const log = open({ spool: "memory", handlers: [stuck] });
  for (let n = 0; n < 3; n++) log.recordSecurityEvent("authz_fail", null, { n });
  await log.close({ deadline: 50 });
  // And that it started and stopped.
  expect(diagnostics).toContainEqual(
    expect.objectContaining({ code: "SECLOG_CLOSED", message: expect.stringMatching(/^of 5 events it is not known/) }),
  );
});

/** The lines of a process of its own with a log: what it prints, and its diagnostics. */
function lastWords(program: string, limit: string = ":"): string[] {
  const file = join(import.meta.dirname, `last-words-${process.pid}.tmp.mjs`);
  writeFileSync(
    file,
    `import { createSecurityLog } from "seclog";
     import { renameSync } from "node:fs";
     import { join } from "node:path";
     process.on("SIGXFSZ", () => {});
     setInterval(() => {}, 1_000);
     const spool = ${JSON.stringify(spool)};
     const log = createSecurityLog({
       spool: { directory: spool },
       diagnostics: ({ code, message }) => console.log(\`\${code}: \${message}\`),
       handlers: [{ name: "test", handle: async () => {}, close: async () => {} }],
     });
     ${program}`,
  );
  const { stdout } = spawnSync("bash", ["-c", `${limit}; exec "$0" "$1"`, process.execPath, file], {
    encoding: "utf8",
    timeout: 60_000,
  });
  rmSync(file);
  return stdout.split("\n");
}

describe("a spool left behind", () => {
  test("by a process that was killed is shipped by the next one, whole and once", async () => {
    const file = join(import.meta.dirname, `killed-${process.pid}.tmp.mjs`);
    writeFileSync(
      file,
      `import { createSecurityLog } from "seclog";
       const log = createSecurityLog({ spool: { directory: ${JSON.stringify(spool)} }, handlers: [{ name: "test", handle: () => new Promise(() => {}), close: async () => {} }] });
       for (let n = 0; n < 300; n++) log.recordSecurityEvent("authz_fail", null, { n });
       await log.recordSecurityEvent("authz_fail", null, { n: 300 }).durable;
       console.log(log.sourceId);
       setInterval(() => {}, 1000);`,
    );
    const child = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const orphan = line.toString().trim();
    child.kill("SIGKILL");
    await once(child, "exit");
    rmSync(file);
    await using log = open();
    await poll(() => delivered().filter(({ sourceId }) => sourceId === orphan).length).toBe(302);
    await poll(() => sourcesIn(spool)).toEqual([log.sourceId]);
    expect(new Set(delivered().map(({ sourceId, seq }) => `${sourceId} ${seq}`)).size).toBe(delivered().length);
  });

  test("by close() at its deadline is drained by drainSpool(), which leaves running processes alone", async () => {
    writeFileSync(control, "stuck");
    const log = open();
    for (let n = 0; n < 20; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.close({ deadline: 100 });
    expect(sourcesIn(spool)).toEqual([log.sourceId]);
    rmSync(control);
    const { createHandler } = (await import(MODULE)) as { createHandler: (options: object) => SecurityEventHandler };
    await using living = open({
      handlers: [{ name: "other", handle: () => new Promise(() => {}), close: () => Promise.resolve() }],
    });
    // `living` adopts it too, with a handler that takes nothing: whoever is first has it.
    const result = await drainSpool({
      directory: spool,
      handlers: [createHandler({ out, control })],
      signal: AbortSignal.timeout(3_000),
    });
    expect(result.owned).toBeGreaterThanOrEqual(1);
    expect(sourcesIn(spool)).toContain(living.sourceId);
  });

  test("is drained by drainSpool() when nobody runs", async () => {
    writeFileSync(control, "stuck");
    const log = open();
    for (let n = 0; n < 20; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.close({ deadline: 100 });
    rmSync(control);
    const { createHandler } = (await import(MODULE)) as { createHandler: (options: object) => SecurityEventHandler };
    const result = await drainSpool({ directory: spool, handlers: [createHandler({ out, control })] });
    expect(result).toEqual({ sources: 1, finished: 1, owned: 0, shipped: 22, quarantined: 0, waiting: [] });
    expect(delivered()).toHaveLength(22);
    expect(sourcesIn(spool)).toEqual([]);
  });

  test("drainSpool() keeps what a handler needs that it does not drive, and the application ships it", async () => {
    const stuck = { name: "other", handle: () => new Promise<void>(() => {}), close: () => Promise.resolve() };
    const log = open({ handlers: [threadHandler(), stuck] });
    for (let n = 0; n < 20; n++) log.recordSecurityEvent("authz_fail", null, { n });
    await log.close({ deadline: 100 });
    const { createHandler } = (await import(MODULE)) as { createHandler: (options: object) => SecurityEventHandler };
    const drained = await drainSpool({ directory: spool, handlers: [createHandler({ out, control })] });
    expect(drained).toMatchObject({ finished: 1, waiting: ["other"] });
    expect(sourcesIn(spool)).toEqual([log.sourceId]);
    const got: number[] = [];
    const other: SecurityEventHandler = {
      ...stuck,
      handle: ({ events, source }) => {
        if (source.id === log.sourceId) got.push(...events.map(({ seq }) => seq));
        return Promise.resolve();
      },
    };
    await using next = open({ handlers: [threadHandler(), other] });
    await poll(() => got.length).toBe(22);
    await poll(() => sourcesIn(spool)).toEqual([next.sourceId]);
  });

  test("two logs on one folder each have their own source and lose nothing", async () => {
    const [one, two] = [open(), open()];
    for (let n = 0; n < 100; n++) {
      one.recordSecurityEvent("authz_fail", null, { n });
      two.recordSecurityEvent("authz_fail", null, { n });
    }
    await Promise.all([one.close(), two.close()]);
    expect(new Set(delivered().map(({ sourceId, seq }) => `${sourceId} ${seq}`)).size).toBe(204);
    expect(sourcesIn(spool)).toEqual([]);
  });
});

describe("a full spool", () => {
  test("drops the newest, counts them, rejects their receipts, and says so when there is room", async () => {
    writeFileSync(control, "stuck");
    const MiB = 1024 * 1024;
    await using log = open({ spool: { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB } });
    const text = "x".repeat(8_000);
    let last = log.recordSecurityEvent("authz_fail", null, { text });
    for (let n = 0; n < 2_000 && last.id !== null; n++) {
      last = log.recordSecurityEvent("authz_fail", null, { text });
      if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await expect(last.durable).rejects.toMatchObject({ code: "SECLOG_SPOOL_FULL" });
    await expect(last.stored).rejects.toMatchObject({ code: "SECLOG_SPOOL_FULL" });
    for (let n = 0; n < 9; n++) log.recordSecurityEvent("authn_login_fail");
    expect(log.health()).toMatchObject({ dropped: 10 });
    rmSync(control);
    await poll(() => types()).toContain("events_dropped");
    const told = delivered().find(({ type }) => type === "events_dropped");
    expect(told).toMatchObject({ count: 10, data: { types: { authz_fail: 1, authn_login_fail: 9 } } });
    const seqs = delivered().map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, i) => i + 1));
    await expect(log.recordSecurityEvent("authz_fail").durable).resolves.toBeUndefined();
  });

  test("never takes more than maxBytes, however many events one turn records", async () => {
    writeFileSync(control, "stuck");
    const MiB = 1024 * 1024;
    const log = open({ spool: { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB } });
    for (let n = 0; n < 10_000; n++) log.recordSecurityEvent("authz_fail", null, { n });
    expect(log.health().dropped).toBeGreaterThan(0);
    await log.close({ deadline: 0 });
    const sizes = readdirSync(join(spool, log.sourceId)).map((name) => statSync(join(spool, log.sourceId, name)).size);
    const taken = sizes.reduce((sum, size) => sum + size, 0);
    expect(taken).toBeLessThanOrEqual(2 * MiB);
    expect(taken).toBeGreaterThan(1.5 * MiB);
  });

  test("is no reason to be silent about what it dropped when the log is closed", async () => {
    writeFileSync(control, "stuck");
    const MiB = 1024 * 1024;
    const log = open({ spool: { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB } });
    for (let n = 0; n < 10_000; n++) log.recordSecurityEvent("authz_fail", null, { n });
    const { dropped } = log.health();
    expect(dropped).toBeGreaterThan(0);
    const closing = log.close();
    rmSync(control);
    await closing;
    expect(delivered().find(({ type }) => type === "events_dropped")).toMatchObject({ count: dropped });
    expect(delivered().at(-1)).toMatchObject({ type: "log_stopped", data: { dropped } });
  });

  test("counts what other processes have in the same folder", async () => {
    writeFileSync(control, "stuck");
    const MiB = 1024 * 1024;
    const limited = { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB };
    const first = open({ spool: limited });
    const text = "x".repeat(8_000);
    while (first.recordSecurityEvent("authz_fail", null, { text }).id !== null) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const second = open({ spool: limited });
    await poll(() => {
      const { id } = second.recordSecurityEvent("authz_fail", null, { text });
      return id;
    }).toBeNull();
    expect(second.health().spooledBytes).toBeLessThan(MiB);
    await Promise.all([first.close({ deadline: 0 }), second.close({ deadline: 0 })]);
  });

  test("takes a log's last events, however much others have", async () => {
    const MiB = 1024 * 1024;
    writeFileSync(control, "stuck");
    const other = open({ spool: { directory: spool, segmentBytes: MiB, maxBytes: 4 * MiB } });
    const text = "x".repeat(8_000);
    while (other.recordSecurityEvent("authz_fail", null, { text }).id !== null) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const log = open({ spool: { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB } });
    await poll(() => log.recordSecurityEvent("authz_fail").id).toBeNull();
    const { dropped } = log.health();
    const closing = log.close();
    rmSync(control);
    await closing;
    const own = delivered().filter(({ sourceId }) => sourceId === log.sourceId);
    const counts = { type: "events_dropped", count: dropped };
    expect(own.slice(-2)).toMatchObject([counts, { type: "log_stopped", data: { dropped } }]);
    expect(log.health().dropped).toBe(dropped);
    await other.close();
  });

  test("is not full of what is stored: open files that nobody needs make room", async () => {
    const MiB = 1024 * 1024;
    const limited = { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB };
    const text = "x".repeat(6_000);
    const first = open({ spool: limited });
    for (let n = 0; n < 145; n++) await first.recordSecurityEvent("authz_fail", null, { text }).durable;
    const second = open({ spool: limited });
    let taken = 0;
    for (const end = performance.now() + 10_000; taken < 300 && performance.now() < end; ) {
      const receipt = second.recordSecurityEvent("authz_fail", null, { text });
      if (receipt.id === null) await new Promise((resolve) => setTimeout(resolve, 20));
      else taken += await receipt.durable.then(() => 1);
    }
    // Its own file has room for fewer.
    expect(taken).toBe(300);
    await Promise.all([first.close(), second.close()]);
  });

  test.each([undefined, "fail", "drop-newest"] as const)(
    "whenFull %s - a strict call throws, unless drop-newest was chosen",
    async (whenFull) => {
      writeFileSync(control, "stuck");
      const MiB = 1024 * 1024;
      const log = open({
        spool: { directory: spool, segmentBytes: MiB, maxBytes: 2 * MiB },
        whenFull,
        delivery: { authz_admin: "strict" },
      });
      const text = "x".repeat(8_000);
      while (log.recordSecurityEvent("authz_fail", null, { text }).id !== null)
        await new Promise((resolve) => setImmediate(resolve));
      const strict = (): unknown => log.recordSecurityEvent("authz_admin");
      if (whenFull === "drop-newest") expect(strict()).toMatchObject({ id: null });
      else expect(strict).toThrow(expect.objectContaining({ code: "SECLOG_SPOOL_FULL" }));
      expect(() => log.recordSecurityEvent("authz_fail")).not.toThrow();
      await log.close({ deadline: 0 });
    },
  );

  test("a disk that refuses - a strict call throws, also when memory is full, and whatever whenFull says", (context) => {
    if (spawnSync("prlimit", ["--version"]).error !== undefined) context.skip("needs prlimit of util-linux");
    const file = join(import.meta.dirname, `refuses-${process.pid}.tmp.mjs`);
    writeFileSync(
      file,
      `import { execFileSync } from "node:child_process";
       import { createSecurityLog } from "seclog";
       const log = createSecurityLog({
         spool: { directory: ${JSON.stringify(spool)}, memoryBytes: 1048576 },
         handlers: [{ name: "test", handle: async () => {}, close: async () => {} }],
         delivery: { authz_admin: "strict" },
         whenFull: "drop-newest",
         diagnostics() {},
       });
       const strict = (text) => {
         try {
           return log.recordSecurityEvent("authz_admin", null, { text }).id === null ? "dropped" : "kept";
         } catch ({ code }) {
           return code;
         }
       };
       const seen = [strict("")];
       execFileSync("prlimit", ["--pid", String(process.pid), "--fsize=1:unlimited"]);
       seen.push(strict(""));
       while (log.recordSecurityEvent("authz_fail", null, { text: "x".repeat(8000) }).id !== null) await new Promise(setImmediate);
       seen.push(strict(""));
       execFileSync("prlimit", ["--pid", String(process.pid), "--fsize=unlimited:unlimited"]);
       console.log(seen.join());
       process.exit();`,
    );
    try {
      const run = spawnSync(process.execPath, [file], { encoding: "utf8", timeout: 20_000 });
      expect([run.stdout.trim(), run.stderr]).toEqual(["kept,SECLOG_SPOOL_WRITE,SECLOG_SPOOL_WRITE", ""]);
    } finally {
      rmSync(file);
    }
  });

  test("a loop that never lets the event loop turn loses nothing and keeps its memory", async () => {
    await using log = open({ spool: { directory: spool, memoryBytes: 1024 * 1024 } });
    for (let n = 0; n < 20_000; n++) log.recordSecurityEvent("authz_fail", null, { n });
    expect(log.health().dropped).toBe(0);
    await log.flush({ deadline: 20_000 });
    expect(delivered()).toHaveLength(20_001);
  });
});

describe("spool: memory", () => {
  test("ships on the application's thread; durable means stored", async () => {
    const got: string[] = [];
    const log = createSecurityLog({
      spool: "memory",
      handlers: [
        {
          name: "array",
          handle: ({ events }) => Promise.resolve(void got.push(...events.map(({ type }) => type))),
          close: () => Promise.resolve(),
        },
      ],
    });
    await log.recordSecurityEvent("authz_fail").durable;
    expect(got).toEqual(["log_started", "authz_fail"]);
    await log.close();
    expect(got).toEqual(["log_started", "authz_fail", "log_stopped"]);
  });
});

describe("createSecurityLog()", () => {
  const handler = { name: "h", handle: () => Promise.resolve(), close: () => Promise.resolve() };
  test.each<[string, object, RegExp]>([
    ["an unknown key", { spol: {} }, /spol does not exist/],
    ["an unknown key of the spool", { spool: { directory: "x", size: 1 } }, /spool: size does not exist/],
    ["no handler", { handlers: [] }, /handlers must be a list of at least one/],
    ["two handlers of one name", { handlers: [handler, handler] }, /two that are named h/],
    [
      "a level that does not exist",
      { level: "warn" },
      /level must be one of debug, info, warning, error, critical, not "warn"/,
    ],
    ["a negative size", { spool: { directory: "x", maxBytes: -1 } }, /maxBytes must be a whole number/],
    [
      "a segment larger than the spool",
      { spool: { directory: "x", segmentBytes: 64 * 2 ** 20, maxBytes: 64 * 2 ** 20 } },
      /maxBytes/,
    ],
    ["a wrong delivery", { delivery: { authz_fail: "sure" } }, /delivery\.authz_fail must be one of/],
    ["a wrong address in the trust list", { clientIp: { trust: ["10.0.0.0/99"] } }, /trust/],
    ["a delivery of a type that does not exist", { delivery: { nonsense: "disk" } }, /delivery\.nonsense is no type/],
    ["a delivery that is no object", { delivery: 5 }, /delivery must be an object/],
    ["strict delivery without a disk", { delivery: { authz_fail: "strict" } }, /authz_fail is "strict", which needs/],
    ["events that are no object", { events: 5 }, /events must be an object/],
    ["an event of a wrong level", { events: { mine: { level: "warn" } } }, /events\["mine"\]\.level must be one of/],
    ["redact that is no object", { redact: 5 }, /redact must be an object/],
    ["diagnostics that are no function", { diagnostics: 5 }, /diagnostics must be a function/],
    ["a handler that is null", { handlers: [null] }, /handlers has one whose name/],
    ["a spool that is no option", { spool: "disk" }, /spool must be/],
  ])("refuses %s and names it", (_, options, message) => {
    expect(() => createSecurityLog({ spool: "memory", handlers: [handler], ...options })).toThrow(message);
    expect(() => createSecurityLog({ spool: "memory", handlers: [handler], ...options })).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG" }),
    );
  });

  test.each([undefined, null, "./var/seclog", []])("refuses %j in the place of the options", (options) => {
    expect(() => createSecurityLog(options as unknown as SecurityLogOptions)).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.stringContaining("createSecurityLog needs") }),
    );
  });

  test("refuses a spool folder that others may write to, that is a link, or that cannot be made", () => {
    const at =
      (directory: string): (() => unknown) =>
      () =>
        createSecurityLog({ spool: { directory }, handlers: [handler] });
    mkdirSync(spool);
    chmodSync(spool, 0o777);
    expect(at(spool)).toThrow(
      expect.objectContaining({
        code: "SECLOG_SPOOL_DIRECTORY",
        message: expect.stringContaining("writable by other users"),
      }),
    );
    symlinkSync(spool, join(folder, "link"));
    expect(at(join(folder, "link"))).toThrow(/symbolic link/);
    writeFileSync(join(folder, "file"), "");
    expect(at(join(folder, "file", "spool"))).toThrow(expect.objectContaining({ code: "SECLOG_SPOOL_DIRECTORY" }));
    expect(at("/proc/no/such")).toThrow(expect.objectContaining({ code: "SECLOG_SPOOL_DIRECTORY" }));
    expect(at(join(folder, "file"))).toThrow(expect.objectContaining({ code: "SECLOG_SPOOL_DIRECTORY" }));
  });

  test("tells its diagnostics when the call that caused them has returned", async () => {
    const log = open({ whenFull: "fail" });
    await log.close();
    diagnostics.length = 0;
    expect(log.recordSecurityEvent("authz_fail").id).toBeNull();
    await Promise.resolve();
    expect(diagnostics).toEqual([]);
    await new Promise(setImmediate);
    expect(diagnostics).toMatchObject([{ code: "SECLOG_CLOSED" }]);
  });

  test("many first uses at once start one shipper", async () => {
    await using log = open();
    await Promise.all(Array.from({ length: 50 }, async () => log.recordSecurityEvent("authz_fail").stored));
    expect(types().filter((type) => type === "log_started")).toHaveLength(1);
  });
});

test("a process that opens its sixth log is told that one is enough, once", async () => {
  const logs = Array.from({ length: 7 }, () => open());
  await poll(() => diagnostics.map(({ code }) => code)).toEqual(["SECLOG_MANY_LOGS"]);
  await Promise.all(logs.map((log) => log.close({ deadline: 0 })));
});
