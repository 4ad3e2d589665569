/**
 * The cost of importing: in a process that has loaded nothing, and in one that has loaded Express, as an application
 * has. An empty module is measured as well, since Node's loader takes milliseconds of its own.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { median, table } from "./report.js";

const here = fileURLToPath(new URL(".", import.meta.url));
const MODULES = { "an empty module": "data:text/javascript,", seclog: "seclog", pino: "pino", winston: "winston" };

/** @param {{ rounds?: number }} options */
export function benchLoad({ rounds = 15 } = {}) {
  const taken = Object.fromEntries(Object.keys(MODULES).map((name) => [name, { alone: [], beside: [] }]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, specifier] of Object.entries(MODULES)) {
      taken[name].alone.push(importing(specifier));
      taken[name].beside.push(importing(specifier, "express"));
    }
  }
  const rows = Object.entries(taken).map(([name, { alone, beside }]) => [
    name,
    median(alone).toFixed(1),
    median(beside).toFixed(1),
  ]);
  console.log(`\nImporting, milliseconds, median of ${rounds} processes each\n`);
  table(["", "into an empty process", "after Express"], rows);
  return rows;
}

/** Milliseconds that a fresh process needs to import `specifier` after `before`. */
function importing(specifier, before = "node:path") {
  const code = `await import(${JSON.stringify(before)});
    const start = performance.now();
    await import(${JSON.stringify(specifier)});
    console.log(performance.now() - start);`;
  return Number(execFileSync(process.execPath, ["--input-type=module", "-e", code], { cwd: here, encoding: "utf8" }));
}
