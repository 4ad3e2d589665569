import { EventEmitter } from "node:events";
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { expect, it, vi } from "vitest";
import type { ShippingNews } from "./news.ts";
import { ShipThread } from "./ship-thread.ts";

vi.mock("../runtime/timers.ts", () => import("#test/support/global-timers.ts"));

/** What `new Worker` returns, or the error that it throws. */
let make: (port: MessagePort) => EventEmitter;

vi.mock("node:worker_threads", async (original) => ({
  ...(await original<typeof import("node:worker_threads")>()),
  Worker: function Worker(_: unknown, { workerData }: { workerData: { port: MessagePort } }) {
    return make(workerData.port);
  },
}));

class Thread extends EventEmitter {
  readonly port: MessagePort;
  constructor(port: MessagePort) {
    super();
    this.port = port;
  }
  unref(): void {}
  terminate(): Promise<number> {
    return Promise.resolve(0);
  }
}

const refuse = (): never => {
  throw Object.assign(new Error("EAGAIN"), { code: "ERR_WORKER_INIT_FAILED" });
};

it.each(["at first", "again"])("ShipThread - reports a thread that cannot be started %s, and retries", async (when) => {
  vi.useFakeTimers();
  const threads: Thread[] = [];
  const started = (port: MessagePort): Thread => {
    const thread = new Thread(port);
    threads.push(thread);
    return thread;
  };
  const reported: string[] = [];
  const report = (news: ShippingNews): void => {
    if (news.type === "failed") reported.push(news.message);
  };
  try {
    make = when === "at first" ? refuse : started;
    const shipping = new ShipThread({ root: "/spool", sourceId: "s", epoch: 1, key: "k" }, [], report);
    const drained = shipping.drain(60_000);
    make = refuse;
    threads[0]?.emit("exit");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(reported.length).toBeGreaterThan(1);
    expect(reported).toContain("the shipper's thread could not be started: EAGAIN; it is started again");
    make = started;
    await vi.advanceTimersByTimeAsync(2_000);
    const thread = threads.at(-1);
    expect(thread && receiveMessageOnPort(thread.port)).toMatchObject({ message: { type: "drain", id: 1 } });
    thread?.port.postMessage({ type: "drained", id: 1, complete: true });
    await expect(drained).resolves.toBe(true);
    const stopped = shipping.stop();
    thread?.port.postMessage({ type: "stopped" });
    await stopped;
  } finally {
    vi.useRealTimers();
  }
});
