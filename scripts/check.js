#!/usr/bin/env node
/**
 * All checks but the tests, one verdict each: types (tests included), style, spelling, floors, unused code, exports,
 * API reports, lockfile, documents. A step that fails shows its output; the others still run. `npm run check -- floors
 * style` runs only those.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./files.js";

const STEPS = {
  types: () =>
    built() &&
    ["tsconfig.tests.json", "packages/console"].every((project) => tool("typescript/bin/tsc", "-p", project)),
  style: () => tool("@biomejs/biome/bin/biome", "check", "--error-on-warnings", "."),
  spelling: () => tool("cspell/bin.mjs", "--quiet", "--no-progress", "--gitignore", "."),
  floors: () => node("scripts/floors.js"),
  unused: () => tool("knip/bin/knip.js", "--no-progress"),
  exports: () => built() && ["seclog", "api", "verify", "server", "demo"].every(checkExports),
  api: () => built() && node("scripts/api.js"),
  lockfile: checkLockfile,
  documents: () =>
    built() &&
    node("scripts/events-page.js", "--check") &&
    node("scripts/capture-table.js", "--check") &&
    tool("vitest/vitest.mjs", "run", "--reporter=dot", "test/documents.test.ts", "test/readme.test.ts"),
};

let output = "";
let isBuilt = false;
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(STEPS, name));
if (unknown.length > 0) {
  console.error(`unknown step ${unknown.join(", ")}; the steps are ${Object.keys(STEPS).join(", ")}`);
  process.exit(2);
}

const failed = [];
const names = asked.length > 0 ? asked : Object.keys(STEPS);
for (const name of names) {
  output = "";
  const started = performance.now();
  const passed = STEPS[name]();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${passed ? "ok    " : "FAILED"}  ${name.padEnd(10)} ${seconds.padStart(6)} s`);
  if (passed) continue;
  failed.push(name);
  console.log(output.trimEnd().replace(/^/gm, "    "));
}
console.log(
  failed.length === 0
    ? `check passed: ${names.length} of ${names.length} steps`
    : `check failed: ${failed.join(", ")} (${names.length - failed.length} of ${names.length} steps passed)`,
);
process.exitCode = failed.length === 0 ? 0 : 1;

/** Runs a program and keeps its output; returns whether it succeeded. */
function run(command, args, cwd = root) {
  const result = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 1 << 26 });
  output += `${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}`;
  return result.status === 0;
}

/** Builds once, for the steps that look at what is built: a verdict on an earlier build would say nothing. */
function built() {
  isBuilt ||= node("scripts/build.js");
  return isBuilt;
}

function node(script, ...args) {
  return run(process.execPath, [join(root, script), ...args]);
}

/** A program out of node_modules, without npx between us and its exit code. */
function tool(path, ...args) {
  return run(process.execPath, [join(root, "node_modules", path), ...args]);
}

/** What npm would publish, as publint and attw see it: every entry resolves, with its types, from ESM. */
function checkExports(name) {
  const folder = mkdtempSync(join(tmpdir(), "seclog-pack-"));
  try {
    const workspace = join(root, "packages", name);
    if (!run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder], workspace)) return false;
    const { name: title, version, exports } = JSON.parse(readFileSync(join(workspace, "package.json"), "utf8"));
    const tarball = join(folder, `${title.replace("@", "").replace("/", "-")}-${version}.tgz`);
    const sound = tool("publint/src/cli.js", "run", "--strict", tarball);
    const typed = Object.values(exports ?? {}).some((entry) => entry.types !== undefined);
    if (!typed) return sound;
    return tool("@arethetypeswrong/cli/dist/index.js", "--profile", "esm-only", "--no-color", tarball) && sound;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The lockfile must not hold addresses: with one, `npm ci` would use the server of the machine that wrote it and not
 * the registry configured here (`omit-lockfile-registry-resolved` in .npmrc keeps npm from writing them). And every
 * optional dependency must have an entry: an install on a machine that cannot fetch one leaves it out, after which `npm
 * ci` fails everywhere.
 */
function checkLockfile() {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const problems = Object.entries(packages).flatMap(([path, entry]) => {
    const found = [];
    if (/^[a-z+]+:/.test(entry.resolved ?? "")) found.push(`${path}: resolved names an address`);
    if (path.includes("node_modules/") && !entry.link && !entry.optional && entry.integrity === undefined) {
      found.push(`${path}: no integrity`);
    }
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      const places = [`${path}/node_modules/${name}`, `node_modules/${name}`];
      if (!places.some((place) => packages[place] !== undefined)) found.push(`${path}: ${name} has no entry`);
    }
    return found;
  });
  output += problems.join("\n");
  return problems.length === 0;
}
