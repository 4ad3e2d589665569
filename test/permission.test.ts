/** Node's permission model, which denies fsync: a spool on disk is refused with the reason, one in memory works. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const FLAG = process.allowedNodeEnvironmentFlags.has("--permission") ? "--permission" : "--experimental-permission";
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seclog-permission-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What an application with these grants prints. */
function run(spool: string, grants: readonly string[]): string {
  const script = `
    import { createSecurityLog } from "seclog";
    import { stdoutHandler } from "seclog/stdout";
    try {
      const log = createSecurityLog({ spool: ${spool}, handlers: [stdoutHandler()] });
      log.recordSecurityEvent("authz_fail", null, {});
      await log.close();
      console.log(log.health().status);
    } catch (error) {
      console.log(error.code, error.message);
    }`;
  const args = [FLAG, `--allow-fs-read=${ROOT}*`, ...grants, "--input-type=module", "-e", script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });
  return stdout + stderr;
}

describe("createSecurityLog(), under --permission", () => {
  it("works with a spool in memory", () => {
    expect(run('"memory"', [])).toMatch(/authz_fail[\s\S]*\nok\n/);
  });

  it.each([{ grants: "no grants for the folder" }, { grants: "every grant" }])(
    "names the flags to add and the spool that needs none, with a spool on disk: $grants",
    ({ grants }) => {
      const all = [`--allow-fs-read=${folder}/*`, `--allow-fs-write=${folder}/*`, "--allow-worker"];
      const said = run(`{ directory: ${JSON.stringify(join(folder, "spool"))} }`, grants === "every grant" ? all : []);
      // A version of Node that allows fsync works with every grant.
      if (grants === "every grant" && /authz_fail[\s\S]*\nok\n/.test(said)) return;
      expect(said).toMatch(
        /^SECLOG_SPOOL_DIRECTORY .*--allow-fs-read .*--allow-fs-write .*--allow-worker.*spool: "memory"$/m,
      );
    },
  );
});
