/**
 * Redis Streams, for ioredis and node-redis.
 *
 * The envelopes of a source go to one of 16 streams, so that one worker at a time reads them, in order. All keys have one
 * hash tag: a cluster keeps them on one node. The newest position of each source is a key that the handler polls while a
 * batch waits.
 *
 * Redis acknowledges XADD once the stream is in its memory. Without an append-only file, and for up to a second with
 * `appendfsync everysec`, a crash takes it; a failover takes what was not replicated. `confirm: "stored"` does not depend
 * on any of that.
 */
import { Buffer } from "node:buffer";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { type QueueConnection, queueHandler } from "./queue-handler.ts";
import { checkUrl, QUEUE_OPTIONS, type QueueOptions, queueSettings, resolvedQueueOptions } from "./queue-options.ts";
import {
  connectRedis,
  type RedisClient,
  type RedisCommands,
  redisCommands,
  redisFailureKind,
  warnOfRedisLoss,
} from "./redis-commands.ts";
import { redisKeys, shardOf } from "./redis-keys.ts";

export type { IoRedisClient, NodeRedisClient, RedisClient } from "./redis-commands.ts";

/** Options of {@link redisHandler}. */
export interface RedisHandlerOptions extends QueueOptions {
  /**
   * `redis://user:password@host:6379/0`, or `rediss://` for TLS: the handler connects in the shipper's thread, with
   * ioredis or node-redis, whichever is installed.
   * @default `SECLOG_QUEUE_URL`, or the file that `SECLOG_QUEUE_URL_FILE` names
   */
  readonly url?: string | undefined;
  /** The application's own client instead: ioredis, or node-redis after its `connect()`. The handler never closes it. */
  readonly client?: RedisClient | undefined;
}

const WHERE = "redisHandler";

/** Redis takes values of up to 512 MB; what one reply brings should stay far below. */
const MAX_BYTES = 8 * 1024 * 1024;

/**
 * Sends events through Redis Streams to `seclog work`, which stores them in PostgreSQL.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function redisHandler(options: RedisHandlerOptions = {}): SecurityEventHandler {
  rejectUnknownOptions(WHERE, options, ["url", "client", ...QUEUE_OPTIONS]);
  const settings = queueSettings(WHERE, "redis", options);
  const open = async (commands: RedisCommands): Promise<QueueConnection> => {
    if (settings.confirm === "queued") await warnOfRedisLoss(WHERE, commands);
    return connection(commands, settings.queue);
  };
  const { client, ...others } = options;
  if (client !== undefined) {
    if (options.url !== undefined) throw configError(WHERE, "url", "and client exclude each other: keep one");
    const commands = redisCommands(WHERE, client);
    return queueHandler({ title: "Redis", kindOf: redisFailureKind, open: () => open(commands) }, settings);
  }
  const resolved = resolvedQueueOptions(WHERE, others);
  const { url = "" } = resolved;
  if (!/^rediss?:\/\//.test(url)) {
    throw configError(WHERE, "url", "must begin with redis:// or rediss://; set it, or SECLOG_QUEUE_URL");
  }
  checkUrl(WHERE, url);
  const engine = { title: "Redis", kindOf: redisFailureKind, open: async () => open(await connectRedis(WHERE, url)) };
  return queueHandler(engine, settings, { module: "seclog:redis", options: resolved });
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: RedisHandlerOptions): SecurityEventHandler {
  return redisHandler(options);
}

function connection(commands: RedisCommands, queue: string): QueueConnection {
  const keys = redisKeys(queue);
  return {
    maxBytes: MAX_BYTES,
    async send(sourceId, message) {
      await commands.run(["XADD", keys.stream(shardOf(sourceId)), "*", "m", Buffer.from(message)]);
    },
    async poll(sourceId) {
      const value = await commands.run(["GET", keys.position(sourceId)]);
      return value instanceof Uint8Array ? value : undefined;
    },
    close: () => commands.close(),
  };
}
