import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSecurityLog } from "../../log/create-security-log.ts";
import type { SecurityLog } from "../../record/security-log.ts";
import { fileHandler } from "./file-handler.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "seclog-file-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function open(name: string, ...paths: string[]): SecurityLog {
  return createSecurityLog({
    name,
    spool: { directory: join(directory, "spool") },
    handlers: paths.map((path, index) => fileHandler({ path, name: `file${index}` })),
  });
}

describe("fileHandler(), for a file in use", () => {
  it("is refused twice in one log", () => {
    const path = join(directory, "security.ndjson");
    expect(() => open("one", path, path)).toThrow(
      /handlers ".*security\.ndjson" of the handler file1 is in use by the handler file0/,
    );
    // The refused log does not hold the file.
    expect(() => open("one", path, join(directory, "nothing", "..", "security.ndjson"))).toThrow(/in use by/);
  });

  it("is refused in a second log until the first has closed, by whatever path", async () => {
    const folder = join(directory, "logs");
    mkdirSync(folder);
    symlinkSync(folder, join(directory, "link"));
    const path = join(folder, "security.ndjson");
    const first = open("one", path);
    for (const other of [path, relative(process.cwd(), path), join(directory, "link", "security.ndjson")]) {
      expect(() => open("two", other)).toThrow(/in use by the handler file0 of the log one; .*close that log first/);
    }
    await first.close();
    const second = open("two", path);
    await second.recordSecurityEvent("user_created").stored;
    await second.close();
    expect(readFileSync(path, "utf8")).toContain('"user_created"');
  });

  it("does not hold the file when the log cannot be opened", async () => {
    const path = join(directory, "security.ndjson");
    const options = { name: "one", handlers: [fileHandler({ path })] };
    expect(() => createSecurityLog({ ...options, spool: { directory: "/proc/nowhere" } })).toThrow(/spool\.directory/);
    await open("two", path).close();
  });
});
