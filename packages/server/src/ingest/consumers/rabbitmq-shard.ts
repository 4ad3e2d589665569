/**
 * One shard that this worker reads, on a channel of its own. RabbitMQ sends as many messages as may be unacknowledged
 * (`prefetch`), so what waits here is bounded.
 */
import { type RabbitmqChannel, type RabbitmqMessage, type RabbitmqPublishOptions, rabbitmqReply } from "seclog/queues";
import type { DeadReason, Delivery } from "../consumer.ts";

/** Options of {@link RabbitmqShard}. */
export interface RabbitmqShardOptions {
  readonly number: number;
  /** The shard's queue. */
  readonly queue: string;
  /** The exclusive queue that this worker declared to have the shard. */
  readonly lease: string;
  readonly prefetch: number;
  readonly take: (delivery: Delivery) => Promise<void>;
  /** The server ended the consumer: its queue is gone. */
  readonly onDeleted: () => void;
  /** The shard was given back, and its lease. */
  readonly onReturned: () => void;
  /** Whether the worker stops. What it gives back then returns when the connection closes: at once, in its order. */
  readonly stopping: () => boolean;
  readonly later: (bytes: Buffer, delayMs: number, options: RabbitmqPublishOptions) => Promise<void>;
  readonly bury: (bytes: Buffer, reason: DeadReason, options: RabbitmqPublishOptions) => Promise<void>;
}

/** How often a message was given back with a delay. */
const ATTEMPTS = "attempts";

export class RabbitmqShard {
  readonly #channel: RabbitmqChannel;
  readonly #options: RabbitmqShardOptions;
  readonly #received: RabbitmqMessage[] = [];
  /** Received, and neither acknowledged nor given back. */
  readonly #open = new Set<RabbitmqMessage>();
  #tag = "";
  #taking = false;
  #stopped = false;
  #returning = false;

  constructor(channel: RabbitmqChannel, options: RabbitmqShardOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  get number(): number {
    return this.#options.number;
  }

  get held(): number {
    return this.#open.size;
  }

  /** Whether another worker may have it soon. */
  get returning(): boolean {
    return this.#returning;
  }

  /** Of what is held; its predecessors are stored. */
  get oldestQueuedAt(): number | undefined {
    const [first] = this.#open;
    return first === undefined ? undefined : queuedAtOf(first);
  }

  async start(): Promise<void> {
    const { queue, prefetch, onDeleted } = this.#options;
    await rabbitmqReply("basic.qos", this.#channel.prefetch(prefetch));
    const onMessage = (message: RabbitmqMessage | null): void => {
      if (message === null) {
        onDeleted();
        return;
      }
      this.#received.push(message);
      this.#open.add(message);
      void this.#pass();
    };
    this.#tag = (await rabbitmqReply("basic.consume", this.#channel.consume(queue, onMessage))).consumerTag;
  }

  /** Passes on nothing more. RabbitMQ delivers again what was not passed on, once the connection is closed. */
  stopTaking(): void {
    this.#stopped = true;
    this.#received.length = 0;
  }

  /** Ends the channel, after what it has acknowledged: the end of the connection would overtake that. */
  async close(): Promise<void> {
    this.#returning = true;
    await rabbitmqReply("channel.close", this.#channel.close());
  }

  /** Receives nothing more, and returns the lease once all that was received is settled. */
  async giveBack(): Promise<void> {
    this.#returning = true;
    await rabbitmqReply("basic.cancel", this.#channel.cancel(this.#tag));
    if (this.#open.size === 0) await this.#return();
  }

  async #return(): Promise<void> {
    await rabbitmqReply("queue.delete", this.#channel.deleteQueue(this.#options.lease));
    await rabbitmqReply("channel.close", this.#channel.close());
    this.#options.onReturned();
  }

  async #pass(): Promise<void> {
    if (this.#taking) return;
    this.#taking = true;
    for (let next = this.#received.shift(); next !== undefined && !this.#stopped; next = this.#received.shift()) {
      await this.#options.take(this.#delivery(next));
    }
    this.#taking = false;
  }

  #delivery(message: RabbitmqMessage): Delivery {
    const { content } = message;
    const { headers } = message.properties;
    const before = numberOf(headers?.[ATTEMPTS]) + numberOf(headers?.["x-delivery-count"]);
    const timestamp = timestampOf(message);
    const time = timestamp === undefined ? {} : { timestamp };
    const settled = (how: () => void): void => {
      this.#open.delete(message);
      how();
      if (this.#returning && this.#open.size === 0) this.#return().catch(() => {});
    };
    return {
      bytes: content,
      attempts: 1 + before,
      queuedAt: queuedAtOf(message),
      done: async () => settled(() => this.#channel.ack(message)),
      release: async (delayMs) => {
        if (this.#options.stopping()) return;
        await this.#options.later(content, delayMs, { headers: { [ATTEMPTS]: before + 1 }, ...time });
        settled(() => this.#channel.ack(message));
      },
      bury: async (reason) => {
        await this.#options.bury(content, reason, time);
        settled(() => this.#channel.ack(message));
      },
    };
  }
}

/** Seconds since the epoch: by its sender's clock, or a stranger's. */
function timestampOf({ properties: { timestamp } }: RabbitmqMessage): number | undefined {
  return typeof timestamp === "number" && timestamp <= LATEST ? timestamp : undefined;
}

function queuedAtOf(message: RabbitmqMessage): number | undefined {
  const timestamp = timestampOf(message);
  return timestamp === undefined ? undefined : timestamp * 1000;
}

/** The latest time that dates can have, in seconds since the epoch. */
const LATEST = 8.64e12;

/** A count that a worker or the server has written, or a stranger. */
function numberOf(header: unknown): number {
  return typeof header === "number" && Number.isSafeInteger(header) && header > 0 ? header : 0;
}
