/**
 * BullMQ. Any number of workers take jobs from one queue, each as many at once as it may hold, and BullMQ gives the jobs of
 * a source to all of them: the intake waits for what another worker is storing. A job stays locked while its worker lives;
 * those of a dead one return within seconds. What cannot be stored is in BullMQ's failed jobs, where its tools show it.
 *
 * The answer to a sender is what the job returns. BullMQ's client reconnects by itself.
 */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Bullmq,
  type BullmqJob,
  bullmqError,
  bullmqReply,
  connectBullmq,
  jobMessage,
  sourceOf,
} from "seclog/queues";
import type { Backlog, Consumer, ConsumerOptions, DeadLetter, DeadLetters, DeadReason, Delivery } from "../consumer.ts";
import { queueError } from "../queue-error.ts";

/** A worker that does not renew the lock of a job for so long is dead, in milliseconds; and how often others look. */
const LOCK_MS = 5_000;
const LOOK_MS = 2_000;

/** How often the queue is looked at, in milliseconds. */
const WATCH_MS = 1_000;
/** The states of jobs that are not yet stored. */
const WAITING = ["wait", "prioritized", "active", "delayed"] as const;
/** Of how many sources the latest answer is kept. */
const MOST_ANSWERS = 10_000;

/** Connects to BullMQ's Redis. */
export async function bullmqConsumer(options: ConsumerOptions): Promise<Consumer> {
  return new BullmqConsumer(await connectBullmq("work", options.url, options.queue), options);
}

class BullmqConsumer implements Consumer {
  readonly title = "BullMQ";
  readonly dead: DeadLetters;
  readonly #bullmq: Bullmq;
  readonly #options: ConsumerOptions;
  /** The latest answer about each source whose jobs are being settled. */
  readonly #answers = new Map<string, string>();
  #problem: string | undefined;
  /** Settles when the intake has room. */
  #turn: Promise<void> = Promise.resolve();
  #worker: ReturnType<Bullmq["worker"]> | undefined;
  #stopping = false;

  constructor(bullmq: Bullmq, options: ConsumerOptions) {
    this.#bullmq = bullmq;
    this.#options = options;
    this.dead = deadLetters(bullmq);
  }

  async run(take: (delivery: Delivery) => Promise<void>, signal: AbortSignal): Promise<void> {
    const worker = this.#bullmq.worker((job, token) => this.#process(job, token, take), {
      concurrency: this.#options.prefetch,
      lockDuration: LOCK_MS,
      stalledInterval: LOOK_MS,
      // A job outlives any number of workers that die with it.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    });
    this.#worker = worker;
    worker.on("error", (error) => this.#options.onTrouble(error));
    void this.#watch(signal);
    const ended = worker.run().then(() => {
      if (!this.#stopping) throw new Error("BullMQ's worker ended");
    });
    ended.catch(() => {});
    if (!signal.aborted) await Promise.race([once(signal, "abort"), ended]);
    this.#stopping = true;
    await bullmqReply("pause", worker.pause(true));
  }

  /** It is what the job returns that is settled next. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Looks whether there could be jobs: BullMQ's worker says nothing while Redis is silent, or its queue is paused. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { queue } = this.#bullmq;
    while (!signal.aborted && !this.#stopping) {
      try {
        await this.backlog();
        const paused = await bullmqReply("paused", queue.isPaused());
        this.#problem = paused ? `BullMQ: the queue ${queue.name} is paused: resume it` : undefined;
      } catch (error) {
        this.#problem = queueError(this.title, error).message;
      }
      await sleep(WATCH_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async answer(sourceId: string, message: Uint8Array): Promise<void> {
    // The oldest first: what is kept for long belongs to sources that have ended.
    this.#answers.delete(sourceId);
    const [oldest] = this.#answers.keys();
    if (oldest !== undefined && this.#answers.size >= MOST_ANSWERS) this.#answers.delete(oldest);
    this.#answers.set(sourceId, Buffer.from(message).toString("base64"));
  }

  async backlog(): Promise<Backlog> {
    const { queue } = this.#bullmq;
    const counts = await bullmqReply("counts", queue.getJobCounts(...WAITING, "failed"));
    const [oldest] = await bullmqReply("jobs", queue.getJobs(["wait"], 0, 0, true));
    const waiting = WAITING.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
    return { waiting, oldestQueuedAt: oldest?.timestamp, dead: counts["failed"] ?? 0 };
  }

  async close(): Promise<void> {
    this.#stopping = true;
    // It waits for jobs that are settled; with Redis away, for ever.
    if (this.#worker !== undefined) await bullmqReply("close", this.#worker.close()).catch(() => {});
    await this.#bullmq.close();
  }

  /** Resolves with the answer, or rejects, when the delivery is settled. */
  #process(
    job: BullmqJob,
    token: string | undefined,
    take: (delivery: Delivery) => Promise<void>,
  ): Promise<string | undefined> {
    const bytes = jobMessage(job);
    const sourceId = sourceOf(bytes);
    return new Promise((resolve, reject) => {
      const delivery: Delivery = {
        bytes,
        attempts: job.attemptsStarted,
        queuedAt: job.timestamp,
        done: async () => resolve(sourceId === undefined ? undefined : this.#answers.get(sourceId)),
        release: async (delayMs) => {
          try {
            if (this.#stopping) await bullmqReply("moveToWait", job.moveToWait(token));
            else await bullmqReply("moveToDelayed", job.moveToDelayed(Date.now() + delayMs, token));
            reject(bullmqError(this.#stopping ? "WaitingError" : "DelayedError", "given back"));
          } catch (error) {
            // BullMQ waits for this job otherwise, though it may not exist any more.
            reject(error);
          }
        },
        bury: async ({ code, message }: DeadReason) => reject(bullmqError("UnrecoverableError", `${code}: ${message}`)),
      };
      // One after the other: the intake says when it has room for the next one.
      this.#turn = this.#turn.then(() => (this.#stopping ? delivery.release(0) : take(delivery))).catch(reject);
    });
  }
}

/** The failed jobs. */
function deadLetters({ queue }: Bullmq): DeadLetters {
  const found = async (id: string): Promise<BullmqJob | undefined> => {
    const job = await bullmqReply("job", queue.getJob(id));
    return job?.finishedOn !== undefined && job.failedReason !== undefined ? job : undefined;
  };
  const range = (from: number, to: number): Promise<readonly (BullmqJob | undefined)[]> =>
    bullmqReply("jobs", queue.getJobs(["failed"], from, to, true));
  /** Without those that cannot be read, which are not ours. */
  const listed = async (limit: number): Promise<BullmqJob[]> => {
    const isJob = (job: BullmqJob | undefined): job is BullmqJob => job !== undefined && job !== null;
    try {
      return (await range(0, limit - 1)).filter(isJob);
    } catch {
      const { failed = 0 } = await bullmqReply("counts", queue.getJobCounts("failed"));
      const jobs: BullmqJob[] = [];
      for (let at = 0; at < Math.min(failed, limit); at++) {
        const [job] = await range(at, at).catch(() => []);
        if (isJob(job)) jobs.push(job);
      }
      return jobs;
    }
  };
  return {
    async list(limit) {
      const jobs = await listed(limit);
      return jobs.map((job): DeadLetter => {
        const [, code = "SECLOG_QUEUE", message = job.failedReason] =
          /^(SECLOG_\w+): (.*)$/s.exec(job.failedReason) ?? [];
        return { id: job.id ?? "", at: job.finishedOn ?? 0, code, message, bytes: jobMessage(job) };
      });
    },
    async retry(id) {
      const job = await found(id);
      if (job === undefined) return false;
      await bullmqReply("retry", job.retry("failed", { resetAttemptsStarted: true }));
      return true;
    },
    async drop(id) {
      const job = await found(id);
      if (job === undefined) return false;
      await bullmqReply("remove", job.remove());
      return true;
    },
  };
}
