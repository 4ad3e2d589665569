import { randomUUID } from "node:crypto";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { natsNames } from "seclog/queues";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { NatsEngine } from "#faults/engines/nats.js";
import { Partition } from "#faults/engines/partition.js";
import type { Consumer, Delivery } from "../consumer.ts";
import { natsConsumer } from "./nats.ts";

const missing = NatsEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of natsConsumer(): ${missing}`);

const names = natsNames("seclog");

/** A worker, and what it has received. */
interface Running {
  readonly consumer: Consumer;
  readonly received: Delivery[];
  texts(): string[];
  /** How its run ended. */
  readonly ended: Promise<unknown>;
  stop(): Promise<void>;
}

describe.skipIf(missing !== undefined)("natsConsumer()", () => {
  let engine: NatsEngine;
  let connection: NatsConnection;
  let manager: JetStreamManager;
  const running: Running[] = [];
  const partitions: Partition[] = [];

  beforeAll(async () => {
    engine = await NatsEngine.start();
    connection = await connect({ servers: engine.url });
    manager = await jetstreamManager(connection);
  });
  beforeEach(async () => {
    for await (const { config } of manager.streams.list()) await manager.streams.delete(config.name);
  });
  afterEach(async () => {
    for (const { stop } of running.splice(0)) await stop().catch(() => {});
    for (const partition of partitions.splice(0)) await partition.end();
  });
  afterAll(async () => {
    await connection?.close();
    await engine?.end();
  });

  /** Starts a worker that calls `act` with each message. */
  async function start(act: (delivery: Delivery) => Promise<void>, url = engine.url): Promise<Running> {
    const consumer = await natsConsumer({ url, queue: "seclog", prefetch: 64, onTrouble: () => {} });
    const received: Delivery[] = [];
    const stopped = new AbortController();
    const take = async (delivery: Delivery): Promise<void> => {
      received.push(delivery);
      await act(delivery);
    };
    const ended = consumer.run(take, stopped.signal).catch((error: unknown) => error);
    const worker: Running = {
      consumer,
      received,
      ended,
      texts: () => received.map(({ bytes }) => Buffer.from(bytes).toString()),
      stop: async () => {
        stopped.abort();
        await ended;
        await consumer.close();
      },
    };
    running.push(worker);
    return worker;
  }

  const finish = (delivery: Delivery): Promise<void> => delivery.done();
  const hold = async (): Promise<void> => {};

  async function publish(text: string, sourceId: string = randomUUID()): Promise<void> {
    await connection.request(names.events(sourceId), text, { timeout: 5_000 });
  }
  const waiting = async (): Promise<number> => (await manager.streams.info(names.stream)).state.messages;

  /** How many shards each live worker reads, the least first. */
  async function shares(): Promise<number[]> {
    const counts = new Map<string, number>();
    for await (const { name } of manager.consumers.list(names.stream)) {
      const worker = name.slice(0, name.lastIndexOf("-"));
      counts.set(worker, (counts.get(worker) ?? 0) + 1);
    }
    return [...counts.values()].sort((a, b) => a - b);
  }

  it("passes on the messages of a source in order, and removes them when they are done", async () => {
    const worker = await start(finish);
    const sourceId = randomUUID();
    for (let n = 1; n <= 50; n++) await publish(`${n}`, sourceId);
    await expect.poll(() => worker.received, { timeout: 5_000 }).toHaveLength(50);
    expect(worker.texts()).toEqual(Array.from({ length: 50 }, (_, n) => `${n + 1}`));
    await expect.poll(waiting).toBe(0);
    expect(worker.received[0]).toMatchObject({ attempts: 1, queuedAt: expect.any(Number) });
    expect(Math.abs((worker.received[0]?.queuedAt ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  it("does not deliver again what a worker holds for longer than JetStream waits", async () => {
    const worker = await start(() => new Promise((resolve) => setTimeout(resolve, 8_000)));
    const sourceId = randomUUID();
    for (const text of ["held", "behind it"]) await publish(text, sourceId);
    await expect.poll(() => worker.received, { timeout: 20_000 }).toHaveLength(2);
    expect(worker.received.map(({ attempts }) => attempts)).toEqual([1, 1]);
    for (const { done } of worker.received) await done();
    await expect.poll(waiting).toBe(0);
    expect(worker.received).toHaveLength(2);
  });

  it("delivers what was given back after its delay, counts the attempts, and passes on the others meanwhile", async () => {
    const sourceId = randomUUID();
    const times: number[] = [];
    const worker = await start(async (delivery) => {
      const first = Buffer.from(delivery.bytes).toString() === "later";
      if (first) times.push(performance.now());
      if (first && delivery.attempts === 1) await delivery.release(2_000);
      else await delivery.done();
    });
    await publish("later", sourceId);
    await publish("now", sourceId);
    await expect.poll(() => worker.texts(), { timeout: 8_000 }).toEqual(["later", "now", "later"]);
    expect(worker.received[2]?.attempts).toBe(2);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1_900);
    await expect.poll(waiting).toBe(0);
  });

  it("keeps dead letters with their reasons, and lists, retries and drops them", async () => {
    const reason = { code: "SECLOG_ENVELOPE", message: 'it "says"\r\nNats-Msg-Id: ü \ud800' };
    let bury = true;
    const worker = await start((delivery) => (bury ? delivery.bury(reason) : delivery.done()));
    for (const text of ["a", "b", "c"]) await publish(text);
    const { dead } = worker.consumer;
    await expect.poll(async () => (await worker.consumer.backlog()).dead, { timeout: 5_000 }).toBe(3);
    expect(await waiting()).toBe(0);
    const letters = await dead.list(100);
    expect(letters.map(({ bytes }) => Buffer.from(bytes).toString()).sort()).toEqual(["a", "b", "c"]);
    expect(letters[0]).toMatchObject({ code: reason.code, message: reason.message.replace("\ud800", "\ufffd") });
    expect(Math.abs((letters[0]?.at ?? 0) - Date.now())).toBeLessThan(60_000);
    expect(await dead.list(2)).toHaveLength(2);

    bury = false;
    const [first, second, third] = letters.map(({ id }) => id) as [string, string, string];
    expect(await dead.drop(second)).toBe(true);
    expect(await dead.drop(second)).toBe(false);
    expect(await dead.retry(first)).toBe(true);
    expect(await dead.retry(first)).toBe(false);
    expect(await dead.retry("../7")).toBe(false);
    await expect.poll(() => worker.received, { timeout: 5_000 }).toHaveLength(4);
    expect((await dead.list(100)).map(({ id }) => id)).toEqual([third]);
  });

  it("says how much is waiting, and since when", async () => {
    const worker = await start(hold);
    expect(await worker.consumer.backlog()).toEqual({ waiting: 0, oldestQueuedAt: undefined, dead: 0 });
    const before = Date.now();
    await publish("x");
    const { waiting: count, oldestQueuedAt = 0 } = await worker.consumer.backlog();
    expect(count).toBe(1);
    expect(Math.abs(oldestQueuedAt - before)).toBeLessThan(5_000);
  });

  it("shares the subjects among workers, and passes on the share of one that stops at once", async () => {
    const first = await start(finish);
    await expect.poll(shares, { timeout: 5_000 }).toEqual([16]);
    const second = await start(finish);
    await expect.poll(shares, { timeout: 15_000 }).toEqual([8, 8]);
    for (let n = 0; n < 200; n++) await publish(`${n}`);
    await expect.poll(waiting, { timeout: 5_000 }).toBe(0);
    expect(new Set([...first.texts(), ...second.texts()]).size).toBe(200);
    expect(Math.min(first.received.length, second.received.length)).toBeGreaterThan(20);
    await first.stop();
    // Sooner than after its consumers have been inactive for three seconds.
    await expect.poll(shares, { timeout: 2_500 }).toEqual([16]);
  });

  it.each(["cut", "swallow"] as const)("passes on what a worker held whose connection is gone (%s)", async (how) => {
    const partition = await Partition.start(engine.port);
    partitions.push(partition);
    const lost = await start(hold, `nats://127.0.0.1:${partition.port}`);
    await expect.poll(shares, { timeout: 10_000 }).toEqual([16]);
    for (let n = 0; n < 20; n++) await publish(`${n}`);
    await expect.poll(() => lost.received, { timeout: 5_000 }).toHaveLength(20);
    const heir = await start(finish);
    partition[how]();
    const from = performance.now();
    await expect.poll(() => new Set(heir.texts()).size, { timeout: 20_000 }).toBe(20);
    expect(performance.now() - from).toBeLessThan(12_000);
    await expect.poll(waiting).toBe(0);
  });

  it("holds no more than its prefetch while it cannot store", async () => {
    const stuck: (() => void)[] = [];
    const worker = await start(() => new Promise((resolve) => stuck.push(resolve)));
    for (let n = 0; n < 300; n++) await publish(`${n}`);
    await expect.poll(shares, { timeout: 10_000 }).toEqual([16]);
    await expect.poll(() => worker.received.length, { timeout: 5_000 }).toBe(16);
    let delivered = 0;
    for await (const { num_ack_pending } of manager.consumers.list(names.stream)) delivered += num_ack_pending;
    expect(delivered).toBeLessThanOrEqual(64);
    for (const resolve of stuck) resolve();
  });

  it("fails when its stream is deleted, and makes it again when it is opened again", async () => {
    const worker = await start(finish);
    await expect.poll(shares, { timeout: 10_000 }).toEqual([16]);
    await manager.streams.delete(names.stream);
    expect(String(await worker.ended)).toContain("stream not found");
    await worker.stop();
    const again = await start(finish);
    await publish("x");
    await expect.poll(() => again.texts(), { timeout: 5_000 }).toEqual(["x"]);
  });

  it("refuses a stream of another kind, with the next step", async () => {
    await manager.streams.add({ name: names.stream, subjects: ["seclog.events.>"], retention: "interest" });
    await expect(start(finish)).rejects.toMatchObject({
      code: "SECLOG_CONFIG",
      message: expect.stringContaining("remove it, or use another queue"),
    });
  });

  it("lists and retries dead letters that strangers wrote, and publishes only where events go", async () => {
    const worker = await start(finish);
    const heard: string[] = [];
    connection.subscribe("secret.place", { callback: (_, { data }) => void heard.push(String(data)) });
    const subjects = ["secret.place", `${names.events("x")}.y`, "$JS.API.STREAM.PURGE.seclog_events"];
    for (const subject of subjects) {
      const written = headers();
      written.set("Seclog-Subject", subject);
      written.set("Seclog-Reason", "%E0%A4%A");
      await connection.request(names.dead, "hello", { headers: written, timeout: 5_000 });
    }
    await connection.request(names.dead, "bare");
    const letters = await worker.consumer.dead.list(10);
    expect(letters.map(({ message }) => message)).toEqual(["%E0%A4%A", "%E0%A4%A", "%E0%A4%A", ""]);
    for (const { id } of letters) expect(await worker.consumer.dead.retry(id)).toBe(true);
    await expect.poll(() => worker.texts()).toEqual(["hello", "hello", "hello", "bare"]);
    expect(heard).toEqual([]);
  });

  it("buries what is as long as the server takes, also when the stream of dead letters was deleted", async () => {
    const worker = await start((delivery) => delivery.bury({ code: "SECLOG_ENVELOPE", message: "x".repeat(5_000) }));
    await manager.streams.delete(names.deadStream);
    await connection.request(names.events(randomUUID()), new Uint8Array(connection.info?.max_payload ?? 0));
    await expect.poll(async () => (await worker.consumer.backlog()).dead).toBe(1);
    expect(await waiting()).toBe(0);
    const [letter] = await worker.consumer.dead.list(1);
    expect(letter?.bytes).toHaveLength(4_096);
  });

  it("reads every subject, however many workers a stranger pretends to be", async () => {
    const ghosts = setInterval(() => {
      for (let i = 0; i < 30; i++) connection.publish(names.workers, `ghost-${i}`);
    }, 200);
    try {
      const worker = await start(finish);
      await expect.poll(shares).toEqual([1]);
      await expect.poll(shares, { timeout: 15_000 }).toEqual([16]);
      for (let n = 0; n < 50; n++) await publish(`${n}`);
      await expect.poll(() => worker.received.length).toBe(50);
    } finally {
      clearInterval(ghosts);
    }
  });

  it("says so when a consumer that is not a worker's has its subjects, and takes them when it is gone", async () => {
    await (await start(finish)).stop();
    await manager.consumers.add(names.stream, { durable_name: "curious", ack_policy: "explicit" });
    const worker = await start(finish);
    await expect.poll(() => worker.consumer.problem).toContain("the consumer curious of the stream seclog_events");
    await manager.consumers.delete(names.stream, "curious");
    await publish("x");
    await expect.poll(() => worker.texts()).toEqual(["x"]);
    expect(worker.consumer.problem).toBeUndefined();
  });
});
