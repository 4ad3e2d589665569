import { crc32 } from "node:zlib";

/** Among how many streams the sources are spread. Senders and workers must agree, so it is not an option. */
export const REDIS_SHARDS = 16;

/** The names of a queue's keys. The hash tag keeps them on one node of a cluster. */
export interface RedisKeys {
  /** Envelopes and questions of the sources of a shard: a stream, entries with one field `m`. */
  stream(shard: number): string;
  /** The newest position of a source: a string that expires. */
  position(sourceId: string): string;
  /** Which worker reads a shard: a string that expires. */
  lease(shard: number): string;
  /** The workers, by the time of their last sign of life: a sorted set. */
  readonly workers: string;
  /** Messages that were given back, by the time at which they return to their stream: a sorted set. */
  readonly later: string;
  /** Envelopes that cannot be stored: a stream with the fields `m`, `code`, `why`, `at`. */
  readonly dead: string;
}

export function redisKeys(queue: string): RedisKeys {
  const prefix = `{${queue}}`;
  return {
    stream: (shard) => `${prefix}:events:${shard}`,
    position: (sourceId) => `${prefix}:stored:${sourceId}`,
    lease: (shard) => `${prefix}:lease:${shard}`,
    workers: `${prefix}:workers`,
    later: `${prefix}:later`,
    dead: `${prefix}:dead`,
  };
}

/** The stream of a source. */
export function shardOf(sourceId: string): number {
  return crc32(sourceId) % REDIS_SHARDS;
}
