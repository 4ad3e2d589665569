/** The matchers of `seclog/testing` in Vitest, Jest and node:test, each as an application's own tests run them. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../scripts/files.js";
import { installPacked } from "./support/pack.ts";

const run = promisify(execFile);

let project: string;

beforeAll(async () => {
  // Inside the repository, whose node_modules has the runners.
  mkdirSync(join(root, "var"), { recursive: true });
  project = mkdtempSync(join(root, "var", "matchers-"));
  cpSync(join(root, "test", "fixtures", "matchers"), project, { recursive: true });
  writeFileSync(join(project, "package.json"), '{"private":true}');
  writeFileSync(
    join(project, "vitest.config.mjs"),
    'export default { test: { include: ["vitest.test.mjs"], pool: "threads" } };',
  );
  const jest = { watchman: false, transform: {}, testMatch: ["<rootDir>/jest.test.mjs"] };
  writeFileSync(join(project, "jest.config.json"), JSON.stringify(jest));
  await installPacked("seclog", join(project, "node_modules"));
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

const RUNNERS = {
  vitest: [join(root, "node_modules/vitest/vitest.mjs"), "run", "--config", "vitest.config.mjs"],
  jest: [
    "--experimental-vm-modules",
    join(root, "node_modules/jest/bin/jest.js"),
    "--config",
    "jest.config.json",
    "--runInBand",
  ],
  "node:test": ["--test", "node.test.mjs"],
} as const;

/** Runs the project's tests. Resolves to whether they pass, and all that they print, without colours. */
async function tests(runner: keyof typeof RUNNERS, environment: NodeJS.ProcessEnv = {}): Promise<[boolean, string]> {
  const { VITEST: _, FORCE_COLOR: __, ...inherited } = process.env;
  const env = { ...inherited, NO_COLOR: "1", ...environment };
  const outcome = await run(process.execPath, RUNNERS[runner], { cwd: project, env, timeout: 80_000 }).then(
    ({ stdout, stderr }) => [true, stdout + stderr] as const,
    ({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }) => [false, stdout + stderr] as const,
  );
  return [...outcome];
}

describe.each(Object.keys(RUNNERS) as (keyof typeof RUNNERS)[])("the matchers in %s", (runner) => {
  it("hold, also while timers stand still", async () => {
    const [passed, output] = await tests(runner);
    expect(passed, output).toBe(true);
    expect(output).not.toContain("SECLOG_");
  });

  it("say what differs when they do not hold", async () => {
    const [passed, output] = await tests(runner, { FAIL: "1" });
    expect(passed).toBe(false);
    expect(output).toContain("an assertion that fails says what was recorded instead");
    expect(output.replaceAll("\\'", "'")).toContain(
      "recorded { type: 'authz_fail', actorId: 'ada', data: { resource: 'orders' } }; found 0; recorded, nearest first:",
    );
    expect(output.replaceAll("\\'", "'")).toContain(
      "{ type: 'authz_fail', actorId: 'grace', data: { resource: 'orders' } }",
    );
    // What the runner makes of the error's members: a diff, or both of them.
    const shown =
      runner === "node:test"
        ? /expected:[\s\S]*ada[\s\S]*actual:[\s\S]*grace/
        : /-.*actorId.*ada[\s\S]*\+.*actorId.*grace/;
    expect(output).toMatch(shown);
  });
});
