/** A team's own workers of BullMQ, which store what applications send with bullmqHandler(). */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Queue } from "bullmq";
import { bullmqHandler, createSecurityLogProcessor } from "seclog/bullmq";
import type { EventBatch, SecurityEventHandler } from "seclog/handler";
import { relayStore } from "seclog/postgres";
import { decodePosition, parseQueueKey } from "seclog/queues";
import { exampleBatch } from "seclog/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BullmqEngine } from "#faults/engines/bullmq.js";
import { PostgresProxy, REFUSE } from "#faults/proxy.js";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { collect, eventually, LONG } from "./support/program.ts";

const PROGRAM = fileURLToPath(new URL("./support/bullmq-worker.js", import.meta.url));
const missing = BullmqEngine.needs();
if (missing !== undefined) console.warn(`SKIPPED: the tests of createSecurityLogProcessor(): ${missing}`);
const KEY = randomBytes(32).toString("base64");

describe.skipIf(missing !== undefined)("createSecurityLogProcessor()", () => {
  let database: TestDatabase;
  let engine: BullmqEngine;
  let queue: Queue;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    engine = await BullmqEngine.start();
  });
  beforeEach(async () => {
    await engine.wipe();
    queue = new Queue("seclog", { connection: { host: "127.0.0.1", port: engine.port } });
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
    await queue.close();
  });
  afterAll(async () => {
    await engine?.end();
    await database?.[Symbol.asyncDispose]();
  });

  function startWorker(): ChildProcess {
    const child = spawn(process.execPath, [PROGRAM, String(engine.port)], {
      env: { PATH: process.env["PATH"], SECLOG_RELAY_URL: database.relayUrl, SECLOG_QUEUE_KEY: KEY },
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(child);
    return child;
  }

  /** As the shipper does: a question may overtake what a killed worker holds, and its events are then sent again. */
  async function delivered(handler: SecurityEventHandler, batch: EventBatch): Promise<void> {
    for (;;) {
      try {
        return await handler.handle(batch, AbortSignal.timeout(60_000));
      } catch (error) {
        if ((error as { readonly kind?: unknown }).kind !== "retry") throw error;
        await sleep(100);
      }
    }
  }

  async function stored(sourceId: string): Promise<unknown> {
    const [row] = await database.query(
      "SELECT count(*)::int AS rows, count(DISTINCT seq)::int AS numbers, max(seq)::int AS last FROM security_event_log WHERE source_id = $1",
      [sourceId],
    );
    return row;
  }

  it("stores the events of several sources, each once, in a team's own workers, one of them killed", LONG, async () => {
    const killed = startWorker();
    startWorker();
    const output = collect(killed.stdout);
    const handler = bullmqHandler({ url: engine.url, queueKey: KEY });
    const sources = [randomUUID(), randomUUID()];
    try {
      const sending = sources.map(async (sourceId) => {
        for (let firstSeq = 1; firstSeq < 4_000; firstSeq += 200) {
          const batches = Array.from({ length: 4 }, (_, i) =>
            exampleBatch({ sourceId, firstSeq: firstSeq + 50 * i, count: 50 }),
          );
          await Promise.all(batches.map((batch) => delivered(handler, batch)));
        }
      });
      await eventually(() => output().split("\n").length > 20, "the worker stores");
      killed.kill("SIGKILL");
      await Promise.all(sending);
    } finally {
      await handler.close();
    }
    for (const id of sources) expect(await stored(id)).toEqual({ rows: 4_000, numbers: 4_000, last: 4_000 });
    expect(await queue.getJobCounts("failed")).toEqual({ failed: 0 });
  });

  it("fails a job that can never be stored, with the reason, and stops when it is asked to", LONG, async () => {
    const worker = startWorker();
    const output = collect(worker.stdout);
    const options = { attempts: 1_000, backoff: { type: "fixed", delay: 100 } };
    const forged = await queue.add("events", { message: Buffer.from("forged").toString("base64") }, options);
    const other = await queue.add("mail", { to: "someone" }, options);
    await eventually(() => output().includes(`failed ${other.id} `), "both fail");
    expect(output()).toContain(`failed ${forged.id} SECLOG_ENVELOPE: `);
    expect((await queue.getFailed()).map(({ id }) => id)).toHaveLength(2);
    worker.kill("SIGTERM");
    expect(await once(worker, "exit")).toEqual([0, null]);
  });

  it("puts on record what the queue lost, of a sender that keeps no copy", LONG, async () => {
    const sourceId = randomUUID();
    const handler = bullmqHandler({ url: engine.url, queueKey: KEY, confirm: "queued" });
    await handler.handle(exampleBatch({ sourceId, count: 10 }), AbortSignal.timeout(20_000));
    await engine.wipe();
    await handler.handle(exampleBatch({ sourceId, firstSeq: 11, count: 10 }), AbortSignal.timeout(20_000));
    await handler.close();
    const [job] = await queue.getJobs(["wait"]);
    await using proxy = await PostgresProxy.start(Number(new URL(database.relayUrl).port));
    const store = relayStore({ url: proxy.through(database.relayUrl) });
    try {
      const process = createSecurityLogProcessor({ store, queueKey: KEY, lostAfter: 10_000 });
      // However often it was started: also while the database was away.
      const once = { data: job?.data, attemptsStarted: 1_000 };
      await expect(process(once)).rejects.toMatchObject({ code: "SECLOG_BATCH_EARLY" });
      proxy.trap = REFUSE;
      proxy.cut();
      await expect(process(once)).rejects.toMatchObject({ kind: "retry", code: "SECLOG_HANDLER_RETRY" });
      proxy.trap = undefined;
      // Later than 10 seconds after the first.
      await expect(process(once)).rejects.toMatchObject({ code: "SECLOG_BATCH_EARLY" });
      let answer = "";
      await eventually(async () => {
        answer = await process(once).catch(() => "");
        return answer !== "";
      }, "the missing events count as lost");
      const position = decodePosition(Buffer.from(answer, "base64"), [parseQueueKey("test", KEY)]);
      expect(position).toMatchObject({ kind: "stored", sourceId, seq: 20 });
    } finally {
      await store.close();
    }
    expect(await stored(sourceId)).toEqual({ rows: 10, numbers: 10, last: 20 });
    const lost = await database.query("SELECT reason FROM security_event_quarantine WHERE source_id = $1", [sourceId]);
    expect(lost.map(({ reason }) => reason)).toEqual(Array(10).fill(expect.stringMatching(/^lost in the queue/)));
  });

  it("refuses options that would not work", () => {
    expect(() => createSecurityLogProcessor({ store: {} as never, queueKey: KEY })).toThrow(/store is not a store/);
    const store = relayStore({ url: database.relayUrl });
    expect(() => createSecurityLogProcessor({ store, queueKey: KEY, lostAfter: 9_999 })).toThrow(/from 10000/);
  });
});
