/** Applications that are traced or built by fast bundlers; bundles.long.test.ts has the slow ones. */
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { build as esbuild } from "esbuild";
import { rolldown } from "rolldown";
import { describe, expect, it } from "vitest";
import { root } from "../scripts/files.js";
import {
  type Bundler,
  deployed,
  elsewhere,
  entries,
  extension,
  project,
  REFUSED,
  SHIPPED,
  start,
} from "./support/deployed.ts";
import { installPacked } from "./support/pack.ts";

const REQUIRE = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';

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
  async rolldown(dir, format, thread) {
    const bundle = await rolldown({ input: entries(thread), platform: "node", logLevel: "silent" });
    const names = `[name]${extension(format)}`;
    await bundle.write({ dir, format, entryFileNames: names, chunkFileNames: `parts/${names}` });
    await bundle.close();
  },
};

const TOOLS = Object.keys(BUNDLERS).flatMap((tool) =>
  (["es", "cjs"] as const).map((format) => [tool, format] as const),
);

describe("a bundled application", () => {
  it.each(TOOLS)("by %s (%s) ships with the thread's file beside it", async (tool, format) => {
    const folder = await deployed((out) => BUNDLERS[tool]?.(out, format, true) ?? Promise.reject(tool));
    expect(await start(folder)).toMatchObject(SHIPPED);
  });

  it.each(TOOLS)("by %s (%s) refuses to open a log without that file, and names the fix", async (tool, format) => {
    const folder = await deployed((out) => BUNDLERS[tool]?.(out, format, false) ?? Promise.reject(tool));
    expect(await start(folder)).toMatchObject(REFUSED);
  });

  it("loads the thread from an installed package, and refuses another version, naming both", async () => {
    const folder = await deployed((out) => BUNDLERS["esbuild"]?.(out, "cjs", false) ?? Promise.reject());
    const modules = join(folder, "node_modules");
    await installPacked("seclog", modules);
    expect(await start(folder)).toMatchObject(SHIPPED);
    const manifest = join(modules, "seclog", "package.json");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/"version": "[^"]+"/, '"version": "9.9.9"'));
    const message = expect.stringMatching(/the bundle has seclog [\d.]+, and .*seclog-worker\.js is of 9\.9\.9/);
    expect(await start(folder)).toMatchObject({ result: { code: "SECLOG_CONFIG", message }, stored: 0 });
  });

  it("ships from the files that @vercel/nft traced", async () => {
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
