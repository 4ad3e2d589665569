import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { type SpoolFs, spoolFs } from "./fs.ts";
import { release, takeOver } from "./ownership.ts";
import { createSource } from "./source.ts";
import { SpoolWriter } from "./writer.ts";

const ID = "0191f7a0-0000-7000-8000-000000000001";
const root = mkdtempSync(join(tmpdir(), "seclog-writer-"));

afterEach(() => {
  vi.useRealTimers();
  rmSync(root, { recursive: true, force: true });
});

test("durable() - never resolves for what was written after another process took over, however late that is noticed", async () => {
  const owned = createSource(spoolFs, root, ID);
  vi.useFakeTimers({ toFake: ["Date"] });
  let asleep = false;
  /** The process is stopped for minutes just before the write, between the look at the ownership and the write itself. */
  const fs: SpoolFs = {
    ...spoolFs,
    writeSync: ((...args: Parameters<typeof spoolFs.writeSync>) => {
      if (asleep) {
        asleep = false;
        vi.setSystemTime(Date.now() + 6 * 60_000);
        release(spoolFs, owned);
        expect(takeOver(spoolFs, owned.directory, "other")?.epoch).toBe(2);
      }
      return spoolFs.writeSync(...args);
    }) as typeof spoolFs.writeSync,
  };
  const calls: string[] = [];
  const writer = new SpoolWriter(
    fs,
    owned,
    ID,
    { segmentBytes: 1e6, maxBytes: 1e9, memoryBytes: 1e6 },
    {
      synced: (seq) => calls.push(`synced ${seq}`),
      failed: () => calls.push("failed"),
      recovered: () => calls.push("recovered"),
      lost: () => calls.push("lost"),
    },
  );
  writer.append("before");
  await writer.durable(1, true);
  asleep = true;
  writer.append("after");
  const waiting = [writer.durable(2, false), writer.durable(2, true)];
  for (const promise of waiting) await expect(promise).rejects.toMatchObject({ code: "SECLOG_SPOOL_LOST" });
  await expect.poll(() => calls).toEqual(["synced 1", "lost"]);
  await expect(writer.durable(2, false)).rejects.toMatchObject({ code: "SECLOG_SPOOL_LOST" });
  // Whoever took over may have read it: written again, it could be stored twice.
  expect(writer.unwrittenPayloads()).toEqual([]);
});
