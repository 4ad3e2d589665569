import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RedisEngine } from "#faults/engines/redis.js";
import type { Consumer, Delivery } from "../consumer.ts";
import { listDeadLetters, retryDeadLetters } from "../dead-letters.ts";
import { redisConsumer } from "./redis.ts";

const missing = RedisEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of redisConsumer(): ${missing}`);

describe.skipIf(missing !== undefined)("redisConsumer()", () => {
  let engine: RedisEngine;
  const running: { stop(): Promise<void> }[] = [];

  beforeAll(async () => {
    engine = await RedisEngine.start();
  });
  beforeEach(() => engine.wipe());
  afterEach(async () => {
    for (const worker of running.splice(0)) await worker.stop();
  });
  afterAll(async () => {
    await engine?.end();
  });

  /** Starts a worker whose messages the test settles. */
  async function start(): Promise<{ readonly consumer: Consumer; texts(): string[] }> {
    const received: Delivery[] = [];
    const stop = new AbortController();
    const consumer = await redisConsumer({ url: engine.url, queue: "seclog", prefetch: 256, onTrouble: () => {} });
    const ended = consumer.run(async (delivery) => void received.push(delivery), stop.signal);
    running.push({
      stop: async () => {
        stop.abort();
        await ended;
        await consumer.close();
      },
    });
    return { consumer, texts: () => received.map(({ bytes }) => Buffer.from(bytes).toString()) };
  }

  it("lists and retries dead letters that strangers wrote", async () => {
    await engine.run("XADD", "{seclog}:dead", "*", "m", "odd", "s", "99", "at", "never");
    await engine.run("XADD", "{seclog}:dead", "*", "m", "odder", "s", "NaN");
    const worker = await start();
    const letters = await listDeadLetters(worker.consumer.dead);
    expect(letters.map(({ at }) => at.getTime())).toEqual([0, 0]);
    await retryDeadLetters(worker.consumer.dead, "all");
    await expect.poll(() => worker.texts().toSorted()).toEqual(["odd", "odder"]);
  });

  it("reads every stream, however many workers a stranger pretends to be", async () => {
    const leases = async (): Promise<number> =>
      (await engine.run("KEYS", "{seclog}:lease:*")).match(/lease/g)?.length ?? 0;
    const pretend =
      "local t = redis.call('TIME')[1] * 1000 for i = 1, 40 do redis.call('ZADD', KEYS[1], t, 'ghost' .. i) end";
    let present = true;
    const ghosts = (async () => {
      while (present) await engine.run("EVAL", pretend, "1", "{seclog}:workers");
    })();
    try {
      await expect.poll(() => engine.run("ZCARD", "{seclog}:workers")).toBe("40\n");
      await start();
      await expect.poll(leases).toBe(1);
      await expect.poll(leases).toBe(16);
    } finally {
      present = false;
      await ghosts;
    }
  });
});
