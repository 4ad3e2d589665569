/**
 * What capture costs an application: the processor time of its process for each request, beside the same application
 * without capture, in alternating rounds of one run. "served" is a request that leaves no event; "refused" is a 401 from
 * one address, so that most are folded, with the log in memory and a handler that discards.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import autocannon from "autocannon";
import { median, table } from "./report.js";

const FRAMEWORKS = ["express", "fastify", "koa", "hono"];
const child = fileURLToPath(new URL("capture-child.js", import.meta.url));

/** @param {{ rounds?: number, requests?: number }} options */
export async function benchCapture({ rounds = 7, requests = 10_000 } = {}) {
  const rows = [];
  for (const framework of FRAMEWORKS) {
    const bare = await start(framework, "bare");
    const captured = await start(framework, "captured");
    for (const path of ["/served", "/refused"]) {
      const taken = { bare: [], captured: [] };
      for (let round = 0; round < rounds; round++) {
        taken.bare.push(await bare.measure(path, requests));
        taken.captured.push(await captured.measure(path, requests));
      }
      // The rounds alternate, so a round's two figures were measured under the same load.
      const ratios = taken.captured.map((micros, round) => micros / taken.bare[round]);
      const [before, after] = [median(taken.bare), median(taken.captured)];
      rows.push([framework, path.slice(1), before.toFixed(1), after.toFixed(1), `${median(ratios).toFixed(2)} ×`]);
    }
    bare.stop();
    captured.stop();
  }
  console.log(
    `\nCapture, CPU microseconds of the process per request, median of ${rounds} rounds of ${requests} requests\n`,
  );
  table(["", "", "bare", "with capture", "ratio"], rows);
  return rows;
}

async function start(framework, mode) {
  const process = fork(child, [framework, mode]);
  const [{ port }] = await once(process, "message");
  const used = async () => {
    process.send("used");
    const [{ micros }] = await once(process, "message");
    return micros;
  };
  const measure = async (path, amount) => {
    const before = await used();
    await autocannon({ url: `http://127.0.0.1:${port}${path}`, amount, connections: 10 });
    return ((await used()) - before) / amount;
  };
  // To the speed at which it runs.
  for (const path of ["/served", "/refused"]) await measure(path, 5_000);
  return { measure, stop: () => process.disconnect() };
}
