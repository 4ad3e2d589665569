/**
 * The packed library in an application that a tool has bundled or traced, as it is deployed: the tool's output is
 * copied out of the repository and runs there, and its events reach a real PostgreSQL, or its log does not open and
 * reports why.
 */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect } from "vitest";
import { filesBelow, root } from "../../scripts/files.js";
import { installPacked } from "./pack.ts";
import { createTestDatabase, type TestDatabase } from "./postgres.ts";

const run = promisify(execFile);

export type Format = "es" | "cjs";

/** An application's tool: writes its bundle into `out`; with `thread`, the shipper's file beside it. */
export type Bundler = (out: string, format: Format, thread: boolean) => Promise<unknown>;

export let database: TestDatabase;
/** Where the application is built, in the repository, which has its other packages. */
export let project: string;
/** Where it runs, with nothing above it. */
export let elsewhere: string;

beforeAll(async () => {
  mkdirSync(join(root, "var"), { recursive: true });
  project = mkdtempSync(join(root, "var", "bundles-"));
  elsewhere = mkdtempSync(join(tmpdir(), "seclog-bundles-"));
  cpSync(join(root, "test", "fixtures", "bundles"), project, { recursive: true });
  writeFileSync(join(project, "package.json"), '{"private":true}');
  await installPacked("seclog", join(project, "node_modules"));
  database = await createTestDatabase();
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
  for (const folder of [project, elsewhere]) rmSync(folder, { recursive: true, force: true });
});

export const entries = (thread: boolean): Record<string, string> => ({
  app: join(project, "app.mjs"),
  ...(thread ? { "seclog-worker": join(project, "node_modules/seclog/dist/seclog-worker.js") } : {}),
});
export const extension = (format: Format): string => (format === "es" ? ".mjs" : ".cjs");

let runs = 0;

export interface Outcome {
  readonly result: { readonly [name: string]: unknown };
  /** How many of the application's events are in the database. */
  readonly stored: number;
}

/** Runs the bundle in `folder`. */
export async function start(folder: string, deadline = 20_000): Promise<Outcome> {
  runs += 1;
  const logger = `app-${runs}`;
  const app = filesBelow(folder).find((path) => /\bapp\.(js|mjs|cjs)$/.test(path)) ?? "";
  const env = {
    PATH: process.env["PATH"],
    LOGGER: logger,
    SPOOL: join(elsewhere, `spool-${runs}`),
    DATABASE: database.writerUrl,
    DEADLINE: String(deadline),
  };
  const { stdout } = await run(process.execPath, [app], { cwd: dirname(app), env, timeout: 60_000 });
  const result = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Outcome["result"];
  return { result, stored: await storedBy(logger) };
}

export async function storedBy(logger: string): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    "SELECT count(*)::int AS count FROM security_event_log WHERE logger = $1 AND event_type = 'authn_login_success'",
    [logger],
  );
  return row?.count ?? 0;
}

/** Builds, and moves the output out of the repository. */
export async function deployed(build: (out: string) => Promise<unknown>): Promise<string> {
  const out = mkdtempSync(join(project, "out-"));
  await build(out);
  const folder = mkdtempSync(join(elsewhere, "app-"));
  cpSync(out, folder, { recursive: true });
  return folder;
}

export const SHIPPED = { result: { flushed: true, status: "ok" }, stored: 3 } as const;

/** The outcome of a bundle that does not find the thread's file. */
export const REFUSED = {
  result: {
    code: "SECLOG_CONFIG",
    message: expect.stringMatching(/seclog-worker\.js is not beside the bundle .*mark seclog as external/),
  },
  stored: 0,
};
