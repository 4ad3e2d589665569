/** A log's whole life on every supported major version of PostgreSQL whose binaries are available. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { live, succeed } from "./support/life-of-a-log.ts";
import { startOwnPostgres } from "./support/own-postgres.ts";

/** Folders with `bin/postgres`, separated by colons; `.ci/run` fetches them. */
const folders = (process.env["SECLOG_TEST_POSTGRES"] ?? "").split(":").filter((folder) => folder !== "");
if (folders.length === 0) {
  console.warn("SECLOG_TEST_POSTGRES names no binaries: the tests of other versions of PostgreSQL are skipped");
}

describe.runIf(folders.length > 0)("a log's life", { timeout: 180_000 }, () => {
  it.each(folders.length === 0 ? ["(none)"] : folders)("with the binaries in %s", async (binaries) => {
    const folder = mkdtempSync(join(tmpdir(), "seclog-test-version-"));
    try {
      await using server = await startOwnPostgres(binaries);
      const urls = server.logOf("seclog_versions");
      const { stdout } = await succeed(urls, "setup");
      console.log(stdout.split("\n")[0]);
      expect((await succeed(urls, "setup")).stdout).toContain("nothing to change");
      const key = join(folder, "log.key");
      const made = await succeed(urls, "keys", "generate", "--json", "--out", key, "--name", "versions.example/log");
      const { vkey } = JSON.parse(made.stdout) as { vkey: string };
      await live({ urls, key, vkey }, "alice");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
