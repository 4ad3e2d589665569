import { randomUUID } from "node:crypto";
import { Queue, QueueEvents, Worker } from "bullmq";
import { encodePosition } from "seclog/queues";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BullmqEngine } from "#faults/engines/bullmq.js";
import type { Consumer, Delivery } from "../consumer.ts";
import { bullmqConsumer } from "./bullmq.ts";

const missing = BullmqEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of bullmqConsumer(): ${missing}`);

describe.skipIf(missing !== undefined)("bullmqConsumer()", () => {
  let engine: BullmqEngine;
  let queue: Queue;
  const workers: TestWorker[] = [];

  beforeAll(async () => {
    engine = await BullmqEngine.start();
  });
  beforeEach(async () => {
    await engine.wipe();
    queue = new Queue("seclog", { connection: { host: "127.0.0.1", port: engine.port } });
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.stop();
    await queue.close();
  });
  afterAll(async () => {
    await engine?.end();
  });

  /** A worker whose messages the test settles. */
  class TestWorker {
    readonly received: Delivery[] = [];
    readonly consumer: Consumer;
    readonly #stop = new AbortController();
    readonly #running: Promise<void>;

    constructor(consumer: Consumer) {
      this.consumer = consumer;
      this.#running = consumer.run(async (delivery) => {
        this.received.push(delivery);
      }, this.#stop.signal);
    }

    get texts(): string[] {
      return this.received.map(({ bytes }) => Buffer.from(bytes).toString());
    }

    /** Gives back what is not settled, as the intake does. */
    async stop(): Promise<void> {
      this.#stop.abort();
      await this.#running;
      for (const delivery of this.received.splice(0)) await delivery.release(1_000).catch(() => {});
      await this.consumer.close();
    }
  }

  async function startWorker(prefetch = 256): Promise<TestWorker> {
    const options = { url: engine.url, queue: "seclog", prefetch, onTrouble: () => {} };
    const worker = new TestWorker(await bullmqConsumer(options));
    workers.push(worker);
    return worker;
  }

  async function add(...texts: string[]): Promise<void> {
    for (const text of texts) {
      await queue.add("events", { message: Buffer.from(text).toString("base64") }, { attempts: 1_000 });
    }
  }

  it("passes on messages in order, no more than it may hold, and forgets what is done", async () => {
    await add("1", "2", "3");
    const worker = await startWorker(2);
    await expect.poll(() => worker.texts).toEqual(["1", "2"]);
    expect(worker.received[0]).toMatchObject({ attempts: 1 });
    expect(await worker.consumer.backlog()).toMatchObject({ waiting: 3, dead: 0 });
    for (const delivery of worker.received.splice(0)) await delivery.done();
    await expect.poll(() => worker.texts).toEqual(["3"]);
    await worker.received.pop()?.done();
    await expect.poll(async () => (await worker.consumer.backlog()).waiting).toBe(0);
  });

  it("gives a message back after the delay", async () => {
    await add("1");
    const worker = await startWorker();
    await expect.poll(() => worker.texts).toEqual(["1"]);
    const before = Date.now();
    await worker.received.pop()?.release(700);
    await expect.poll(() => worker.texts).toEqual(["1"]);
    expect(Date.now() - before).toBeGreaterThanOrEqual(690);
    expect(worker.received[0]).toMatchObject({ attempts: 2 });
  });

  it("delivers to others what a worker that stopped did not finish", async () => {
    await add("1", "2");
    const first = await startWorker();
    await expect.poll(() => first.texts).toHaveLength(2);
    await first.stop();
    const second = await startWorker();
    await expect.poll(() => second.texts.toSorted()).toEqual(["1", "2"]);
  });

  it("takes over the jobs of a dead worker within seconds", async () => {
    await add("1", "2");
    // It never renews its locks.
    const dead = new Worker("seclog", () => new Promise(() => {}), {
      connection: { host: "127.0.0.1", port: engine.port },
      concurrency: 2,
      lockDuration: 1_000,
      skipLockRenewal: true,
      skipStalledCheck: true,
    });
    await expect.poll(() => queue.getActiveCount()).toBe(2);
    await dead.close(true);
    const began = performance.now();
    const worker = await startWorker();
    await expect.poll(() => worker.texts.toSorted()).toEqual(["1", "2"]);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it("lists dead letters with their reasons in order, retries and drops them", async () => {
    await add("1", "2", "3");
    const worker = await startWorker();
    const { dead } = worker.consumer;
    await expect.poll(() => worker.received.length).toBe(3);
    for (const delivery of worker.received.splice(0)) {
      await delivery.bury({ code: "SECLOG_ENVELOPE", message: `it is bad\n${delivery.bytes.length}` });
    }
    await expect.poll(async () => (await dead.list(10)).length).toBe(3);
    const letters = await dead.list(2);
    expect(letters.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(["1", "2"]);
    expect(letters[0]).toMatchObject({ code: "SECLOG_ENVELOPE", message: "it is bad\n1" });
    expect(await worker.consumer.backlog()).toMatchObject({ waiting: 0, dead: 3 });

    const [first, second] = letters.map(({ id }) => id);
    expect(await dead.drop(first ?? "")).toBe(true);
    expect(await dead.drop(first ?? "")).toBe(false);
    expect(await dead.retry(second ?? "")).toBe(true);
    expect(await dead.retry("4711")).toBe(false);
    await expect.poll(() => worker.texts).toEqual(["2"]);
    expect(worker.received[0]).toMatchObject({ attempts: 1 });
    // Only failed jobs are dead letters.
    expect(await dead.drop(second ?? "")).toBe(false);
  });

  it("returns the answer with the job", async () => {
    const sourceId = randomUUID();
    const question = encodePosition({ kind: "asked", sourceId, seq: 0, nonce: 5 });
    const answer = encodePosition({ kind: "stored", sourceId, seq: 7, nonce: 5 });
    const events = new QueueEvents("seclog", { connection: { host: "127.0.0.1", port: engine.port } });
    const returned: unknown[] = [];
    events.on("completed", ({ returnvalue }) => returned.push(returnvalue));
    await events.waitUntilReady();
    const worker = await startWorker();
    await queue.add("events", { message: question.toString("base64") });
    await expect.poll(() => worker.received.length).toBe(1);
    await worker.consumer.answer(sourceId, answer);
    await worker.received.pop()?.done();
    await expect.poll(() => returned).toEqual([answer.toString("base64")]);
    await events.close();
  });

  it("goes on whatever a stranger puts there, and lists the dead letters among it", async () => {
    const worker = await startWorker();
    const fields = ["name", "x", "opts", "{}", "timestamp", "x", "delay", "0", "priority", "0", "failedReason", "y"];
    await engine.run("HSET", "bull:seclog:odd", ...fields, "data", "{");
    await engine.run("SET", "bull:seclog:text", "x");
    for (const id of ["odd", "text", "none"]) {
      await engine.run("LPUSH", "bull:seclog:wait", id);
      await engine.run("ZADD", "bull:seclog:failed", "1", id);
    }
    await queue.add("other", { message: ["x"] });
    await add("1");
    // What is not a message is empty.
    await expect.poll(() => worker.texts.filter((text) => text !== "")).toEqual(["1"]);
    await worker.received.find(({ bytes }) => bytes.length > 0)?.bury({ code: "SECLOG_ENVELOPE", message: "bad" });
    const codes = async (): Promise<string[]> => (await worker.consumer.dead.list(10)).map(({ code }) => code);
    await expect.poll(codes).toContain("SECLOG_ENVELOPE");
  });

  it("says so while Redis is away, or the queue is paused", async () => {
    const worker = await startWorker();
    await expect.poll(() => worker.consumer.problem).toBeUndefined();
    await queue.pause();
    await add("1");
    await expect.poll(() => worker.consumer.problem).toBe("BullMQ: the queue seclog is paused: resume it");
    expect(await worker.consumer.backlog()).toMatchObject({ waiting: 1 });
    await queue.resume();
    await expect.poll(() => worker.texts).toEqual(["1"]);
    await expect.poll(() => worker.consumer.problem).toBeUndefined();
    await engine.kill();
    await expect.poll(() => worker.consumer.problem).toMatch(/^the queue \(BullMQ\) says: /);
    await engine.up();
    await expect.poll(() => worker.consumer.problem).toBeUndefined();
  });
});
