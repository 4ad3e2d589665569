#!/usr/bin/env node
/**
 * Builds every package: the SQL as modules, TypeScript by project references, then what the compiler leaves to others:
 * the library's JavaScript, and the executable bit of the programs. With nothing to do it takes about a second. Output
 * without a source is removed, so that it can be neither imported nor packed.
 *
 * The library is bundled, one file for each entry and a few shared ones: Node needs about a millisecond per file of a
 * package, and an application waits for that at every start. The code stays readable, and pg stays outside; the
 * comments are in the sources and the declarations. Node's own modules come from `process.getBuiltinModule`: for an
 * import statement Node reads every name that they export, and some, such as `crypto.webcrypto`, load much when they
 * are read. One import stays, since webpack recognises a thread's file by it: `Worker` of "worker_threads".
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { rolldown } from "rolldown";
import { filesBelow, packageFolders, root } from "./files.js";
import { writeSqlModules } from "./sql-modules.js";

/** The pages of the library and the program, in each of their packages. */
const PAGES = [
  "api.md",
  "capture.md",
  "collect.md",
  "console.md",
  "deploy.md",
  "errors.md",
  "events.md",
  "formats.md",
  "handlers.md",
  "operations.md",
  "query.md",
  "queues.md",
  "scaling.md",
];

writeSqlModules();
const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
const { status } = spawnSync(process.execPath, [compiler, "-b"], { cwd: root, stdio: "inherit" });

await bundle(join(root, "packages", "seclog"));
for (const name of ["seclog", "server"]) copyDocuments(join(root, "packages", name));
for (const folder of packageFolders()) {
  removeOrphans(folder);
  allowExecution(folder);
}
copyShop();
await buildConsole();
process.exitCode = status ?? 1;

/**
 * One JavaScript file for each entry of the package's exports. Code that finds a file beside it by `import.meta.url`
 * must be in one entry only, or in the top folder with that file, as the worker's is.
 */
async function bundle(folder) {
  const { exports } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const input = {};
  for (const entry of Object.values(exports)) {
    const name = /^\.\/dist\/(.+)\.js$/.exec(entry.default ?? "")?.[1];
    if (name !== undefined) input[name] = `src/${name}.ts`;
  }
  const plugins = [{ name: "builtins", renderChunk: takeBuiltins }];
  const build = await rolldown({ cwd: folder, input, platform: "node", external: /^[^./]/, plugins });
  const { output } = await build.write({
    dir: join(folder, "dist"),
    format: "esm",
    chunkFileNames: "[name].js",
    // Bundlers read some, such as `webpackIgnore`.
    comments: { legal: false, jsdoc: false, annotation: true },
    codeSplitting: {
      groups: [{ name: "core", test: /src.(?:event|runtime|record|spool|ship|pipeline|log|start-)/, minShareCount: 2 }],
    },
  });
  await build.close();
  const written = new Map(output.map(({ fileName, code }) => [join(folder, "dist", fileName), code]));
  for (const [path, code] of written) writeFileSync(path, onlyAscii(code));
  for (const path of filesBelow(join(folder, "dist"))) if (!path.endsWith(".d.ts") && !written.has(path)) rmSync(path);
}

/** `import { join } from "node:path"` as `const { join } = process.getBuiltinModule("node:path")`. */
function takeBuiltins(code) {
  return code.replace(/^import (.+) from ("node:[^"]+");$/gm, (statement, names, module) => {
    if (/\bWorker\b/.test(names)) return statement.replace("node:", "");
    const parts = /^(?:\* as (?<all>[\w$]+)|(?<main>[\w$]+)?(?:, )?(?<some>\{.+\})?)$/.exec(names)?.groups;
    if (parts === undefined) throw new Error(`the build cannot rewrite: ${statement}`);
    return [parts.all ?? parts.main, parts.some?.replaceAll(" as ", ": ")]
      .filter((target) => target !== undefined)
      .map((target) => `const ${target} = process.getBuiltinModule(${module});`)
      .join("\n");
  });
}

/**
 * Escapes non-ASCII characters, which occur in strings only: a single one makes Node decode the whole file the slow way
 * and keep it at twice the size. Done last, since the bundler writes strings in its own way.
 */
function onlyAscii(code) {
  return code.replace(/[^\0-\x7f]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The pages that messages and types name, and those that these pages link to: users have them in the package's folder. */
function copyDocuments(folder) {
  mkdirSync(join(folder, "docs"), { recursive: true });
  for (const name of PAGES) {
    const text = readFileSync(join(root, "docs", name), "utf8");
    // Of a link to a page that only the repository has, the text stays.
    const linked = text.replace(/\[([^\]]*)\]\(([^)#:\s]+)(#[^)]*)?\)/g, (link, title, page) =>
      PAGES.includes(page) ? link : title,
    );
    writeFileSync(join(folder, "docs", name), linked);
  }
}

/** A declaration without a source at its place in `src` is left over from a file that was moved or deleted. */
function removeOrphans(folder) {
  for (const path of filesBelow(join(folder, "dist"))) {
    if (!path.endsWith(".d.ts")) continue;
    const stem = path.slice(0, -".d.ts".length);
    const source = join(folder, "src", relative(join(folder, "dist"), stem));
    if (existsSync(`${source}.ts`) || existsSync(`${source}.tsx`)) continue;
    rmSync(path);
    rmSync(`${stem}.js`, { force: true });
  }
}

/** The sample shop is shipped in the package that shows it. */
function copyShop() {
  const from = join(root, "examples", "shop");
  const target = join(root, "packages", "demo", "shop");
  const isWanted = (path) => !/\.(d\.ts|test\.js)$/.test(path);
  const wanted = ["dist", "public"].flatMap((name) => filesBelow(join(from, name))).filter(isWanted);
  const copies = new Set(wanted.map((path) => copyFile(path, join(target, relative(from, path)))));
  for (const path of filesBelow(target)) if (!copies.has(path)) rmSync(path);
}

/**
 * The browser application, into the files of the program that serves it: a second or two, so only after a change of what
 * goes into it.
 */
async function buildConsole() {
  const folder = join(root, "packages", "console");
  const sources = [join(folder, "src"), join(folder, "public"), join(root, "packages", "api", "src")].flatMap(
    filesBelow,
  );
  const others = ["index.html", "vite.config.ts", "package.json"].map((name) => join(folder, name));
  const lastChange = Math.max(...[...sources, ...others, join(root, "package-lock.json")].map(timeOf));
  if (timeOf(join(root, "packages", "server", "console", "index.html")) > lastChange) return;
  const { build } = await import("vite");
  await build({ root: folder, configFile: join(folder, "vite.config.ts"), logLevel: "warn" });
}

/** When a file was written, in milliseconds since 1970; 0 when it does not exist. */
function timeOf(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Copies only what differs, so that watchers of the build see no needless change; returns the path of the copy. */
function copyFile(path, target) {
  if (existsSync(target) && readFileSync(target).equals(readFileSync(path))) return target;
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(path, target);
  return target;
}

function allowExecution(folder) {
  const { bin = {} } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  for (const path of typeof bin === "string" ? [bin] : Object.values(bin)) {
    if (existsSync(join(folder, path))) chmodSync(join(folder, path), 0o755);
  }
}
