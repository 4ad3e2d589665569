#!/usr/bin/env node
/**
 * Holds the floors of the packages that have rooms: a file imports from its own room and from lower floors only, so
 * that the rooms can be read from the ground up. And the walls of each package: who may import a dependency, who may
 * see a room. Everywhere: no import cycles (type imports count), no import of a package outside the dependencies, none
 * across packages by path. The verifier imports only Node's modules.
 *
 * `npm run check` runs it; `node scripts/floors.js` runs it alone. CONTRIBUTING.md lists the floors.
 */
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join, posix, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { filesBelow, packageFolders, root } from "./files.js";

/**
 * The packages that have rooms.
 *
 * - `floors`: the floor of each folder, of nested folders with a floor of their own, and of single files
 * - `entries`: public entries: they only list public names, and no file inside imports them
 * - `ceilings`: folders that see less than their floor allows: they serve applications that bring their own log
 * - `starts`: files that name a higher file, which they start as a thread
 * - `owners`: dependencies that one folder alone may import; of those in `makers`, others may import types
 * - `visitors`: folders that one folder alone may see
 * - `separate`: folders whose files do not see each other
 */
export const HOUSES = {
  "packages/seclog": {
    floors: {
      runtime: -1,
      event: 0,
      merkle: 0,
      formats: 1,
      record: 1,
      spool: 2,
      "start-worker.ts": 2.5,
      ship: 3,
      pipeline: 4,
      handlers: 4,
      queues: 4,
      postgres: 4,
      "postgres/schema": 4.5,
      capture: 4,
      "capture/express": 4.5,
      "capture/fastify": 4.5,
      "capture/node": 4.5,
      "capture/koa": 4.5,
      "capture/hono": 4.5,
      "capture/nestjs": 4.75,
      bridges: 4,
      "built-in-handlers.ts": 5,
      log: 5,
      "seclog-worker.ts": 6,
      testing: 6,
      "index.ts": 7,
      "handler.ts": 7,
      "spool.ts": 7,
      "queues.ts": 7,
    },
    entries: ["index.ts", "handler.ts", "spool.ts", "queues.ts"],
    ceilings: { capture: 1, bridges: 1 },
    starts: { "start-worker.ts": "seclog-worker.ts" },
    owners: {
      pg: "postgres",
      "pg-copy-streams": "postgres",
      "@nestjs/common": "capture",
      "@nestjs/core": "capture",
    },
  },
  "packages/server": {
    floors: {
      config: 0,
      files: 0,
      text: 0,
      keys: 0.5,
      terminal: 0.5,
      database: 1,
      search: 2,
      retention: 2,
      spool: 2,
      http: 3,
      integrity: 4,
      ingest: 4,
      doctor: 5,
      cli: 6,
    },
    owners: { commander: "cli" },
    makers: { pg: "database" },
    visitors: { terminal: "cli" },
    separate: ["cli/commands"],
  },
};

/** Packages that import nothing but Node's modules: a verifier must not share the mistakes of the write path. */
const ISLANDS = new Set(["packages/verify"]);

const STATEMENT = /^[ \t]*(?:import|export)\b(?:[^;"'`]*?\bfrom)?\s*["']([^"'\n]+)["']/gm;
const CALL = /\bimport\(\s*["']([^"'\n]+)["']/g;
const REFERENCE = /\bnew URL\(\s*["'](\.[^"'\n]+\.[jt]s)["'],\s*import\.meta\.url/g;

/**
 * The imports of a source: `{ specifier, line, loads, types }`; `loads` is false for a file named by `new URL`, `types`
 * is true for an import that leaves nothing in the program.
 */
export function importsOf(source) {
  const found = [];
  for (const [pattern, loads] of [
    [STATEMENT, true],
    [CALL, true],
    [REFERENCE, false],
  ]) {
    for (const match of source.matchAll(pattern)) {
      const start = source.lastIndexOf("\n", match.index) + 1;
      const inComment = /^\s*(\*|\/\/|\/\*)/.test(source.slice(start, match.index + 1));
      if (inComment) continue;
      const line = source.slice(0, match.index + match[0].length).split("\n").length;
      found.push({ specifier: match[1], line, loads, types: /^\s*(import|export)\s+type\b/.test(match[0]) });
    }
  }
  return found;
}

/**
 * The problems of a set of sources, each as `path:line: sentence`.
 *
 * @param sources a Map from path (with slashes, from the repository's root) to text
 * @param dependencies a Map from package folder (`packages/seclog`) to the names it may import
 */
export function floorProblems(sources, dependencies) {
  const problems = [];
  const edges = new Map();
  for (const [path, source] of sources) {
    const home = path.slice(0, path.indexOf("/src/"));
    const inside = path.slice(`${home}/src/`.length);
    const house = HOUSES[home];
    const loaded = [];
    edges.set(path, loaded);
    for (const { specifier, line, loads, types } of importsOf(source)) {
      const problem = (sentence) => problems.push(`${path}:${line}: ${sentence}`);
      if (!specifier.startsWith(".")) {
        const name = packageName(specifier);
        if (specifier.startsWith("node:")) continue;
        if (ISLANDS.has(home)) problem(`${home} may import node: and its own files only, not ${specifier}`);
        else if (builtinModules.includes(specifier)) problem(`write node:${specifier}`);
        else if (!dependencies.get(home)?.has(name)) problem(`${name} is not among the dependencies of ${home}`);
        else {
          const sentence = house === undefined ? undefined : foreign(house, inside, name, types);
          if (sentence !== undefined) problem(sentence);
        }
        continue;
      }
      const target = posix.join(posix.dirname(path), specifier).replace(/\.js$/, ".ts");
      if (target.endsWith(".sql") || target.endsWith(".json")) continue;
      if (!target.startsWith(`${home}/src/`)) problem(`${target} is in another package: import it by its package name`);
      else if (!sources.has(target)) problem(`${target} does not exist`);
      else {
        if (loads) loaded.push({ target, line });
        const other = target.slice(`${home}/src/`.length);
        const sentence =
          house === undefined ? undefined : (upward(house, inside, other) ?? sideways(house, inside, other));
        if (sentence !== undefined) problem(sentence);
      }
    }
    if (house?.entries?.includes(inside)) problems.push(...codeIn(path, source));
  }
  return [...problems, ...cycles(edges)];
}

/** Why a file of a house may not import a dependency; undefined when it may. */
function foreign({ owners = {}, makers = {} }, path, name, types) {
  const top = path.split("/")[0];
  if (owners[name] !== undefined && owners[name] !== top) return `only ${owners[name]}/ may import ${name}`;
  if (makers[name] === undefined || makers[name] === top || types) return undefined;
  return `only ${makers[name]}/ may import ${name}: others its types, by import type`;
}

/** Why a file of a house may not import another because of their floors; undefined when it may. */
function upward({ floors, entries = [], ceilings = {}, starts = {} }, from, to) {
  const [room, other] = [roomOf(floors, from), roomOf(floors, to)];
  if (floors[room] === undefined) return `${room} has no floor: give it one in scripts/floors.js`;
  if (floors[other] === undefined) return `${other} has no floor: give it one in scripts/floors.js`;
  if (entries.includes(other)) return `${other} is for users of the package: import the file that has the name`;
  if (room === other || starts[room] === other) return undefined;
  const top = topOf(room);
  const ceiling = ceilings[top];
  if (ceiling !== undefined && floors[other] > ceiling && topOf(other) !== top) {
    return `${room} sees floors 0 to ${ceiling} only, ${other} is floor ${floors[other]}`;
  }
  if (floors[other] < floors[room]) return undefined;
  return `${room} (floor ${floors[room]}) may not import ${other} (floor ${floors[other]}): only lower floors`;
}

/** Why a file of a house may not import another whatever their floors; undefined when it may. */
function sideways({ visitors = {}, separate = [] }, from, to) {
  const [top, other] = [topOf(from), topOf(to)];
  if (visitors[other] !== undefined && top !== other && top !== visitors[other]) {
    return `only ${visitors[other]}/ may import ${other}/`;
  }
  const folder = separate.find((name) => posix.dirname(from) === name && posix.dirname(to) === name);
  return folder === undefined
    ? undefined
    : `no file of ${folder}/ may import another one: move what they share out of it`;
}

/** A file's room: its folder, a nested folder if that has a floor, or its own name if it is in none. */
function roomOf(floors, path) {
  const [top, below, ...rest] = path.split("/");
  const inner = `${top}/${below}`;
  return rest.length > 0 && floors[inner] !== undefined ? inner : top;
}

/** The folder of a room, or the room itself. */
function topOf(room) {
  return room.split("/")[0];
}

/** An entry only lists public names. */
function codeIn(path, source) {
  const code = source
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ""))
    .replace(/^\s*\/\/.*$/gm, "")
    .replace(/export\s+(?:type\s+)?\{[^}]*\}\s*from\s*"[^"]+";/g, (text) => text.replace(/[^\n]/g, ""));
  const line = code.split("\n").findIndex((text) => text.trim() !== "");
  return line < 0 ? [] : [`${path}:${line + 1}: only \`export { … } from\` belongs here, no code`];
}

function packageName(specifier) {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

/** Each cycle once, in its shortest spelling from the file where the search met it. */
function cycles(edges) {
  const problems = [];
  const done = new Set();
  const trail = [];
  const visit = (path) => {
    trail.push(path);
    for (const { target, line } of edges.get(path) ?? []) {
      const start = trail.indexOf(target);
      if (start >= 0) {
        const names = [...trail.slice(start), target].map((name) => name.slice(name.indexOf("/src/") + 5));
        problems.push(`${path}:${line}: import cycle ${names.join(" -> ")}`);
      } else if (!done.has(target)) visit(target);
    }
    trail.pop();
    done.add(path);
  };
  for (const path of edges.keys()) if (!done.has(path)) visit(path);
  return problems;
}

/** The repository's sources, without tests: those may import anything. */
export function repositorySources() {
  const sources = new Map();
  const dependencies = new Map();
  for (const folder of packageFolders()) {
    const home = relative(root, folder).split(sep).join("/");
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const { name, dependencies: hard, optionalDependencies: optional, peerDependencies: peers } = manifest;
    dependencies.set(home, new Set([name, ...Object.keys({ ...hard, ...optional, ...peers })]));
    for (const path of filesBelow(join(folder, "src"))) {
      if (!/\.tsx?$/.test(path) || /\.test(-d)?\.tsx?$/.test(path)) continue;
      sources.set(relative(root, path).split(sep).join("/"), readFileSync(path, "utf8"));
    }
  }
  return { sources, dependencies };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { sources, dependencies } = repositorySources();
  const problems = floorProblems(sources, dependencies);
  for (const problem of problems) console.error(problem);
  console.log(
    problems.length === 0 ? `${sources.size} files, no upward import, no cycle` : `${problems.length} problems`,
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
}
