/** Row 34 of the project's list of hostile inputs, configuration, which needs the whole product. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecurityLog, type SecurityLogOptions } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { runHere } from "./support/here.ts";

const handler = { name: "none", handle: async () => {}, close: async () => {} };

let folder: string;

beforeAll(() => {
  // In development, a log without handlers prints.
  vi.stubEnv("NODE_ENV", "production");
  folder = mkdtempSync(join(tmpdir(), "seclog-hostile-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const withSpool = (spool: object): unknown => ({ spool, handlers: [handler] });

describe("34: configuration", () => {
  it.each<[matter: string, options: () => unknown, code: string, named: string]>([
    ["unknown key", () => ({ spool: "memory", handlers: [handler], levle: "info" }), "SECLOG_CONFIG", "levle"],
    ["unknown key within", () => withSpool({ directory: folder, maxbytes: 1 }), "SECLOG_CONFIG", "maxbytes"],
    ["negative size", () => withSpool({ directory: folder, maxBytes: -1 }), "SECLOG_CONFIG", "maxBytes"],
    ["no options, in production", () => undefined, "SECLOG_CONFIG", "createSecurityLog"],
    ["folder that cannot be written", () => withSpool({ directory: closed() }), "SECLOG_SPOOL_DIRECTORY", "closed"],
    ["folder that is a link", () => withSpool({ directory: link() }), "SECLOG_SPOOL_DIRECTORY", "symbolic link"],
    ["folder that all may write", () => withSpool({ directory: open() }), "SECLOG_SPOOL_DIRECTORY", "other users"],
  ])("is refused, with the key: %s", (_matter, options, code, named) => {
    const given = options() as SecurityLogOptions;
    expect(() => createSecurityLog(given)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(named) }),
    );
  });

  it("is refused, with the key: PostgreSQL URL with options=", () => {
    const url = "postgresql://u:hunter2@localhost/d?options=-c%20synchronous_commit%3Doff";
    expect(() => postgresHandler({ url })).toThrow(
      expect.objectContaining({ code: "SECLOG_CONFIG", message: expect.stringMatching(/^(?!.*hunter2).*options=/) }),
    );
  });

  it.each([
    ["query", "--url=postgresql://u:hunter2@h/d"],
    ["setup", "postgresql://u:hunter2@h/d"],
  ])("is refused if an argument holds a password: seclog %s %s", async (...args) => {
    const { code, stdout, stderr } = await runHere(args, {});
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/argument 2 holds a password.*\[SECLOG_CONFIG\]/);
    expect(stderr).not.toContain("hunter2");
  });
});

/** A folder that cannot be written to. Root may write to every folder of a disk. */
function closed(): string {
  if (process.getuid?.() === 0) return "/proc/self/closed";
  mkdirSync(join(folder, "closed"), { mode: 0o500 });
  return join(folder, "closed");
}

function link(): string {
  mkdirSync(join(folder, "target"), { mode: 0o700 });
  symlinkSync(join(folder, "target"), join(folder, "link"));
  return join(folder, "link");
}

function open(): string {
  mkdirSync(join(folder, "open"));
  chmodSync(join(folder, "open"), 0o777);
  return join(folder, "open");
}
