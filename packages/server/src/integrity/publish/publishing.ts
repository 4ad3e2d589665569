/**
 * Publishes checkpoints to the places that keep them, without ever delaying the sealer.
 *
 * Each place has a lane: the newest waiting checkpoint, and at most one running publication.
 *
 *   idle ── offer ──► waiting (everyMs, or longer after failures) ──► publishing ──► idle, or waiting again
 *                      ▲ a newer checkpoint replaces the older one       │ fails, or takes too long:
 *                      └─────────────────────────────────────────────────┘ its checkpoint waits again
 *
 * A publication that takes too long counts as failed at once, but its lane stays busy until it ends: a place never handles
 * two publications at a time.
 */
import { errorMessage, SeclogError } from "seclog";
import type { SignedCheckpoint } from "../stored-tree.ts";
import type { PublishContext, Publisher } from "./publisher.ts";

export interface PublishingOptions {
  readonly context: PublishContext;
  /** The least time between two publications at one place, in milliseconds. @default 10000 */
  readonly everyMs?: number;
  /** How long one publication may take, in milliseconds. @default 30000 */
  readonly timeoutMs?: number;
  /** Receives each failure; the checkpoint, or a newer one, is retried without further action. */
  readonly onFailure: (name: string, error: SeclogError) => void;
  /** Receives a place's new size. */
  readonly onSuccess?: (name: string, size: number) => void;
  /** From 0 to below 1, for the jitter. @default Math.random */
  readonly random?: () => number;
}

/** The state of a place. */
export interface PublisherStatus {
  readonly name: string;
  /** Leaves of its newest checkpoint; 0 before the first. */
  readonly size: number;
  /** When it received that checkpoint, in milliseconds since the Unix epoch. */
  readonly at: number | undefined;
  /** Why the last publication failed; `undefined` after a success. */
  readonly error: SeclogError | undefined;
}

const EVERY_MS = 10_000;
const TIMEOUT_MS = 30_000;
const FIRST_BACKOFF_MS = 1_000;
const LONGEST_BACKOFF_MS = 5 * 60_000;

export class Publishing {
  readonly #lanes: readonly Lane[];

  /** @throws SeclogError `SECLOG_CONFIG` if two places have the same name */
  constructor(publishers: readonly Publisher[], options: PublishingOptions) {
    for (const { name } of publishers) {
      if (publishers.filter((other) => other.name === name).length > 1) {
        throw new SeclogError("SECLOG_CONFIG", `${name} is named twice: name it once`);
      }
    }
    this.#lanes = publishers.map((publisher) => new Lane(publisher, options));
  }

  /** Queues a new checkpoint, in place of one that still waits. Returns at once and never throws. */
  offer(checkpoint: SignedCheckpoint): void {
    for (const lane of this.#lanes) lane.offer(checkpoint);
  }

  /**
   * Ends publishing: sends the newest checkpoint to every place that lacks it, once and without further delay. Resolves when
   * that is done, or after `deadlineMs`. Never rejects. Checkpoints offered later are not published.
   */
  async flush(deadlineMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs);
    });
    await Promise.race([Promise.all(this.#lanes.map((lane) => lane.finish())), late]);
    clearTimeout(timer);
    for (const lane of this.#lanes) lane.abort();
  }

  status(): PublisherStatus[] {
    return this.#lanes.map((lane) => lane.status());
  }
}

class Lane {
  readonly #publisher: Publisher;
  readonly #options: PublishingOptions;
  readonly #everyMs: number;
  /** The newest checkpoint that the place is known to lack. */
  #waiting: SignedCheckpoint | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The running publication; it never rejects. */
  #running: Promise<void> | undefined;
  #abort = new AbortController();
  #finishing = false;
  /** When the next publication may start, by `performance.now()`. */
  #notBefore = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #size = 0;
  #at: number | undefined;
  #error: SeclogError | undefined;

  constructor(publisher: Publisher, options: PublishingOptions) {
    this.#publisher = publisher;
    this.#options = options;
    this.#everyMs = options.everyMs ?? EVERY_MS;
  }

  offer(checkpoint: SignedCheckpoint): void {
    if (this.#finishing || checkpoint.size <= Math.max(this.#size, this.#waiting?.size ?? 0)) return;
    this.#waiting = checkpoint;
    this.#schedule();
  }

  status(): PublisherStatus {
    return { name: this.#publisher.name, size: this.#size, at: this.#at, error: this.#error };
  }

  /** Publishes the waiting checkpoint once the lane is free, and nothing after it. */
  async finish(): Promise<void> {
    this.#finishing = true;
    clearTimeout(this.#timer);
    await this.#running;
    if (this.#waiting !== undefined) await this.#start(this.#waiting);
  }

  abort(): void {
    this.#finishing = true;
    this.#waiting = undefined;
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  #schedule(): void {
    if (this.#finishing || this.#running !== undefined || this.#waiting === undefined) return;
    clearTimeout(this.#timer);
    const wait = Math.max(0, this.#notBefore - performance.now());
    this.#timer = setTimeout(() => {
      if (this.#waiting !== undefined) void this.#start(this.#waiting);
    }, wait);
    // The timer must not delay a process that ends without `flush`.
    this.#timer.unref();
  }

  #start(checkpoint: SignedCheckpoint): Promise<void> {
    this.#waiting = undefined;
    this.#notBefore = performance.now() + this.#everyMs;
    this.#abort = new AbortController();
    this.#running = this.#publish(checkpoint, this.#abort).finally(() => {
      this.#running = undefined;
      this.#schedule();
    });
    return this.#running;
  }

  async #publish(checkpoint: SignedCheckpoint, abort: AbortController): Promise<void> {
    const { context, timeoutMs = TIMEOUT_MS } = this.#options;
    let overdue = false;
    const timer = setTimeout(() => {
      overdue = true;
      const error = new SeclogError("SECLOG_PUBLISH", `it took longer than ${timeoutMs / 1000} seconds`);
      this.#failed(checkpoint, error);
      abort.abort(error);
    }, timeoutMs);
    timer.unref();
    try {
      await this.#publisher.publish(checkpoint, context, abort.signal);
      this.#failures = 0;
      this.#error = undefined;
      this.#size = checkpoint.size;
      this.#at = Date.now();
      if (this.#waiting !== undefined && this.#waiting.size <= checkpoint.size) this.#waiting = undefined;
      notify(() => this.#options.onSuccess?.(this.#publisher.name, checkpoint.size));
    } catch (error) {
      if (!overdue) this.#failed(checkpoint, error);
    } finally {
      clearTimeout(timer);
    }
  }

  #failed(checkpoint: SignedCheckpoint, thrown: unknown): void {
    const { onFailure, random = Math.random } = this.#options;
    const code = thrown instanceof SeclogError && thrown.code === "SECLOG_ROLLBACK" ? thrown.code : "SECLOG_PUBLISH";
    const error = new SeclogError(code, `${this.#publisher.name}: ${reasonOf(thrown)}`, { cause: thrown });
    const backoff = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#failures) * (0.5 + random() / 2);
    this.#failures += 1;
    this.#error = error;
    this.#waiting ??= checkpoint;
    this.#notBefore = performance.now() + Math.max(this.#everyMs, backoff);
    notify(() => onFailure(this.#publisher.name, error));
  }
}

/** Runs a callback: if it throws, neither the place nor the sealer has failed. */
function notify(callback: () => void): void {
  try {
    callback();
  } catch {}
}

/** The message of a thrown value with that of its cause: `fetch failed` alone explains nothing. */
function reasonOf(thrown: unknown): string {
  const { cause } = Object(thrown) as { cause?: unknown };
  const inner = cause instanceof AggregateError ? cause.errors[0] : cause;
  const own = errorMessage(thrown);
  return thrown instanceof SeclogError || !(inner instanceof Error) ? own : `${own}: ${errorMessage(inner)}`;
}
