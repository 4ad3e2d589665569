/**
 * The shipper's thread: reads the spool's files itself and carries them to the handlers, so that the application's
 * event loop sees none of it. Started by `ship-thread.ts`, from `seclog-worker.ts`.
 */

import { join } from "node:path";
import { workerData } from "node:worker_threads";
import { errorMessage, SeclogError } from "../event/errors.ts";
import { VERSION } from "../event/version.ts";
import { clearInterval, setImmediate, setInterval, setTimeout } from "../runtime/timers.ts";
import { spoolFs } from "../spool/fs.ts";
import { type Ownership, RENEW_MS, renew } from "../spool/ownership.ts";
import { Adoption } from "./adopt.ts";
import { fileSource } from "./file-source.ts";
import { HandlerError, type HandlerModule, type SecurityEventHandler } from "./handler.ts";
import { setNetworkDefaults } from "./network-defaults.ts";
import { Progress } from "./progress.ts";
import {
  type CallFailure,
  type FromWorker,
  isShipperThread,
  SHARED,
  type ToWorker,
  type WorkerHandler,
  type WorkerStart,
} from "./protocol.ts";
import { keepQuarantined } from "./quarantine.ts";
import { reportFailures } from "./report.ts";
import type { ShipSource } from "./ship-source.ts";
import { Shipper } from "./shipper.ts";

/** How often dead processes' spools are looked for, in milliseconds. */
const LOOK_MS = 5_000;

/** How often the thread shows that its event loop turns, in milliseconds. */
const BEAT_MS = 500;

/** How soon a change in the handlers' health is sent, in milliseconds. */
const HEALTH_MS = 200;

/** The most events in one batch for a handler on the application's thread: about a millisecond of its event loop. */
const MAIN_THREAD_BATCH = 100;

/** The handlers of this package, by the name that stands for their module's URL, such as `seclog:postgres`. */
export interface BuiltInHandlers {
  readonly [module: string]: (() => Promise<Partial<HandlerModule>>) | undefined;
}

async function main(start: WorkerStart, builtIn: BuiltInHandlers): Promise<void> {
  if (start.seclog !== VERSION) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `the shipper's file is of seclog ${VERSION}, the application is of ${start.seclog}: build or install both anew`,
    );
  }
  const { port } = start;
  const shared = new BigInt64Array(start.shared);
  const say = (message: FromWorker, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
  const calls = new Calls(say);
  const progress = new Progress(start.handlers.length, start.progress);
  // Before any application code runs here, which may never return.
  progress.beat();
  setInterval(() => progress.beat(), BEAT_MS);
  if (start.network !== undefined) setNetworkDefaults(start.network);
  const handlers = await Promise.all(
    start.handlers.map(async (handler, index) => {
      const made = await makeHandler(handler, index, calls, builtIn);
      progress.made(index);
      return made;
    }),
  );

  const sayHealth = (): void =>
    say({
      type: "health",
      handlers: handlers.map((_, index) => shipper.health(index)),
      spool: { left: adoption.left(), unkept: shipper.unkept },
    });
  let healthIsDue = false;
  const sendHealth = (): void => {
    if (healthIsDue) return;
    healthIsDue = true;
    setTimeout(() => {
      healthIsDue = false;
      sayHealth();
    }, HEALTH_MS);
  };

  const shipper = new Shipper(
    handlers,
    {
      acknowledged: (lane) => {
        const handler = handlers.indexOf(lane.handler);
        const health = shipper.health(handler);
        if (lane.source === own) {
          progress.acknowledge(handler, lane.acknowledged);
          say({ type: "acknowledged", handler, seq: lane.acknowledged, health });
        } else {
          sendHealth();
        }
      },
      ...reportFailures((news) => {
        say(news);
        sendHealth();
      }),
      kept: () => sendHealth(),
      finished: (source) => {
        adoption.finished(source);
        look();
      },
    },
    (handler, record) => keepQuarantined(spoolFs, start.root, handler, record),
    progress,
    start.before,
  );
  const adoption = new Adoption(spoolFs, start.root, start.sourceId, shipper, {
    bytes: (change) => {
      Atomics.add(shared, SHARED.adopted, BigInt(change));
      if (change < 0) say({ type: "freed" });
    },
    others: (bytes) => {
      const before = Atomics.exchange(shared, SHARED.others, BigInt(bytes));
      if (before > BigInt(bytes)) say({ type: "freed" });
    },
    failed: (error, kind) =>
      say({ type: "failed", handler: undefined, kind, code: error.code, message: error.message }),
  });
  let somethingLeft = false;
  const look = (): void => {
    adoption.look();
    if (somethingLeft || adoption.left() !== undefined) sendHealth();
    somethingLeft = adoption.left() !== undefined;
  };
  const directory = join(start.root, start.sourceId);
  const files = fileSource({
    fs: spoolFs,
    directory,
    id: start.sourceId,
    epoch: start.epoch,
    key: start.key,
    limit: () => {
      const synced = Number(Atomics.load(shared, SHARED.synced));
      // Raised before the number is read again: a sync in between wakes us, one before is seen.
      Atomics.store(shared, SHARED.waiting, 1n);
      return Math.max(synced, Number(Atomics.load(shared, SHARED.synced)));
    },
    closed: () => Number(Atomics.load(shared, SHARED.closed)),
    freed: (bytes) => {
      Atomics.add(shared, SHARED.freed, BigInt(bytes));
      say({ type: "freed" });
    },
    warn: ({ code, message }) => say({ type: "failed", handler: undefined, kind: "retry", code, message }),
  });
  const own: ShipSource = {
    ...files,
    // The cursor need not contain what the previous thread acknowledged last.
    loadCursor: (name) =>
      Math.max(files.loadCursor(name), progress.acknowledged(handlers.findIndex((handler) => handler.name === name))),
  };
  const owned: Ownership = { directory, epoch: start.epoch, key: start.key, unproven: false };

  const stop = async (): Promise<void> => {
    clearInterval(looking);
    await shipper.stop();
    // First, since closing a handler may take longer than the application waits for this thread.
    adoption.release();
    await shipper.closeHandlers();
    say({ type: "stopped" });
    port.close();
    process.exit();
  };

  port.on("message", (message: ToWorker) => {
    switch (message.type) {
      case "wake":
        shipper.wake();
        break;
      case "reply":
        calls.reply(message.id, message.failure);
        break;
      case "drain":
        void shipper.drain(message.deadline).then((complete) => {
          // Before the reply, so that a caller that awaited it reads counts that include it.
          sayHealth();
          say({ type: "drained", id: message.id, complete });
        });
        break;
      case "stop":
        void stop();
        break;
      case "closed":
        shipper.releaseAgain(own);
        break;
      default:
        message satisfies never;
    }
  });
  progress.ready();
  void shipper.add(own);
  look();
  const looking = setInterval(look, LOOK_MS).unref();
  setInterval(() => {
    renew(spoolFs, owned);
    adoption.renew();
  }, RENEW_MS).unref();
  // The previous thread's report about its handlers may be out of date.
  sayHealth();
}

async function makeHandler(
  handler: WorkerHandler,
  index: number,
  calls: Calls,
  builtIn: BuiltInHandlers,
): Promise<SecurityEventHandler> {
  const { make, name, inFlight, batchSize } = handler;
  if (make === undefined) {
    return {
      name,
      batchSize: Math.min(batchSize ?? MAIN_THREAD_BATCH, MAIN_THREAD_BATCH),
      handle: (batch, signal) => calls.call(index, batch.source, batch.firstSeq, batch.records, undefined, signal),
      ...(handler.hasQuarantine
        ? {
            quarantine: (record, signal) =>
              calls.call(index, record.source, record.seq, [record.record], record.reason, signal),
          }
        : {}),
      close: () => Promise.resolve(),
    };
  }
  // A file of the application: bundlers must leave this import alone.
  const load =
    builtIn[make.module] ??
    ((): Promise<Partial<HandlerModule>> =>
      import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ make.module));
  let made: SecurityEventHandler;
  try {
    const { createHandler } = await load();
    if (createHandler === undefined) throw new Error(`${make.module} has no export createHandler`);
    made = await createHandler(make.options);
  } catch (cause) {
    const code = cause instanceof SeclogError ? cause.code : "SECLOG_CONFIG";
    throw new SeclogError(code, `the handler ${name} cannot be made in the thread: ${errorMessage(cause)}`, { cause });
  }
  return inFlight === undefined || made.inFlight !== undefined ? made : Object.assign(made, { inFlight });
}

/** Calls handlers that run on the application's thread. */
class Calls {
  readonly #say: (message: FromWorker, transfer?: ArrayBuffer[]) => void;
  readonly #open = new Map<number, (failure: CallFailure | undefined) => void>();
  #lastId = 0;

  constructor(say: (message: FromWorker, transfer?: ArrayBuffer[]) => void) {
    this.#say = say;
  }

  call(
    handler: number,
    source: Extract<FromWorker, { type: "call" }>["source"],
    firstSeq: number,
    records: readonly Uint8Array[],
    quarantine: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    this.#lastId += 1;
    const id = this.#lastId;
    const lengths = records.map((record) => record.length);
    const bytes = new Uint8Array(lengths.reduce((total, length) => total + length, 0));
    let at = 0;
    for (const record of records) {
      bytes.set(record, at);
      at += record.length;
    }
    return new Promise((resolve, reject) => {
      const abort = (): void => this.#say({ type: "abort", id });
      signal.addEventListener("abort", abort, { once: true });
      this.#open.set(id, (failure) => {
        signal.removeEventListener("abort", abort);
        if (failure === undefined) resolve();
        else
          reject(
            Object.assign(new HandlerError(failure.kind, failure.message, { code: failure.code }), {
              stored: failure.stored,
            }),
          );
      });
      this.#say({ type: "call", id, handler, source, firstSeq, lengths, bytes, quarantine }, [bytes.buffer]);
    });
  }

  reply(id: number, failure: CallFailure | undefined): void {
    this.#open.get(id)?.(failure);
    this.#open.delete(id);
  }
}

/** In the shipper's thread, ships until the application sends `stop`; elsewhere does nothing. */
export function startShipping(builtIn: BuiltInHandlers): void {
  if (!isShipperThread()) return;
  main(workerData as WorkerStart, builtIn).catch((error: unknown) => {
    // Thrown, since a flag may turn an unhandled rejection into a warning: a thread without handlers must end.
    setImmediate(() => {
      throw error;
    });
  });
}
