import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Kafka, logLevel } from "kafkajs";
import { encodePosition, kafkaTopics, type PositionMessage } from "seclog/queues";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { KafkaEngine } from "#faults/engines/kafka.js";
import type { Consumer, Delivery } from "../consumer.ts";
import { kafkaConsumer } from "./kafka.ts";

const missing = KafkaEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of kafkaConsumer(): ${missing}`);

const topics = kafkaTopics("seclog");

/** Any bytes that name a source. */
const message = (sourceId: string, seq: number): Buffer =>
  encodePosition({ kind: "asked", sourceId, seq, nonce: 1 } satisfies PositionMessage);

/** A worker that keeps what it gets. */
class TestWorker {
  readonly got: Delivery[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly consumer: Consumer;
  take: (delivery: Delivery) => Promise<void> = async () => {};

  constructor(consumer: Consumer) {
    this.consumer = consumer;
    this.#running = consumer.run(async (delivery) => {
      this.got.push(delivery);
      await this.take(delivery);
    }, this.#stop.signal);
    this.#running.catch(() => {});
  }

  texts(): string[] {
    return this.got.map(({ bytes }) => Buffer.from(bytes).toString());
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.consumer.close();
  }
}

describe.skipIf(missing !== undefined)("kafkaConsumer()", { timeout: 60_000 }, () => {
  let engine: KafkaEngine;
  const workers: TestWorker[] = [];

  beforeAll(async () => {
    engine = await KafkaEngine.start({
      "group.initial.rebalance.delay.ms": "0",
      "transaction.state.log.replication.factor": "1",
      "transaction.state.log.min.isr": "1",
    });
  }, 60_000);
  beforeEach(async () => {
    await engine.purge();
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.stop().catch(() => {});
  });
  afterAll(async () => {
    await engine?.end();
  });

  const open = (): Promise<Consumer> =>
    kafkaConsumer({ url: engine.url, queue: "seclog", prefetch: 256, onTrouble: () => {} });

  async function start(): Promise<TestWorker> {
    const worker = new TestWorker(await open());
    workers.push(worker);
    return worker;
  }

  const until = (get: () => unknown): ReturnType<typeof expect.poll> => expect.poll(get, { timeout: 30_000 });

  it("passes on the messages of a partition in order, and commits what is settled without a gap", async () => {
    const worker = await start();
    for (const text of ["a", "b", "c"]) await engine.inject(Buffer.from(text));
    await until(() => worker.texts()).toEqual(["a", "b", "c"]);
    expect(worker.got[0]).toMatchObject({ attempts: 1 });
    expect(Math.abs((worker.got[0]?.queuedAt ?? 0) - Date.now())).toBeLessThan(60_000);
    expect(await worker.consumer.backlog()).toMatchObject({ waiting: 3, dead: 0 });
    await worker.got[1]?.done();
    await worker.got[2]?.done();
    await worker.stop();
    const next = await start();
    await until(() => next.texts()).toEqual(["a", "b", "c"]);
    await Promise.all(next.got.map((delivery) => delivery.done()));
    await until(async () => (await next.consumer.backlog()).waiting).toBe(0);
    expect(await engine.waiting()).toBe(0);
  });

  it("delivers what was released after its delay, and does not hold up the rest", async () => {
    const worker = await start();
    await engine.inject(Buffer.from("early"));
    await until(() => worker.got.length).toBe(1);
    const began = performance.now();
    await worker.got[0]?.release(2_000);
    await engine.inject(Buffer.from("other"));
    await until(() => worker.texts()).toContain("other");
    expect(performance.now() - began).toBeLessThan(2_000);
    await until(() => worker.texts()).toEqual(["early", "other", "early"]);
    expect(performance.now() - began).toBeGreaterThan(1_900);
    expect(worker.got[2]).toMatchObject({ attempts: 2, queuedAt: worker.got[0]?.queuedAt });
    for (const delivery of worker.got.slice(1)) await delivery.done();
    await until(() => engine.waiting()).toBe(0);
  });

  it("buries with a reason, lists, retries and drops", async () => {
    const worker = await start();
    const bytes = message(randomUUID(), 7);
    for (const one of [Buffer.from("damaged"), Buffer.alloc(0), bytes]) await engine.inject(one);
    await until(() => worker.got.length).toBe(3);
    for (const delivery of worker.got) await delivery.bury({ code: "SECLOG_ENVELOPE", message: "a naïve reason" });
    await until(() => engine.waiting()).toBe(0);
    expect(await worker.consumer.backlog()).toMatchObject({ waiting: 0, dead: 3 });
    const other = await open();
    try {
      const letters = await other.dead.list(10);
      expect(letters.map((letter) => Buffer.from(letter.bytes).toString("hex"))).toEqual([
        Buffer.from("damaged").toString("hex"),
        "",
        bytes.toString("hex"),
      ]);
      expect(letters[0]).toMatchObject({ code: "SECLOG_ENVELOPE", message: "a naïve reason" });
      expect(Math.abs((letters[0]?.at ?? 0) - Date.now())).toBeLessThan(60_000);
      const [first, second, third] = letters.map(({ id }) => id) as [string, string, string];
      expect(new Set([first, second, third]).size).toBe(3);
      expect(await other.dead.drop(first)).toBe(true);
      expect(await other.dead.drop(first)).toBe(false);
      expect(await other.dead.retry("none")).toBe(false);
      expect(await other.dead.retry(third)).toBe(true);
      expect((await other.dead.list(10)).map(({ id }) => id)).toEqual([second]);
    } finally {
      await other.close();
    }
    await until(() => worker.got.length).toBe(4);
    expect(worker.got[3]?.bytes).toEqual(bytes);
  });

  it("shares the partitions, and takes over those of a worker that leaves", async () => {
    const [first, second] = [await start(), await start()];
    const sources = Array.from({ length: 40 }, () => randomUUID());
    await engine.send(sources.map((key) => ({ key, value: Buffer.from(key) })));
    const all = (): Set<string> => new Set([...first.texts(), ...second.texts()]);
    await until(() => all().size).toBe(40);
    const more = Array.from({ length: 40 }, () => randomUUID());
    for (const { got } of [first, second]) for (const delivery of got) await delivery.done();
    // Both are in the group by now.
    await until(async () => {
      await engine.send(more.map((key) => ({ key, value: Buffer.from(key) })));
      return first.got.length > 40 && second.got.length > 10;
    }).toBe(true);
    // What only the second one has, and does not settle, comes to the first one when it leaves.
    const own = second.texts().at(-1) as string;
    await second.stop();
    const before = first.got.length;
    await until(() => first.texts().slice(before)).toContain(own);
  });

  it("stays in the group while there is no room", async () => {
    const worker = await start();
    let free: () => void = () => {};
    const room = new Promise<void>((resolve) => {
      free = resolve;
    });
    worker.take = () => room;
    await engine.inject(Buffer.from("first"));
    await until(() => worker.texts()).toEqual(["first"]);
    await engine.inject(Buffer.from("second"));
    // Longer than a session: a worker without heartbeats would get the message again.
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    free();
    await until(() => worker.texts()).toEqual(["first", "second"]);
  });

  it("ends while there is no room", async () => {
    const worker = await start();
    worker.take = () => new Promise(() => {});
    await engine.inject(Buffer.from("first"));
    await until(() => worker.texts()).toEqual(["first"]);
    const began = performance.now();
    await worker.stop();
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it("refuses a topic of dead letters that would lose them", async () => {
    await engine.makeTopic(topics.dead, { "cleanup.policy": "delete" });
    await expect(open()).rejects.toMatchObject({
      code: "SECLOG_QUEUE",
      message: expect.stringContaining("cleanup.policy=delete"),
    });
  });

  it("rejects when the engine ends while it reads", async () => {
    const consumer = await open();
    let got = 0;
    const running = consumer.run(async () => {
      got += 1;
    }, new AbortController().signal);
    const rejected = expect(running).rejects.toThrow();
    await engine.inject(Buffer.from("first"));
    await until(() => got).toBe(1);
    await engine.kill();
    await rejected;
    await consumer.close();
    await engine.up();
  });

  it("goes on whatever a stranger sends", async () => {
    const worker = await start();
    worker.take = (delivery) => delivery.done();
    const garbage = { attempts: "x", queued: "-1", delay: "1e300" };
    const hostile = ["9".repeat(400), "999999999999999", "NaN"].map((delay) => ({ ...garbage, delay }));
    await engine.send(hostile.map((headers) => ({ partition: 3, key: null, value: null, headers })));
    await engine.send([{ partition: 3, key: null, value: null, headers: garbage }], topics.later);
    const own = new Kafka({ brokers: [engine.broker], logLevel: logLevel.NOTHING });
    const stranger = own.producer({ transactionalId: "stranger", idempotent: true });
    await stranger.connect();
    const open = await stranger.transaction();
    await open.send({ topic: topics.events, messages: [{ partition: 3, value: "open" }] });
    const script = fileURLToPath(new URL("../../../../../faults/engines/kafka-snappy.js", import.meta.url));
    await promisify(execFile)(process.execPath, [script, engine.broker, topics.events, "compressed"]);
    await engine.inject(Buffer.from("after"));
    await until(() => worker.texts()).toContain("after");
    expect(worker.texts()).toContain("compressed");
    await until(() => worker.texts().filter((text) => text === "").length).toBe(4);
    for (const { attempts, queuedAt } of worker.got) {
      expect(attempts).toBe(1);
      expect(queuedAt).toBeGreaterThan(0);
    }
    await open.abort();
    await stranger.disconnect();
  });

  it("buries what is as long as the topic takes, and cannot be given back", async () => {
    await engine.makeTopic(topics.events, { "max.message.bytes": "20000" });
    await engine.makeTopic(topics.later, { "max.message.bytes": "20000" });
    await engine.makeTopic(topics.dead, { "max.message.bytes": "20000", "cleanup.policy": "compact" });
    const worker = await start();
    worker.take = (delivery) =>
      delivery.bytes[0] === 1
        ? delivery.release(1_000)
        : delivery.bury({ code: "SECLOG_ENVELOPE", message: "x".repeat(5_000) });
    // 72 bytes are left of it by the record and its batch.
    for (const first of [0, 1]) await engine.send([{ key: "x", value: Buffer.alloc(20_000 - 80, first) }]);
    await until(async () => (await worker.consumer.backlog()).dead).toBe(2);
    await until(() => engine.waiting()).toBe(0);
    const letters = await worker.consumer.dead.list(10);
    expect(letters.map(({ bytes }) => bytes.length)).toEqual([4_096, 4_096]);
  });

  it("refuses topics that would lose messages, and names the setting", async () => {
    await engine.makeTopic(topics.later, { "cleanup.policy": "compact" });
    await expect(open()).rejects.toThrow(/seclog\.later has cleanup\.policy=compact, which keeps only the newest/);
    await engine.purge();
    await engine.makeTopic(topics.dead, { "cleanup.policy": "compact", "max.message.bytes": "1000" });
    await expect(open()).rejects.toThrow(/seclog\.dead has max\.message\.bytes=1000, less than the 1048588 of/);
  });
});
