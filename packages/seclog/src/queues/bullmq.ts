/**
 * BullMQ: jobs in Redis, for teams that already run them.
 *
 * A message is a job; what the job returns is the answer, which comes back with BullMQ's events. So any worker can store
 * them: `seclog work`, or the team's own with {@link createSecurityLogProcessor}. BullMQ hands the jobs of one source to
 * several workers at once, who put them into their order.
 *
 * A job is added once it is in Redis' memory. Without an append-only file, and for up to a second with
 * `appendfsync everysec`, a crash takes it; a failover takes what was not replicated. `confirm: "stored"` does not depend
 * on any of that.
 */
import { Buffer } from "node:buffer";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import {
  type BullmqEvents,
  type BullmqQueue,
  bullmqReply,
  connectBullmq,
  eventsOf,
  jobData,
} from "./bullmq-connection.ts";
import { sourceOf } from "./envelope.ts";
import { type QueueConnection, queueHandler } from "./queue-handler.ts";
import { checkUrl, QUEUE_OPTIONS, type QueueOptions, queueSettings, resolvedQueueOptions } from "./queue-options.ts";
import { redisFailureKind, warnOfRedisLoss } from "./redis-commands.ts";

export type { BullmqJob, BullmqQueue } from "./bullmq-connection.ts";
export {
  createSecurityLogProcessor,
  type SecurityLogProcessorOptions,
  type SecurityLogStore,
} from "./bullmq-processor.ts";

/** Options of {@link bullmqHandler}. */
export interface BullmqHandlerOptions extends QueueOptions {
  /**
   * `bullmq+redis://user:password@host:6379/0`, or `bullmq+rediss://` for TLS: the handler connects in the shipper's
   * thread, with BullMQ and ioredis.
   * @default `SECLOG_QUEUE_URL`, or the file that `SECLOG_QUEUE_URL_FILE` names
   */
  readonly url?: string | undefined;
  /**
   * The application's own `Queue` of BullMQ instead; `queue` is its name then. The handler never closes it. Connect it
   * with `enableOfflineQueue: false`, so that it fails while Redis is away.
   */
  readonly client?: BullmqQueue | undefined;
}

const WHERE = "bullmqHandler";

/** Base64 adds a third, and a worker holds several jobs. */
const MAX_BYTES = 1024 * 1024;

/**
 * Workers retry a job for as long as their database is away; what cannot be stored fails at once. A few completed jobs are
 * kept, for people who look; all failed ones are.
 */
const JOB_OPTIONS = {
  attempts: 1_000_000,
  backoff: { type: "fixed", delay: 2_000, jitter: 0.5 },
  removeOnComplete: { count: 100 },
  removeOnFail: false,
};

/**
 * Sends events through BullMQ to `seclog work`, or to workers with {@link createSecurityLogProcessor}, which store them in
 * PostgreSQL.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function bullmqHandler(options: BullmqHandlerOptions = {}): SecurityEventHandler {
  rejectUnknownOptions(WHERE, options, ["url", "client", ...QUEUE_OPTIONS]);
  const { client, ...others } = options;
  if (client !== undefined) {
    if (typeof (client as Partial<BullmqQueue>).add !== "function" || typeof client.name !== "string") {
      throw configError(WHERE, "client", "is not a Queue of BullMQ");
    }
    const settings = queueSettings(WHERE, "bullmq", { ...options, queue: options.queue ?? client.name });
    if (settings.queue !== client.name) {
      throw configError(WHERE, "queue", `is ${settings.queue}, but the name of client is ${client.name}: leave it out`);
    }
    const open = async (): Promise<QueueConnection> =>
      connection(client, await listening(await eventsOf(WHERE, client)), async () => {});
    return queueHandler({ title: "BullMQ", kindOf: redisFailureKind, open }, settings);
  }
  const settings = queueSettings(WHERE, "bullmq", options);
  const resolved = resolvedQueueOptions(WHERE, others);
  const { url = "" } = resolved;
  if (!/^(?:bullmq\+)?rediss?:\/\//.test(url)) {
    throw configError(WHERE, "url", "must begin with bullmq+redis:// or bullmq+rediss://; set it, or SECLOG_QUEUE_URL");
  }
  checkUrl(WHERE, url);
  const open = async (): Promise<QueueConnection> => {
    const bullmq = await connectBullmq(WHERE, url, settings.queue);
    try {
      if (settings.confirm === "queued") await warnOfRedisLoss(WHERE, bullmq.commands);
      return connection(bullmq.queue, await listening(bullmq.events()), () => bullmq.close());
    } catch (error) {
      await bullmq.close();
      throw error;
    }
  };
  const engine = { title: "BullMQ", kindOf: redisFailureKind, open };
  return queueHandler(engine, settings, { module: "seclog:bullmq", options: resolved });
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: BullmqHandlerOptions): SecurityEventHandler {
  return bullmqHandler(options);
}

async function listening(events: BullmqEvents): Promise<BullmqEvents> {
  // It connects again by itself.
  events.on("error", () => {});
  try {
    await bullmqReply("XREAD", events.waitUntilReady());
    return events;
  } catch (error) {
    events.close().catch(() => {});
    throw error;
  }
}

function connection(queue: BullmqQueue, events: BullmqEvents, end: () => Promise<void>): QueueConnection {
  const watched = new Map<string, (message: Uint8Array) => void>();
  events.on("completed", ({ returnvalue }) => {
    if (typeof returnvalue !== "string") return;
    const message = Buffer.from(returnvalue, "base64");
    watched.get(sourceOf(message) ?? "")?.(message);
  });
  return {
    maxBytes: MAX_BYTES,
    async send(_sourceId, message) {
      await bullmqReply("add", queue.add("events", jobData(message), JOB_OPTIONS));
    },
    async watch(sourceId, onPosition) {
      watched.set(sourceId, onPosition);
    },
    async close() {
      await bullmqReply("close", events.close()).catch(() => {});
      await end();
    },
  };
}
