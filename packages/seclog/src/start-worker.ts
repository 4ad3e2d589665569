/**
 * Finds the file of the shipper's thread (`seclog-worker.ts`) and starts it.
 *
 * - It is beside this code, both unbundled and if the application's bundler builds it as a second entry.
 * - Otherwise an installed package has it: Next.js bundles the application and leaves the package's files in place.
 * - webpack and Turbopack follow `new Worker(new URL("…", import.meta.url))`: they build the thread as well, and put
 *   its address into the call. They recognise only this very expression, with its options written out. Last, since the
 *   address may be one for browsers (`/_next/…`).
 *
 * If it is not found, opening a log fails: its events would reach the spool and nothing else.
 */
import { existsSync } from "node:fs";
// The default import: many esbuild bundles begin with a banner that declares `createRequire`.
import nodeModule from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type MessagePort, Worker } from "node:worker_threads";
import { SeclogError } from "./event/errors.ts";
import { VERSION } from "./event/version.ts";

/**
 * Starts a thread on `data`, transfers the ports in it, and passes on all of this process's Node flags: those for
 * connections, loaders and types apply there too.
 */
type StartWorker = (data: unknown, transferList: MessagePort[]) => Worker;

const EXTENSIONS = [".js", ".mjs", ".cjs"];

let found: StartWorker | undefined;

/**
 * How to start the shipper's thread.
 *
 * @throws SeclogError `SECLOG_CONFIG` if its file is not found, or belongs to another version
 */
export function workerStarter(): StartWorker {
  found ??= findWorker(codePath());
  return found;
}

function findWorker(code: string | undefined): StartWorker {
  const from = [code, process.argv[1], join(process.cwd(), "package.json")].filter((path) => path !== undefined);
  const file = workerBeside(from) ?? installedWorker(from);
  if (file?.version === VERSION) return (workerData, transferList) => startFile(file.path, workerData, transferList);
  // A bundler that replaced this code's path has also followed the expression.
  if (code !== undefined && !existsSync(code)) return startBundled;
  const problem =
    file === undefined
      ? `the shipper's file seclog-worker.js is not beside the bundle (${from[0]}), and no package seclog is installed there`
      : `the bundle has seclog ${VERSION}, and ${file.path} is of ${file.version}`;
  throw new SeclogError(
    "SECLOG_CONFIG",
    `${problem}: mark seclog as external in the bundler and install it, or build the entry seclog/worker into the bundle's ` +
      "folder as seclog-worker.js; docs/deploy.md shows how",
  );
}

function startBundled(workerData: unknown, transferList: MessagePort[]): Worker {
  return new Worker(new URL("./seclog-worker.js", import.meta.url), { name: "seclog", workerData, transferList });
}

function startFile(path: string, workerData: unknown, transferList: MessagePort[]): Worker {
  const isString = [...process.execArgv, process.env["NODE_OPTIONS"] ?? ""].some((flag) =>
    flag.includes("--input-type"),
  );
  if (!isString) return new Worker(path, { name: "seclog", workerData, transferList });
  // `node --input-type=module --eval …`: with that flag Node runs no file.
  const code = `import(${JSON.stringify(pathToFileURL(path).href)})`;
  return new Worker(code, { eval: true, name: "seclog", workerData, transferList });
}

/** The file that contains this code, if it is known. */
function codePath(): string | undefined {
  const url: string | undefined = import.meta.url;
  if (url?.startsWith("file:")) return fileURLToPath(url);
  // What esbuild makes of import.meta in CommonJS has no URL.
  return url === undefined && typeof __filename === "string" ? __filename : undefined;
}

/** A file for the thread, and its package's version. */
interface WorkerFile {
  readonly path: string;
  readonly version: unknown;
}

/** Beside this code, or beside the main script: a bundle's parts may be in a folder below its entries. */
function workerBeside([code, main]: readonly string[]): WorkerFile | undefined {
  const path = [code, main]
    .flatMap((file) =>
      file === undefined ? [] : EXTENSIONS.map((extension) => join(dirname(file), `seclog-worker${extension}`)),
    )
    .find((file) => existsSync(file));
  // The thread itself checks its version when it starts.
  return path === undefined ? undefined : { path, version: VERSION };
}

/** In a package that Node finds from one of these files. */
function installedWorker(from: readonly string[]): WorkerFile | undefined {
  for (const file of from) {
    try {
      const require = nodeModule.createRequire(file);
      const { version } = require("seclog/package.json") as { readonly version: unknown };
      return { path: require.resolve("seclog/worker"), version };
    } catch {
      // Not installed there, or a version without this entry.
    }
  }
  return undefined;
}
