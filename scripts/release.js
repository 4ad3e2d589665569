#!/usr/bin/env node
/**
 * Packs a release, and refuses while version, changelog and tag disagree. `node scripts/release.js` checks and packs
 * into `release/`; `-- --publish` also publishes the tarballs to npm, dependencies first.
 *
 * To make a release, set the version in every package.json, move "Unreleased" in CHANGELOG.md under
 * `## [1.2.3] - 2026-12-01`, commit, `git tag v1.2.3`, run this.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./files.js";

/**
 * Why this tree cannot be released; empty when it can.
 *
 * @param {object} tree
 * @param {readonly { name: string, version: string, dependencies?: Record<string, string> }[]} tree.packages those that
 *   are published
 * @param {string} tree.changelog CHANGELOG.md
 * @param {readonly string[]} tree.tags the tags of the commit
 * @param {string} tree.changes what is not committed, in the format of `git status --porcelain`
 * @returns {string[]}
 */
export function releaseProblems({ packages, changelog, tags, changes }) {
  const problems = [];
  const version = packages[0]?.version ?? "none";
  for (const { name, version: own, dependencies = {} } of packages) {
    if (own !== version) problems.push(`${name} has version ${own}, ${packages[0].name} has ${version}`);
    for (const other of packages) {
      const range = dependencies[other.name];
      if (range !== undefined && range !== `^${other.version}`) {
        problems.push(`${name} depends on ${other.name} ${range}, which is not ^${other.version}`);
      }
    }
  }
  const sections = [...changelog.matchAll(/^## \[([^\]]+)\](?: - (\S+))?$/gm)];
  const [unreleased, newest] = sections;
  if (unreleased?.[1] !== "Unreleased") problems.push("CHANGELOG.md does not begin with [Unreleased]");
  else if (newest === undefined) problems.push(`CHANGELOG.md has no section [${version}]`);
  else {
    if (newest[1] !== version) problems.push(`the newest section of CHANGELOG.md is [${newest[1]}], not [${version}]`);
    if (!/^\d{4}-\d{2}-\d{2}$/.test(newest[2] ?? ""))
      problems.push(`section [${newest[1]}] of CHANGELOG.md has no date`);
    const left = changelog.slice(unreleased.index + unreleased[0].length, newest.index).trim();
    if (left !== "") problems.push("CHANGELOG.md still lists changes as unreleased");
  }
  if (!tags.includes(`v${version}`)) {
    problems.push(`this commit has the tags ${tags.join(", ") || "(none)"}, not v${version}`);
  }
  if (changes !== "") problems.push(`the tree has changes that are not committed:\n${changes}`);
  return problems;
}

/** The packages that are published, each after its dependencies. */
export function publishedPackages() {
  const packages = readdirSync(join(root, "packages"))
    .map((folder) => ({
      folder: join(root, "packages", folder),
      ...JSON.parse(readFileSync(join(root, "packages", folder, "package.json"), "utf8")),
    }))
    .filter((entry) => entry.private !== true);
  const sorted = [];
  const visit = (entry) => {
    if (sorted.includes(entry)) return;
    for (const other of packages) if (entry.dependencies?.[other.name] !== undefined) visit(other);
    sorted.push(entry);
  };
  for (const entry of packages) visit(entry);
  return sorted;
}

function release(publish) {
  const git = (...args) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  const packages = publishedPackages();
  const problems = releaseProblems({
    packages,
    changelog: readFileSync(join(root, "CHANGELOG.md"), "utf8"),
    tags: git("tag", "--points-at", "HEAD").split("\n").filter(Boolean),
    changes: git("status", "--porcelain"),
  });
  if (problems.length > 0) {
    console.error(`Not released:\n${problems.map((problem) => `- ${problem}`).join("\n")}`);
    return 1;
  }
  const folder = join(root, "release");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const npm = (cwd, ...args) =>
    execFileSync("npm", args, { cwd, stdio: ["inherit", "pipe", "inherit"], encoding: "utf8" });
  npm(root, "ci");
  npm(root, "run", "--silent", "build");
  for (const { folder: cwd, name, version } of packages) {
    const tarball = join(folder, npm(cwd, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder).trim());
    if (publish) npm(root, "publish", tarball, "--access", "public");
    console.log(`${publish ? "published" : "packed"} ${name} ${version}`);
  }
  return 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  process.exitCode = release(process.argv.includes("--publish"));
}
