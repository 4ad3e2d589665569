/** `@seclog/verify` as an auditor installs it: alone, in an empty folder, with an export of a real log. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { postgresHandler } from "seclog/postgres";
import { exampleBatch } from "seclog/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filesBelow, root } from "../scripts/files.js";
import { installPacked } from "./support/pack.ts";
import { createTestDatabase } from "./support/postgres.ts";
import { runProgram } from "./support/program.ts";
import { sealLog, TEST_SIGNER } from "./support/seal-log.ts";

const run = promisify(execFile);

let project: string;
let packed: number;

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), "seclog-auditor-"));
  packed = await installPacked("verify", join(project, "node_modules"));
  writeFileSync(join(project, "package.json"), '{"private":true}');
  await using database = await createTestDatabase();
  const handler = postgresHandler({ url: database.writerUrl });
  await handler.handle(exampleBatch({ count: 300 }), AbortSignal.timeout(20_000));
  await handler.close();
  await sealLog(database);
  const args = ["verify", "--vkey", TEST_SIGNER.vkey, "--write-export", join(project, "export")];
  expect((await runProgram(database, args)).code).toBe(0);
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

/** Runs a program in the empty folder, with npm offline. */
function inProject(program: string, args: readonly string[]) {
  const env = {
    PATH: process.env["PATH"],
    HOME: project,
    npm_config_offline: "true",
    npm_config_update_notifier: "false",
  };
  return run(program, args, { cwd: project, env });
}

describe("the packed verifier", () => {
  it("has no dependencies and contains only its own files", () => {
    const manifest = JSON.parse(readFileSync(join(root, "packages/verify/package.json"), "utf8"));
    for (const kind of ["dependencies", "peerDependencies", "optionalDependencies", "scripts"]) {
      expect(manifest).not.toHaveProperty(kind);
    }
    expect(readdirSync(join(project, "node_modules")).sort()).toEqual([".bin", "@seclog"]);
    expect(readdirSync(join(project, "node_modules/@seclog"))).toEqual(["verify"]);
    const home = join(project, "node_modules/@seclog/verify/");
    const files = filesBelow(home).map((path) => path.slice(home.length));
    const expected = /^(bin\/seclog-verify\.js|dist\/.+\.(js|d\.ts)|package\.json|README\.md|LICENSE)$/;
    expect(files.filter((path) => !expected.test(path) || path.includes(".test."))).toEqual([]);
    const unpacked = files.reduce((sum, path) => sum + statSync(join(home, path)).size, 0);
    console.log(`packed ${Math.round(packed / 1024)} KiB, unpacked ${Math.round(unpacked / 1024)} KiB`);
    expect(packed).toBeLessThan(80 * 1024);
  });

  it("npx @seclog/verify - verifies an export, and finds a byte changed in it", async () => {
    const args = ["@seclog/verify", "export", "export", "--vkey", TEST_SIGNER.vkey];
    expect((await inProject("npx", args)).stdout).toMatch(
      /^log\.example\/shop is intact\.\n30\d events of 2 sources, /,
    );
    const events = filesBelow(join(project, "export")).find((path) => path.includes("events-")) ?? "";
    const whole = readFileSync(events);
    writeFileSync(events, whole.toString().replace("/admin/orders", "/admin/others"));
    try {
      const changed = inProject("npx", args);
      await expect(changed).rejects.toMatchObject({ code: 1, stdout: expect.stringMatching(/^changed +event /) });
    } finally {
      writeFileSync(events, whole);
    }
  });

  it("is also a library, which opens nothing at import", async () => {
    const script = `
      const before = process.getActiveResourcesInfo().length;
      const { folderLog, readVkey, verifyLog } = await import("@seclog/verify");
      const opened = process.getActiveResourcesInfo().length - before;
      const { intact, events } = await verifyLog(folderLog("export", 0), { keys: [readVkey(process.argv[2])] });
      console.log(JSON.stringify({ opened, intact, events }));`;
    writeFileSync(join(project, "audit.mjs"), script);
    const { stdout } = await inProject(process.execPath, ["audit.mjs", TEST_SIGNER.vkey]);
    expect(JSON.parse(stdout)).toMatchObject({ intact: true });
  });
});
