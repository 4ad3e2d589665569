import { crc32 } from "node:zlib";

/** Among how many subjects the sources are spread. Senders and workers must agree, so it is not an option. */
export const NATS_SHARDS = 16;

/** The names of a queue's streams and subjects. */
export interface NatsNames {
  /** The stream of envelopes and questions. */
  readonly stream: string;
  /** The subject of a source's envelopes and questions: its shard, then its id. */
  events(sourceId: string): string;
  /** One of them, for what names no source. */
  readonly unknown: string;
  /** The subjects of a shard. */
  shard(shard: number): string;
  /** All subjects of the stream: none that workers would not read. */
  readonly subjects: readonly string[];
  /** Where a source's positions are published, outside any stream: a sender that misses one asks. */
  stored(sourceId: string): string;
  /** Where workers give signs of life, outside any stream. */
  readonly workers: string;
  /** The stream of envelopes that cannot be stored, and its subject. */
  readonly deadStream: string;
  readonly dead: string;
}

export function natsNames(queue: string): NatsNames {
  const subjectsOf = (shard: number): string => `${queue}.events.${shard}.*`;
  return {
    stream: `${queue}_events`,
    events: (sourceId) => `${queue}.events.${crc32(sourceId) % NATS_SHARDS}.${sourceId}`,
    unknown: `${queue}.events.0.unknown`,
    shard: subjectsOf,
    subjects: Array.from({ length: NATS_SHARDS }, (_, shard) => subjectsOf(shard)),
    stored: (sourceId) => `${queue}.stored.${sourceId}`,
    workers: `${queue}.workers`,
    deadStream: `${queue}_dead`,
    dead: `${queue}.dead`,
  };
}
