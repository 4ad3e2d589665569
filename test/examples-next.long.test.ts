/** The example for Next.js, built and started by Next's own program; examples.test.ts has the others. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import { root } from "../scripts/files.js";
import { linkDependencies, tellStory } from "./support/examples.ts";
import { installPacked } from "./support/pack.ts";

const next = join(root, "node_modules/next/dist/bin/next");

it("the example next prints what it refuses, with the actor and the client's address", async () => {
  mkdirSync(join(root, "var"), { recursive: true });
  // In the repository, since Next wants its packages below its own root.
  const folder = mkdtempSync(join(root, "var", "example-next-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(root, "examples", "next"), folder, { recursive: true });
  await installPacked("seclog", join(folder, "node_modules"));
  linkDependencies("next", join(folder, "node_modules"));
  const { VITEST: _, NODE_ENV: __, ...inherited } = process.env;
  const env = { ...inherited, NEXT_TELEMETRY_DISABLED: "1" } as NodeJS.ProcessEnv;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [next, "build"], { cwd: folder, env });
  expect(stdout + stderr).not.toMatch(/warning/i);
  await tellStory(folder, (port) => [next, "start", "-H", "127.0.0.1", "-p", String(port)], "Ready");
}, 240_000);
