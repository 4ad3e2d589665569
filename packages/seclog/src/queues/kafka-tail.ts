/**
 * Reads partitions of a topic alone: without other readers, without a position that is kept.
 *
 * kafkajs reads in groups only. The group has a random name and never commits, so Kafka forgets it once its member has
 * left. Joining takes as long as `group.initial.rebalance.delay.ms` (3 s); what is read begins at the offset that
 * `follow` is given, so nothing is missed meanwhile.
 */
import { randomUUID } from "node:crypto";
import type { KafkaClient, KafkaConsumer, KafkaRecord } from "./kafka-client.ts";

/** Options of {@link KafkaTail}. */
export interface KafkaTailOptions {
  readonly topic: string;
  /** What the group's name begins with. */
  readonly reader: string;
  readonly onRecord: (record: KafkaRecord, partition: number) => void;
}

const SESSION_MS = 30_000;
const HEARTBEAT_MS = 3_000;
/** How long a read waits for messages. One that begins meanwhile waits for it. */
const WAIT_MS = 250;

export class KafkaTail {
  readonly #client: KafkaClient;
  readonly #options: KafkaTailOptions;
  /** The next offset of each partition that is followed. */
  readonly #next = new Map<number, bigint>();
  /** The partitions that the group's only member has. */
  #assigned: readonly number[] = [];
  #consumer: KafkaConsumer | undefined;
  /** Why it has ended. Another `follow` or `restart` begins again. */
  failure: Error | undefined;

  constructor(client: KafkaClient, options: KafkaTailOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** Whether messages are being read. */
  get joined(): boolean {
    return this.#assigned.length > 0;
  }

  /** Passes on every message of a partition from an offset on. */
  follow(partition: number, offset: string): void {
    if (this.#next.has(partition)) return;
    this.#next.set(partition, BigInt(offset));
    if (this.#consumer === undefined) this.restart();
    else this.#apply([partition]);
  }

  /** Begins again after a failure, where it was. */
  restart(): void {
    this.failure = undefined;
    const { topic, reader } = this.#options;
    const consumer = this.#client.consumer({
      groupId: `${reader}${randomUUID()}`,
      allowAutoTopicCreation: false,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: HEARTBEAT_MS,
      rebalanceTimeout: SESSION_MS,
      maxWaitTimeInMs: WAIT_MS,
      readUncommitted: true,
      retry: { retries: 3, restartOnFailure: async () => true },
    });
    this.#consumer = consumer;
    this.#assigned = [];
    const failed = (error: Error): void => {
      if (this.#consumer !== consumer) return;
      this.#consumer = undefined;
      this.failure = error;
      consumer.disconnect().catch(() => {});
    };
    consumer.on("consumer.crash", ({ payload }) => {
      if (!payload.restart) failed(payload.error);
    });
    consumer.on("consumer.group_join", ({ payload }) => {
      if (this.#consumer !== consumer) return;
      this.#assigned = payload.memberAssignment[topic] ?? [];
      this.#apply(this.#assigned);
    });
    const start = async (): Promise<void> => {
      // A topic that was made again begins at 0.
      await consumer.subscribe({ topics: [topic], fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: true,
        eachBatch: async ({ batch, heartbeat }) => {
          if (this.#consumer !== consumer) return;
          for (const record of batch.messages) {
            this.#next.set(batch.partition, BigInt(record.offset) + 1n);
            this.#options.onRecord(record, batch.partition);
          }
          await heartbeat();
        },
      });
    };
    start().catch(failed);
  }

  async close(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = undefined;
    await consumer?.disconnect();
  }

  /** Reads those of the partitions that are followed from where they are, and leaves the others. */
  #apply(partitions: readonly number[]): void {
    const { topic } = this.#options;
    for (const partition of partitions) {
      const next = this.#next.get(partition);
      if (next === undefined) this.#consumer?.pause([{ topic, partitions: [partition] }]);
      else if (this.#assigned.includes(partition)) {
        this.#consumer?.seek({ topic, partition, offset: String(next) });
        this.#consumer?.resume([{ topic, partitions: [partition] }]);
      }
    }
  }
}
