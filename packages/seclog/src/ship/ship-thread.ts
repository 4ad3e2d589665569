import { MessageChannel, type MessagePort, receiveMessageOnPort, type Worker } from "node:worker_threads";
import { ERROR_CODES, type ErrorCode, errorMessage } from "../event/errors.ts";
import { VERSION } from "../event/version.ts";
import { clearTimeout, monotonicNow, setTimeout, wallNow } from "../runtime/timers.ts";
import { workerStarter } from "../start-worker.ts";
import { failureOf } from "./failure.ts";
import { eventBatch, type SecurityEventHandler } from "./handler.ts";
import { networkDefaults } from "./network-defaults.ts";
import { idle, type ShippingHealth, type ShippingNews } from "./news.ts";
import { monotonic, Progress } from "./progress.ts";
import { type FromWorker, SHARED, type ToWorker, type WorkerStart } from "./protocol.ts";
import { STALL_MS, seconds, type Trouble } from "./watchdog.ts";

/** A shipper, as the log sees it. */
export interface Shipping {
  /** Numbers up to `seq` may be shipped. */
  available(seq: number): void;
  /** Resolves to true when all that is available is acknowledged by all, to false at the deadline (milliseconds). */
  drain(deadline: number): Promise<boolean>;
  /** Aborts what is under way, and closes the handlers in the worker. May be called again. */
  stop(): Promise<void>;
  /** Bytes of segments that were deleted, of dead processes' segments that remain, and of other processes' segments. */
  bytes(): { readonly freed: number; readonly adopted: number; readonly others: number };
  /** How far the handlers are, to be read at any time. */
  readonly progress: Progress;
}

const FIRST_RESTART_MS = 100;
const LONGEST_RESTART_MS = 10_000;

/** How long the worker may take to stop before it is ended, in milliseconds. */
const STOP_MS = 5_000;

/** How long a thread must have been ready not to count as one that ends as soon as it starts, in milliseconds. */
const STEADY_MS = 15_000;

/**
 * The shipper's worker thread, seen from the application's. When the worker dies it is started again: everything that
 * it needs is in the spool's files, so nothing is lost.
 */
export class ShipThread implements Shipping {
  readonly progress: Progress;
  readonly #start: Omit<WorkerStart, "port" | "before" | "network">;
  readonly #handlers: readonly SecurityEventHandler[];
  readonly #report: (news: ShippingNews) => void;
  readonly #shared: BigInt64Array;
  readonly #drains = new Map<number, { readonly until: number; readonly resolve: (complete: boolean) => void }>();
  readonly #calls = new Map<number, AbortController>();
  /** Absent when it could not be started. */
  #worker: Worker | undefined;
  /** To the worker. */
  #port: MessagePort | undefined;
  #running = false;
  #lastDrain = 0;
  /** The thread's last report about its handlers, from which a restarted one continues counting. */
  #health: readonly ShippingHealth[];
  /**
   * How often it has ended, or could not be started, since it acknowledged anything or ran steadily; and since when.
   */
  #ends = 0;
  #endingSince: number = monotonic();
  #lastEnd: Trouble | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #stopped: (() => void) | undefined;
  #stopping = false;
  #end: Promise<void> | undefined;

  constructor(
    start: Pick<WorkerStart, "root" | "sourceId" | "epoch" | "key">,
    handlers: readonly SecurityEventHandler[],
    report: (news: ShippingNews) => void,
  ) {
    const shared = new SharedArrayBuffer(SHARED.length * BigInt64Array.BYTES_PER_ELEMENT);
    this.#shared = new BigInt64Array(shared);
    this.#handlers = handlers;
    this.#report = report;
    this.progress = new Progress(handlers.length);
    this.#health = handlers.map(({ name }) => idle(name));
    this.#start = {
      ...start,
      seclog: VERSION,
      shared,
      progress: this.progress.shared,
      handlers: handlers.map((handler) => ({
        name: handler.name,
        inFlight: handler.inFlight,
        batchSize: handler.batchSize,
        hasQuarantine: handler.quarantine !== undefined,
        make:
          handler.worker === undefined ? undefined : { module: handler.worker.module, options: handler.worker.options },
      })),
    };
    this.#spawn();
  }

  available(seq: number): void {
    Atomics.store(this.#shared, SHARED.synced, BigInt(seq));
    if (Atomics.exchange(this.#shared, SHARED.waiting, 0n) === 1n) this.#say({ type: "wake" });
  }

  /** The segments up to this number are not written to any more: what is shipped of them can go. */
  closed(number: number): void {
    Atomics.store(this.#shared, SHARED.closed, BigInt(number));
    this.#say({ type: "closed" });
  }

  drain(deadline: number): Promise<boolean> {
    this.#lastDrain += 1;
    const id = this.#lastDrain;
    return new Promise((resolve) => {
      // The worker answers at the deadline; should it be dead at that moment, this does.
      const timer = setTimeout(() => this.#drained(id, false), deadline + 250);
      this.#drains.set(id, {
        until: monotonicNow() + deadline,
        resolve: (complete) => {
          clearTimeout(timer);
          resolve(complete);
        },
      });
      this.#say({ type: "drain", id, deadline });
    });
  }

  stop(): Promise<void> {
    this.#end ??= this.#stop();
    return this.#end;
  }

  async #stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    // A thread that has died is not restarted, and would not reply.
    if (!this.#running) return;
    const stopped = new Promise<void>((resolve) => {
      this.#stopped = resolve;
    });
    const timer = setTimeout(() => this.#stopped?.(), STOP_MS);
    this.#say({ type: "stop" });
    await stopped;
    clearTimeout(timer);
    await this.#worker?.terminate();
  }

  bytes(): ReturnType<Shipping["bytes"]> {
    const at = (index: number): number => Number(Atomics.load(this.#shared, index));
    return { freed: at(SHARED.freed), adopted: at(SHARED.adopted), others: at(SHARED.others) };
  }

  /** Why nothing ships, once that has lasted for {@link STALL_MS}; `undefined` while the thread works. */
  trouble(): Trouble | undefined {
    const now = monotonic();
    const { readySince, lastBeat } = this.progress;
    const silent = now - lastBeat;
    const isReady = this.#running && readySince > 0;
    const isSilent = this.#running && silent >= STALL_MS;
    if (this.#stopping || (isReady && !isSilent && this.#isSteady(now))) return undefined;
    const lasting = isSilent ? silent : now - this.#endingSince;
    if (lasting < STALL_MS) return undefined;
    if (!isSilent && this.#ends > 0 && this.#lastEnd !== undefined) {
      const message = `the shipper's thread has ended ${this.#ends} times in ${seconds(lasting)} and acknowledged nothing: ${this.#lastEnd.message}`;
      return { ...this.#lastEnd, message };
    }
    const message = isSilent
      ? `the shipper's thread has not answered for ${seconds(silent)}: ${this.#whatBlocks(isReady)}`
      : `the shipper's thread is not ready after ${seconds(lasting)}: ${this.#unmade()} has not finished`;
    return { code: "SECLOG_THREAD", message, at: new Date(wallNow() - lasting) };
  }

  #isSteady(now: number): boolean {
    return this.#ends === 0 || now - this.progress.readySince >= STEADY_MS;
  }

  #whatBlocks(isReady: boolean): string {
    if (!isReady) return "a preload (--import, --require, NODE_OPTIONS) or a handler's module may block it";
    const called = this.#handlers.filter(
      ({ worker }, index) => worker !== undefined && this.progress.callingSince(index) > 0,
    );
    if (called.length === 0) return "its code, or a disk, blocks it";
    return `handle() of ${called.map(({ name }) => name).join(" or ")} blocks it`;
  }

  #unmade(): string {
    const unmade = this.#handlers.filter((_, index) => !this.progress.isMade(index)).map(({ name }) => name);
    return `the module or createHandler() of ${unmade.join(" and ")}`;
  }

  #spawn(): void {
    Atomics.store(this.#shared, SHARED.adopted, 0n);
    this.progress.begin();
    try {
      this.#worker = this.#startWorker();
      this.#running = true;
    } catch (error) {
      // The operating system refused a thread; the events wait in the spool.
      this.#worker = undefined;
      this.#countEnd("could not be started", error);
      this.#spawnLater();
    }
  }

  #startWorker(): Worker {
    // Nothing connects in the thread when all handlers are on this one.
    const network = this.#handlers.some(({ worker }) => worker !== undefined) ? networkDefaults() : undefined;
    const { port1: port, port2 } = new MessageChannel();
    const data = { ...this.#start, port: port2, network, before: this.#health } satisfies WorkerStart;
    let worker: Worker;
    try {
      worker = workerStarter()(data, [port2]);
    } catch (error) {
      port.close();
      throw error;
    }
    port.on("message", (message: FromWorker) => this.#onMessage(message));
    // After the listener, which takes the reference.
    port.unref();
    this.#port = port;
    let cause: unknown;
    worker.on("error", (error) => {
      cause = error;
    });
    worker.on("exit", (code) => {
      // It may exit before all its messages are received.
      for (let said = receiveMessageOnPort(port); said !== undefined; said = receiveMessageOnPort(port))
        this.#onMessage(said.message as FromWorker);
      port.close();
      this.#ended(worker, cause ?? new Error(`exit code ${code}`));
    });
    worker.unref();
    return worker;
  }

  #ended(worker: Worker, cause: unknown): void {
    if (worker !== this.#worker) return;
    this.#running = false;
    for (const call of this.#calls.values()) call.abort();
    this.#calls.clear();
    if (this.#stopping) {
      this.#stopped?.();
      return;
    }
    this.#countEnd("ended", cause);
    this.#spawnLater();
  }

  #countEnd(what: string, cause: unknown): void {
    const now = monotonic();
    const wasReady = this.progress.readySince > 0;
    if (this.#ends === 0 || (wasReady && this.#isSteady(now))) {
      this.#ends = 0;
      // A thread that was never ready has been in trouble since the first start.
      if (wasReady) this.#endingSince = now;
    }
    this.#ends += 1;
    const message = errorMessage(cause);
    this.#lastEnd = { code: codeOf(cause), message, at: new Date() };
    const kind = wasReady ? "retry" : "destination";
    const text = `the shipper's thread ${what}: ${message}; it is started again`;
    this.#report({ type: "failed", handler: undefined, kind, code: this.#lastEnd.code, message: text });
  }

  #spawnLater(): void {
    const pause = Math.min(LONGEST_RESTART_MS, FIRST_RESTART_MS * 2 ** Math.min(this.#ends - 1, 16));
    this.#restartTimer = setTimeout(() => {
      if (this.#stopping) return;
      this.#spawn();
      for (const [id, { until }] of this.#drains)
        this.#say({ type: "drain", id, deadline: Math.max(0, until - monotonicNow()) });
    }, pause).unref();
  }

  #onMessage(message: FromWorker): void {
    switch (message.type) {
      case "acknowledged":
        this.#ends = 0;
        this.#health = this.#health.with(message.handler, message.health);
        this.#report(message);
        break;
      case "health":
        this.#health = message.handlers;
        this.#report(message);
        break;
      case "failed":
      case "seized":
      case "quarantined":
      case "freed":
        this.#report(message);
        break;
      case "drained":
        this.#drained(message.id, message.complete);
        break;
      case "stopped":
        this.#stopped?.();
        break;
      case "call":
        void this.#call(message);
        break;
      case "abort":
        this.#calls.get(message.id)?.abort();
        break;
      default:
        message satisfies never;
    }
  }

  #drained(id: number, complete: boolean): void {
    this.#drains.get(id)?.resolve(complete);
    this.#drains.delete(id);
  }

  /** Runs a handler that lives on this thread, for the worker. */
  async #call(message: FromWorker & { type: "call" }): Promise<void> {
    const handler = this.#handlers[message.handler];
    const controller = new AbortController();
    this.#calls.set(message.id, controller);
    let at = 0;
    const records = message.lengths.map((length) => {
      at += length;
      return message.bytes.subarray(at - length, at);
    });
    try {
      if (message.quarantine === undefined) {
        await handler?.handle(eventBatch(message.source, message.firstSeq, records), controller.signal);
      } else {
        const record = records[0] ?? new Uint8Array();
        await handler?.quarantine?.(
          { source: message.source, seq: message.firstSeq, reason: message.quarantine, record },
          controller.signal,
        );
      }
      this.#say({ type: "reply", id: message.id, failure: undefined });
    } catch (thrown) {
      const { kind, code, message: why, stored } = failureOf(thrown);
      this.#say({ type: "reply", id: message.id, failure: { kind, code, message: why, stored } });
    } finally {
      this.#calls.delete(message.id);
    }
  }

  #say(message: ToWorker): void {
    this.#port?.postMessage(message);
  }
}

/** The code of a Seclog error, even one from the thread, which lost its class on the way. */
function codeOf(error: unknown): ErrorCode {
  const code = typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  return Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : "SECLOG_THREAD";
}
