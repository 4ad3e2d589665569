import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Starts the one PostgreSQL that the tests of a run share. */
const globalSetup = fileURLToPath(new URL("test/support/global-setup.ts", import.meta.url));

export default defineConfig({
  test: {
    include: [
      "packages/*/src/**/*.test.ts",
      "examples/*/src/**/*.test.ts",
      "test/**/*.test.ts",
      "scripts/**/*.test.ts",
    ],
    setupFiles: [fileURLToPath(new URL("test/support/properties.ts", import.meta.url))],
    globalSetup: existsSync(globalSetup) ? [globalSetup] : [],
    // The tests start servers and processes of their own: more workers than this only wait for each other.
    maxWorkers: 2,
    // Generous: on a machine that does other things, too, a slow test is no broken one.
    testTimeout: 90_000,
    hookTimeout: 120_000,
    // `expect.poll` waits for what another thread, process or server does; of itself it would give them one second.
    expect: { poll: { timeout: 30_000 } },
  },
});
