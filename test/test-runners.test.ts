/**
 * A log in an application's tests: Jest and Vitest run a small project whose log has a spool on disk and a real
 * PostgreSQL. They put it in a context where Node's errors are not instances of `Error`, and behind fake timers. A log
 * that relied on those timers would hang here.
 */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../scripts/files.js";
import { installPacked } from "./support/pack.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";

const run = promisify(execFile);

let database: TestDatabase;
let project: string;

beforeAll(async () => {
  // Inside the repository, whose node_modules has what the project's own lacks.
  mkdirSync(join(root, "var"), { recursive: true });
  project = mkdtempSync(join(root, "var", "test-runners-"));
  cpSync(join(root, "test", "fixtures", "test-runners"), project, { recursive: true });
  writeFileSync(join(project, "package.json"), '{"private":true}');
  await installPacked("seclog", join(project, "node_modules"));
  database = await createTestDatabase();
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
  rmSync(project, { recursive: true, force: true });
});

/** Runs Node in the project. Rejects with all of its output if it fails or does not end. */
async function node(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<void> {
  const { VITEST: _, ...inherited } = process.env;
  const env = { ...inherited, DATABASE: database.writerUrl, SPOOLS: join(project, "spools"), ...environment };
  await run(process.execPath, args, { cwd: project, env, timeout: 80_000 }).catch(
    (error: { stdout: string; stderr: string }) => {
      throw new Error(`${args.join(" ")} failed:\n${error.stdout}\n${error.stderr}`);
    },
  );
}

/** The times of the events that the application recorded in a log. */
async function eventTimes(logger: string): Promise<Date[]> {
  const rows = await database.query<{ occurred_at: Date }>(
    "SELECT occurred_at FROM security_event_log WHERE logger = $1 AND event_type = 'authn_login_success'",
    [logger],
  );
  return rows.map((row) => row.occurred_at);
}

const SET_DATE = /^2030-05-05T12:00:/;

describe("a log in an application's tests", () => {
  it("ships under Jest, as ES modules and by require", async () => {
    await node([
      "--experimental-vm-modules",
      join(root, "node_modules/jest/bin/jest.js"),
      "--config",
      "jest.config.json",
    ]);
    for (const logger of ["jest", "jest-late", "jest-required", "jest-memory"])
      expect(await eventTimes(logger), logger).toHaveLength(1);
    const [faked] = await eventTimes("jest-faked");
    expect(faked?.toISOString()).toMatch(SET_DATE);
  });

  it.each(["vmThreads", "threads"])("ships under Vitest with the pool %s", async (pool) => {
    await node([join(root, "node_modules/vitest/vitest.mjs"), "run", "--config", "vitest.config.mjs"], { POOL: pool });
    for (const logger of [pool, `${pool}-late`, `${pool}-memory`])
      expect(await eventTimes(logger), logger).toHaveLength(1);
    const [faked] = await eventTimes(`${pool}-faked`);
    expect(faked?.toISOString()).toMatch(SET_DATE);
  });

  it("ships under Sinon's fake timers in plain Node", async () => {
    await node(["fake-timers.mjs"]);
    const [faked] = await eventTimes("sinon");
    expect(faked?.toISOString()).toMatch(SET_DATE);
  });
});
