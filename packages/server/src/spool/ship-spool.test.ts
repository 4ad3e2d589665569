/** Calls the operation without a command; test/cli/ship.test.ts covers a spool that a killed process left. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecurityLog } from "seclog";
import { fileHandler } from "seclog/file";
import { describe, expect, it } from "vitest";
import { createTestDatabase } from "#test/support/postgres.ts";
import { shipSpool } from "./ship-spool.ts";

describe("shipSpool()", () => {
  it("refuses a directory that is not a spool, and leaves the events of a running process to it", async () => {
    await using database = await createTestDatabase();
    const directory = mkdtempSync(join(tmpdir(), "seclog-ship-"));
    const url = database.writerUrl;
    const misspelt = shipSpool({ directory: join(directory, "none"), url });
    await expect(misspelt).rejects.toMatchObject({ code: "SECLOG_SPOOL_DIRECTORY" });
    const log = createSecurityLog({
      spool: { directory: join(directory, "spool") },
      handlers: [fileHandler({ path: join(directory, "events") })],
    });
    try {
      await log.recordSecurityEvent("authz_fail", null, {}).durable;
      const begun: number[] = [];
      const onBegin = (bytes: number) => begun.push(bytes);
      const result = await shipSpool({ directory: join(directory, "spool"), url, onBegin });
      expect(result).toMatchObject({ shipped: 0, owned: 1 });
      expect(begun).toEqual([0]);
    } finally {
      await log.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
