/** What health() reports while nothing is shipped. Fault 36 covers every reason; this file has one of each kind. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecurityLog, type Diagnostic, type SecurityEventHandler } from "seclog";
import { describe, expect, it, vi } from "vitest";

const close = (): Promise<void> => Promise.resolve();

/** A log with one handler, and the diagnostics that it reported. */
function open(handler: Partial<SecurityEventHandler>, spool: "memory" | "disk" = "disk") {
  const folder = mkdtempSync(join(tmpdir(), "seclog-health-"));
  const diagnostics: Diagnostic[] = [];
  const log = createSecurityLog({
    spool: spool === "memory" ? spool : { directory: join(folder, "spool") },
    handlers: [{ name: "shop", handle: close, close, ...handler }],
    diagnostics: (diagnostic) => diagnostics.push(diagnostic),
  });
  const end = async (): Promise<void> => {
    await log.close({ deadline: 100 });
    rmSync(folder, { recursive: true, force: true });
  };
  return { log, diagnostics, folder, [Symbol.asyncDispose]: end };
}

/** Like `expect.poll`, which concurrent tests cannot use. */
const until = (assertion: () => void): Promise<void> => vi.waitFor(assertion, { timeout: 30_000, interval: 50 });

describe("health()", () => {
  it.concurrent.each([
    ["does not exist", 'throw new Error("never read")', undefined],
    ["throws", 'throw new Error("no licence")', "no licence"],
    ["has no createHandler()", "export const other = 1", "has no export createHandler"],
    ["has a createHandler() that throws", 'export const createHandler = () => { throw new Error("no key") }', "no key"],
  ])("is failing, with the reason, while a handler's module %s, and ok once it loads", async (what, code, why) => {
    const folder = mkdtempSync(join(tmpdir(), "seclog-module-"));
    const path = join(folder, "handler.mjs");
    if (what !== "does not exist") writeFileSync(path, code);
    await using opened = open({ worker: { module: `file://${path}`, options: {} } });
    await opened.log.recordSecurityEvent("authz_fail").durable;
    await until(() =>
      expect(opened.log.health()).toMatchObject({
        status: "failing",
        lastError: { code: "SECLOG_CONFIG", message: expect.stringContaining(why ?? path) },
        handlers: [{ status: "stalled", behind: 2, oldestUnshippedAt: expect.any(Date) }],
      }),
    );
    writeFileSync(
      path,
      "export const createHandler = () => ({ name: 'shop', handle: async () => {}, close: async () => {} })",
    );
    await until(() =>
      expect(opened.log.health()).toMatchObject({ status: "ok", handlers: [{ status: "ok", behind: 0 }] }),
    );
    expect(opened.log.health().lastError).toBeUndefined();
    rmSync(folder, { recursive: true });
  });

  it.concurrent.each(["disk", "memory"] as const)(
    "is degraded while a call does not settle, with one diagnostic for the stall and one for its end: spool %s",
    async (spool) => {
      let settle = (): void => {};
      const settled = new Promise<void>((resolve) => {
        settle = resolve;
      });
      await using opened = open({ handle: () => settled }, spool);
      const { log, diagnostics } = opened;
      const codes = (): string[] => diagnostics.map(({ code, handler }) => `${code} ${handler}`);
      expect(log.health().status).toBe("ok");
      await until(() =>
        expect(log.health()).toMatchObject({
          status: "degraded",
          lastError: {
            code: "SECLOG_STALLED",
            message: expect.stringMatching(
              /^nothing was acknowledged for \d+ s: the call of shop has been under way for \d+ s$/,
            ),
          },
        }),
      );
      await until(() => expect(codes()).toEqual(["SECLOG_STALLED shop"]));
      settle();
      await until(() => expect(log.health().status).toBe("ok"));
      await until(() => expect(codes()).toEqual(["SECLOG_STALLED shop", "SECLOG_RECOVERED shop"]));
    },
  );

  it.concurrent("is failing while a handler blocks the shipper's thread, and names the handler", async () => {
    const folder = mkdtempSync(join(tmpdir(), "seclog-module-"));
    const [path, block] = [join(folder, "handler.mjs"), join(folder, "block")];
    writeFileSync(block, "");
    writeFileSync(
      path,
      `import { existsSync } from "node:fs";
       const handle = async () => {
         while (existsSync(${JSON.stringify(block)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
       };
       export const createHandler = () => ({ name: "shop", handle, close: async () => {} });`,
    );
    await using opened = open({ worker: { module: `file://${path}`, options: {} } });
    await until(() =>
      expect(opened.log.health()).toMatchObject({
        status: "failing",
        lastError: {
          code: "SECLOG_THREAD",
          message: expect.stringMatching(/has not answered for \d+ s: handle\(\) of shop blocks it$/),
        },
      }),
    );
    rmSync(block);
    await until(() => expect(opened.log.health().status).toBe("ok"));
    expect(existsSync(block)).toBe(false);
    rmSync(folder, { recursive: true });
  });

  it.concurrent("keeps counting what a handler has shipped when a new thread replaces one that ended", async () => {
    const folder = mkdtempSync(join(tmpdir(), "seclog-module-"));
    const path = join(folder, "handler.mjs");
    writeFileSync(
      path,
      `const handle = async ({ events }) => { if (events.some(({ type }) => type === "authz_admin")) throw setImmediate(() => process.exit()); };
       export const createHandler = () => ({ name: "shop", handle, close: async () => {} });`,
    );
    await using opened = open({ worker: { module: `file://${path}`, options: {} } });
    await opened.log.recordSecurityEvent("authz_fail").stored;
    expect(opened.log.health().handlers[0]?.shipped).toBe(2);
    opened.log.recordSecurityEvent("authz_admin");
    await until(() => expect(opened.diagnostics.map(({ code }) => code)).toContain("SECLOG_THREAD"));
    writeFileSync(
      path,
      "export const createHandler = () => ({ name: 'shop', handle: async () => {}, close: async () => {} })",
    );
    await until(() =>
      expect(opened.log.health()).toMatchObject({ status: "ok", handlers: [{ shipped: 3, behind: 0 }] }),
    );
    rmSync(folder, { recursive: true });
  });
});

it("health() - is right while a test's fake timers stand still", async () => {
  await using opened = open({ handle: () => new Promise(() => {}) });
  const wait = setTimeout;
  vi.useFakeTimers();
  try {
    for (let i = 0; i < 600 && opened.log.health().status === "ok"; i++)
      await new Promise((resolve) => wait(resolve, 50));
    expect(opened.log.health()).toMatchObject({ status: "degraded", lastError: { code: "SECLOG_STALLED" } });
  } finally {
    vi.useRealTimers();
  }
});
