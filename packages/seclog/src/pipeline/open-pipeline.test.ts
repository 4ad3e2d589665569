import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { type SpoolFs, spoolFs } from "../spool/fs.ts";
import { RENEW_MS } from "../spool/ownership.ts";
import { openPipeline, spoolOptions } from "./open-pipeline.ts";
import type { PipelineNews } from "./pipeline.ts";

vi.mock("../runtime/timers.ts", () => import("#test/support/global-timers.ts"));

const ID = "0191f7a0-0000-7000-8000-000000000001";
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "seclog-pipeline-"));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(root, { recursive: true, force: true });
});

const handler: SecurityEventHandler = { name: "h", handle: () => Promise.resolve(), close: () => Promise.resolve() };
/** A handler that the shipper's thread cannot create, so the thread ends. */
const nowhere = { ...handler, worker: { module: pathToFileURL("/nowhere/handler.js").href, options: {} } };
const ignore = (): void => {};

/** The calls by which a log creates its root, the source's directory, the handlers' cursors and the first segment. */
it.each(["lstatSync", "mkdirSync", "openSync", "writeSync", "fsyncSync", "fdatasyncSync"] as const)(
  "openPipeline() - says which folder it is when %s fails",
  (name) => {
    const fail = (): never => {
      throw Object.assign(new Error("EIO: made by the test"), { code: "EIO" });
    };
    const fs: SpoolFs = Object.assign({ ...spoolFs }, { [name]: fail });
    expect(() => openPipeline(spoolOptions({ directory: join(root, "spool") }), ID, [handler], ignore, fs)).toThrow(
      expect.objectContaining({ code: "SECLOG_SPOOL_DIRECTORY", message: expect.stringContaining(root) }),
    );
  },
);

it.each(["cursor.h", "00000001.seg"])("openPipeline() - leaves nothing when %s cannot be made", (name) => {
  const fs: SpoolFs = {
    ...spoolFs,
    openSync: (path, flags, mode) => {
      if (String(path).endsWith(name)) throw Object.assign(new Error("ENOSPC: made by the test"), { code: "ENOSPC" });
      return spoolFs.openSync(path, flags, mode);
    },
  };
  expect(() => openPipeline(spoolOptions({ directory: root }), ID, [handler], ignore, fs)).toThrow("ENOSPC");
  expect(readdirSync(root)).toEqual([]);
});

it("openPipeline() - renews its ownership even if the shipper's thread cannot start", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] });
  const pipeline = openPipeline(spoolOptions({ directory: root }), ID, [nowhere], ignore);
  vi.advanceTimersByTime(RENEW_MS);
  expect(Math.round(statSync(join(root, ID, "owner.1")).mtimeMs)).toBe(Date.now());
  await pipeline.close(0);
});

it("Pipeline.close() - does not wait for a thread that has ended", async () => {
  const reported: string[] = [];
  const report = (news: PipelineNews): void => {
    if (news.type === "failed" && news.message.includes("thread ended")) reported.push(news.message);
  };
  const pipeline = openPipeline(spoolOptions({ directory: root }), ID, [nowhere], report);
  // After five ends, the next restart is more than a second away.
  await expect.poll(() => reported.length).toBe(5);
  // The thread's exit is reported after its cause.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const begun = performance.now();
  await pipeline.close(100);
  expect(performance.now() - begun).toBeLessThan(4_000);
});
