/** Applications whose output has lost its reader. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sourcesIn } from "./support/sources.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-output-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function run(script: string, { closed }: { closed?: "stdout" | "stderr" } = {}): Promise<number | null> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    cwd: ROOT,
    env: { ...process.env, FOLDER: folder },
  });
  for (const name of ["stdout", "stderr"] as const) {
    // Closed after the first chunk, like `| head -1`.
    child[name].on("data", () => name === closed && child[name].destroy());
  }
  const [code] = (await once(child, "exit")) as [number | null];
  return code;
}

describe("stdoutHandler()", () => {
  it.each(["disk", "memory"].flatMap((spool) => (["stdout", "stderr"] as const).map((stream) => ({ spool, stream }))))(
    "outlives the reader of $stream, with its spool on $spool",
    { timeout: 60_000 },
    async ({ spool, stream }) => {
      const code = await run(
        `
        import { writeFileSync } from "node:fs";
        import { createSecurityLog } from "seclog";
        import { stdoutHandler } from "seclog/stdout";
        const log = createSecurityLog({
          spool: ${spool === "memory" ? '"memory"' : '{ directory: process.env.FOLDER + "/spool" }'},
          handlers: [stdoutHandler({ stream: "${stream}" })],
          diagnostics: () => {},
        });
        while (log.health().status !== "failing") {
          log.recordSecurityEvent("authz_fail", null, {});
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        writeFileSync(process.env.FOLDER + "/health", JSON.stringify(log.health()));
        await log.close({ deadline: 200 });
        process.exit(7);`,
        { closed: stream },
      );
      expect(code).toBe(7);
      expect(readFileSync(join(folder, "health"), "utf8")).toContain("cannot write to the stream");
    },
  );
});

describe("createSecurityLog()", () => {
  it("keeps the spool in place when the process changes its directory", { timeout: 60_000 }, async () => {
    mkdirSync(join(folder, "elsewhere"));
    const code = await run(`
      import { createSecurityLog } from "seclog";
      import { fileHandler } from "seclog/file";
      const folder = process.env.FOLDER;
      process.chdir(folder);
      const handler = fileHandler({ path: "events.ndjson" });
      const log = createSecurityLog({ spool: { directory: "spool", segmentBytes: 1 << 20 }, handlers: [handler] });
      process.chdir(folder + "/elsewhere");
      for (let n = 0; n < 400; n++) {
        await log.recordSecurityEvent("authz_fail", null, { n, text: "x".repeat(8_000) }).durable;
      }
      await log.close();`);
    expect(code).toBe(0);
    expect(sourcesIn(join(folder, "spool"))).toEqual([]);
    expect(readFileSync(join(folder, "events.ndjson"), "utf8").trimEnd().split("\n")).toHaveLength(402);
    expect(existsSync(join(folder, "elsewhere", "spool"))).toBe(false);
  });
});
