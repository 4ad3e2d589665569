/** Dead letters in a compacted topic: the newest record of an id counts, and one without a value deletes it. */
import { Buffer } from "node:buffer";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type KafkaAdmin,
  type KafkaClient,
  type KafkaProducer,
  type KafkaRecord,
  KafkaTail,
  type KafkaTopics,
  sourceOf,
} from "seclog/queues";
import type { DeadLetter, DeadLetters, DeadReason } from "../consumer.ts";

/** What a consumer of Kafka has. */
export interface KafkaParts {
  readonly client: KafkaClient;
  readonly admin: KafkaAdmin;
  readonly producer: KafkaProducer;
  readonly topics: KafkaTopics;
}

/** How long the brokers may take to replicate a message, in milliseconds. */
export const ACKS_MS = 8_000;

/** The most characters of a reason: it must fit beside the largest envelope. */
const MOST_REASON = 1_000;

/** How long it may take until the topic is read, in milliseconds: joining a group takes three seconds. */
const JOIN_MS = 20_000;
/** The last records may have been compacted away, so this many milliseconds without a record count as the end. */
const END_MS = 2_000;

export class KafkaDeadLetters implements DeadLetters {
  readonly #parts: KafkaParts;
  /** What the last reading has found, by id, and where it ended. */
  #letters = new Map<string, DeadLetter>();
  #readTo = "0";
  #counted = 0;
  #reading: Promise<void> | undefined;

  constructor(parts: KafkaParts) {
    this.#parts = parts;
  }

  /** How many there are. Reads the topic only when it has changed. */
  async count(): Promise<number> {
    const { high } = await this.#end();
    if (high !== this.#readTo) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    return this.#counted;
  }

  async list(limit: number): Promise<readonly DeadLetter[]> {
    await this.#read(limit);
    return [...this.#letters.values()].slice(0, limit);
  }

  async retry(id: string): Promise<boolean> {
    const letter = await this.#find(id);
    if (letter === undefined) return false;
    await this.#send(this.#parts.topics.events, sourceOf(letter.bytes) ?? id, Buffer.from(letter.bytes));
    await this.#forget(id);
    return true;
  }

  async drop(id: string): Promise<boolean> {
    if ((await this.#find(id)) === undefined) return false;
    await this.#forget(id);
    return true;
  }

  /** @param id the same for the same message, so that one that is buried twice is one dead letter */
  async bury(id: string, bytes: Buffer, { code, message }: DeadReason): Promise<void> {
    await this.#send(this.#parts.topics.dead, id, bytes, {
      code,
      why: message.slice(0, MOST_REASON),
      at: String(Date.now()),
    });
  }

  async #find(id: string): Promise<DeadLetter | undefined> {
    if (!this.#letters.has(id)) await this.#read();
    return this.#letters.get(id);
  }

  async #forget(id: string): Promise<void> {
    await this.#send(this.#parts.topics.dead, id, null);
    this.#letters.delete(id);
  }

  async #send(topic: string, key: string, value: Buffer | null, headers?: { [name: string]: string }): Promise<void> {
    // One that was made with more partitions than one is read in its first.
    const place = topic === this.#parts.topics.dead ? { partition: 0 } : {};
    const message = { key, value, ...place, ...(headers === undefined ? {} : { headers }) };
    await this.#parts.producer.send({ topic, acks: -1, timeout: ACKS_MS, messages: [message] });
  }

  async #end(): Promise<{ readonly low: string; readonly high: string }> {
    const offsets = await this.#parts.admin.fetchTopicOffsets(this.#parts.topics.dead);
    return offsets.find(({ partition }) => partition === 0) ?? { low: "0", high: "0" };
  }

  /** Reads the topic to its end. Keeps the oldest letters, up to `limit`. */
  async #read(limit = 1_000): Promise<void> {
    const { client, topics } = this.#parts;
    const { low, high } = await this.#end();
    const ids = new Set<string>();
    const letters = new Map<string, DeadLetter>();
    let next = BigInt(low);
    const take = ({ key, value, headers, offset }: KafkaRecord): void => {
      next = BigInt(offset) + 1n;
      const id = String(key);
      ids.delete(id);
      letters.delete(id);
      if (value === null) return;
      ids.add(id);
      const text = (name: string): string => String(headers?.[name] ?? "");
      const letter = { id, at: Number(text("at")), code: text("code"), message: text("why"), bytes: value };
      if (letters.size < limit) letters.set(id, letter);
    };
    const tail = new KafkaTail(client, { topic: topics.dead, reader: topics.reader, onRecord: take });
    try {
      if (next < BigInt(high)) tail.follow(0, low);
      let since = performance.now();
      for (let [before, joined] = [next, false]; next < BigInt(high); await sleep(20)) {
        if (tail.failure !== undefined) throw tail.failure;
        if (next !== before || joined !== tail.joined) since = performance.now();
        [before, joined] = [next, tail.joined];
        const rested = performance.now() - since;
        if (joined && rested > END_MS) break;
        if (rested > JOIN_MS) throw new Error(`the topic ${topics.dead} cannot be read within ${JOIN_MS / 1000} s`);
      }
    } finally {
      await tail.close();
    }
    this.#letters = letters;
    this.#counted = ids.size;
    this.#readTo = high;
  }
}
