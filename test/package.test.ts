/** The library as npm would publish it: packed, installed in an empty project, and imported there in a new process. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

/** node:assert, which the contract suite uses, opens them. No other entry may. */
const OPEN_STANDARD_STREAMS = "void [process.stdin, process.stdout, process.stderr];";

let project: string;
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
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

/** Runs a script in the empty project and reads what it prints as JSON. */
async function inProject(name: string, script: string): Promise<unknown> {
  const path = join(project, name);
  writeFileSync(path, script);
  const { stdout } = await run(process.execPath, [path], { cwd: project });
  return JSON.parse(stdout);
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
    expect(packed).toBeLessThan(360 * 1024);
  });

  it("has no import statements of Node's own modules, which load slower (scripts/build.js)", () => {
    const importing = files.filter((path) => {
      if (!path.endsWith(".js")) return false;
      return /^import\b.*["']node:/m.test(readFileSync(join(project, "node_modules", "seclog", path), "utf8"));
    });
    expect(importing).toEqual([]);
  });

  it("has types that pass every check in a project with only Node's types", async () => {
    mkdirSync(join(project, "node_modules", "@types"), { recursive: true });
    symlinkSync(join(root, "node_modules", "@types", "node"), join(project, "node_modules", "@types", "node"));
    symlinkSync(join(root, "node_modules", "undici-types"), join(project, "node_modules", "undici-types"));
    const imports = entries.map((entry, index) => `import * as entry${index} from "${entry}";\nvoid entry${index};`);
    writeFileSync(
      join(project, "strict.mts"),
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
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["strict.mts"] }));
    const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
    const compiled = await run(process.execPath, [compiler, "-p", project]).catch((error: { stdout: string }) => error);
    expect(compiled.stdout).toBe("");
  });

  it("exports the same names to import and to require", async () => {
    const script = (load: string): string => `(async () => {
      const names = {};
      for (const entry of ${JSON.stringify(entries)}) names[entry] = Object.keys(await ${load}(entry)).sort();
      console.log(JSON.stringify(names));
    })();`;
    const imported = (await inProject("names.mjs", script("import"))) as { [entry: string]: string[] };
    // Node 20.19 and later can require ES modules.
    expect(await inProject("names.cjs", script("require"))).toEqual(imported);
    expect(entries.filter((entry) => imported[entry]?.length === 0)).toEqual([THREAD]);
  });

  it.each(entries)("opens no socket, file, thread or timer at import, and changes no global: %s", async (entry) => {
    const result = (await inProject(
      "quiet.mjs",
      `import { readdirSync, readlinkSync } from "node:fs";
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
      ${entry === "seclog/testing" ? OPEN_STANDARD_STREAMS : ""}
      const before = look();
      const start = performance.now();
      await import("${entry}");
      const milliseconds = performance.now() - start;
      await new Promise((resolve) => setImmediate(resolve));
      const after = look();
      const loaded = Object.keys(require.cache);
      console.log(JSON.stringify({ before, after, milliseconds, loaded }));`,
    )) as { before: unknown; after: unknown; milliseconds: number; loaded: string[] };
    expect(result.after).toEqual(result.before);
    // The PostgreSQL client loads slower than the whole library, so the first batch loads it.
    expect(result.loaded).toEqual([]);
    console.log(`${entry}: imported in ${result.milliseconds.toFixed(1)} ms`);
  });
});
