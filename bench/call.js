/** What recording costs the application's thread, beside pino and winston with the same fields, in one run. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { median, table } from "./report.js";

const CONTESTANTS = ["seclog", "pino", "winston"];
const child = fileURLToPath(new URL("call-child.js", import.meta.url));

/** @param {{ rounds?: number, events?: number }} options */
export function benchCall({ rounds = 7, events = 60_000 } = {}) {
  const results = new Map(CONTESTANTS.map((name) => [name, []]));
  // In turn, each in a process of its own: what the machine does meanwhile meets all of them.
  for (let round = 0; round < rounds; round++) {
    for (const name of CONTESTANTS) {
      results
        .get(name)
        .push(JSON.parse(execFileSync(process.execPath, [child, name, String(events)], { encoding: "utf8" })));
    }
  }
  const figures = Object.fromEntries(
    CONTESTANTS.map((name) => {
      const runs = results.get(name);
      return [name, { call: median(runs.map((run) => run.call)), all: median(runs.map((run) => run.all)) }];
    }),
  );
  console.log(`\nOne event on the application's thread: median of ${rounds} runs of ${events} events, in turn\n`);
  table(
    ["", "call µs", "all µs", "of pino"],
    CONTESTANTS.map((name) => [
      name,
      figures[name].call.toFixed(2),
      figures[name].all.toFixed(2),
      `${(figures[name].all / figures.pino.all).toFixed(2)}×`,
    ]),
  );
  return { rounds, events, figures, ratioToPino: figures.seclog.all / figures.pino.all };
}
