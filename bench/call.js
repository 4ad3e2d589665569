/** What recording costs the application's thread, beside pino and winston with the same fields, in one run. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { median, table } from "./report.js";

const CONTESTANTS = ["seclog", "pino", "winston"];
const child = fileURLToPath(new URL("call-child.js", import.meta.url));

/** @param {{ rounds?: number, events?: number }} options */
export function benchCall({ rounds = 11, events = 60_000 } = {}) {
  const results = Object.fromEntries(CONTESTANTS.map((name) => [name, []]));
  // In turn, each in a process of its own, so that whatever the machine does affects all of them.
  for (let round = 0; round < rounds; round++) {
    for (const name of CONTESTANTS) {
      results[name].push(
        JSON.parse(execFileSync(process.execPath, [child, name, String(events)], { encoding: "utf8" })),
      );
    }
  }
  const figures = Object.fromEntries(
    CONTESTANTS.map((name) => {
      const runs = results[name];
      // Compared within each round: a machine that is slow for a while is slow for both.
      const ofPino = runs.map(({ all }, round) => all / results.pino[round].all);
      return [
        name,
        {
          call: median(runs.map(({ call }) => call)),
          all: median(runs.map(({ all }) => all)),
          ofPino: { median: median(ofPino), least: Math.min(...ofPino), most: Math.max(...ofPino) },
        },
      ];
    }),
  );
  console.log(`\nOne event on the application's thread: median of ${rounds} runs of ${events} events, in turn\n`);
  table(
    ["", "call µs", "all µs", "of pino", "least", "most"],
    CONTESTANTS.map((name) => {
      const { call, all, ofPino } = figures[name];
      const ratios = [ofPino.median, ofPino.least, ofPino.most];
      return [name, call.toFixed(2), all.toFixed(2), ...ratios.map((ratio) => `${ratio.toFixed(2)}×`)];
    }),
  );
  return { rounds, events, figures, ratioToPino: figures.seclog.ofPino.median };
}
