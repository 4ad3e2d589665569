/** A worker of `seclog work` on a real engine, whose database is away and which holds as much as it may. */
import { randomUUID } from "node:crypto";
import { relayStore } from "seclog/postgres";
import { encodePosition } from "seclog/queues";
import { freePort } from "#faults/engines/process.js";
import { Worker } from "../../packages/server/src/ingest/work.ts";
import { eventually } from "./program.ts";

/** An engine, as `faults/engines` has them. */
interface Engine {
  readonly url: string;
  inject(bytes: Buffer): Promise<void>;
}

/**
 * Stops such a worker. Resolves with the milliseconds that it took.
 *
 * @param url where the worker reaches the engine, such as through a proxy
 * @param before what happens to the engine before the worker is asked to stop
 */
export async function timeToStop(
  engine: Engine,
  { url = engine.url, before = async () => {} }: { url?: string; before?: () => Promise<void> | void } = {},
): Promise<number> {
  const store = relayStore({ url: `postgresql://relay:unused@127.0.0.1:${await freePort()}/none` });
  const worker = new Worker({ url, queue: "seclog", store, keys: [], mostHeld: 1, onEvent: () => {} });
  const stop = new AbortController();
  const running = worker.run(stop.signal);
  try {
    await eventually(async () => (await worker.backlog()) !== undefined, "the worker is connected");
    for (let i = 0; i < 3; i++) {
      await engine.inject(encodePosition({ kind: "asked", sourceId: randomUUID(), seq: 0, nonce: 1 }));
    }
    await eventually(() => worker.held > 0, "the worker holds a message");
    await before();
  } finally {
    stop.abort();
  }
  const began = performance.now();
  await running;
  await store.close();
  return performance.now() - began;
}
