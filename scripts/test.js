#!/usr/bin/env node
/**
 * Runs the tests (`npm test -- path` for some of them), then lists which failed and why, which were skipped and which
 * programs were missing, and ends with one line for programs: `N passed, N failed, N skipped`.
 * A run that fails on an error outside the tests counts that as one failure.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { root } from "./files.js";

/**
 * Programs that some tests drive. Without them those tests are skipped, and the run says so: a skipped test proves
 * nothing.
 */
const PROGRAMS = {
  "redis-server": ["redis-server"],
  "nats-server": ["nats-server"],
  "rabbitmq-server": ["rabbitmq-server"],
  kcat: ["kcat"],
  chromium: ["chromium", "chromium-browser", "google-chrome"],
  psql: ["psql"],
  pgbouncer: ["pgbouncer"],
  "postgresql (Debian's, with pg_dump)": ["pg_ctlcluster"],
};

const { status, lastWords, report } = await runVitest(process.argv.slice(2));

const withState = (...states) => report.tests.filter(({ state }) => states.includes(state));
const passed = withState("passed");
const skipped = withState("skipped", "pending");
const failed = [
  ...withState("failed"),
  ...report.errors.map((error) => ({ title: "outside the tests", errors: [error] })),
];
if (status !== 0 && failed.length === 0) {
  failed.push({ title: `outside the tests, vitest exited with ${status}`, errors: [lastWords] });
}

say(
  "Failed",
  failed.map(({ title, errors }) => `${title}${setIn(errors.join("\n"))}`),
);
say(
  "Skipped",
  skipped.map(({ title }) => title),
);
const missing = Object.keys(PROGRAMS).filter((name) => !PROGRAMS[name].some(isInstalled));
if (missing.length > 0) {
  console.log(`\nNot installed, so the tests that need them were skipped: ${missing.join(", ")}.`);
}
console.log(`\n${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`);
process.exitCode = failed.length === 0 ? 0 : 1;

/** vitest's exit code or signal, the end of its stderr, and its report (test-reporter.js). */
async function runVitest(args) {
  const folder = mkdtempSync(join(tmpdir(), "seclog-test-"));
  const file = join(folder, "report.json");
  const child = spawn(
    process.execPath,
    [
      join(root, "node_modules", "vitest", "vitest.mjs"),
      "run",
      "--reporter=default",
      `--reporter=${join(root, "scripts", "test-reporter.js")}`,
      ...args,
    ],
    { cwd: root, env: { ...process.env, SECLOG_TEST_REPORT: file }, stdio: ["inherit", "inherit", "pipe"] },
  );
  let lastWords = "";
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    process.stderr.write(chunk);
    lastWords = (lastWords + chunk).slice(-4096);
  });
  const [code, signal] = await once(child, "close");
  let report = { tests: [], errors: [] };
  try {
    report = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    report.errors.push(`the tests left no report (${error.message}): they did not finish\n${lastWords}`);
  }
  rmSync(folder, { recursive: true, force: true });
  return { status: code ?? signal, lastWords, report };
}

function say(heading, lines) {
  if (lines.length > 0) console.log(`\n${heading}:\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

/** The first lines of an error, indented below its test, without the stack through others' code. */
function setIn(message) {
  const lines = stripVTControlCharacters(message)
    .trim()
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^ +at .*(node_modules|node:internal)/.test(line));
  return lines
    .slice(0, 14)
    .map((line) => `\n      ${line}`)
    .join("");
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
