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
import { join, relative } from "node:path";
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
 * @param {Record<string, string>} [tree.versions] the version by each other place that states it
 * @returns {string[]}
 */
export function releaseProblems({ packages, changelog, tags, changes, versions = {} }) {
  const problems = [];
  const version = packages[0]?.version ?? "none";
  for (const { name, version: own, ...manifest } of packages) {
    if (own !== version) problems.push(`${name} has version ${own}, ${packages[0].name} has ${version}`);
    for (const kind of ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"]) {
      for (const other of packages) {
        const range = manifest[kind]?.[other.name];
        // Exactly, where one uses a private entry of the other.
        if (range === undefined || range === `^${other.version}` || range === other.version) continue;
        problems.push(`${name} has ${other.name} ${range} in ${kind}, which is not ^${other.version}`);
      }
    }
  }
  for (const [place, stated] of Object.entries(versions)) {
    if (stated !== version) problems.push(`${place} has version ${stated}, not ${version}`);
  }
  const sections = [...changelog.matchAll(/^## \[([^\]]+)\](?: - (\S+))?$/gm)];
  const [unreleased, newest] = sections;
  if (unreleased?.[1] !== "Unreleased") problems.push("CHANGELOG.md does not begin with [Unreleased]");
  else if (newest === undefined) problems.push(`CHANGELOG.md has no section [${version}]`);
  else {
    if (newest[1] !== version) problems.push(`the newest section of CHANGELOG.md is [${newest[1]}], not [${version}]`);
    if (!isDay(newest[2] ?? "")) problems.push(`section [${newest[1]}] of CHANGELOG.md has no date: write 2026-12-01`);
    const end = sections[2]?.index ?? changelog.length;
    if (changelog.slice(newest.index + newest[0].length, end).trim() === "") {
      problems.push(`section [${newest[1]}] of CHANGELOG.md is empty`);
    }
    const older = sections.slice(2).map(([, name]) => name);
    if (older.includes(newest[1])) problems.push(`CHANGELOG.md has two sections [${newest[1]}]`);
    for (const name of older) {
      if (name !== newest[1] && compareVersions(name, newest[1]) > 0) {
        problems.push(`section [${newest[1]}] of CHANGELOG.md is above [${name}], which is newer`);
      }
    }
    const left = changelog.slice(unreleased.index + unreleased[0].length, newest.index).trim();
    if (left !== "") problems.push("CHANGELOG.md still lists changes as unreleased");
  }
  const versionTags = tags.filter((tag) => /^v\d/.test(tag));
  if (versionTags.length !== 1 || versionTags[0] !== `v${version}`) {
    problems.push(`this commit has the tags ${versionTags.join(", ") || "(none)"}, not v${version} alone`);
  }
  if (changes !== "") problems.push(`the tree has changes that are not committed:\n${changes}`);
  return problems;
}

/** Whether a text is a day of the calendar. JavaScript would roll the 31st of a shorter month over to the next one. */
function isDay(text) {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN;
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

/** Orders two versions by their numbers; one with a prerelease comes before the one without. */
function compareVersions(one, other) {
  const parts = (version) => /^(\d+)\.(\d+)\.(\d+)(-)?/.exec(version)?.slice(1) ?? ["0", "0", "0"];
  const [a, b] = [parts(one), parts(other)];
  for (let index = 0; index < 3; index++) {
    if (Number(a[index]) !== Number(b[index])) return Number(a[index]) - Number(b[index]);
  }
  return Number(a[3] === undefined) - Number(b[3] === undefined);
}

/** The version where else it stands: in the library's own constant, and in the lockfile. */
function statedVersions(packages) {
  const source = readFileSync(join(root, "packages/seclog/src/event/version.ts"), "utf8");
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  return Object.fromEntries([
    ["packages/seclog/src/event/version.ts", /VERSION\b[^"]*"([^"]+)"/.exec(source)?.[1] ?? "none"],
    ...packages.map(({ folder, name }) => [
      `${name} in package-lock.json`,
      lock[relative(root, folder).replaceAll("\\", "/")]?.version ?? "none",
    ]),
  ]);
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
    versions: statedVersions(packages),
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
  // What is published cannot be taken back.
  if (publish) npm(root, "run", "--silent", "check");
  for (const { folder: cwd, name, version } of packages) {
    const tarball = join(folder, npm(cwd, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder).trim());
    if (publish) npm(root, "publish", tarball, "--access", "public");
    console.log(`${publish ? "published" : "packed"} ${name} ${version}`);
  }
  return 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const args = process.argv.slice(2);
  if (args.some((arg) => arg !== "--publish")) {
    console.error(`unknown argument ${args.find((arg) => arg !== "--publish")}: pass --publish or nothing`);
    process.exitCode = 2;
  } else process.exitCode = release(args.length > 0);
}
