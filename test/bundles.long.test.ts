/** Applications built by slow bundlers, by means of test/support/deployed.ts; bundles.test.ts has the fast ones. */
import { execFile, spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import commonjs from "@rollup/plugin-commonjs";
import json from "@rollup/plugin-json";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import { type Plugin, rollup } from "rollup";
import { describe, expect, it } from "vitest";
import webpack from "webpack";
import { root } from "../scripts/files.js";
import {
  database,
  deployed,
  elsewhere,
  entries,
  extension,
  type Format,
  project,
  REFUSED,
  SHIPPED,
  start,
  storedBy,
} from "./support/deployed.ts";
import { steadyPort } from "./support/port.js";

const run = promisify(execFile);

/** Their types take the module itself for the plugin, which is its default export. */
const PLUGINS = [commonjs, json].map((plugin: unknown) => (plugin as () => Plugin)());

async function bundleByRollup(dir: string, format: Format, thread: boolean): Promise<void> {
  const plugins = [nodeResolve({ exportConditions: ["node"] }), ...PLUGINS];
  const bundle = await rollup({ input: entries(thread), plugins, onwarn: () => {} });
  const names = `[name]${extension(format)}`;
  await bundle.write({ dir, format, entryFileNames: names, chunkFileNames: `parts/${names}` });
  await bundle.close();
}

function bundleByWebpack(path: string, format: Format): Promise<void> {
  const es = { output: { module: true, chunkFormat: "module" as const }, experiments: { outputModule: true } };
  const { output, ...options } = format === "es" ? es : { output: {} };
  return new Promise((resolve, reject) => {
    const filename = format === "es" ? "[name].mjs" : "[name].js";
    webpack(
      {
        mode: "production",
        target: "node20",
        entry: entries(false),
        output: { path, filename, ...output },
        ...options,
      },
      (error, stats) =>
        error === null && stats?.hasErrors() === false ? resolve() : reject(error ?? stats?.toString()),
    );
  });
}

describe("a bundled application", () => {
  it.each(["es", "cjs"] as const)("by rollup (%s) ships with the thread's file beside it", async (format) => {
    expect(await start(await deployed((out) => bundleByRollup(out, format, true)))).toMatchObject(SHIPPED);
  });

  it.each(["es", "cjs"] as const)(
    "by rollup (%s) refuses to open a log without that file, and names the fix",
    async (format) => {
      expect(await start(await deployed((out) => bundleByRollup(out, format, false)))).toMatchObject(REFUSED);
    },
  );

  it.each(["es", "cjs"] as const)(
    "by webpack (%s) ships, since webpack finds the thread's file itself",
    // Next.js builds beside it.
    { timeout: 240_000 },
    async (format) => {
      expect(await start(await deployed((out) => bundleByWebpack(out, format)))).toMatchObject(SHIPPED);
    },
  );
});

describe("a Next.js application with standalone output", () => {
  it.each(["--webpack", "--turbopack"])("ships when built by next build %s", { timeout: 240_000 }, async (tool) => {
    const app = join(project, "next");
    const next = join(root, "node_modules/next/dist/bin/next");
    const { VITEST: _, NODE_ENV: __, ...inherited } = process.env;
    const environment = { ...inherited, NEXT_TELEMETRY_DISABLED: "1" };
    rmSync(join(app, ".next"), { recursive: true, force: true });
    await run(process.execPath, [next, "build", tool], {
      cwd: app,
      env: environment as NodeJS.ProcessEnv,
      timeout: 200_000,
    });
    const folder = mkdtempSync(join(elsewhere, "next-"));
    cpSync(join(app, ".next", "standalone"), folder, { recursive: true, verbatimSymlinks: true });
    const port = await steadyPort();
    const logger = `next${tool}`;
    const server = spawn(process.execPath, ["server.js"], {
      cwd: join(folder, relative(root, app)),
      env: {
        PATH: process.env["PATH"],
        PORT: String(port),
        HOSTNAME: "127.0.0.1",
        LOGGER: logger,
        SPOOL: join(elsewhere, logger),
        DATABASE: database.writerUrl,
      },
      stdio: "ignore",
    });
    try {
      const answer = (): Promise<unknown> =>
        fetch(`http://127.0.0.1:${port}/events`, { method: "POST" }).then(
          (response) => response.json(),
          () => undefined,
        );
      await expect.poll(answer).toMatchObject({ status: "ok" });
      expect(await storedBy(logger)).toBeGreaterThan(0);
    } finally {
      server.kill();
    }
  });
});
