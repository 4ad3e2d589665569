import { randomUUID } from "node:crypto";
import { type Channel, type ChannelModel, connect } from "amqplib";
import { RABBITMQ_SHARDS, rabbitmqNames, rabbitmqShard } from "seclog/queues";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RabbitmqEngine } from "#faults/engines/rabbitmq.js";
import type { Consumer, Delivery } from "../consumer.ts";
import { listDeadLetters, retryDeadLetters } from "../dead-letters.ts";
import { rabbitmqConsumer } from "./rabbitmq.ts";

const missing = RabbitmqEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of rabbitmqConsumer(): ${missing}`);

describe.skipIf(missing !== undefined)("rabbitmqConsumer()", () => {
  let engine: RabbitmqEngine;
  let connection: ChannelModel;
  let channel: Channel;
  let queue: string;
  const workers: TestWorker[] = [];

  beforeAll(async () => {
    engine = await RabbitmqEngine.start();
  });
  beforeEach(async () => {
    queue = `q${randomUUID()}`;
    connection = await connect(engine.url);
    channel = await connection.createChannel();
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.stop();
    await connection.close();
  });
  afterAll(async () => {
    await engine?.end();
  });

  /** A worker whose messages the test settles. */
  class TestWorker {
    readonly received: Delivery[] = [];
    readonly #stop = new AbortController();
    readonly #running: Promise<void>;
    readonly consumer: Consumer;
    failure: unknown;

    constructor(consumer: Consumer) {
      this.consumer = consumer;
      this.#running = consumer
        .run(async (delivery) => {
          this.received.push(delivery);
        }, this.#stop.signal)
        .catch((error: unknown) => {
          this.failure = error;
        });
    }

    get texts(): string[] {
      return this.received.map(({ bytes }) => Buffer.from(bytes).toString());
    }

    async stop(): Promise<void> {
      this.#stop.abort();
      await this.#running;
      await this.consumer.close();
    }
  }

  const open = (): Promise<Consumer> =>
    rabbitmqConsumer({ url: engine.url, queue, prefetch: 256, onTrouble: () => {} });

  async function startWorker(): Promise<TestWorker> {
    const worker = new TestWorker(await open());
    workers.push(worker);
    return worker;
  }

  function publish(shard: number, ...texts: string[]): void {
    for (const text of texts) {
      channel.publish(rabbitmqNames(queue).events, String(shard), Buffer.from(text), { persistent: true });
    }
  }

  /** How many shards each worker reads, once each is read. */
  async function shares(of: readonly TestWorker[]): Promise<number[]> {
    const mark = randomUUID();
    const counts = of.map(() => 0);
    for (let shard = 0; shard < RABBITMQ_SHARDS; shard++) publish(shard, mark);
    // Settled at once: a worker gives a shard to another one when all that it received is settled.
    await expect
      .poll(async () => {
        for (const [i, { received }] of of.entries()) {
          for (const { bytes, done } of received.splice(0)) {
            if (Buffer.from(bytes).toString() === mark) counts[i] = (counts[i] ?? 0) + 1;
            await done();
          }
        }
        return counts.reduce((sum, count) => sum + count);
      })
      .toBe(RABBITMQ_SHARDS);
    return counts;
  }

  it("passes on the messages of a shard in order, and forgets what is done", async () => {
    const worker = await startWorker();
    publish(3, "1", "2", "3");
    await expect.poll(() => worker.texts).toEqual(["1", "2", "3"]);
    expect(worker.received[0]).toMatchObject({ attempts: 1 });
    await expect.poll(() => worker.consumer.backlog()).toMatchObject({ waiting: 3, dead: 0 });
    for (const delivery of worker.received) await delivery.done();
    await expect.poll(async () => (await worker.consumer.backlog()).waiting).toBe(0);
  });

  it("gives a message back, to its shard, after the delay", async () => {
    const worker = await startWorker();
    publish(5, "1");
    await expect.poll(() => worker.texts).toEqual(["1"]);
    const [first] = worker.received.splice(0);
    const before = performance.now();
    await first?.release(900);
    await expect.poll(() => worker.consumer.backlog()).toMatchObject({ waiting: 1 });
    await expect.poll(() => worker.texts).toEqual(["1"]);
    expect(performance.now() - before).toBeGreaterThan(900);
    expect(worker.received[0]).toMatchObject({ attempts: 2, queuedAt: first?.queuedAt });
  });

  it("delivers again, in order, what a worker that stopped did not finish", async () => {
    const first = await startWorker();
    publish(2, "1", "2", "3");
    await expect.poll(() => first.texts).toHaveLength(3);
    await first.received[0]?.done();
    await first.stop();
    const second = await startWorker();
    await expect.poll(() => second.texts).toEqual(["2", "3"]);
    expect(second.received[0]).toMatchObject({ attempts: 2 });
  });

  // Once, on a machine with other work, a shard changed hands again between the shares and the messages.
  it("shares the shards among workers, and gives those of a lost one to the others", { retry: 2 }, async () => {
    const first = await startWorker();
    expect(await shares([first])).toEqual([RABBITMQ_SHARDS]);
    const second = await startWorker();
    await expect.poll(() => shares([first, second])).toEqual([RABBITMQ_SHARDS / 2, RABBITMQ_SHARDS / 2]);

    for (let shard = 0; shard < RABBITMQ_SHARDS; shard++) publish(shard, `held ${shard}`);
    await expect.poll(() => second.texts.length).toBe(RABBITMQ_SHARDS / 2);
    const held = second.texts;
    const began = performance.now();
    await second.consumer.close();
    await expect.poll(() => held.every((text) => first.texts.includes(text))).toBe(true);
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(second.failure).toBeDefined();
    for (const delivery of first.received.splice(0)) await delivery.done();
    expect(await shares([first])).toEqual([RABBITMQ_SHARDS]);
  });

  it("holds no more than its prefetch", async () => {
    const worker = await startWorker();
    publish(1, ...Array.from({ length: 100 }, (_, i) => String(i)));
    await expect.poll(() => worker.received.length).toBe(32);
    await expect.poll(() => worker.consumer.backlog()).toMatchObject({ waiting: 100 });
  });

  it("lists dead letters with their reasons in order, retries and drops them", async () => {
    const worker = await startWorker();
    const { dead } = worker.consumer;
    publish(4, "1", "2", "3", "4");
    await expect.poll(() => worker.received.length).toBe(4);
    for (const delivery of worker.received.splice(0)) {
      await delivery.bury({ code: "SECLOG_ENVELOPE", message: `bad ${delivery.bytes.length}` });
    }
    const listed = async (): Promise<string[]> =>
      (await dead.list(1_000)).map(({ bytes }) => Buffer.from(bytes).toString());
    expect(await listed()).toEqual(["1", "2", "3", "4"]);
    const [first, second, third] = await dead.list(3);
    expect(first).toMatchObject({ code: "SECLOG_ENVELOPE", message: "bad 1" });
    expect(Math.abs((first?.at ?? 0) - Date.now())).toBeLessThan(60_000);
    await expect.poll(() => worker.consumer.backlog()).toMatchObject({ dead: 4 });

    expect(await dead.drop(second?.id ?? "")).toBe(true);
    expect(await dead.drop(second?.id ?? "")).toBe(false);
    expect(await dead.retry(third?.id ?? "")).toBe(true);
    expect(await dead.retry(randomUUID())).toBe(false);
    await expect.poll(() => worker.texts).toEqual(["3"]);
    await expect.poll(listed).toEqual(["1", "4"]);
  });

  it("sends answers to the queue that is bound to the source", async () => {
    const worker = await startWorker();
    const [sourceId, other] = [randomUUID(), randomUUID()];
    const { queue: answers } = await channel.assertQueue("", { exclusive: true });
    await channel.bindQueue(answers, rabbitmqNames(queue).stored, sourceId);
    const heard: string[] = [];
    await channel.consume(answers, (message) => heard.push(String(message?.content)), { noAck: true });
    await worker.consumer.answer(other, Buffer.from("other"));
    await worker.consumer.answer(sourceId, Buffer.from("stored"));
    await expect.poll(() => heard).toEqual(["stored"]);
  });

  it("fails when its queue is deleted", async () => {
    const first = await startWorker();
    expect(await shares([first])).toEqual([RABBITMQ_SHARDS]);
    await channel.deleteQueue(rabbitmqNames(queue).shard(rabbitmqShard(randomUUID())));
    await expect.poll(() => String(first.failure)).toMatch(/was deleted/);
  });

  it("refuses queues that something else declared in another way", async () => {
    await channel.assertQueue(rabbitmqNames(queue).dead, { durable: true });
    await expect(open()).rejects.toMatchObject({
      code: "SECLOG_CONFIG",
      message: expect.stringMatching(/inequivalent arg 'x-queue-type' for queue '.*\.dead'.*choose another --queue/),
    });
  });

  it("goes on whatever a stranger sends", async () => {
    const names = rabbitmqNames(queue);
    const worker = await startWorker();
    const hostile = [
      { timestamp: 2 ** 63, headers: { attempts: 0.5, "x-delivery-count": -7 } },
      { timestamp: 1e15, headers: { attempts: -1e15, CC: ["nowhere"] } },
      { timestamp: 0, headers: { attempts: "9", "x-death": "x", id: { a: [1] } } },
    ];
    for (const properties of hostile) channel.publish(names.events, "2", Buffer.from("odd"), properties);
    // More than RabbitMQ returns at once, to places that do not exist.
    const later = names.later(1_000);
    for (let i = 0; i < 20; i++) channel.sendToQueue(later, Buffer.from("direct"));
    for (let i = 0; i < 20; i++) channel.publish(later, "99", Buffer.from("nowhere"));
    for (let i = 0; i < 20; i++) channel.publish(later, "", Buffer.from("nowhere"));
    await expect.poll(() => worker.texts.filter((text) => text === "direct")).toHaveLength(20);
    const odd = worker.received.filter(({ bytes }) => String(bytes) === "odd");
    expect(odd.map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
    expect(odd.map(({ queuedAt = 0 }) => Number.isNaN(new Date(queuedAt).getTime()))).toEqual([false, false, false]);
    for (const delivery of worker.received.splice(0)) await delivery.release(900);
    await expect.poll(() => worker.texts).toHaveLength(23);
    for (const delivery of worker.received.splice(0)) await delivery.bury({ code: "X", message: "y".repeat(200_000) });
    await expect.poll(async () => (await worker.consumer.backlog()).dead).toBe(23);
  });

  it("lists and retries dead letters that strangers wrote", async () => {
    const worker = await startWorker();
    const { dead } = worker.consumer;
    channel.sendToQueue(rabbitmqNames(queue).dead, Buffer.from("bare"));
    const headers = { id: "mine", at: "never", shard: "99", code: 7 };
    channel.sendToQueue(rabbitmqNames(queue).dead, Buffer.from("odd"), { headers });
    await expect.poll(async () => (await listDeadLetters(dead)).map(({ id }) => id)).toEqual(["", "mine"]);
    expect((await listDeadLetters(dead)).map(({ at }) => at.toISOString().slice(0, 4))).toEqual(["1970", "1970"]);
    await retryDeadLetters(dead, "all");
    await expect.poll(() => worker.texts.toSorted()).toEqual(["bare", "odd"]);
  });

  it("reads every shard, however many workers a stranger pretends to be", async () => {
    const { workers: present } = rabbitmqNames(queue);
    await (await startWorker()).stop();
    for (let i = 0; i < 30; i++) await channel.consume(present, () => {});
    const worker = await startWorker();
    expect(await shares([worker])).toEqual([RABBITMQ_SHARDS]);
  });

  it("says so when another program has a lease, and reads the other shards", async () => {
    const lease = rabbitmqNames(queue).lease(4);
    await channel.assertQueue(lease, { durable: true });
    const worker = await startWorker();
    await expect
      .poll(() => worker.consumer.problem)
      .toMatch(/no worker reads .*, since another program has the queue .*\.lease\.4: delete it/);
    publish(5, "other");
    await expect.poll(() => worker.texts).toEqual(["other"]);
    await channel.deleteQueue(lease);
    expect(await shares([worker])).toEqual([RABBITMQ_SHARDS]);
    expect(worker.consumer.problem).toBeUndefined();
  });
});
