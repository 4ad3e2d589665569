import { randomBytes, randomUUID } from "node:crypto";
import { type Job, Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BullmqEngine } from "#faults/engines/bullmq.js";
import type { EventBatch, SecurityEventHandler } from "../ship/handler.ts";
import { exampleBatch } from "../testing/example-events.ts";
import { bullmqHandler } from "./bullmq.ts";
import { jobMessage } from "./bullmq-connection.ts";
import { decodeEnvelope, sourceOf } from "./envelope.ts";
import { decodePosition, encodePosition, isPositionMessage } from "./position.ts";
import { parseQueueKey } from "./queue-options.ts";

const missing = BullmqEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of bullmqHandler(): ${missing}`);

const KEY = randomBytes(32).toString("base64");
const keys = [parseQueueKey("test", KEY)];

describe.skipIf(missing !== undefined)("bullmqHandler()", () => {
  let engine: BullmqEngine;
  let queue: Queue;
  const open: { close(): Promise<unknown> }[] = [];

  beforeAll(async () => {
    engine = await BullmqEngine.start();
  });
  beforeEach(async () => {
    await engine.wipe();
    queue = new Queue("seclog", { connection: { host: "127.0.0.1", port: engine.port } });
    queue.on("error", () => {});
  });
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close();
    await queue.close();
  });
  afterAll(async () => {
    await engine?.end();
  });

  function handler(options: Parameters<typeof bullmqHandler>[0] = {}): SecurityEventHandler {
    const made = bullmqHandler({ url: engine.url, queueKey: KEY, ...options });
    open.push(made as { close(): Promise<void> });
    return made;
  }

  const send = (to: SecurityEventHandler, batch: EventBatch, ms = 20_000): Promise<void> =>
    to.handle(batch, AbortSignal.timeout(ms));

  /** What a handler sent for a source, in order. */
  async function messages(sourceId: string): Promise<Buffer[]> {
    const jobs = await queue.getJobs(["wait"], 0, -1, true);
    return jobs.map(jobMessage).filter((bytes) => sourceOf(bytes) === sourceId);
  }

  /** Completes the jobs as a worker would, with what `answer` returns. */
  function work(answer: (bytes: Buffer) => { readonly seq: number; readonly nonce?: number } | undefined): void {
    const worker = new Worker(
      "seclog",
      async (job: Job) => {
        const bytes = jobMessage(job);
        const sourceId = sourceOf(bytes) ?? "";
        const position = answer(bytes);
        if (position === undefined) return undefined;
        return encodePosition({ kind: "stored", sourceId, nonce: 0, ...position }, keys).toString("base64");
      },
      { connection: { host: "127.0.0.1", port: engine.port } },
    );
    worker.on("error", () => {});
    open.push(worker);
  }

  it("resolves when a worker has stored the batch", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 20 });
    const done = send(handler(), batch);
    await expect.poll(() => messages(batch.source.id)).toHaveLength(1);
    const [bytes] = await messages(batch.source.id);
    expect(decodeEnvelope(bytes as Buffer, { keys })).toMatchObject({ firstSeq: 1, lastSeq: 20, queued: false });
    work((bytes) => (isPositionMessage(bytes) ? undefined : { seq: decodeEnvelope(bytes, { keys }).lastSeq }));
    await done;
  });

  it("does not believe an answer without the queue key, or below the batch", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 20 });
    const done = send(handler({ storedTimeout: 1_500 }), batch);
    const refused = expect(done).rejects.toMatchObject({ code: "SECLOG_QUEUE_UNANSWERED", stored: 19 });
    work(() => ({ seq: 19 }));
    const redis = new Redis(engine.redisUrl);
    for (const by of [[], [parseQueueKey("test", randomBytes(32).toString("hex"))]]) {
      const position = encodePosition({ kind: "stored", sourceId: batch.source.id, seq: 20, nonce: 0 }, by);
      const event = ["event", "completed", "jobId", "1", "returnvalue", JSON.stringify(position.toString("base64"))];
      await redis.xadd("bull:seclog:events", "*", ...event);
    }
    redis.disconnect();
    await refused;
  });

  it("warns of a Redis that would lose what it has, with confirm: queued", async () => {
    const warnings: string[] = [];
    const listener = ({ message }: Error): void => void warnings.push(message);
    process.on("warning", listener);
    await engine.run("CONFIG", "SET", "appendonly", "no");
    try {
      await send(handler({ confirm: "queued" }), exampleBatch({ sourceId: randomUUID() }));
      await expect.poll(() => warnings.join()).toContain('bullmqHandler with confirm: "queued": appendonly is no');
    } finally {
      process.off("warning", listener);
      await engine.run("CONFIG", "SET", "appendonly", "yes");
    }
  });

  it("resolves when Redis has it, with confirm: queued", async () => {
    const batch = exampleBatch({ sourceId: randomUUID(), count: 3 });
    await send(handler({ confirm: "queued" }), batch);
    const [bytes] = await messages(batch.source.id);
    expect(decodeEnvelope(bytes as Buffer, { keys })).toMatchObject({ lastSeq: 3, queued: true });
  });

  it("asks when nothing moves, and sends again what an answer shows to be lost", async () => {
    const sourceId = randomUUID();
    const sender = handler();
    const done = send(sender, exampleBatch({ sourceId, count: 10 }));
    const lost = expect(done).rejects.toMatchObject({ kind: "retry", code: "SECLOG_QUEUE_LOST", stored: 4 });
    await expect.poll(() => messages(sourceId)).toHaveLength(1);
    await engine.wipe();
    work((bytes) =>
      isPositionMessage(bytes)
        ? { seq: 4, nonce: decodePosition(bytes, keys).nonce }
        : { seq: decodeEnvelope(bytes, { keys }).lastSeq },
    );
    await lost;
    await send(sender, exampleBatch({ sourceId, firstSeq: 5, count: 6 }));
  });

  it("fails while Redis is away, and continues afterwards", async () => {
    const sourceId = randomUUID();
    const sender = handler({ confirm: "queued" });
    await send(sender, exampleBatch({ sourceId, count: 2 }));
    await engine.kill();
    const next = exampleBatch({ sourceId, firstSeq: 3, count: 2 });
    await expect(send(sender, next)).rejects.toMatchObject({ kind: "retry" });
    await engine.up();
    await expect.poll(() => send(sender, next).then(() => "sent", String)).toBe("sent");
  });

  it.each(["options", "client"])("takes the application's own Queue, made with %s", async (how) => {
    const client = new Redis(engine.redisUrl, { maxRetriesPerRequest: null });
    const connection = how === "client" ? client : { host: "127.0.0.1", port: engine.port };
    const own = new Queue("shop", { connection });
    try {
      const batch = exampleBatch({ sourceId: randomUUID(), count: 5 });
      const sender = handler({ client: own, url: undefined });
      expect(sender.worker).toBeUndefined();
      const done = send(sender, batch);
      const worker = new Worker(
        "shop",
        async () =>
          encodePosition({ kind: "stored", sourceId: batch.source.id, seq: 5, nonce: 0 }, keys).toString("base64"),
        { connection: { host: "127.0.0.1", port: engine.port } },
      );
      open.push(worker);
      await done;
      await sender.close();
      expect(await own.getJobCounts("failed")).toEqual({ failed: 0 });
    } finally {
      await own.close();
      client.disconnect();
    }
  });

  it("never repeats the URL's password, and calls a refused one the operator's matter", async () => {
    await engine.run("CONFIG", "SET", "requirepass", "sesame-4711");
    try {
      const url = engine.url.replace("://", "://:wrong-0815@");
      const failure = await send(handler({ url }), exampleBatch({ sourceId: randomUUID() })).catch(
        (error: unknown) => error,
      );
      expect(failure).toMatchObject({ kind: "destination" });
      expect(String(failure)).not.toContain("0815");
    } finally {
      const redis = new Redis(engine.redisUrl, { password: "sesame-4711" });
      await redis.config("SET", "requirepass", "");
      redis.disconnect();
    }
  });

  it("refuses options that would not work", () => {
    expect(() => bullmqHandler({ url: "http://127.0.0.1" })).toThrow(/url must begin with bullmq\+redis:/);
    expect(() => bullmqHandler({ client: {} as never, queueKey: KEY })).toThrow(/is not a Queue of BullMQ/);
    expect(() => bullmqHandler({ client: queue, queue: "other", queueKey: KEY })).toThrow(
      /the name of client is seclog/,
    );
  });
});
