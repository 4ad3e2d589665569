import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { NatsEngine } from "#faults/engines/nats.js";
import { RedisEngine } from "#faults/engines/redis.js";

const program = fileURLToPath(new URL("../packages/demo/bin/seclog-demo.js", import.meta.url));

describe("seclog-demo --queue", () => {
  it.each([
    ["redis", RedisEngine],
    ["nats", NatsEngine],
  ] as const)("shows the same shop through %s and two workers", { timeout: 240_000 }, async (name, Engine) => {
    const missing = Engine.needs();
    const data = mkdtempSync(join(tmpdir(), "seclog-demo-"));
    const environment = { ...process.env, PORT: "0", SECLOG_DATA_DIR: data };
    try {
      const demo = promisify(execFile)(process.execPath, [program, "--once", "--queue", name], { env: environment });
      if (missing !== undefined) {
        console.warn(`SKIPPED: the demo with ${name}: ${missing}`);
        await expect(demo).rejects.toThrow(/is not installed: apt install/);
        return;
      }
      const { stdout, stderr } = await demo;
      expect(stdout).toContain("All 15 expected events are in the table");
      const password = /:([^:@/]+)@/.exec(readFileSync(join(data, "queue-url"), "utf8"))?.[1] ?? "";
      expect(password).not.toBe("");
      expect(stdout + stderr).not.toContain(password);
    } finally {
      rmSync(data, { recursive: true, force: true });
    }
  });
});
