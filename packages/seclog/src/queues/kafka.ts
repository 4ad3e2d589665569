/**
 * Apache Kafka, for kafkajs.
 *
 * The envelopes of a source go to one partition of the topic `seclog.events`, so that one worker at a time reads them, in
 * order. Positions come back through the topic `seclog.stored`.
 *
 * The handler asks for `acks=all`: Kafka acknowledges a message once every replica that is in sync has it in its memory,
 * which are as few as `min.insync.replicas`. So it is lost with a single broker's disk where the topic has one replica,
 * and with `unclean.leader.election.enable`, when a replica that lagged behind becomes the leader. What retention deletes
 * before a worker has read it is lost as well. `confirm: "stored"` does not depend on any of that.
 *
 * The producer is not idempotent: the database recognises a message that came twice, and one batch of a source waits for
 * the one before it.
 */
import { Buffer } from "node:buffer";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { monotonicNow } from "../runtime/timers.ts";
import type { FailureKind, SecurityEventHandler } from "../ship/handler.ts";
import { type KafkaAdmin, type KafkaClient, type KafkaProducer, kafkaClient, kafkaPlace } from "./kafka-client.ts";
import { KafkaTail } from "./kafka-tail.ts";
import {
  type KafkaTopics,
  kafkaCode,
  kafkaPartitioner,
  kafkaSettings,
  kafkaTopics,
  makeKafkaTopics,
  positionPartition,
} from "./kafka-topics.ts";
import { type QueueConnection, queueHandler } from "./queue-handler.ts";
import {
  QUEUE_OPTIONS,
  type QueueOptions,
  type QueueSettings,
  queueSettings,
  resolvedQueueOptions,
  warnOnce,
} from "./queue-options.ts";

export type {
  KafkaAdmin,
  KafkaBatch,
  KafkaClient,
  KafkaConsumer,
  KafkaConsumerOptions,
  KafkaMessage,
  KafkaPartitioner,
  KafkaProducer,
  KafkaRecord,
} from "./kafka-client.ts";

/** Options of {@link kafkaHandler}. */
export interface KafkaHandlerOptions extends QueueOptions {
  /**
   * `kafka://host:9092,host2:9092`, or `kafka+ssl://user:password@host:9092` for TLS: the handler connects in the
   * shipper's thread, with kafkajs. `?mechanism=` is `plain`, `scram-sha-256` or `scram-sha-512`: with TLS, `plain` unless
   * it says otherwise; without TLS, `scram-sha-512`.
   * @default `SECLOG_QUEUE_URL`, or the file that `SECLOG_QUEUE_URL_FILE` names
   */
  readonly url?: string | undefined;
  /** The application's own `new Kafka()` of kafkajs instead. The handler makes producers and consumers of its own. */
  readonly client?: KafkaClient | undefined;
}

const WHERE = "kafkaHandler";

/** What a broker takes by default (`message.max.bytes`), and what a message has besides its value, as a dead letter too. */
const DEFAULT_BYTES = 1_000_000;
const OVERHEAD_BYTES = 4_096;

/** How long the brokers may take to replicate a message, in milliseconds. */
const ACKS_MS = 8_000;

/** How long a failed reader of positions rests, in milliseconds. */
const REST_MS = 5_000;

/**
 * Sends events through Kafka to `seclog work`, which stores them in PostgreSQL.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function kafkaHandler(options: KafkaHandlerOptions = {}): SecurityEventHandler {
  rejectUnknownOptions(WHERE, options, ["url", "client", ...QUEUE_OPTIONS]);
  const settings = queueSettings(WHERE, "kafka", options);
  const { client, ...others } = options;
  if (client !== undefined) {
    if (typeof (client as Partial<KafkaClient>).producer !== "function") {
      throw configError(WHERE, "client", "is not a Kafka of kafkajs: new Kafka({ brokers })");
    }
    return queueHandler({ title: "Kafka", kindOf, open: () => open(client, settings) }, settings);
  }
  const resolved = resolvedQueueOptions(WHERE, others);
  const { url = "" } = resolved;
  if (url === "") throw configError(WHERE, "url", "is missing: set it, or SECLOG_QUEUE_URL");
  kafkaPlace(WHERE, url);
  const engine = {
    title: "Kafka",
    kindOf,
    open: async () => open(await kafkaClient(WHERE, url), settings),
  };
  return queueHandler(engine, settings, { module: "seclog:kafka", options: resolved });
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: KafkaHandlerOptions): SecurityEventHandler {
  return kafkaHandler(options);
}

async function open(client: KafkaClient, settings: QueueSettings): Promise<QueueConnection> {
  const topics = kafkaTopics(settings.queue);
  const admin = client.admin();
  const producer = client.producer({ allowAutoTopicCreation: false, createPartitioner: kafkaPartitioner });
  try {
    await makeKafkaTopics(client, topics, ["events", "stored"]);
    await Promise.all([admin.connect(), producer.connect()]);
    if (settings.confirm === "queued") await warnOfLoss(admin, topics.events);
    return new KafkaConnection(client, admin, producer, topics, await largestMessage(admin, topics));
  } catch (error) {
    await Promise.allSettled([admin.disconnect(), producer.disconnect()]);
    throw error;
  }
}

class KafkaConnection implements QueueConnection {
  maxBytes: number;
  readonly #client: KafkaClient;
  readonly #admin: KafkaAdmin;
  readonly #producer: KafkaProducer;
  readonly #topics: KafkaTopics;
  readonly #tail: KafkaTail;
  readonly #watched = new Map<string, (message: Uint8Array) => void>();
  #restartAt = 0;

  constructor(client: KafkaClient, admin: KafkaAdmin, producer: KafkaProducer, topics: KafkaTopics, maxBytes: number) {
    this.#client = client;
    this.#admin = admin;
    this.#producer = producer;
    this.#topics = topics;
    this.maxBytes = maxBytes;
    this.#tail = new KafkaTail(client, {
      topic: topics.stored,
      reader: topics.reader,
      onRecord: ({ key, value }) => {
        if (value !== null) this.#watched.get(String(key))?.(value);
      },
    });
  }

  async send(sourceId: string, message: Uint8Array): Promise<void> {
    try {
      await this.#produce(sourceId, message);
    } catch (error) {
      const code = kafkaCode(error);
      // Its batch comes again, in smaller parts.
      if (code === "MESSAGE_TOO_LARGE") this.maxBytes = await largestMessage(this.#admin, this.#topics);
      if (code !== "UNKNOWN_TOPIC_OR_PARTITION") throw error;
      await makeKafkaTopics(this.#client, this.#topics, ["events", "stored"]);
      await this.#produce(sourceId, message);
    }
  }

  async watch(sourceId: string, onPosition: (message: Uint8Array) => void): Promise<void> {
    const offsets = await this.#admin.fetchTopicOffsets(this.#topics.stored);
    const partition = positionPartition(sourceId, offsets.length);
    this.#watched.set(sourceId, onPosition);
    this.#tail.follow(partition, offsets.find((one) => one.partition === partition)?.high ?? "0");
  }

  /** Positions are pushed: this only restarts their reader, and says why it failed. */
  async poll(): Promise<undefined> {
    const { failure } = this.#tail;
    if (failure === undefined) return;
    const now = monotonicNow();
    if (now >= this.#restartAt) {
      this.#restartAt = now + REST_MS;
      this.#tail.restart();
    }
    throw failure;
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#tail.close(), this.#producer.disconnect(), this.#admin.disconnect()]);
  }

  async #produce(sourceId: string, message: Uint8Array): Promise<void> {
    const messages = [{ key: sourceId, value: Buffer.from(message) }];
    await this.#producer.send({ topic: this.#topics.events, acks: -1, timeout: ACKS_MS, messages });
  }
}

async function largestMessage(admin: KafkaAdmin, { events }: KafkaTopics): Promise<number> {
  const limit = (await kafkaSettings(admin, events, ["max.message.bytes"])).get("max.message.bytes");
  return Number(limit ?? DEFAULT_BYTES) - OVERHEAD_BYTES;
}

/** Failures that only an operator can remove. */
const REFUSED: ReadonlySet<string> = new Set([
  "SASL_AUTHENTICATION_FAILED",
  "UNSUPPORTED_SASL_MECHANISM",
  "ILLEGAL_SASL_STATE",
  "TOPIC_AUTHORIZATION_FAILED",
  "GROUP_AUTHORIZATION_FAILED",
  "CLUSTER_AUTHORIZATION_FAILED",
]);

function kindOf(error: unknown): FailureKind {
  const { name } = error as { readonly name?: unknown };
  return name === "KafkaJSSASLAuthenticationError" || REFUSED.has(kafkaCode(error) ?? "") ? "destination" : "retry";
}

/** Warns of settings with which an acknowledged event can be lost. A server that does not show them is left alone. */
async function warnOfLoss(admin: KafkaAdmin, topic: string): Promise<void> {
  const settings = await kafkaSettings(admin, topic, ["min.insync.replicas", "unclean.leader.election.enable"]);
  const risks: string[] = [];
  if (settings.get("min.insync.replicas") === "1") {
    risks.push(`min.insync.replicas of ${topic} is 1: a message may be on one broker only, and is lost with it`);
  }
  if (settings.get("unclean.leader.election.enable") === "true") {
    risks.push(`unclean.leader.election.enable of ${topic} is true: a leader that lagged behind loses queued events`);
  }
  for (const risk of risks) warnOnce(`kafkaHandler with confirm: "queued": ${risk}`);
}
