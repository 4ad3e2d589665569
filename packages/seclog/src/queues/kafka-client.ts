/** What is called of kafkajs, by its shape, and a client of it from a URL. */
import { configError } from "../event/options.ts";

/** A `Kafka` of kafkajs 2.2, by its shape. */
export interface KafkaClient {
  producer(options: {
    readonly allowAutoTopicCreation: boolean;
    readonly createPartitioner: () => KafkaPartitioner;
  }): KafkaProducer;
  consumer(options: KafkaConsumerOptions): KafkaConsumer;
  admin(): KafkaAdmin;
}

/** Chooses the partition of a message. */
export type KafkaPartitioner = (message: {
  readonly message: { readonly key?: Uint8Array | string | null; readonly partition?: number };
  readonly partitionMetadata: readonly unknown[];
}) => number;

/** A message to send. */
export interface KafkaMessage {
  readonly key: string;
  /** `null` deletes the key from a compacted topic. */
  readonly value: Buffer | null;
  headers?: { [name: string]: string };
  readonly partition?: number;
}

/** A producer of kafkajs. */
export interface KafkaProducer {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  send(record: {
    topic: string;
    acks: number;
    timeout: number;
    messages: KafkaMessage[];
  }): Promise<readonly { readonly logAppendTime?: string }[]>;
}

/** A message that was received. */
export interface KafkaRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly offset: string;
  /** Milliseconds since the epoch. */
  readonly timestamp: string;
  readonly headers?: { readonly [name: string]: unknown };
}

/** Consecutive messages of a partition. */
export interface KafkaBatch {
  readonly batch: { readonly topic: string; readonly partition: number; readonly messages: readonly KafkaRecord[] };
  resolveOffset(offset: string): void;
  heartbeat(): Promise<void>;
  /** Stops reading the partition, until the returned function is called. */
  pause(): () => void;
}

/** Options of a consumer of kafkajs. */
export interface KafkaConsumerOptions {
  readonly groupId: string;
  readonly allowAutoTopicCreation: boolean;
  readonly sessionTimeout: number;
  readonly heartbeatInterval: number;
  readonly rebalanceTimeout: number;
  readonly maxWaitTimeInMs: number;
  readonly readUncommitted: boolean;
  readonly retry: { readonly retries: number; restartOnFailure: (error: Error) => Promise<boolean> };
}

/** A consumer of kafkajs. */
export interface KafkaConsumer {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  subscribe(subscription: { topics: string[]; fromBeginning: boolean }): Promise<void>;
  run(options: {
    readonly autoCommit: boolean;
    readonly eachBatchAutoResolve: boolean;
    readonly eachBatch: (batch: KafkaBatch) => Promise<void>;
  }): Promise<void>;
  seek(place: { topic: string; partition: number; offset: string }): void;
  pause(places: { topic: string; partitions?: number[] }[]): void;
  resume(places: { topic: string; partitions?: number[] }[]): void;
  commitOffsets(offsets: { topic: string; partition: number; offset: string }[]): Promise<void>;
  on(
    event: "consumer.crash",
    listener: (event: { readonly payload: { readonly error: Error; readonly restart: boolean } }) => void,
  ): unknown;
  on(
    event: "consumer.group_join",
    listener: (event: {
      readonly payload: { readonly memberAssignment: { readonly [topic: string]: readonly number[] } };
    }) => void,
  ): unknown;
}

/** An administrator of kafkajs. */
export interface KafkaAdmin {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  listTopics(): Promise<string[]>;
  createTopics(options: {
    readonly waitForLeaders: boolean;
    topics: {
      topic: string;
      numPartitions: number;
      replicationFactor: number;
      configEntries: { name: string; value: string }[];
    }[];
  }): Promise<boolean>;
  describeCluster(): Promise<{ readonly brokers: readonly unknown[] }>;
  describeConfigs(options: {
    readonly includeSynonyms: boolean;
    readonly resources: { readonly type: number; readonly name: string; readonly configNames: string[] }[];
  }): Promise<{
    readonly resources: readonly {
      readonly configEntries: readonly { readonly configName: string; readonly configValue: string }[];
    }[];
  }>;
  fetchTopicOffsets(
    topic: string,
  ): Promise<readonly { readonly partition: number; readonly high: string; readonly low: string }[]>;
  fetchOffsets(options: { groupId: string; topics: string[] }): Promise<
    readonly {
      readonly topic: string;
      readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
    }[]
  >;
}

/** What a URL says. */
interface KafkaPlace {
  readonly brokers: string[];
  readonly ssl: boolean;
  readonly sasl?: { readonly mechanism: Mechanism; readonly username: string; readonly password: string };
}

const MECHANISMS = ["plain", "scram-sha-256", "scram-sha-512"] as const;
type Mechanism = (typeof MECHANISMS)[number];

/** Milliseconds to connect, and to wait for a reply. */
const CONNECT_MS = 5_000;
const REPLY_MS = 10_000;

/**
 * A client of kafkajs, which connects when it is used.
 *
 * @throws SeclogError `SECLOG_CONFIG` when the URL cannot be read, or kafkajs is not installed
 */
export async function kafkaClient(where: string, url: string): Promise<KafkaClient> {
  const place = kafkaPlace(where, url);
  // In a `try`, so that bundlers take a missing client for what it is: optional.
  try {
    const { Kafka, logLevel } = await import("kafkajs");
    const { brokers, ssl, sasl } = place;
    return new Kafka({
      clientId: "seclog",
      brokers,
      ssl,
      ...(sasl === undefined ? {} : { sasl: sasl as { mechanism: "plain"; username: string; password: string } }),
      connectionTimeout: CONNECT_MS,
      requestTimeout: REPLY_MS,
      retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 3 },
      logLevel: logLevel.NOTHING,
    });
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") throw error;
    throw configError(where, "url", "needs a client of Kafka: npm install kafkajs");
  }
}

/**
 * Reads `kafka://user:password@host:9092,host2:9092?mechanism=plain`, or `kafka+ssl://` for TLS. Several hosts are more
 * than `URL` reads.
 *
 * @throws SeclogError `SECLOG_CONFIG`, which does not repeat the URL
 */
export function kafkaPlace(where: string, url: string): KafkaPlace {
  const [, scheme, user, password, hosts = "", search] =
    /^(kafka(?:\+ssl)?):\/\/(?:([^:@/]*):([^@/]*)@)?([^/?#@]+)\/?(?:\?([^#]*))?$/.exec(url) ?? [];
  if (scheme === undefined) {
    throw configError(where, "url", "must be kafka://host:9092 or kafka+ssl://user:password@host:9092,host2:9092");
  }
  const brokers = hosts.split(",").map((host) => (/:\d+$/.test(host) ? host : `${host}:9092`));
  const ssl = scheme === "kafka+ssl";
  const query = new URLSearchParams(search);
  const unknown = [...query.keys()].find((name) => name !== "mechanism");
  if (unknown !== undefined) throw configError(where, "url", `has ?${unknown}=, but only ?mechanism= is known`);
  // PLAIN sends the password itself: without TLS, only who asks for it does that.
  const mechanism = query.get("mechanism") ?? (ssl ? "plain" : "scram-sha-512");
  if (!isMechanism(mechanism)) {
    throw configError(where, "url", `has ?mechanism=${mechanism}, but must have one of ${MECHANISMS.join(", ")}`);
  }
  if (user === undefined || password === undefined) return { brokers, ssl };
  return {
    brokers,
    ssl,
    sasl: { mechanism, username: decoded(where, user), password: decoded(where, password) },
  };
}

function isMechanism(text: string): text is Mechanism {
  return (MECHANISMS as readonly string[]).includes(text);
}

function decoded(where: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw configError(where, "url", "has a user or password that is not percent-encoded correctly");
  }
}
