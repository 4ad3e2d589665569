import { describe, it } from "vitest";
import { ENGINES } from "#faults/engines/all.js";
import { Partition } from "#faults/engines/partition.js";
import { LONG } from "#test/support/program.ts";
import { timeToStop } from "#test/support/stopping-worker.ts";

/** Containers are killed ten seconds after they were asked to stop. */
const IN_TIME = 9_500;

// All at once: they wait for replies that do not come.
describe.concurrent("a worker that holds as much as it may, asked to stop", () => {
  for (const Engine of Object.values(ENGINES)) {
    const missing = Engine.needs();
    if (missing !== undefined) console.warn(`SKIPPED: the tests of a worker on ${Engine.title}: ${missing}`);

    it.skipIf(missing !== undefined)(`ends in time on ${Engine.title}, whatever is away`, LONG, async ({ expect }) => {
      const engine = await Engine.start();
      try {
        expect(await timeToStop(engine)).toBeLessThan(IN_TIME);
        const { port } = new URL(engine.url);
        const partition = "partition" in engine ? await engine.partition() : await Partition.start(Number(port));
        const url = engine.url.replace(`:${port}`, `:${partition.port}`);
        expect(await timeToStop(engine, { url, before: () => partition.swallow() })).toBeLessThan(IN_TIME);
        await partition.end();
      } finally {
        await engine.end();
      }
    });
  }
});
