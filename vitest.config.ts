import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { writeSqlModules } from "./scripts/sql-modules.js";
import { isLong } from "./test/support/long.ts";

// Tests that import sources must see the current SQL, not that of the last build.
writeSqlModules();

/** Starts the one PostgreSQL that the tests of a run share. */
const globalSetup = fileURLToPath(new URL("test/support/global-setup.ts", import.meta.url));

const folder = (name: string): string => fileURLToPath(new URL(`${name}/`, import.meta.url));

/** The tests of `npm run test:long`: slow ones, and those that then try more cases (`test/support/long.ts`). */
const LONG = [
  "**/*.long.test.ts",
  "packages/seclog/src/queues/envelope.test.ts",
  "packages/seclog/src/spool/*model.test.ts",
  "packages/server/src/search/query-sql.test.ts",
  "packages/verify/src/windows.test.ts",
  "test/crash.test.ts",
  "test/documented-code.test.ts",
  "test/full-disk.test.ts",
  "test/names-and-passwords.test.ts",
  "test/pgbouncer.test.ts",
  "test/restore.test.ts",
];

export default defineConfig({
  // The same as `imports` in package.json, which Node applies only to files outside the packages.
  resolve: { alias: { "#test/": folder("test"), "#faults/": folder("faults") } },
  test: {
    include: isLong
      ? LONG
      : ["packages/*/src/**/*.test.ts", "examples/*/src/**/*.test.ts", "test/**/*.test.ts", "scripts/**/*.test.ts"],
    exclude: isLong ? [] : ["**/*.long.test.ts"],
    // The built program, which tests run as it is (test/support/here.ts).
    server: { deps: { external: [/\/packages\/server\/dist\//] } },
    globalSetup: existsSync(globalSetup) ? [globalSetup] : [],
    // One more than the two cores that we measure on: tests also wait for processes and servers.
    maxWorkers: 3,
    // Generous: on a busy machine, a slow test is not a broken one.
    testTimeout: 90_000,
    hookTimeout: 120_000,
    // `expect.poll` waits for other threads, processes and servers; its default of one second is too short for them.
    expect: { poll: { timeout: 30_000 } },
  },
});
