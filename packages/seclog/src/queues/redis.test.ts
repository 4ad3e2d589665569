import { randomBytes, randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis-5";
import { createClient } from "redis";
import { createClient as createClient5 } from "redis-5";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RedisEngine } from "#faults/engines/redis.js";
import type { EventBatch, SecurityEventHandler } from "../ship/handler.ts";
import { exampleBatch } from "../testing/example-events.ts";
import { decodeEnvelope } from "./envelope.ts";
import { decodePosition, encodePosition, isPositionMessage } from "./position.ts";
import { parseQueueKey } from "./queue-options.ts";
import { type RedisClient, redisHandler } from "./redis.ts";
import { redisKeys, shardOf } from "./redis-keys.ts";

const missing = RedisEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of redisHandler(): ${missing}`);

interface Ended {
  destroy(): void;
}

const KEY = randomBytes(32).toString("base64");
const keys = [parseQueueKey("test", KEY)];
const names = redisKeys("seclog");

describe.skipIf(missing !== undefined)("redisHandler()", () => {
  let engine: RedisEngine;
  let redis: Redis;
  const open: SecurityEventHandler[] = [];

  beforeAll(async () => {
    engine = await RedisEngine.start();
    redis = new Redis(engine.url);
  });
  beforeEach(async () => {
    await redis.flushall();
    for (const handler of open.splice(0)) await handler.close();
  });
  afterAll(async () => {
    for (const handler of open) await handler.close();
    redis?.disconnect();
    await engine?.end();
  });

  function handler(options: Parameters<typeof redisHandler>[0] = {}): SecurityEventHandler {
    const made = redisHandler({ url: engine.url, queueKey: KEY, ...options });
    open.push(made);
    return made;
  }

  const send = (to: SecurityEventHandler, batch: EventBatch, ms = 20_000): Promise<void> =>
    to.handle(batch, AbortSignal.timeout(ms));

  /** What is in the stream of a source: envelopes and questions, in order. */
  async function messages(sourceId: string): Promise<Buffer[]> {
    const entries = await redis.xrangeBuffer(names.stream(shardOf(sourceId)), "-", "+");
    return entries.map(([, fields]) => fields[1] as Buffer);
  }

  const answer = (sourceId: string, seq: number, nonce = 0): Promise<unknown> =>
    redis.set(names.position(sourceId), encodePosition({ kind: "stored", sourceId, seq, nonce }, keys));

  it("resolves when a worker has stored the batch, and not before", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 20 });
    let resolved = false;
    const done = send(handler(), batch).then(() => {
      resolved = true;
    });
    await expect.poll(() => messages(batch.source.id)).toHaveLength(1);
    const [bytes] = await messages(batch.source.id);
    expect(decodeEnvelope(bytes as Buffer, { keys })).toMatchObject({ firstSeq: 1, lastSeq: 20, queued: false });
    await answer(batch.source.id, 19);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(resolved).toBe(false);
    await answer(batch.source.id, 20);
    await done;
  });

  it("resolves when Redis has it, with confirm: queued", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 3 });
    await send(handler({ confirm: "queued" }), batch);
    const [bytes] = await messages(batch.source.id);
    expect(decodeEnvelope(bytes as Buffer, { keys })).toMatchObject({ lastSeq: 3, queued: true });
  });

  it("does not believe an answer without the queue key", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 2 });
    const sourceId = batch.source.id;
    const done = send(handler({ storedTimeout: 400 }), batch);
    for (const forged of [[], [parseQueueKey("test", randomBytes(32).toString("hex"))]]) {
      const message = encodePosition({ kind: "stored", sourceId, seq: 2, nonce: 0 }, forged);
      await redis.set(names.position(sourceId), message);
    }
    await expect(done).rejects.toMatchObject({ kind: "retry", code: "SECLOG_QUEUE_UNANSWERED", stored: 0 });
  });

  it("asks when nothing moves, and sends again what an answer shows to be lost", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 10 });
    const sourceId = batch.source.id;
    const sender = handler();
    const done = send(sender, batch);
    const lost = expect(done).rejects.toMatchObject({ kind: "retry", code: "SECLOG_QUEUE_LOST", stored: 4 });
    await expect.poll(() => messages(sourceId)).toHaveLength(1);
    await redis.flushall();
    await expect.poll(async () => (await messages(sourceId)).some(isPositionMessage)).toBe(true);
    const [question] = await messages(sourceId);
    const { nonce, kind } = decodePosition(question as Buffer, keys);
    expect(kind).toBe("asked");
    await answer(sourceId, 4, nonce);
    await lost;

    const again = send(sender, exampleBatch({ sourceId, firstSeq: 5, count: 6 }));
    await expect
      .poll(async () => (await messages(sourceId)).filter((bytes) => !isPositionMessage(bytes)))
      .toHaveLength(1);
    await answer(sourceId, 10);
    await again;
  });

  it("sends nothing twice while workers are away", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 10 });
    const sender = handler({ storedTimeout: 200 });
    for (let attempt = 0; attempt < 3; attempt++) {
      await expect(send(sender, batch)).rejects.toMatchObject({ code: "SECLOG_QUEUE_UNANSWERED" });
    }
    expect((await messages(batch.source.id)).filter((bytes) => !isPositionMessage(bytes))).toHaveLength(1);
  });

  it("asks a worker where the source stands before it resumes", async () => {
    const source = { ...exampleBatch({ sourceId: randomUUID() }).source, acknowledged: 7 };
    const asked = async (): Promise<number> => {
      await expect.poll(() => messages(source.id)).toHaveLength(1);
      const [question] = await messages(source.id);
      return decodePosition(question as Buffer, keys).nonce;
    };
    const behind = handler().confirm?.(source, AbortSignal.timeout(20_000));
    const refused = expect(behind).rejects.toMatchObject({ kind: "destination", code: "SECLOG_STORE_BEHIND" });
    await answer(source.id, 6, await asked());
    await refused;
    await redis.flushall();
    const fine = handler().confirm?.(source, AbortSignal.timeout(20_000));
    await answer(source.id, 7, await asked());
    await fine;
  });

  /** The clients that applications have, connected, and how they are ended. */
  const CLIENTS = {
    "ioredis 6": async () => [new Redis(engine.url), (own: Redis) => own.disconnect()],
    "ioredis 5": async () => [new Redis5(engine.url), (own: Redis5) => own.disconnect()],
    "node-redis 6": async () => [await createClient({ url: engine.url }).connect(), (own: Ended) => own.destroy()],
    "node-redis 5": async () => [await createClient5({ url: engine.url }).connect(), (own: Ended) => own.destroy()],
  } as const;

  it.each(Object.keys(CLIENTS) as (keyof typeof CLIENTS)[])("takes the application's own client: %s", async (name) => {
    const [own, end] = (await CLIENTS[name]()) as [RedisClient, (own: unknown) => void];
    try {
      const batch = exampleBatch({ sourceId: randomUUID(), count: 5 });
      const sender = handler({ client: own, url: undefined });
      expect(sender.worker).toBeUndefined();
      const done = send(sender, batch);
      await expect.poll(() => messages(batch.source.id)).toHaveLength(1);
      await answer(batch.source.id, 5);
      await done;
      await sender.close();
      expect(await (own as unknown as { ping(): Promise<string> }).ping()).toBe("PONG");
    } finally {
      end(own);
    }
  });

  it("says why it has no connection, and goes on when there is one", async () => {
    const sender = handler({ confirm: "queued" });
    await send(sender, exampleBatch({ sourceId: randomUUID() }));
    await engine.kill();
    const failed = async (): Promise<string> =>
      await send(sender, exampleBatch({ sourceId: randomUUID() })).then(
        () => "sent",
        (error: unknown) => String(error),
      );
    try {
      await expect.poll(failed).toContain("Redis: the connection is lost: connect ECONNREFUSED 127.0.0.1");
    } finally {
      await engine.up();
    }
    await expect.poll(failed).toBe("sent");
  });

  it("never repeats the URL's password, and calls a refused one the operator's matter", async () => {
    await redis.config("SET", "requirepass", "sesame-4711");
    try {
      const url = engine.url.replace("://", "://:wrong-0815@");
      const failure = await send(handler({ url }), exampleBatch({ sourceId: randomUUID() })).catch(
        (error: unknown) => error,
      );
      expect(failure).toMatchObject({ kind: "destination" });
      expect(String(failure)).not.toContain("0815");
    } finally {
      await redis.config("SET", "requirepass", "");
    }
  });

  it("refuses options that would not work", () => {
    expect(() => redisHandler({ url: "http://127.0.0.1" })).toThrow(/url must begin with redis:/);
    expect(() => redisHandler({ url: engine.url, queueKey: "short" })).toThrow(/32 random bytes/);
    expect(() => redisHandler({ url: engine.url, queue: "a b" })).toThrow(/"a b"/);
    expect(() => redisHandler({ url: engine.url, confirm: "maybe" as never })).toThrow(/"maybe"/);
    expect(() => redisHandler({ client: {} as never, queueKey: KEY })).toThrow(/neither a client of ioredis/);
  });
});
