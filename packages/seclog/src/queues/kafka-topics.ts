/** The topics of a queue: senders and workers must agree on them, and either makes those that are missing. */
import { crc32 } from "node:zlib";
import { errorMessage, SeclogError } from "../event/errors.ts";
import { monotonicNow, sleep } from "../runtime/timers.ts";
import type { KafkaAdmin, KafkaClient, KafkaPartitioner } from "./kafka-client.ts";

/** The names of a queue's topics, and of its workers' group. */
export interface KafkaTopics {
  /** Envelopes and questions, by source. */
  readonly events: string;
  /** What workers gave back, until it is due. */
  readonly later: string;
  /** Positions, by source: workers write them, and every sender reads the partitions of its sources. */
  readonly stored: string;
  /** Envelopes that cannot be stored, by an id: compacted, so that one that was dropped disappears. */
  readonly dead: string;
  readonly group: string;
  /** The group of one process that reads a topic alone begins so. */
  readonly reader: string;
}

export function kafkaTopics(queue: string): KafkaTopics {
  return {
    events: `${queue}.events`,
    later: `${queue}.later`,
    stored: `${queue}.stored`,
    dead: `${queue}.dead`,
    group: `${queue}-work`,
    reader: `${queue}-reader-`,
  };
}

/** Partitions of a topic that is made here, and the most that positions are spread among. */
const PARTITIONS = 16;

/**
 * The partition of a source. Its positions stay among the first 16, so that adding partitions to the topic does not
 * separate a sender from its workers.
 */
function kafkaPartition(sourceId: string, partitions: number): number {
  return crc32(sourceId) % partitions;
}

/** The partition of a source's positions. */
export function positionPartition(sourceId: string, partitions: number): number {
  return kafkaPartition(sourceId, Math.min(partitions, PARTITIONS));
}

/** {@link kafkaPartition} for kafkajs, unless a message names its partition. */
export function kafkaPartitioner(): KafkaPartitioner {
  return ({ message, partitionMetadata }) =>
    message.partition ?? kafkaPartition(String(message.key), partitionMetadata.length);
}

/** {@link positionPartition} for kafkajs. */
export function positionPartitioner(): KafkaPartitioner {
  return ({ message, partitionMetadata }) => positionPartition(String(message.key), partitionMetadata.length);
}

const HOUR_MS = 3_600_000;

/** How each topic is made: what is not named is the cluster's default. */
const MADE: { readonly [name in "events" | "later" | "stored" | "dead"]: Readonly<Record<string, string>> } = {
  events: {},
  later: { "retention.ms": String(24 * HOUR_MS) },
  // Who misses a position asks for it.
  stored: { "retention.ms": String(HOUR_MS), "segment.ms": String(HOUR_MS) },
  dead: { "cleanup.policy": "compact" },
};

/**
 * Makes the topics that are missing. On a cluster with three brokers or more, each message is on three, and is
 * acknowledged once two have it.
 *
 * @throws SeclogError `SECLOG_QUEUE` when a topic is missing and cannot be made
 */
export async function makeKafkaTopics(
  client: KafkaClient,
  topics: KafkaTopics,
  names: readonly (keyof typeof MADE)[],
): Promise<void> {
  // Its own: an administrator of kafkajs that has seen a topic which is gone can do nothing else.
  const admin = client.admin();
  try {
    await admin.connect();
    const there = await admin.listTopics();
    const missing = names.filter((name) => !there.includes(topics[name]));
    if (missing.length > 0) await makeTopics(admin, topics, missing);
  } finally {
    await admin.disconnect();
  }
}

async function makeTopics(
  admin: KafkaAdmin,
  topics: KafkaTopics,
  missing: readonly (keyof typeof MADE)[],
): Promise<void> {
  const replicationFactor = Math.min(3, (await admin.describeCluster()).brokers.length);
  // By the broker's clock: it refuses messages whose sender's is an hour ahead.
  const clock = { "message.timestamp.type": "LogAppendTime" };
  // By the broker: kafkajs cannot read every compression, so one message of a stranger would stop its partition.
  const compression = { "compression.type": "uncompressed" };
  const safety = replicationFactor === 3 ? { "min.insync.replicas": "2" } : {};
  try {
    await admin.createTopics({
      waitForLeaders: false,
      topics: missing.map((name) => ({
        topic: topics[name],
        numPartitions: name === "dead" ? 1 : PARTITIONS,
        replicationFactor,
        configEntries: Object.entries({ ...MADE[name], ...clock, ...compression, ...safety }).map(([name, value]) => ({
          name,
          value,
        })),
      })),
    });
  } catch (error) {
    const list = missing.map((name) => topics[name]).join(", ");
    throw new SeclogError(
      "SECLOG_QUEUE",
      `the topics ${list} are missing and cannot be made: ${kafkaReason(error)}; let an administrator make them`,
      { cause: error },
    );
  }
  await Promise.all(missing.map((name) => ready(admin, topics[name])));
}

/** How long brokers may take to agree on the leaders of a new topic, in milliseconds. */
const READY_MS = 15_000;

/** Resolves when all partitions of a topic have a leader. */
async function ready(admin: KafkaAdmin, topic: string): Promise<void> {
  for (const deadline = monotonicNow() + READY_MS; ; await sleep(50)) {
    try {
      if ((await admin.fetchTopicOffsets(topic)).length > 0) return;
    } catch (error) {
      if (monotonicNow() > deadline) throw error;
    }
  }
}

/** Settings of a topic; without those that the server does not show to this client. */
export async function kafkaSettings(
  admin: KafkaAdmin,
  topic: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: TOPIC, name: topic, configNames: [...names] }],
    });
    const entries = resources[0]?.configEntries ?? [];
    return new Map(entries.map(({ configName, configValue }) => [configName, configValue]));
  } catch {
    // It needs a right of its own, which is often missing.
    return new Map();
  }
}

/** `ConfigResourceTypes.TOPIC` of kafkajs. */
const TOPIC = 2;

/** The protocol's name of a failure, such as `TOPIC_AUTHORIZATION_FAILED`, wherever kafkajs has put it. */
export function kafkaCode(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const { type, errors } = at as { readonly type?: unknown; readonly errors?: readonly unknown[] };
    if (typeof type === "string") return type;
    const inner = errors?.map(kafkaCode).find((code) => code !== undefined);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

/** A failure in words: kafkajs keeps the reason behind "…errors". */
function kafkaReason(error: unknown): string {
  const code = kafkaCode(error);
  return code === undefined ? errorMessage(error) : `${errorMessage(error)} (${code})`;
}
