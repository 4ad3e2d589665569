/**
 * RabbitMQ. Each of a queue's 8 quorum queues (shards) is read by one worker at a time, so that the messages of a source
 * stay in order. A worker reads as many as its share among the workers that are alive, and has a lease on each: an
 * exclusive queue, which the server deletes together with the worker's connection. So the shards of a dead worker are
 * free at once, with what it had received, and the others take them within a second.
 *
 * What is given back waits in a queue whose messages expire, and which passes them back to their shard. Publishing goes
 * through a connection of its own: when memory or disk run out, RabbitMQ stops reading from connections that publish, and
 * acknowledgements are what makes room.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { errorMessage, SeclogError } from "seclog";
import {
  connectRabbitmq,
  declareShards,
  openRabbitmqChannel,
  quorumQueue,
  RABBITMQ_SHARDS,
  type RabbitmqChannel,
  type RabbitmqConnection,
  type RabbitmqNames,
  RabbitmqPublisher,
  rabbitmqNames,
  rabbitmqReply,
} from "seclog/queues";
import type { Backlog, Consumer, ConsumerOptions, DeadLetters, Delivery } from "../consumer.ts";
import { Orphans } from "./orphans.ts";
import { deadLetterHeaders, rabbitmqDeadLetters } from "./rabbitmq-dead-letters.ts";
import { RabbitmqShard } from "./rabbitmq-shard.ts";

/** For how long a message that was given back waits: the shortest of these that is as long as the caller asks for. */
export const DELAYS_MS: readonly number[] = [1_000, 5_000, 10_000];

/** How often shares are compared, in milliseconds. */
const BALANCE_MS = 500;

/** Connects to RabbitMQ, and declares what is missing. */
export async function rabbitmqConsumer({ url, queue, prefetch }: ConsumerOptions): Promise<Consumer> {
  const names = rabbitmqNames(queue);
  const connections: RabbitmqConnection[] = [];
  try {
    for (let i = 0; i < 2; i++) connections.push(await connectRabbitmq("work", url));
    const [reading, publishing] = connections as [RabbitmqConnection, RabbitmqConnection];
    await declare(reading, names);
    const failed = new AbortController();
    const publisher = await RabbitmqPublisher.open(publishing, (error) => failed.abort(error));
    const close = async (): Promise<void> => {
      await Promise.allSettled(connections.map((connection) => rabbitmqReply("connection.close", connection.close())));
    };
    return new RabbitmqConsumer(reading, publisher, names, failed, { prefetch, close });
  } catch (error) {
    for (const connection of connections) connection.close().catch(() => {});
    throw error;
  }
}

/** @throws SeclogError `SECLOG_CONFIG` when something of that name exists, but is not as it must be */
async function declare(connection: RabbitmqConnection, names: RabbitmqNames): Promise<void> {
  const channel = await openRabbitmqChannel(connection, () => {});
  const queue = (name: string, more = {}): Promise<unknown> =>
    rabbitmqReply("queue.declare", channel.assertQueue(name, quorumQueue(more)));
  try {
    await declareShards(channel, names);
    for (const delayMs of DELAYS_MS) {
      const later = names.later(delayMs);
      await rabbitmqReply("exchange.declare", channel.assertExchange(later, "direct", { durable: true }));
      await queue(later, {
        "x-message-ttl": delayMs,
        "x-dead-letter-exchange": names.events,
        // Passes a message on before it is removed; RabbitMQ demands the other for it.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
      });
      for (let shard = 0; shard < RABBITMQ_SHARDS; shard++) {
        await rabbitmqReply("queue.bind", channel.bindQueue(later, later, String(shard)));
      }
      // What a stranger put into the queue itself: RabbitMQ would wait for ever for a place to return it to, and with 32
      // of them it returns nothing more.
      await rabbitmqReply("queue.bind", channel.bindQueue(names.shard(0), names.events, later));
    }
    await queue(names.dead);
    await queue(names.workers);
  } catch (cause) {
    if (codeOf(cause) !== 406) throw cause;
    const [difference] = /inequivalent[^"]*/.exec(errorMessage(cause)) ?? [errorMessage(cause)];
    throw new SeclogError(
      "SECLOG_CONFIG",
      `RabbitMQ: ${difference.trim()}: another program declared it; delete it, or choose another --queue`,
      { cause },
    );
  }
  await rabbitmqReply("channel.close", channel.close());
}

class RabbitmqConsumer implements Consumer {
  readonly title = "RabbitMQ";
  readonly dead: DeadLetters;
  readonly #connection: RabbitmqConnection;
  readonly #publisher: RabbitmqPublisher;
  readonly #names: RabbitmqNames;
  readonly #options: { readonly prefetch: number; readonly close: () => Promise<void> };
  /** Also those that are on their way to another worker. */
  readonly #shards = new Map<number, RabbitmqShard>();
  /** Aborts when a connection, a channel or a consumer is lost. */
  readonly #failed: AbortController;
  readonly #orphans = new Orphans();
  /** Shards that no worker reads, though their lease is taken. */
  readonly #unread = new Set<number>();
  #round = 0;
  #stopping = false;

  constructor(
    connection: RabbitmqConnection,
    publisher: RabbitmqPublisher,
    names: RabbitmqNames,
    failed: AbortController,
    options: { readonly prefetch: number; readonly close: () => Promise<void> },
  ) {
    this.#connection = connection;
    this.#publisher = publisher;
    this.#names = names;
    this.#failed = failed;
    this.#options = options;
    this.dead = rabbitmqDeadLetters(connection, publisher, names);
  }

  async run(take: (delivery: Delivery) => Promise<void>, signal: AbortSignal): Promise<void> {
    const failed = this.#failed.signal;
    const either = AbortSignal.any([signal, failed]);
    const presence = await openRabbitmqChannel(this.#connection, (error) => this.#failed.abort(error));
    const { workers } = this.#names;
    await rabbitmqReply(
      "basic.consume",
      presence.consume(workers, (message) => message ?? this.#deleted(workers)),
    );
    try {
      while (!either.aborted) {
        await this.#balance(presence, take);
        await sleep(BALANCE_MS, undefined, { signal: either }).catch(() => {});
      }
    } finally {
      this.#stopping = true;
      for (const shard of this.#shards.values()) shard.stopTaking();
    }
    if (!signal.aborted) throw failed.reason;
  }

  async answer(sourceId: string, message: Uint8Array): Promise<void> {
    this.#publisher.tell(this.#names.stored, sourceId, message);
  }

  /**
   * Of what workers hold, RabbitMQ tells a client nothing: what this worker holds is added, and the oldest message is the
   * oldest of these.
   */
  async backlog(): Promise<Backlog> {
    const channel = await openRabbitmqChannel(this.#connection, () => {});
    try {
      const ready = async (queue: string): Promise<number> =>
        (await rabbitmqReply("queue.declare", channel.checkQueue(queue))).messageCount;
      const shards = [...this.#shards.values()];
      let waiting = shards.reduce((sum, { held }) => sum + held, 0);
      for (let shard = 0; shard < RABBITMQ_SHARDS; shard++) waiting += await ready(this.#names.shard(shard));
      for (const delayMs of DELAYS_MS) waiting += await ready(this.#names.later(delayMs));
      const oldest = shards.flatMap(({ oldestQueuedAt }) => oldestQueuedAt ?? []);
      const oldestQueuedAt = oldest.length === 0 ? undefined : Math.min(...oldest);
      return { waiting, oldestQueuedAt, dead: await ready(this.#names.dead) };
    } finally {
      channel.close().catch(() => {});
    }
  }

  async close(): Promise<void> {
    this.#stopping = true;
    await Promise.allSettled([...this.#shards.values()].map((shard) => shard.close()));
    await this.#options.close();
  }

  get problem(): string | undefined {
    const [shard] = this.#unread;
    if (shard === undefined) return undefined;
    return `RabbitMQ: no worker reads ${this.#names.shard(shard)}, since another program has the queue ${this.#names.lease(shard)}: delete it`;
  }

  #deleted(queue: string): void {
    this.#failed.abort(new Error(`the queue ${queue} was deleted`));
  }

  /** Takes or returns shards so that every live worker has its share. */
  async #balance(presence: RabbitmqChannel, take: (delivery: Delivery) => Promise<void>): Promise<void> {
    const consumers = async (queue: string): Promise<number> =>
      (await rabbitmqReply("queue.declare", presence.checkQueue(queue))).consumerCount;
    const share = Math.ceil(RABBITMQ_SHARDS / Math.max(1, await consumers(this.#names.workers)));
    // From the moment on at which they are given back, they may be free for a while.
    for (const number of this.#shards.keys()) this.#orphans.see(number, false);
    const kept = [...this.#shards.values()].filter(({ returning }) => !returning);
    const numbers = kept.map(({ number }) => number);
    for (const number of this.#orphans.surplus(numbers, share)) await this.#shards.get(number)?.giveBack();
    let missing = share - kept.length;
    // One that is not needed is looked at in each round, so that a shard that no worker takes is found.
    const looked = this.#round++ % RABBITMQ_SHARDS;
    for (const number of startingAnywhere()) {
      if (missing <= 0 && number !== looked) continue;
      const free = !this.#shards.has(number) && (await consumers(this.#names.shard(number))) === 0;
      const orphan = this.#orphans.see(number, free);
      const wanted = free && (missing > 0 || orphan);
      const leased = wanted && (await this.#lease(number, take));
      if (orphan && !leased) this.#unread.add(number);
      else this.#unread.delete(number);
      if (!leased) continue;
      missing -= 1;
      if (orphan) this.#orphans.keep(number);
    }
  }

  /** Reads a shard, unless another worker does. */
  async #lease(number: number, take: (delivery: Delivery) => Promise<void>): Promise<boolean> {
    const [queue, lease] = [this.#names.shard(number), this.#names.lease(number)];
    let shard: RabbitmqShard | undefined;
    const channel = await openRabbitmqChannel(this.#connection, (error) => {
      if (shard !== undefined && !shard.returning) this.#failed.abort(error);
    });
    try {
      await rabbitmqReply("queue.declare", channel.assertQueue(lease, { exclusive: true, durable: false }));
    } catch (error) {
      if (codeOf(error) === LOCKED) return false;
      throw error;
    }
    shard = new RabbitmqShard(channel, {
      number,
      queue,
      lease,
      prefetch: Math.ceil(this.#options.prefetch / RABBITMQ_SHARDS),
      take,
      onDeleted: () => this.#deleted(queue),
      onReturned: () => this.#shards.delete(number),
      stopping: () => this.#stopping,
      later: (bytes, delayMs, options) => {
        const wait = DELAYS_MS.find((ms) => ms >= delayMs) ?? (DELAYS_MS.at(-1) as number);
        return this.#publisher.publish(this.#names.later(wait), String(number), bytes, options);
      },
      bury: (bytes, reason, options) => {
        const headers = deadLetterHeaders(number, reason);
        return this.#publisher.publish("", this.#names.dead, bytes, { ...options, headers });
      },
    });
    this.#shards.set(number, shard);
    await shard.start();
    return true;
  }
}

/** AMQP's `RESOURCE_LOCKED`: the exclusive queue of another connection. */
const LOCKED = 405;

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown }).code;
}

/** All shards, from a random one on: workers that start together do not ask for the same ones. */
function startingAnywhere(): number[] {
  const start = Math.floor(Math.random() * RABBITMQ_SHARDS);
  return Array.from({ length: RABBITMQ_SHARDS }, (_, i) => (start + i) % RABBITMQ_SHARDS);
}
