import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { fileHandler } from "../packages/seclog/src/handlers/file/file-handler.ts";
import { drainSpool } from "../packages/seclog/src/ship/drain-spool.ts";

const application = fileURLToPath(new URL("support/nest-app.js", import.meta.url));

describe.each(["express", "fastify"])("NestJS on %s with enableShutdownHooks()", (platform) => {
  it.each(["provider", "handler", "once"])(
    "records events until SIGTERM, then log_stopped, closed by: %s",
    async (close) => {
      const folder = mkdtempSync(join(tmpdir(), "seclog-nest-"));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      const [spool, out] = [join(folder, "spool"), join(folder, "events.ndjson")];
      const child = fork(application, [], {
        env: { ...process.env, PLATFORM: platform, CLOSE: close, SPOOL: spool, OUT: out },
        execArgv: [],
      });
      onTestFinished(() => void child.kill("SIGKILL"));
      const exited = once(child, "exit");
      expect(await Promise.race([once(child, "message"), exited])).toContain("listening");
      child.kill("SIGTERM");
      // Nest raises the signal again, which ends a process that no longer handles it.
      expect(await exited).toEqual(close === "handler" ? [0, null] : [null, "SIGTERM"]);
      const stored = (): readonly string[] =>
        existsSync(out)
          ? readFileSync(out, "utf8")
              .trim()
              .split("\n")
              .map((line) => (JSON.parse(line) as { readonly event_type: string }).event_type)
          : [];
      const expected = ["log_started", "sys_shutdown", "log_stopped"];
      // The process ends once the last event is on disk, before it ships it: the next process ships it.
      if (close === "once") await drainSpool({ directory: spool, handlers: [fileHandler({ path: out })] });
      expect(stored()).toEqual(expected);
    },
  );
});
