import { randomBytes, randomUUID } from "node:crypto";
import { relayStore } from "seclog/postgres";
import { parseQueueKey } from "seclog/queues";
import { exampleBatch } from "seclog/testing";
import { afterAll, beforeAll, describe, it } from "vitest";
import { queueHandler } from "#faults/applications/queue-handler.js";
import { ENGINES } from "#faults/engines/all.js";
import { Partition } from "#faults/engines/partition.js";
import { createTestDatabase, type TestDatabase } from "#test/support/postgres.ts";
import { LONG } from "#test/support/program.ts";
import { timeToStop } from "#test/support/stopping-worker.ts";
import { Worker } from "./work.ts";

/** Containers are killed ten seconds after they were asked to stop. */
const IN_TIME = 9_500;

// All at once: they wait for servers that start, and for replies that do not come.
describe.concurrent("a worker", () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  /** Two applications, each with a key of its own, until each hears that its events are stored. */
  async function answerBoth(engine: string, url: string): Promise<void> {
    const secrets = { shop: randomBytes(32).toString("hex"), billing: randomBytes(32).toString("hex") };
    const keys = Object.entries(secrets).map(([sender, text]) => ({ key: parseQueueKey("test", text), sender }));
    const store = relayStore({ url: database.relayUrl });
    const stop = new AbortController();
    const running = new Worker({ url, queue: "two", store, keys, onEvent: () => {} }).run(stop.signal);
    try {
      for (const queueKey of Object.values(secrets)) {
        const handler = await queueHandler({ engine, url, queue: "two", queueKey });
        await handler.handle(exampleBatch({ sourceId: randomUUID(), count: 20 }), AbortSignal.timeout(60_000));
        await handler.close();
      }
    } finally {
      stop.abort();
      await running;
      await store.close();
    }
  }

  for (const [name, Engine] of Object.entries(ENGINES)) {
    const missing = Engine.needs();
    if (missing !== undefined) console.warn(`SKIPPED: the tests of a worker on ${Engine.title}: ${missing}`);

    it.skipIf(missing !== undefined)(
      `answers each sender with its own key on ${Engine.title}, and ends in time when it is asked to, whatever is away`,
      LONG,
      async ({ expect }) => {
        const engine = await Engine.start();
        try {
          await answerBoth(name, engine.url);
          expect(await timeToStop(engine)).toBeLessThan(IN_TIME);
          const { port } = new URL(engine.url);
          const partition = "partition" in engine ? await engine.partition() : await Partition.start(Number(port));
          const url = engine.url.replace(`:${port}`, `:${partition.port}`);
          expect(await timeToStop(engine, { url, before: () => partition.swallow() })).toBeLessThan(IN_TIME);
          await partition.end();
        } finally {
          await engine.end();
        }
      },
    );
  }
});
