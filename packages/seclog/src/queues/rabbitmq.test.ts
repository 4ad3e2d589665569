import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Channel, type ChannelModel, connect } from "amqplib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RabbitmqEngine } from "#faults/engines/rabbitmq.js";
import type { EventBatch, SecurityEventHandler } from "../ship/handler.ts";
import { exampleBatch } from "../testing/example-events.ts";
import { decodeEnvelope, sourceOf } from "./envelope.ts";
import { decodePosition, encodePosition, isPositionMessage } from "./position.ts";
import { parseQueueKey } from "./queue-options.ts";
import { rabbitmqHandler } from "./rabbitmq.ts";
import { RABBITMQ_SHARDS, rabbitmqNames, rabbitmqShard } from "./rabbitmq-names.ts";

const missing = RabbitmqEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of rabbitmqHandler(): ${missing}`);

const KEY = randomBytes(32).toString("base64");
const keys = [parseQueueKey("test", KEY)];
const names = rabbitmqNames("seclog");

describe.skipIf(missing !== undefined)("rabbitmqHandler()", { timeout: 60_000 }, () => {
  let engine: RabbitmqEngine;
  let connection: ChannelModel;
  let channel: Channel;
  let received: Buffer[] = [];
  const open: SecurityEventHandler[] = [];

  beforeAll(async () => {
    engine = await RabbitmqEngine.start();
    await rabbitmqHandler({ url: engine.url, queueKey: KEY, confirm: "queued" }).handle(
      exampleBatch({ sourceId: randomUUID() }),
      AbortSignal.timeout(20_000),
    );
    // RabbitMQ 3.10 writes its table of queues after a delay. Killed before, it starts with a queue that has no leader:
    // that queue takes nothing, for good, and a channel that publishes to it is blocked for 60 s.
    await sleep(4_000);
  }, 60_000);
  beforeEach(openChannel);
  afterEach(async () => {
    for (const handler of open.splice(0)) await handler.close();
    await connection.close().catch(() => {});
    received = [];
  });
  afterAll(async () => {
    await engine?.end();
  });

  async function openChannel(): Promise<void> {
    connection = await connect(engine.url);
    connection.on("error", () => {});
    channel = await connection.createChannel();
    channel.on("error", () => {});
  }

  function handler(options: Parameters<typeof rabbitmqHandler>[0] = {}): SecurityEventHandler {
    const made = rabbitmqHandler({ url: engine.url, queueKey: KEY, ...options });
    open.push(made);
    return made;
  }

  const send = (to: SecurityEventHandler, batch: EventBatch, ms = 20_000): Promise<void> =>
    to.handle(batch, AbortSignal.timeout(ms));

  /** Receives what a handler sends for a source, as a worker would. */
  async function work(sourceId: string): Promise<void> {
    await channel.consume(names.shard(rabbitmqShard(sourceId)), (message) => {
      if (message === null) return;
      received.push(message.content);
      channel.ack(message);
    });
  }

  const messages = (sourceId: string): Buffer[] => received.filter((bytes) => sourceOf(bytes) === sourceId);
  const envelopes = (sourceId: string): Buffer[] => messages(sourceId).filter((bytes) => !isPositionMessage(bytes));

  function answer(sourceId: string, seq: number, nonce = 0, by = keys): void {
    channel.publish(names.stored, sourceId, encodePosition({ kind: "stored", sourceId, seq, nonce }, by));
  }

  async function nonceOf(sourceId: string): Promise<number> {
    await expect.poll(() => messages(sourceId).filter(isPositionMessage), { timeout: 10_000 }).not.toHaveLength(0);
    return decodePosition(messages(sourceId).find(isPositionMessage) as Buffer, keys).nonce;
  }

  it("resolves when a worker has stored the batch, and not before", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 20 });
    const sourceId = batch.source.id;
    let resolved = false;
    const done = send(handler(), batch).then(() => {
      resolved = true;
    });
    await work(sourceId);
    await expect.poll(() => messages(sourceId)).toHaveLength(1);
    expect(decodeEnvelope(messages(sourceId)[0] as Buffer, { keys })).toMatchObject({ lastSeq: 20, queued: false });
    answer(sourceId, 19);
    answer(sourceId, 20, 0, []);
    answer(sourceId, 20, 0, [parseQueueKey("test", randomBytes(32).toString("hex"))]);
    await sleep(200);
    expect(resolved).toBe(false);
    answer(sourceId, 20);
    await done;
  });

  it("resolves when RabbitMQ has it, with confirm: queued, also after a restart of the server", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 3 });
    await send(handler({ confirm: "queued" }), batch);
    await engine.kill();
    await engine.up();
    await openChannel();
    await work(batch.source.id);
    await expect.poll(() => messages(batch.source.id)).toHaveLength(1);
    expect(decodeEnvelope(messages(batch.source.id)[0] as Buffer, { keys })).toMatchObject({ queued: true });
  });

  it("asks when nothing moves, and sends again what an answer shows to be lost", async () => {
    const sourceId = randomUUID();
    const sender = handler();
    const done = send(sender, exampleBatch({ sourceId, count: 10 }));
    const lost = expect(done).rejects.toMatchObject({ kind: "retry", code: "SECLOG_QUEUE_LOST", stored: 4 });
    await work(sourceId);
    answer(sourceId, 4, await nonceOf(sourceId));
    await lost;
    const again = send(sender, exampleBatch({ sourceId, firstSeq: 5, count: 6 }));
    await expect.poll(() => envelopes(sourceId)).toHaveLength(2);
    answer(sourceId, 10);
    await again;
  });

  it("sends nothing twice while workers are away", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 10 });
    const sender = handler({ storedTimeout: 1_000 });
    for (let attempt = 0; attempt < 3; attempt++) {
      await expect(send(sender, batch)).rejects.toMatchObject({ code: "SECLOG_QUEUE_UNANSWERED" });
    }
    await work(batch.source.id);
    await nonceOf(batch.source.id);
    expect(envelopes(batch.source.id)).toHaveLength(1);
  });

  it("fails when no queue takes a message, and declares the queues before the next one", async () => {
    const sourceId = randomUUID();
    const sender = handler({ confirm: "queued" });
    await send(sender, exampleBatch({ sourceId, count: 2 }));
    for (let shard = 0; shard < RABBITMQ_SHARDS; shard++) {
      await channel.unbindQueue(names.shard(shard), names.events, String(shard));
    }
    const next = exampleBatch({ sourceId, firstSeq: 3, count: 2 });
    await expect(send(sender, next)).rejects.toMatchObject({ kind: "retry", message: /no queue is bound/ });
    await send(sender, next);
    await work(sourceId);
    await expect.poll(() => envelopes(sourceId)).toHaveLength(2);
  });

  it("connects again after the server was away", async () => {
    const sourceId = randomUUID();
    const sender = handler({ confirm: "queued" });
    await send(sender, exampleBatch({ sourceId, count: 2 }));
    await engine.kill();
    const next = exampleBatch({ sourceId, firstSeq: 3, count: 2 });
    await expect(send(sender, next)).rejects.toMatchObject({ kind: "retry" });
    await engine.up();
    await expect.poll(() => send(sender, next).then(() => "sent", String)).toBe("sent");
  });

  it("fails while an alarm blocks publishers, and continues afterwards", async () => {
    const sourceId = randomUUID();
    const sender = handler({ confirm: "queued" });
    await send(sender, exampleBatch({ sourceId, count: 2 }));
    await engine.fill();
    try {
      await expect
        .poll(() => send(sender, exampleBatch({ sourceId, firstSeq: 3, count: 2 })).then(() => "sent", String), {
          timeout: 20_000,
        })
        .toMatch(/takes no messages, because a resource runs out: low on memory/);
    } finally {
      await engine.relieve();
    }
    const next = exampleBatch({ sourceId, firstSeq: 3, count: 2 });
    await expect.poll(() => send(sender, next).then(() => "sent", String)).toBe("sent");
  });

  it("takes the application's own connection, and leaves it open", async () => {
    const own = await connect(engine.url, { recovery: true });
    try {
      const batch = exampleBatch({ sourceId: randomUUID(), count: 5 });
      const sender = handler({ connection: own, url: undefined });
      expect(sender.worker).toBeUndefined();
      const done = send(sender, batch);
      await work(batch.source.id);
      await expect.poll(() => messages(batch.source.id)).toHaveLength(1);
      answer(batch.source.id, 5);
      await done;
      await sender.close();
      await (await own.createChannel()).close();
    } finally {
      await own.close();
    }
  });

  it("calls refused passwords, and queues of another kind, the operator's matter", async () => {
    const url = engine.url.replace("://", "://guest:wrong-0815@");
    const failure = await send(handler({ url }), exampleBatch({ sourceId: randomUUID() })).catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ kind: "destination", message: /ACCESS_REFUSED/ });
    expect(String(failure)).not.toContain("0815");

    await channel.assertQueue(rabbitmqNames("other").shard(0), { durable: true });
    await expect(send(handler({ queue: "other" }), exampleBatch({ sourceId: randomUUID() }))).rejects.toMatchObject({
      kind: "destination",
      message: /inequivalent arg 'x-queue-type' for queue 'other.events.0'/,
    });
  });

  it("needs no right to declare once the workers have declared", async () => {
    await engine.run("rabbitmqctl", "add_user", "shop", "s3cret");
    await engine.run(
      ...["rabbitmqctl", "set_permissions", "shop", "^seclog\\.stored\\."],
      ...["^seclog\\.(events$|stored\\.)", "^seclog\\.stored"],
    );
    const sourceId = randomUUID();
    const sender = handler({ url: engine.url.replace("://", "://shop:s3cret@") });
    const done = send(sender, exampleBatch({ sourceId }));
    await work(sourceId);
    await expect.poll(() => messages(sourceId)).toHaveLength(1);
    answer(sourceId, 1);
    await done;
  });

  it("refuses options that would not work", () => {
    expect(() => rabbitmqHandler({ url: "http://127.0.0.1" })).toThrow(/url must begin with amqp:/);
    expect(() => rabbitmqHandler({ connection: {} as never, queueKey: KEY })).toThrow(/is not a connection of amqplib/);
  });
});
