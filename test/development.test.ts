/** A log without handlers, in processes of its own: the environment decides, and the notice appears once. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { root } from "../scripts/files.js";

const run = promisify(execFile);

const SCRIPT = `
  import { createSecurityLog } from "seclog";
  const security = createSecurityLog();
  const second = createSecurityLog({ service: "shop", name: "second" });
  security.recordSecurityEvent("authz_fail", null, { userid: "ada" });
  second.recordSecurityEvent("authn_login_fail", null, { userid: "grace" });
  await security.close();
  await second.close();
`;

function application(environment: NodeJS.ProcessEnv): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const { NODE_ENV: _, ...inherited } = process.env;
  const args = ["--input-type=module", "--eval", SCRIPT];
  return run(process.execPath, args, { cwd: root, env: { ...inherited, ...environment }, timeout: 30_000 });
}

describe("createSecurityLog() without handlers", () => {
  it.each([undefined, "development", "test"])("prints events, and says so once, with NODE_ENV %s", async (value) => {
    const { stdout, stderr } = await application(value === undefined ? {} : { NODE_ENV: value });
    expect(stdout).toMatch(/CRITICAL authz_fail actor=ada\n/);
    expect(stdout).toMatch(/WARNING {2}authn_login_fail actor=grace service=shop\n/);
    expect(stderr.match(/kept\s+nowhere/g)).toHaveLength(1);
    expect(stderr).toContain("npx @seclog/server setup");
    for (const line of stderr.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });

  it("is refused in production", async () => {
    await expect(application({ NODE_ENV: "production" })).rejects.toMatchObject({
      stdout: "",
      stderr: expect.stringContaining("createSecurityLog: handlers must be a list of at least one"),
    });
  });
});
