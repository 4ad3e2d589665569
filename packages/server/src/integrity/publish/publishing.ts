/**
 * Gives checkpoints to the places that keep them, without the sealer ever waiting for one.
 *
 * Each place has a lane: the newest checkpoint that waits, and at most one publication under way.
 *
 *   idle ── offer ──► waiting (for everyMs, or after failures for longer) ──► publishing ──► idle, or waiting again
 *                      ▲ a newer checkpoint takes the older one's place          │ fails, or takes too long:
 *                      └─────────────────────────────────────────────────────────┘ what it had waits again
 *
 * A publication that takes too long counts as failed at once, but the lane is free only when it has ended: a place is
 * never asked two things at a time.
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
  /** Told of each failure; the checkpoint, or a newer one, is tried again by itself. */
  readonly onFailure: (name: string, error: SeclogError) => void;
  /** Told what a place has now. */
  readonly onSuccess?: (name: string, size: number) => void;
  /** From 0 to below 1, for the jitter. @default Math.random */
  readonly random?: () => number;
}

/** How a place is doing. */
export interface PublisherStatus {
  readonly name: string;
  /** Leaves of the newest checkpoint that it has, 0 before the first. */
  readonly size: number;
  /** When it got that, in milliseconds since the Unix epoch. */
  readonly at: number | undefined;
  /** Why the last publication failed; `undefined` after one that did not. */
  readonly error: SeclogError | undefined;
}

const EVERY_MS = 10_000;
const TIMEOUT_MS = 30_000;
const FIRST_BACKOFF_MS = 1_000;
const LONGEST_BACKOFF_MS = 5 * 60_000;

export class Publishing {
  readonly #lanes: readonly Lane[];

  /** @throws SeclogError `SECLOG_CONFIG` when two places have the same name */
  constructor(publishers: readonly Publisher[], options: PublishingOptions) {
    for (const { name } of publishers) {
      if (publishers.filter((other) => other.name === name).length > 1) {
        throw new SeclogError("SECLOG_CONFIG", `${name} is named twice: once is enough`);
      }
    }
    this.#lanes = publishers.map((publisher) => new Lane(publisher, options));
  }

  /** Takes note of a new checkpoint. Returns at once and never throws; what a place did not get before is left out. */
  offer(checkpoint: SignedCheckpoint): void {
    for (const lane of this.#lanes) lane.offer(checkpoint);
  }

  /**
   * Ends publishing: gives the newest checkpoint to every place that lacks it, each once and without further waiting.
   * Resolves when that is done, and after `deadlineMs` at the latest. Never rejects. What is offered later is not published.
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
  /** The newest checkpoint that the place lacks, as far as known. */
  #waiting: SignedCheckpoint | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The publication under way; it never rejects. */
  #running: Promise<void> | undefined;
  #abort = new AbortController();
  #finishing = false;
  /** When the next publication may begin, by `performance.now()`. */
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

  /** Publishes what waits as soon as the lane is free, once; then nothing any more. */
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
    // Whoever ends without `flush` is not held up.
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
      tell(() => this.#options.onSuccess?.(this.#publisher.name, checkpoint.size));
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
    tell(() => onFailure(this.#publisher.name, error));
  }
}

/** A failing callback is no failure of the place, and none of the sealer. */
function tell(callback: () => void): void {
  try {
    callback();
  } catch {}
}

/** What a thrown value says, with what was beneath it: `fetch failed` alone helps nobody. */
function reasonOf(thrown: unknown): string {
  const { cause } = Object(thrown) as { cause?: unknown };
  const inner = cause instanceof AggregateError ? cause.errors[0] : cause;
  const own = errorMessage(thrown);
  return thrown instanceof SeclogError || !(inner instanceof Error) ? own : `${own}: ${errorMessage(inner)}`;
}
