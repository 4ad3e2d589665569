import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { writeSqlModules } from "./scripts/sql-modules.js";
import { isLong } from "./test/support/long.ts";

// The tests that import sources must see the SQL as it is now, and not as it was at the last build.
writeSqlModules();

/** Starts the one PostgreSQL that the tests of a run share. */
const globalSetup = fileURLToPath(new URL("test/support/global-setup.ts", import.meta.url));

const folder = (name: string): string => fileURLToPath(new URL(`${name}/`, import.meta.url));

/** What `npm run test:long` runs: what takes minutes by nature, and what tries more cases in it (`test/support/long.ts`). */
const LONG = [
  "**/*.long.test.ts",
  "packages/seclog/src/spool/*model.test.ts",
  "packages/verify/src/windows.test.ts",
  "test/crash.test.ts",
  "test/documented-code.test.ts",
  "test/full-disk.test.ts",
  "test/names-and-passwords.test.ts",
  "test/pgbouncer.test.ts",
  "test/restore.test.ts",
];

export default defineConfig({
  // As `imports` in package.json has them, which Node applies to the files outside of the packages only.
  resolve: { alias: { "#test/": folder("test"), "#faults/": folder("faults") } },
  test: {
    include: isLong
      ? LONG
      : ["packages/*/src/**/*.test.ts", "examples/*/src/**/*.test.ts", "test/**/*.test.ts", "scripts/**/*.test.ts"],
    exclude: isLong ? [] : ["**/*.long.test.ts"],
    globalSetup: existsSync(globalSetup) ? [globalSetup] : [],
    // One more than the machines that this is measured on have cores: tests wait for processes and servers of their own.
    maxWorkers: 3,
    // Generous: on a machine that does other things, too, a slow test is no broken one.
    testTimeout: 90_000,
    hookTimeout: 120_000,
    // `expect.poll` waits for what another thread, process or server does; of itself it would give them one second.
    expect: { poll: { timeout: 30_000 } },
  },
});
