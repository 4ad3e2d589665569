#!/usr/bin/env node
/**
 * Runs the tests (`npm test -- path` for some of them), says again at the end which failed and why, which were skipped
 * and which programs were missing, and ends with one line that programs can read: `N passed, N failed, N skipped`.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { root } from "./files.js";

/** Programs that some tests drive. Without them those tests are skipped: aloud, since a skipped test proves nothing. */
const PROGRAMS = {
  "redis-server": ["redis-server"],
  "nats-server": ["nats-server"],
  kcat: ["kcat"],
  chromium: ["chromium", "chromium-browser", "google-chrome"],
  psql: ["psql"],
};

const folder = mkdtempSync(join(tmpdir(), "seclog-test-"));
const report = join(folder, "report.json");
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
const run = spawnSync(
  process.execPath,
  [vitest, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...process.argv.slice(2)],
  { cwd: root, stdio: "inherit" },
);

const counts = { passed: 0, failed: 0, skipped: 0 };
const skipped = [];
const failed = [];
try {
  for (const file of JSON.parse(readFileSync(report, "utf8")).testResults) {
    const path = relative(root, file.name);
    // A file that cannot be loaded has no tests to count: it counts as one that failed.
    if (file.assertionResults.length === 0 && file.status === "failed") {
      counts.failed++;
      failed.push(`${path}${reason(file.message)}`);
    }
    for (const test of file.assertionResults) {
      if (test.status === "passed") counts.passed++;
      else if (test.status === "failed") {
        counts.failed++;
        failed.push(`${path}: ${test.fullName}${reason(test.failureMessages.join("\n"))}`);
      } else {
        counts.skipped++;
        skipped.push(`${path}: ${test.fullName}`);
      }
    }
  }
} catch (error) {
  console.error(`the tests left no report (${error.message}): they did not come to their end`);
  counts.failed++;
}
rmSync(folder, { recursive: true, force: true });

if (failed.length > 0) console.log(`\nFailed:\n${failed.map((title) => `  ${title}`).join("\n")}`);
if (skipped.length > 0) {
  console.log(`\nSkipped:\n${skipped.map((title) => `  ${title}`).join("\n")}`);
}
const missing = Object.keys(PROGRAMS).filter((name) => !PROGRAMS[name].some(isInstalled));
if (missing.length > 0) {
  console.log(`\nNot installed, so the tests that need them were skipped: ${missing.join(", ")}.`);
}
if (run.status !== 0 && counts.failed === 0) {
  console.error("\nNo test failed, but the run did: see the errors outside the tests above.");
}
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = run.status === 0 && counts.failed === 0 ? 0 : (run.status ?? 0) || 1;

/** The first lines of a failure's message, set in below its test. */
function reason(message) {
  const lines = stripVTControlCharacters(message).trim().split("\n").slice(0, 12);
  return lines.map((line) => `\n      ${line}`).join("");
}

function isInstalled(program) {
  return (process.env.PATH ?? "").split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
