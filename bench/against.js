/**
 * Two builds of Seclog side by side: this one and another tree that is already built, such as a worktree of an earlier
 * commit. Each round runs both in turn, each in a process of its own, so that a slow moment of the machine affects
 * both; the ratio is taken within each round.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { median, table } from "./report.js";

const child = fileURLToPath(new URL("against-child.js", import.meta.url));
const here = fileURLToPath(new URL("..", import.meta.url));

/** What is compared: the unit of a run's figure, and whether more of it is better. */
const MEASURES = {
  call: { unit: "µs of the application's thread for each event", rounds: 41, better: "less" },
  import: { unit: "ms to import seclog, seclog/express and seclog/postgres", rounds: 15, better: "less" },
  ingest: { unit: "rows/s from the spool into the table", rounds: 7, better: "more" },
  seal: { unit: "leaves/s from stored rows to signed checkpoints", rounds: 7, better: "more" },
  verify: { unit: "leaves/s that seclog verify checks, its start included", rounds: 7, better: "more" },
};

/** @param {{ tree: string, measures?: readonly string[], rounds?: number }} options */
export async function benchAgainst({ tree, measures = Object.keys(MEASURES), rounds }) {
  const trees = { before: resolve(tree), after: here };
  const folder = mkdtempSync(join(tmpdir(), "seclog-bench-"));
  const postgres = measures.some((name) => ["ingest", "seal", "verify"].includes(name))
    ? await startPostgres(join(folder, "postgres"))
    : undefined;
  const rows = [];
  try {
    for (const measure of measures) {
      const { unit, rounds: usual, better } = MEASURES[measure];
      const results = { before: [], after: [] };
      for (let round = 0; round < (rounds ?? usual); round++) {
        // They take turns in going first: the second one finds warm caches.
        const order = round % 2 === 0 ? ["before", "after"] : ["after", "before"];
        for (const which of order) {
          const answer = execFileSync(process.execPath, [child, measure, trees[which]], {
            encoding: "utf8",
            env: { ...process.env, SECLOG_BENCH_ADMIN_URL: postgres?.url ?? "" },
          });
          results[which].push(JSON.parse(answer));
        }
      }
      const ratios = results.after.map((after, round) =>
        better === "less" ? after / results.before[round] : results.before[round] / after,
      );
      rows.push([
        measure,
        median(results.before).toFixed(2),
        median(results.after).toFixed(2),
        `${median(ratios).toFixed(3)}×`,
        Math.min(...ratios).toFixed(2),
        Math.max(...ratios).toFixed(2),
        unit,
      ]);
    }
  } finally {
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  console.log("\nThis build beside the other, in turn; a cost above 1× is an added cost\n");
  table(["", "before", "after", "cost", "least", "most", "unit"], rows);
}

async function startPostgres(directory) {
  const { startEmbeddedPostgres } = await import("@seclog/demo/embedded-postgres");
  return startEmbeddedPostgres({ directory, settings: { shared_buffers: "256MB", max_wal_size: "4GB" } });
}
