/**
 * Apache Kafka. The workers of a queue are one group, among which Kafka spreads the partitions: a source's messages are in
 * one partition, so one worker reads them, in order. A worker that is silent for six seconds loses its partitions.
 *
 * Kafka keeps one offset of each partition. A worker commits it up to the first message that is not settled, so what comes
 * behind that may be delivered again after a worker's end: the database recognises it. What is given back goes into the
 * topic `seclog.later`: a partition of it waits until its first message is due, which those behind it are soon after, since
 * all delays are seconds.
 */
import { Buffer } from "node:buffer";
import { setTimeout as sleep } from "node:timers/promises";
import { SeclogError } from "seclog";
import {
  type KafkaAdmin,
  type KafkaBatch,
  type KafkaConsumer,
  type KafkaMessage,
  type KafkaProducer,
  type KafkaRecord,
  type KafkaTopics,
  kafkaClient,
  kafkaCode,
  kafkaPartitioner,
  kafkaSettings,
  kafkaTopics,
  makeKafkaTopics,
  positionPartitioner,
} from "seclog/queues";
import type { Backlog, Consumer, ConsumerOptions, DeadLetters, DeadReason, Delivery } from "../consumer.ts";
import { ACKS_MS, KafkaDeadLetters, type KafkaParts } from "./kafka-dead.ts";
import { AssignedOffsets, placeName } from "./kafka-offsets.ts";

/** The shortest session that brokers accept by default (`group.min.session.timeout.ms`). */
const SESSION_MS = 6_000;
const HEARTBEAT_MS = 1_000;
/** How long a worker may take to notice that the partitions are spread anew. */
const REBALANCE_MS = 10_000;
/** How long a read waits for messages. */
const WAIT_MS = 500;
/** How long commits are gathered, and how long a failed one rests. */
const COMMIT_MS = 20;
const COMMIT_AGAIN_MS = 500;

/** The longest delay of a message that was given back: what asks for more is a stranger's. */
const MOST_DELAY_MS = 15_000;
/** What is kept of a message that is too long to be buried whole: a stranger's, since envelopes leave room. */
const CUT_BYTES = 4_096;

/** Connects to Kafka, and makes the topics that are missing. */
export async function kafkaConsumer(options: ConsumerOptions): Promise<Consumer> {
  const client = await kafkaClient("work", options.url);
  const topics = kafkaTopics(options.queue);
  const admin = client.admin();
  const producer = client.producer({ allowAutoTopicCreation: false, createPartitioner: kafkaPartitioner });
  const answers = client.producer({ allowAutoTopicCreation: false, createPartitioner: positionPartitioner });
  const parts: KafkaParts = { client, admin, producer, topics };
  try {
    await makeKafkaTopics(client, topics, ALL);
    await admin.connect();
    await checkTopics(admin, topics);
    await Promise.all([producer.connect(), answers.connect()]);
    return new KafkaQueueConsumer(parts, answers);
  } catch (error) {
    await Promise.allSettled([admin.disconnect(), producer.disconnect(), answers.disconnect()]);
    throw error;
  }
}

const ALL = ["events", "later", "stored", "dead"] as const;

/**
 * Refuses topics that an operator has made so that they lose messages. A server that does not show them is left alone.
 *
 * @throws SeclogError `SECLOG_QUEUE`
 */
async function checkTopics(admin: KafkaAdmin, topics: KafkaTopics): Promise<void> {
  const sizes = new Map<string, number>();
  for (const name of ["events", "later", "dead"] as const) {
    const settings = await kafkaSettings(admin, topics[name], ["cleanup.policy", "max.message.bytes"]);
    const policy = settings.get("cleanup.policy");
    const wanted = name === "dead" ? "compact" : "delete";
    const loss = name === "dead" ? "deletes dead letters by their age" : "keeps only the newest message of a source";
    if (policy !== undefined && policy !== wanted) {
      const problem = `the topic ${topics[name]} has cleanup.policy=${policy}, which ${loss}: make it ${wanted}`;
      throw new SeclogError("SECLOG_QUEUE", problem);
    }
    sizes.set(name, Number(settings.get("max.message.bytes") ?? Number.NaN));
  }
  for (const name of ["later", "dead"] as const) {
    const [events = 0, most = 0] = [sizes.get("events"), sizes.get(name)];
    if (most < events) {
      const problem = `the topic ${topics[name]} has max.message.bytes=${most}, less than the ${events} of ${topics.events}: make them equal`;
      throw new SeclogError("SECLOG_QUEUE", problem);
    }
  }
}

class KafkaQueueConsumer implements Consumer {
  readonly title = "Kafka";
  readonly #parts: KafkaParts;
  readonly #answers: KafkaProducer;
  readonly #dead: KafkaDeadLetters;
  #consumer: KafkaConsumer | undefined;
  #assigned: AssignedOffsets = new AssignedOffsets(Promise.resolve(new Map()));
  /** Until when a partition of what was given back waits, and for which message. On the monotonic clock. */
  readonly #waits = new Map<number, { readonly offset: string; readonly until: number }>();
  /** How far the brokers' clock is ahead of this one, in milliseconds. */
  #ahead = 0;
  #committing: Promise<void> | undefined;
  #stopping = false;

  constructor(parts: KafkaParts, answers: KafkaProducer) {
    this.#parts = parts;
    this.#answers = answers;
    this.#dead = new KafkaDeadLetters(parts);
  }

  get dead(): DeadLetters {
    return this.#dead;
  }

  async run(take: (delivery: Delivery) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { client, topics } = this.#parts;
    const consumer = client.consumer({
      groupId: topics.group,
      allowAutoTopicCreation: false,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: HEARTBEAT_MS,
      rebalanceTimeout: REBALANCE_MS,
      maxWaitTimeInMs: WAIT_MS,
      // A transaction that a stranger leaves open would stop everything behind it.
      readUncommitted: true,
      // The caller begins again.
      retry: { retries: 3, restartOnFailure: async () => false },
    });
    this.#consumer = consumer;
    const crashed = new Promise<never>((_, reject) => {
      consumer.on("consumer.crash", ({ payload }) => reject(readable(payload.error, topics)));
    });
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    const ended = Promise.race([crashed, aborted]);
    const reading = new AbortController();
    const stopReading = (): void => reading.abort();
    ended.then(stopReading, stopReading);
    // Kafka continues from what is committed: what was passed on and not committed comes again, to this worker or another.
    consumer.on("consumer.group_join", () => {
      this.#assigned = new AssignedOffsets(this.#starts());
    });
    let working: Promise<void> = Promise.resolve();
    const eachBatch = async (batch: KafkaBatch): Promise<void> => {
      const work = this.#work(consumer, batch, take, reading.signal);
      working = work.catch(() => {});
      await work;
    };
    try {
      await consumer.subscribe({ topics: [topics.events, topics.later], fromBeginning: true });
      await Promise.race([consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch }), ended]);
      await ended;
      // It stays in the group until `close`: the transactions that run now end, and are committed.
      consumer.pause([{ topic: topics.events }, { topic: topics.later }]);
    } finally {
      this.#stopping = true;
      reading.abort();
      await working;
    }
  }

  async answer(sourceId: string, message: Uint8Array): Promise<void> {
    const messages = [{ key: sourceId, value: Buffer.from(message) }];
    await this.#send(this.#answers, this.#parts.topics.stored, 1, messages);
  }

  async backlog(): Promise<Backlog> {
    let waiting = 0;
    for (const { high, start } of await this.#places()) waiting += Math.max(0, Number(high - start));
    // Of this worker's partitions: what another worker has, that one reports.
    const times = [...this.#assigned.partitions].flatMap(({ oldestQueuedAt }) => oldestQueuedAt ?? []);
    const oldest = times.length === 0 ? undefined : Math.min(...times);
    return { waiting, oldestQueuedAt: oldest, dead: await this.#dead.count() };
  }

  async close(): Promise<void> {
    await this.#committing;
    await this.#consumer?.disconnect().catch(() => {});
    const { admin, producer } = this.#parts;
    await Promise.allSettled([admin.disconnect(), producer.disconnect(), this.#answers.disconnect()]);
  }

  /** All partitions: the first message that is not consumed, and the end. */
  async #places(): Promise<{ readonly name: string; readonly start: bigint; readonly high: bigint }[]> {
    const { admin, topics } = this.#parts;
    const names = [topics.events, topics.later];
    const committed = await admin.fetchOffsets({ groupId: topics.group, topics: names });
    const places = [];
    for (const topic of names) {
      const partitions = committed.find((one) => one.topic === topic)?.partitions ?? [];
      for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
        const offset = BigInt(partitions.find((one) => one.partition === partition)?.offset ?? "-1");
        const start = offset < BigInt(low) || offset > BigInt(high) ? BigInt(low) : offset;
        places.push({ name: placeName(topic, partition), start, high: BigInt(high) });
      }
    }
    return places;
  }

  async #starts(): Promise<ReadonlyMap<string, bigint>> {
    return new Map((await this.#places()).map(({ name, start }) => [name, start]));
  }

  async #work(
    consumer: KafkaConsumer,
    { batch, resolveOffset, heartbeat, pause }: KafkaBatch,
    take: (delivery: Delivery) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { topic, partition } = batch;
    const assigned = this.#assigned;
    const offsets = await assigned.of(topic, partition);
    for (const record of batch.messages) {
      // What is left of a batch whose partition may be another worker's now comes again, if it is not.
      if (signal.aborted || assigned !== this.#assigned) return;
      if (offsets.turn(record.offset) === "gap") {
        consumer.seek({ topic, partition, offset: String(offsets.next) });
        return;
      }
      const wait = topic === this.#parts.topics.later ? this.#dueIn(partition, record) : 0;
      if (wait > 0) {
        // From here again, later; the other partitions go on.
        setTimeout(pause(), wait).unref();
        return;
      }
      const queuedAt = numberIn(record, "queued") ?? Number(record.timestamp);
      const settle = offsets.pass(record.offset, queuedAt);
      const settled = (): void => {
        settle();
        if (assigned === this.#assigned) this.#committing ??= this.#commit();
      };
      const taken = take(this.#delivery(topic, partition, record, queuedAt, settled));
      resolveOffset(record.offset);
      // While there is no room, the group must not take this worker for dead.
      const tick = (): Promise<string> => sleep(HEARTBEAT_MS, "full", { ref: false });
      while (!signal.aborted && (await Promise.race([taken, tick()])) === "full") await heartbeat();
      await heartbeat();
    }
  }

  #delivery(topic: string, partition: number, record: KafkaRecord, queuedAt: number, settled: () => void): Delivery {
    const { topics, producer } = this.#parts;
    const bytes = record.value ?? Buffer.alloc(0);
    const attempts = 1 + (numberIn(record, "attempts") ?? 0);
    const bury = async (reason: DeadReason): Promise<void> => {
      const at = Number(record.timestamp).toString(36);
      const id = `${topic === topics.later ? "l" : "e"}${partition}-${record.offset}-${at}`;
      await this.#bury(id, bytes, reason);
      settled();
    };
    return {
      bytes,
      attempts,
      queuedAt,
      done: async () => settled(),
      release: async (delayMs) => {
        // Kafka gives it to another worker, since its offset is not committed.
        if (this.#stopping) return;
        const headers = { attempts: String(attempts), queued: String(queuedAt), delay: String(delayMs) };
        const messages = [{ key: String(record.key), value: bytes, headers }];
        try {
          await this.#send(producer, topics.later, -1, messages);
        } catch (error) {
          if (!isTooLong(error)) throw error;
          await bury({ code: "SECLOG_ENVELOPE", message: "it is as long as Kafka takes, so it cannot be given back" });
          return;
        }
        settled();
      },
      bury,
    };
  }

  /** The dead letters of a topic that was deleted meanwhile begin anew. */
  async #bury(id: string, bytes: Buffer, reason: DeadReason): Promise<void> {
    try {
      await this.#dead.bury(id, bytes, reason);
    } catch (error) {
      if (isTooLong(error) && bytes.length > CUT_BYTES) return this.#bury(id, bytes.subarray(0, CUT_BYTES), reason);
      if (kafkaCode(error) === UNKNOWN_TOPIC) await makeKafkaTopics(this.#parts.client, this.#parts.topics, ALL);
      throw error;
    }
  }

  /** Sends, and reads the brokers' clock. */
  async #send(producer: KafkaProducer, topic: string, acks: number, messages: KafkaMessage[]): Promise<void> {
    const [sent] = await producer.send({ topic, acks, timeout: ACKS_MS, messages }).catch(async (error: unknown) => {
      if (kafkaCode(error) === UNKNOWN_TOPIC) await makeKafkaTopics(this.#parts.client, this.#parts.topics, ALL);
      throw error;
    });
    const time = Number(sent?.logAppendTime ?? -1);
    if (time > 0) this.#ahead = time - Date.now();
  }

  /** In how many milliseconds a message that was given back is due: after its delay at the latest, whatever the clocks say. */
  #dueIn(partition: number, record: KafkaRecord): number {
    const delay = Math.min(MOST_DELAY_MS, numberIn(record, "delay") ?? 0);
    if (delay === 0) return 0;
    let wait = this.#waits.get(partition);
    if (wait?.offset !== record.offset) {
      const rest = Math.min(delay, Number(record.timestamp) + delay - Date.now() - this.#ahead);
      wait = { offset: record.offset, until: performance.now() + rest };
      this.#waits.set(partition, wait);
    }
    return Math.ceil(wait.until - performance.now());
  }

  /** Commits what can be, and what becomes so meanwhile. */
  async #commit(): Promise<void> {
    await sleep(COMMIT_MS);
    for (;;) {
      const due = [...this.#assigned.partitions].flatMap((of) => {
        const offset = of.toCommit;
        return offset === undefined ? [] : [{ of, offset }];
      });
      if (due.length === 0) break;
      try {
        const offsets = due.map(({ of, offset }) => ({
          topic: of.topic,
          partition: of.partition,
          offset: String(offset),
        }));
        await this.#consumer?.commitOffsets(offsets);
        for (const { of, offset } of due) of.committed(offset);
      } catch {
        // The partitions are being spread anew, or the broker is away. What is not committed comes again.
        if (this.#stopping) break;
        await sleep(COMMIT_AGAIN_MS);
      }
    }
    this.#committing = undefined;
  }
}

/** A number that a worker has written, or a stranger. */
function numberIn({ headers }: KafkaRecord, name: string): number | undefined {
  const text = String(headers?.[name]);
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

const UNKNOWN_TOPIC = "UNKNOWN_TOPIC_OR_PARTITION";

function isTooLong(error: unknown): boolean {
  return ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"].includes(kafkaCode(error) ?? "");
}

/** The failure of a consumer, with the next step where it comes again and again. */
function readable(error: Error, { events, later }: KafkaTopics): Error {
  const [, codec] = /(\w+) compression not implemented/.exec(error.message) ?? [];
  if (codec === undefined) return error;
  return new SeclogError(
    "SECLOG_QUEUE",
    `a message is compressed with ${codec}, which kafkajs cannot read: set compression.type=uncompressed of ${events} and ${later}, and move the group's offset behind it (kafka-consumer-groups --reset-offsets)`,
    { cause: error },
  );
}
