import { randomBytes, randomUUID } from "node:crypto";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { KafkaEngine } from "#faults/engines/kafka.js";
import type { EventBatch, SecurityEventHandler } from "../ship/handler.ts";
import { exampleBatch } from "../testing/example-events.ts";
import { decodeEnvelope } from "./envelope.ts";
import { kafkaHandler } from "./kafka.ts";
import { kafkaPlace } from "./kafka-client.ts";
import { kafkaTopics, positionPartitioner } from "./kafka-topics.ts";
import { decodePosition, encodePosition, isPositionMessage } from "./position.ts";
import { parseQueueKey } from "./queue-options.ts";

const missing = KafkaEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of kafkaHandler(): ${missing}`);

const KEY = randomBytes(32).toString("base64");
const keys = [parseQueueKey("test", KEY)];
const topics = kafkaTopics("seclog");

describe.skipIf(missing !== undefined)("kafkaHandler()", { timeout: 60_000 }, () => {
  let engine: KafkaEngine;
  const open: SecurityEventHandler[] = [];

  beforeAll(async () => {
    engine = await KafkaEngine.start({ "group.initial.rebalance.delay.ms": "1000" });
  }, 60_000);
  beforeEach(async () => {
    await engine.purge();
  });
  afterEach(async () => {
    for (const handler of open.splice(0)) await handler.close();
  });
  afterAll(async () => {
    await engine?.end();
  });

  function handler(options: Parameters<typeof kafkaHandler>[0] = {}): SecurityEventHandler {
    const made = kafkaHandler({ url: engine.url, queueKey: KEY, ...options });
    open.push(made);
    return made;
  }

  const send = (to: SecurityEventHandler, batch: EventBatch, ms = 40_000): Promise<void> =>
    to.handle(batch, AbortSignal.timeout(ms));

  const until = (get: () => unknown): ReturnType<typeof expect.poll> => expect.poll(get, { timeout: 30_000 });

  /** What Kafka has of a source: envelopes and questions, in order. */
  async function messages(sourceId: string): Promise<Buffer[]> {
    const all = await engine.messages(topics.events);
    return all.filter(({ key }) => String(key) === sourceId).map(({ value }) => value as Buffer);
  }
  const envelopes = async (sourceId: string): Promise<Buffer[]> =>
    (await messages(sourceId)).filter((bytes) => !isPositionMessage(bytes));

  async function answer(sourceId: string, seq: number, nonce = 0, signedWith = keys): Promise<void> {
    const value = encodePosition({ kind: "stored", sourceId, seq, nonce }, signedWith);
    const producer = new Kafka({ brokers: [engine.broker], logLevel: logLevel.NOTHING }).producer({
      createPartitioner: positionPartitioner,
    });
    await producer.connect();
    await producer.send({ topic: topics.stored, messages: [{ key: sourceId, value }] });
    await producer.disconnect();
  }

  it("resolves when a worker has stored the batch, and not before", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 20 });
    let resolved = false;
    const done = send(handler(), batch).then(() => {
      resolved = true;
    });
    await until(() => envelopes(batch.source.id)).toHaveLength(1);
    const [bytes] = await envelopes(batch.source.id);
    expect(decodeEnvelope(bytes as Buffer, { keys })).toMatchObject({ firstSeq: 1, lastSeq: 20, queued: false });
    await answer(batch.source.id, 19);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(resolved).toBe(false);
    await answer(batch.source.id, 20);
    await done;
  });

  it("misses no position while its reader is still joining", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 2 });
    const sender = handler({ client: new Kafka({ brokers: [engine.broker], logLevel: logLevel.NOTHING }) });
    const done = send(sender, batch);
    await until(async () => (await engine.messages(topics.events)).length).toBeGreaterThan(0);
    await answer(batch.source.id, 2);
    await done;
    expect((await messages(batch.source.id)).filter(isPositionMessage).length).toBeLessThan(2);
  });

  it("resolves when Kafka has it, with confirm: queued, cut to what the topic takes", async () => {
    await engine.makeTopic(topics.events, { "max.message.bytes": "10000" });
    const batch = exampleBatch({ sourceId: randomUUID(), count: 2_000 });
    await send(handler({ confirm: "queued" }), batch);
    const parts = (await envelopes(batch.source.id)).map((bytes) => decodeEnvelope(bytes, { keys }));
    expect(parts.length).toBeGreaterThan(1);
    expect(parts[0]).toMatchObject({ firstSeq: 1, queued: true });
    expect(parts.at(-1)).toMatchObject({ lastSeq: 2_000 });
  });

  it("does not believe an answer without the queue key", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 2 });
    const sender = handler({ storedTimeout: 4_000 });
    const refused = expect(send(sender, batch)).rejects.toMatchObject({
      code: "SECLOG_QUEUE_UNANSWERED",
      stored: 0,
    });
    await until(() => envelopes(batch.source.id)).toHaveLength(1);
    for (const forged of [[], [parseQueueKey("test", randomBytes(32).toString("hex"))]]) {
      await answer(batch.source.id, 2, 0, forged);
    }
    await refused;
  });

  it("asks when nothing moves, makes topics that are gone, and sends again what an answer shows to be lost", async () => {
    const sourceId = randomUUID();
    const sender = handler();
    const done = send(sender, exampleBatch({ sourceId, count: 10 }));
    const lost = expect(done).rejects.toMatchObject({ kind: "retry", code: "SECLOG_QUEUE_LOST", stored: 4 });
    await until(() => envelopes(sourceId)).toHaveLength(1);
    await engine.purge();
    const questions = async (): Promise<Buffer[]> =>
      (await messages(sourceId).catch(() => [])).filter(isPositionMessage);
    await until(async () => (await questions()).length).toBeGreaterThan(0);
    // The reader finds the new topic by itself.
    const { nonce } = decodePosition((await questions()).at(-1) as Buffer, keys);
    await answer(sourceId, 4, nonce);
    await lost;
    const again = send(sender, exampleBatch({ sourceId, firstSeq: 5, count: 6 }));
    await until(() => envelopes(sourceId)).toHaveLength(1);
    await answer(sourceId, 10);
    await again;
  });

  it("never repeats the URL's password, and calls a refused one the operator's matter", async () => {
    const at = (password: string): string => `kafka://seclog:${password}@127.0.0.1:${engine.saslPort}?mechanism=plain`;
    const batch = exampleBatch({ sourceId: randomUUID() });
    const failure = await send(handler({ url: at("wrong-0815") }), batch).catch((error: unknown) => error);
    expect(failure).toMatchObject({ kind: "destination" });
    expect(String(failure)).not.toContain("0815");
    await send(handler({ url: at("sesame-4711"), confirm: "queued" }), batch);
  });

  it("refuses options that would not work", () => {
    expect(() => kafkaHandler({ url: "redis://127.0.0.1", queueKey: KEY })).toThrow(/url must be kafka:\/\//);
    expect(() => kafkaHandler({ url: "kafka://a:9092?mechanism=md5", queueKey: KEY })).toThrow(/md5/);
    expect(() => kafkaHandler({ url: "kafka://a:9092?acks=0", queueKey: KEY })).toThrow(/\?acks=/);
    expect(() => kafkaHandler({ client: {} as never, queueKey: KEY })).toThrow(/not a Kafka of kafkajs/);
  });
});

describe("kafkaPlace()", () => {
  it("reads several brokers, TLS and credentials", () => {
    expect(kafkaPlace("test", "kafka://a,b:9093/")).toEqual({ brokers: ["a:9092", "b:9093"], ssl: false });
    expect(kafkaPlace("test", "kafka://[::1]:9092,[::2]")).toMatchObject({ brokers: ["[::1]:9092", "[::2]:9092"] });
    expect(kafkaPlace("test", "kafka+ssl://me:p%40ss@a:9092")).toEqual({
      brokers: ["a:9092"],
      ssl: true,
      sasl: { mechanism: "plain", username: "me", password: "p@ss" },
    });
    // PLAIN would show the password to the network.
    expect(kafkaPlace("test", "kafka://me:pass@a").sasl?.mechanism).toBe("scram-sha-512");
  });
});
