/** The examples, as their readers run them: with the packed library, in a folder of their own, without a database. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { transform } from "esbuild";
import { afterAll, beforeAll, describe, it } from "vitest";
import { root } from "../scripts/files.js";
import { linkDependencies, tellStory } from "./support/examples.ts";
import { installPacked } from "./support/pack.ts";

/** The shop has its own tests, and Next.js is built before it can run: examples-next.long.test.ts. */
const ELSEWHERE = new Set(["shop", "next"]);

const EXAMPLES = readdirSync(join(root, "examples"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !ELSEWHERE.has(entry.name))
  .map(({ name }) => name)
  // Django's is Python.
  .filter((name) => existsSync(join(root, "examples", name, "package.json")));

let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "seclog-examples-"));
  const modules = join(folder, "node_modules");
  await installPacked("seclog", modules);
  for (const name of EXAMPLES) {
    const source = join(root, "examples", name);
    mkdirSync(join(folder, name));
    cpSync(join(source, "package.json"), join(folder, name, "package.json"));
    linkDependencies(name, modules);
    // Node 20 cannot run TypeScript.
    const { code } = await transform(readFileSync(join(source, "server.ts"), "utf8"), {
      loader: "ts",
      format: "esm",
      target: "node20",
      tsconfigRaw: { compilerOptions: { experimentalDecorators: true } },
    });
    writeFileSync(join(folder, name, "server.js"), code);
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the example", () => {
  it.each(EXAMPLES)("%s prints what it refuses, with the actor and the client's address", async (name) => {
    await tellStory(join(folder, name), () => ["server.js"], "listening on");
  });
});
