/** BullMQ's classes by the shape that is used, and how they are connected. */
import { Buffer } from "node:buffer";
import { configError } from "../event/options.ts";
import { NoReply, withinTime } from "./no-reply.ts";
import { checkUrl } from "./queue-options.ts";
import { type RedisCommands, redisCommands } from "./redis-commands.ts";

/** A job of BullMQ, by its shape. */
export interface BullmqJob {
  readonly id?: string | undefined;
  readonly data: unknown;
  /** When it was added, by its sender's clock, in milliseconds since the epoch. */
  readonly timestamp: number;
  readonly attemptsStarted: number;
  readonly finishedOn?: number | undefined;
  readonly failedReason: string;
  moveToDelayed(timestamp: number, token?: string): Promise<void>;
  moveToWait(token?: string): Promise<unknown>;
  retry(state: "failed", options: { readonly resetAttemptsStarted: boolean }): Promise<void>;
  remove(): Promise<unknown>;
}

/** A `Queue` of BullMQ, by its shape. */
export interface BullmqQueue {
  readonly name: string;
  /** Those that it was made with. */
  readonly opts: object;
  add(name: string, data: object, options: object): Promise<unknown>;
}

/** Where jobs are that BullMQ has not completed. */
export type BullmqState = "wait" | "prioritized" | "active" | "delayed" | "failed";

/** A `Queue` that we made. */
export interface BullmqOwnQueue extends BullmqQueue {
  getJob(id: string): Promise<BullmqJob | undefined>;
  getJobs(states: BullmqState[], start: number, end: number, oldestFirst: boolean): Promise<(BullmqJob | undefined)[]>;
  getJobCounts(...states: BullmqState[]): Promise<{ [state: string]: number }>;
  isPaused(): Promise<boolean>;
}

/** A `Worker` of BullMQ, by its shape. */
export interface BullmqWorker {
  on(event: "error" | "closed", listener: (error: Error) => void): unknown;
  run(): Promise<void>;
  pause(doNotWaitActive: boolean): Promise<void>;
  close(force?: boolean): Promise<void>;
}

/** A `QueueEvents` of BullMQ, by its shape. */
export interface BullmqEvents {
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "completed", listener: (event: { readonly returnvalue: unknown }) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  close(): Promise<void>;
}

/** Milliseconds to connect, and to wait for a reply. */
const CONNECT_MS = 10_000;
const REPLY_MS = 5_000;

/** Milliseconds after which a connection counts as dead that owes a reply; a reading one waits up to 10 seconds. */
const SILENT_MS = 20_000;

/** What a job carries: an envelope or a position message. */
export function jobData(message: Uint8Array): { readonly message: string } {
  return { message: Buffer.from(message).toString("base64") };
}

/** A job's message; empty for a job that is not one of ours. */
export function jobMessage({ data }: { readonly data: unknown }): Buffer {
  const { message } = (data ?? {}) as { readonly message?: unknown };
  return typeof message === "string" ? Buffer.from(message, "base64") : Buffer.alloc(0);
}

/** A failure as BullMQ knows it, by its name: `UnrecoverableError` is not retried, and a delayed job is not a failure. */
export function bullmqError(name: "UnrecoverableError" | "DelayedError" | "WaitingError", message: string): Error {
  return Object.assign(new Error(message), { name });
}

/** A reply of the server. The client may keep a command for ever whose connection was lost at the wrong moment. */
export function bullmqReply<T>(name: string, reply: Promise<T>): Promise<T> {
  return withinTime(reply, REPLY_MS, () => new NoReply(`no reply to ${name} within ${REPLY_MS / 1000} s`));
}

/** Connections of our own. */
export interface Bullmq {
  /** Fails when Redis is away: it keeps no commands for later. */
  readonly queue: BullmqOwnQueue;
  /** Commands of its Redis. */
  readonly commands: RedisCommands;
  /** Connects for the events of the queue. */
  events(): BullmqEvents;
  /** Connects to take jobs; `run()` begins. */
  worker(processor: (job: BullmqJob, token?: string) => Promise<unknown>, options: object): BullmqWorker;
  /** Ends all connections. */
  close(): Promise<void>;
}

/**
 * Connects with BullMQ and ioredis.
 *
 * @param url `redis://…` or `rediss://…`, also with `bullmq+` before it
 * @throws SeclogError `SECLOG_CONFIG` when one of them is not installed
 */
export async function connectBullmq(where: string, url: string, name: string): Promise<Bullmq> {
  checkUrl(where, url);
  // In a `try`, so that bundlers take missing clients for what they are: optional.
  try {
    const { Queue, QueueEvents, Worker } = await import("bullmq");
    const { Redis } = await import("ioredis");
    // BullMQ leaves open what it is given.
    const clients: InstanceType<typeof Redis>[] = [];
    const redis = (blocking: boolean): InstanceType<typeof Redis> => {
      const client = new Redis(url.replace(/^bullmq\+/, ""), {
        lazyConnect: !blocking,
        connectTimeout: CONNECT_MS,
        socketTimeout: SILENT_MS,
        // BullMQ demands null of connections that wait for jobs. Others must fail, and not keep commands.
        maxRetriesPerRequest: blocking ? null : 0,
        enableOfflineQueue: blocking,
        retryStrategy: (times) => Math.min(2_000, 50 * 2 ** Math.min(times, 6)),
      });
      // The running command fails, too.
      client.on("error", () => {});
      clients.push(client);
      return client;
    };
    const client = redis(false);
    await connected(client);
    const queue = new Queue(name, { connection: client });
    queue.on("error", () => {});
    const close = async (): Promise<void> => {
      await bullmqReply("close", queue.close()).catch(() => {});
      for (const open of clients) open.disconnect();
    };
    try {
      await bullmqReply("INFO", queue.waitUntilReady());
    } catch (error) {
      await close();
      throw error;
    }
    return {
      queue,
      commands: redisCommands(where, client),
      events: () => new QueueEvents(name, { connection: redis(true) }),
      worker: (processor, options) =>
        new Worker(name, processor, { ...options, connection: redis(true), autorun: false }),
      close,
    };
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw configError(where, "url", "needs BullMQ and its client of Redis: npm install bullmq ioredis");
  }
}

/** Connects a client. One that cannot connect now is ended: it would try for ever, and so would the next one. */
async function connected(client: {
  on(event: "error", listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  disconnect(): void;
}): Promise<void> {
  let reason: Error | undefined;
  client.on("error", (error) => {
    reason ??= error;
  });
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    throw reason ?? error;
  }
}

/** The events of an application's queue, on a connection of their own. */
export async function eventsOf(where: string, queue: BullmqQueue): Promise<BullmqEvents> {
  try {
    const { QueueEvents } = await import("bullmq");
    // The queue's own options fit, and its connection is duplicated.
    return new QueueEvents(queue.name, queue.opts as ConstructorParameters<typeof QueueEvents>[1]);
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw configError(where, "client", "needs BullMQ itself to receive answers: npm install bullmq");
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND";
}
