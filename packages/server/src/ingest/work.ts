/** `seclog work` without a terminal: consumes a queue until it is asked to stop. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { errorMessage, SeclogError } from "seclog";
import type { RelayStore } from "seclog/postgres";
import type { SenderKey } from "../config/queue.ts";
import type { Backlog, Consumer, ConsumerOptions } from "./consumer.ts";
import { Intake, MOST_HELD } from "./intake.ts";
import type { IntakeEvent } from "./intake-event.ts";
import { openConsumer } from "./open-consumer.ts";
import { queueError } from "./queue-error.ts";

/** Options of {@link Worker}. */
export interface WorkerOptions {
  readonly url: string;
  /** The queue's name. */
  readonly queue: string;
  readonly store: RelayStore;
  readonly keys: readonly SenderKey[];
  readonly earlyWaitMs?: number;
  readonly lostAfterMs?: number;
  readonly mostHeld?: number;
  /** What happens, for metrics and messages. It must not throw. */
  readonly onEvent: (event: WorkEvent) => void;
}

export type WorkEvent =
  | IntakeEvent
  | { readonly kind: "connected" }
  /** The engine failed; the worker connects again. */
  | { readonly kind: "engine"; readonly error: SeclogError };

/** Why a worker is not ready; empty when it is. */
export type Unready = readonly string[];

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

/** How long a failure to store counts, in milliseconds, unless something is stored before. */
const TROUBLE_MS = 30_000;

/** How long messages may be held without anything being stored, in milliseconds. */
const STUCK_MS = 15_000;

/** How often a worker without work looks whether the database answers, and how long that may take, in milliseconds. */
const LOOK_MS = 5_000;
const NO_SOURCE = "00000000-0000-0000-0000-000000000000";

/** How long a connection to an engine must have worked for the next failure to be a new one, in milliseconds. */
const STEADY_MS = 2_000;

/**
 * How long a worker that was asked to stop waits for the engine and the database, and then for its connections to end, in
 * milliseconds: together less than the ten seconds after which containers are killed. What it has not given back by then
 * goes to other workers, as that of a dead one.
 */
const STOP_MS = 5_000;
const CLOSE_MS = 2_000;

/** A worker: one connection to an engine, one intake. */
export class Worker {
  readonly #options: WorkerOptions;
  #consumer: Consumer | undefined;
  #intake: Intake | undefined;
  #engineTrouble = "connecting to the queue";
  #storeTrouble: { readonly message: string; readonly at: number } | undefined;
  #storedAt: number = performance.now();

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** Messages received, and neither stored nor given back. */
  get held(): number {
    return this.#intake?.held ?? 0;
  }

  /** Every reason for which nothing is stored at the moment. */
  get unready(): Unready {
    const reasons: string[] = [];
    if (this.#engineTrouble !== "") reasons.push(this.#engineTrouble);
    const problem = this.#consumer?.problem;
    if (problem !== undefined) reasons.push(problem);
    const stuck = performance.now() - this.#storedAt;
    if (this.held > 0 && stuck > STUCK_MS) {
      reasons.push(`nothing was stored for ${Math.round(stuck / 1000)} s, though ${this.held} messages are held`);
    }
    const trouble = this.#storeTrouble;
    if (trouble !== undefined && performance.now() - trouble.at < TROUBLE_MS) reasons.push(trouble.message);
    return reasons;
  }

  /** How much is waiting; `undefined` while the engine cannot be asked. */
  async backlog(): Promise<Backlog | undefined> {
    try {
      return await this.#consumer?.backlog();
    } catch {
      return undefined;
    }
  }

  /**
   * Stores what the queue has, until `signal` aborts: then it ends the running transactions, gives back what they have not
   * committed, and resolves within ten seconds. An engine or a database that fails is tried again.
   *
   * @throws SeclogError `SECLOG_CONFIG` when only another configuration can help
   */
  async run(signal: AbortSignal): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    void this.#watchDatabase(signal);
    while (!signal.aborted) {
      try {
        await this.#consume(signal, () => {
          pause = FIRST_PAUSE_MS;
        });
      } catch (error) {
        if (error instanceof SeclogError && error.code === "SECLOG_CONFIG") throw error;
        if (signal.aborted) return;
        const failure = error instanceof SeclogError ? error : queueError(this.#consumer?.title ?? "engine", error);
        this.#engineTrouble = failure.message;
        this.#options.onEvent({ kind: "engine", error: failure });
        await sleep(pause / 2 + Math.random() * (pause / 2), undefined, { signal }).catch(() => {});
        pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
      }
    }
  }

  async #consume(signal: AbortSignal, onConnected: () => void): Promise<void> {
    const { url, queue, onEvent } = this.#options;
    const options: ConsumerOptions = {
      url,
      queue,
      prefetch: this.#options.mostHeld ?? MOST_HELD,
      onTrouble: (error) => onEvent({ kind: "engine", error: queueError("engine", error) }),
    };
    const over = new AbortController();
    const consumer = await this.#opened(options, signal);
    if (consumer === undefined) return;
    const { store, keys, earlyWaitMs, lostAfterMs, mostHeld } = this.#options;
    const intake = new Intake({
      store,
      keys,
      ...(earlyWaitMs === undefined ? {} : { earlyWaitMs }),
      ...(lostAfterMs === undefined ? {} : { lostAfterMs }),
      ...(mostHeld === undefined ? {} : { mostHeld }),
      signal,
      answer: (sourceId, message) => consumer.answer(sourceId, message),
      onEvent: (event) => this.#note(event),
    });
    this.#consumer = consumer;
    this.#intake = intake;
    const steady = setTimeout(() => {
      this.#engineTrouble = "";
      onConnected();
      onEvent({ kind: "connected" });
    }, STEADY_MS);
    const late = lateAfter(signal, over.signal);
    try {
      await unlessLate(
        consumer.run((delivery) => intake.take(delivery), signal),
        late,
      );
    } finally {
      clearTimeout(steady);
      await unlessLate(intake.stop(), late);
      // A timer that holds the process: a dead connection may be all that is left of its event loop.
      const closing = sleep(CLOSE_MS, undefined, { signal: over.signal }).catch(() => {});
      await unlessLate(
        consumer.close().catch(() => {}),
        closing,
      );
      over.abort();
    }
  }

  /** A consumer; `undefined` when `signal` aborts before there is one. */
  async #opened(options: ConsumerOptions, signal: AbortSignal): Promise<Consumer | undefined> {
    const opening = openConsumer(options);
    const over = new AbortController();
    const aborted = once(signal, "abort", { signal: over.signal }).then(
      () => undefined,
      () => undefined,
    );
    try {
      return signal.aborted ? undefined : await Promise.race([opening, aborted]);
    } finally {
      over.abort();
      if (signal.aborted) opening.then((consumer) => consumer.close()).catch(() => {});
    }
  }

  /** Looks at the database while nothing is stored, so that readiness does not wait for the next event. */
  async #watchDatabase(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.held === 0) this.#storedAt = performance.now();
      try {
        await this.#options.store.position(NO_SOURCE, AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS)]));
        if (this.held === 0) this.#storeTrouble = undefined;
      } catch (error) {
        this.#storeTrouble = { message: errorMessage(error), at: performance.now() };
      }
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
    }
  }

  #note(event: IntakeEvent): void {
    if (event.kind === "stored") {
      this.#storeTrouble = undefined;
      this.#storedAt = performance.now();
    }
    if (event.kind === "trouble") this.#storeTrouble = { message: event.error.message, at: performance.now() };
    this.#options.onEvent(event);
  }
}

/** Resolves when a worker that was asked to stop has to leave what does not end; at once when it is `over`. */
async function lateAfter(signal: AbortSignal, over: AbortSignal): Promise<void> {
  try {
    if (!signal.aborted) await once(signal, "abort", { signal: over });
    await sleep(STOP_MS, undefined, { signal: over });
  } catch {
    // It is over.
  }
}

/** Waits for work, and leaves it when `late` resolves. */
async function unlessLate(work: Promise<void>, late: Promise<unknown>): Promise<void> {
  work.catch(() => {});
  await Promise.race([work, late]);
}
