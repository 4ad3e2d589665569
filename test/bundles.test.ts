/**
 * The packed library in an application that is bundled or traced, as it is deployed: what the tool wrote is copied out of
 * the repository, runs there, and its events are in a real PostgreSQL, or its log did not open and says why.
 */
import { execFile, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import commonjs from "@rollup/plugin-commonjs";
import json from "@rollup/plugin-json";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import { build as esbuild } from "esbuild";
import { rolldown } from "rolldown";
import { type Plugin, rollup } from "rollup";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import webpack from "webpack";
import { filesBelow, root } from "../scripts/files.js";
import { installPacked } from "./support/pack.ts";
import { steadyPort } from "./support/port.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";

const run = promisify(execFile);

type Format = "es" | "cjs";

/** An application's tool: writes its bundle into `out`; with `thread`, the shipper's file beside it. */
type Bundler = (out: string, format: Format, thread: boolean) => Promise<unknown>;

let database: TestDatabase;
/** Where the application is built, within the repository, from where its other packages come. */
let project: string;
/** Where it runs, with nothing above it. */
let elsewhere: string;

beforeAll(async () => {
  mkdirSync(join(root, "var"), { recursive: true });
  project = mkdtempSync(join(root, "var", "bundles-"));
  elsewhere = mkdtempSync(join(tmpdir(), "seclog-bundles-"));
  cpSync(join(root, "test", "fixtures", "bundles"), project, { recursive: true });
  writeFileSync(join(project, "package.json"), '{"private":true}');
  await installPacked("seclog", join(project, "node_modules"));
  database = await createTestDatabase();
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
  for (const folder of [project, elsewhere]) rmSync(folder, { recursive: true, force: true });
});

const entries = (thread: boolean): Record<string, string> => ({
  app: join(project, "app.mjs"),
  ...(thread ? { "seclog-worker": join(project, "node_modules/seclog/dist/seclog-worker.js") } : {}),
});
const extension = (format: Format): string => (format === "es" ? ".mjs" : ".cjs");

const REQUIRE = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';

/** Their types say that the module is what its default export is. */
const PLUGINS = [commonjs, json].map((plugin: unknown) => (plugin as () => Plugin)());

const BUNDLERS: { readonly [name: string]: Bundler } = {
  esbuild: (outdir, format, thread) =>
    esbuild({
      entryPoints: entries(thread),
      outdir,
      bundle: true,
      platform: "node",
      format: format === "es" ? "esm" : "cjs",
      outExtension: { ".js": extension(format) },
      logLevel: "error",
      ...(format === "es" ? { banner: { js: REQUIRE } } : {}),
    }),
  async rollup(dir, format, thread) {
    const plugins = [nodeResolve({ exportConditions: ["node"] }), ...PLUGINS];
    const bundle = await rollup({ input: entries(thread), plugins, onwarn: () => {} });
    const names = `[name]${extension(format)}`;
    await bundle.write({ dir, format, entryFileNames: names, chunkFileNames: `parts/${names}` });
    await bundle.close();
  },
  async rolldown(dir, format, thread) {
    const bundle = await rolldown({ input: entries(thread), platform: "node", logLevel: "silent" });
    const names = `[name]${extension(format)}`;
    await bundle.write({ dir, format, entryFileNames: names, chunkFileNames: `parts/${names}` });
    await bundle.close();
  },
};

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

let runs = 0;

interface Outcome {
  readonly result: { readonly [name: string]: unknown };
  /** Events of the application in the database. */
  readonly stored: number;
}

/** Runs the bundle in `folder`. */
async function start(folder: string, deadline = 20_000): Promise<Outcome> {
  runs += 1;
  const logger = `app-${runs}`;
  const app = filesBelow(folder).find((path) => /\bapp\.(js|mjs|cjs)$/.test(path)) ?? "";
  const env = {
    PATH: process.env["PATH"],
    LOGGER: logger,
    SPOOL: join(elsewhere, `spool-${runs}`),
    DATABASE: database.writerUrl,
    DEADLINE: String(deadline),
  };
  const { stdout } = await run(process.execPath, [app], { cwd: dirname(app), env, timeout: 60_000 });
  const result = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Outcome["result"];
  return { result, stored: await storedBy(logger) };
}

async function storedBy(logger: string): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    "SELECT count(*)::int AS count FROM security_event_log WHERE logger = $1 AND event_type = 'authn_login_success'",
    [logger],
  );
  return row?.count ?? 0;
}

/** Builds, and takes what was built out of the repository. */
async function deployed(build: (out: string) => Promise<unknown>): Promise<string> {
  const out = mkdtempSync(join(project, "out-"));
  await build(out);
  const folder = mkdtempSync(join(elsewhere, "app-"));
  cpSync(out, folder, { recursive: true });
  return folder;
}

const SHIPPED = { result: { flushed: true, status: "ok" }, stored: 3 };
const TOOLS = Object.keys(BUNDLERS).flatMap((tool) =>
  (["es", "cjs"] as const).map((format) => [tool, format] as const),
);

describe("a bundled application", () => {
  it.each(TOOLS)("by %s (%s) - ships with the thread's file beside it", async (tool, format) => {
    const folder = await deployed((out) => BUNDLERS[tool]?.(out, format, true) ?? Promise.reject(tool));
    expect(await start(folder)).toMatchObject(SHIPPED);
  });

  it.each(TOOLS)("by %s (%s) - opens no log without that file, and says what to do", async (tool, format) => {
    const folder = await deployed((out) => BUNDLERS[tool]?.(out, format, false) ?? Promise.reject(tool));
    const message = expect.stringMatching(/seclog-worker\.js is not beside the bundle .*mark seclog as external/);
    expect(await start(folder)).toMatchObject({ result: { code: "SECLOG_CONFIG", message }, stored: 0 });
  });

  it.each(["es", "cjs"] as const)("by webpack (%s) - ships: webpack follows the thread", async (format) => {
    expect(await start(await deployed((out) => bundleByWebpack(out, format)))).toMatchObject(SHIPPED);
  });

  it("takes the thread from an installed package, and refuses that of another version by name", async () => {
    const folder = await deployed((out) => BUNDLERS["esbuild"]?.(out, "cjs", false) ?? Promise.reject());
    const modules = join(folder, "node_modules");
    await installPacked("seclog", modules);
    expect(await start(folder)).toMatchObject(SHIPPED);
    const manifest = join(modules, "seclog", "package.json");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/"version": "[^"]+"/, '"version": "9.9.9"'));
    const message = expect.stringMatching(/the bundle has seclog [\d.]+, and .*seclog-worker\.js is of 9\.9\.9/);
    expect(await start(folder)).toMatchObject({ result: { code: "SECLOG_CONFIG", message }, stored: 0 });
  });

  it("by @vercel/nft - ships from the files that it traced", async () => {
    const require = createRequire(join(root, "package.json"));
    const { nodeFileTrace } = require("next/dist/compiled/@vercel/nft") as {
      nodeFileTrace(files: string[], options: { base: string }): Promise<{ readonly fileList: Set<string> }>;
    };
    const { fileList } = await nodeFileTrace([join(project, "app.mjs")], { base: root });
    const folder = mkdtempSync(join(elsewhere, "traced-"));
    for (const file of fileList)
      cpSync(join(root, file), join(folder, file), { recursive: true, verbatimSymlinks: true });
    expect(await start(join(folder, relative(root, project)))).toMatchObject(SHIPPED);
  });
});

describe("a Next.js application with standalone output", () => {
  it.each(["--webpack", "--turbopack"])("next build %s - ships", { timeout: 240_000 }, async (tool) => {
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
