/** The library as npm would publish it: packed, installed in an empty project, and imported there in a new process. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filesBelow, root } from "../scripts/files.js";
import { installPacked, manifestOf } from "./support/pack.ts";

const run = promisify(execFile);

const entries = Object.keys(manifestOf("seclog").exports)
  .filter((entry) => entry !== "./package.json")
  .map((entry) => `seclog${entry.slice(1)}`);

/** The file of the shipper's thread, which exports nothing. */
const THREAD = "seclog/worker";

/** Importing it opens a log: that is its use. It is alone in that, and test/register.test.ts has what it does. */
const PRELOAD = "seclog/register";

/** An entry that imports a framework, an optional peer that its application has. */
const FRAMEWORKS: { readonly [entry: string]: string } = { "seclog/nestjs": "@nestjs/core" };
const peers = Object.keys(manifestOf("seclog").peerDependencies ?? {});

/** node:assert, which the contract suite uses, opens them. No other entry may. */
const OPEN_STANDARD_STREAMS = "void [process.stdin, process.stdout, process.stderr];";

/** A project that has only the package, and one that has what its optional peers are. */
let project: string;
let withPeers: string;
let packed: number;
let unpacked: number;
let files: string[];

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), "seclog-package-"));
  const modules = join(project, "node_modules");
  packed = await installPacked("seclog", modules);
  files = filesBelow(join(modules, "seclog")).map((path) => path.slice(join(modules, "seclog").length + 1));
  unpacked = files.reduce((sum, path) => sum + statSync(join(modules, "seclog", path)).size, 0);
  writeFileSync(join(project, "package.json"), '{"private":true}');
  withPeers = mkdtempSync(join(tmpdir(), "seclog-peers-"));
  cpSync(project, withPeers, { recursive: true, verbatimSymlinks: true });
  for (const peer of peers) {
    mkdirSync(dirname(join(withPeers, "node_modules", peer)), { recursive: true });
    symlinkSync(join(root, "node_modules", peer), join(withPeers, "node_modules", peer));
  }
});

afterAll(() => {
  for (const folder of [project, withPeers]) rmSync(folder, { recursive: true, force: true });
});

/** Runs a script in a project, which hands its result, a text of JSON, to `give`. */
async function inProject(folder: string, name: string, script: string): Promise<unknown> {
  const path = join(folder, name);
  writeFileSync(path, script);
  const result = join(folder, `${name}.json`);
  // A preload may print events, and does without a database that this machine happens to have.
  const { SECLOG_DATABASE_URL: _, ...env } = process.env;
  await run(process.execPath, [path], { cwd: folder, env: { ...env, RESULT: result } });
  return JSON.parse(readFileSync(result, "utf8"));
}

/** What TypeScript, at its strictest, says of a program that imports these entries. */
async function typeErrors(folder: string, imported: readonly string[]): Promise<readonly string[]> {
  mkdirSync(join(folder, "node_modules", "@types"), { recursive: true });
  for (const types of ["@types/node", "undici-types"]) {
    symlinkSync(join(root, "node_modules", types), join(folder, "node_modules", types));
  }
  const imports = imported.map((entry, index) => `import * as entry${index} from "${entry}";\nvoid entry${index};`);
  writeFileSync(
    join(folder, "strict.mts"),
    `${imports.join("\n")}
    import { createSecurityLog } from "seclog";
    import { postgresHandler } from "seclog/postgres";
    const url = process.env["SECLOG_DATABASE_URL"];
    createSecurityLog({ spool: { directory: "x" }, handlers: [postgresHandler({ url })] });`,
  );
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    module: "nodenext",
    noEmit: true,
    types: ["node"],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["strict.mts"] }));
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  const compiled = await run(process.execPath, [compiler, "-p", folder]).catch((error: { stdout: string }) => error);
  return compiled.stdout.split("\n").filter((line) => line !== "");
}

describe("the packed library", () => {
  it("holds the build and nothing else, and is small", () => {
    expect(
      files.filter((path) => !/^(dist\/.+\.(js|d\.ts)|docs\/\w+\.md|package\.json|README\.md|LICENSE)$/.test(path)),
    ).toEqual([]);
    expect(files.filter((path) => path.includes(".test."))).toEqual([]);
    for (const path of ["README.md", "LICENSE", "dist/index.js", "dist/index.d.ts"]) expect(files).toContain(path);
    // Error messages name these pages, so they must be in the package.
    for (const page of ["api", "deploy", "errors", "events", "operations"]) expect(files).toContain(`docs/${page}.md`);
    console.log(`packed ${Math.round(packed / 1024)} KiB, unpacked ${Math.round(unpacked / 1024)} KiB`);
    expect(packed).toBeLessThan(470 * 1024);
  });

  it("has no import statements of Node's own modules, which load slower (scripts/build.js)", () => {
    const importing = files.filter((path) => {
      if (!path.endsWith(".js")) return false;
      return /^import\b.*["']node:/m.test(readFileSync(join(project, "node_modules", "seclog", path), "utf8"));
    });
    expect(importing).toEqual([]);
  });

  it("has types that pass every check in a project with only Node's types", async () => {
    const plain = entries.filter((entry) => FRAMEWORKS[entry] === undefined);
    expect(await typeErrors(project, plain)).toEqual([]);
  });

  it("has types that pass every check where the optional peers are installed", async () => {
    expect(await typeErrors(withPeers, entries)).toEqual([]);
  });

  it("exports the same names to import and to require", async () => {
    // `require` adds `__esModule` to a module that has a default export.
    const script = (load: string, fs: string): string => `(async () => {
      const names = {};
      const isExport = (name) => name !== "__esModule";
      for (const entry of ${JSON.stringify(entries)}) names[entry] = Object.keys(await ${load}(entry)).filter(isExport).sort();
      (${fs}).writeFileSync(process.env.RESULT, JSON.stringify(names));
    })();`;
    const imported = (await inProject(withPeers, "names.mjs", script("import", 'await import("node:fs")'))) as {
      [entry: string]: string[];
    };
    // Node 20.19 and later can require ES modules.
    expect(await inProject(withPeers, "names.cjs", script("require", 'require("node:fs")'))).toEqual(imported);
    expect(entries.filter((entry) => imported[entry]?.length === 0)).toEqual([THREAD]);
  });

  it("names the missing package where a framework's entry is imported without it", async () => {
    for (const entry of Object.keys(FRAMEWORKS)) {
      await expect(inProject(project, "without.mjs", `import "${entry}";`)).rejects.toThrow(/'@nestjs\/\w+'/);
    }
  });

  it.each(entries.filter((entry) => entry !== PRELOAD))(
    "opens no socket, file, thread or timer at import, and changes no global: %s",
    async (entry) => {
      const framework = FRAMEWORKS[entry];
      const result = (await inProject(
        framework === undefined ? project : withPeers,
        "quiet.mjs",
        `import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
      import { createRequire } from "node:module";
      const require = createRequire(import.meta.url);
      const descriptors = () => {
        try {
          return readdirSync("/proc/self/fd").flatMap((fd) => {
            try { return [readlinkSync("/proc/self/fd/" + fd)]; } catch { return []; }
          }).sort();
        } catch { return []; }
      };
      const listeners = () => process.eventNames().map((name) => String(name) + process.listenerCount(name)).sort();
      const look = () => ({
        // Without what Node is still closing after it loaded this file.
        resources: process.getActiveResourcesInfo().filter((name) => name !== "CloseReq").sort(),
        descriptors: descriptors(),
        listeners: listeners(),
        globals: Reflect.ownKeys(globalThis).map(String).sort(),
      });
      descriptors();
      // What the framework itself does and loads is not counted.
      ${framework === undefined ? "" : `await import("${framework}");`}
      const loadedBefore = new Set(Object.keys(require.cache));
      ${entry === "seclog/testing" ? OPEN_STANDARD_STREAMS : ""}
      const before = look();
      const start = performance.now();
      await import("${entry}");
      const milliseconds = performance.now() - start;
      await new Promise((resolve) => setImmediate(resolve));
      const after = look();
      const loaded = Object.keys(require.cache).filter((path) => !loadedBefore.has(path));
      writeFileSync(process.env.RESULT, JSON.stringify({ before, after, milliseconds, loaded }));`,
      )) as { before: unknown; after: unknown; milliseconds: number; loaded: string[] };
      expect(result.after).toEqual(result.before);
      // The PostgreSQL client loads slower than the whole library, so the first batch loads it.
      expect(result.loaded).toEqual([]);
      console.log(`${entry}: imported in ${result.milliseconds.toFixed(1)} ms`);
    },
  );
});
