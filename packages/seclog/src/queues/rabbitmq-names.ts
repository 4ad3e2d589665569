import { crc32 } from "node:zlib";
import { type RabbitmqChannel, rabbitmqReply } from "./rabbitmq-connection.ts";

/** Among how many queues the sources are spread. Senders and workers must agree, so it is not an option. */
export const RABBITMQ_SHARDS = 8;

/** The names of a queue's parts in RabbitMQ. All begin with the queue's name, for permissions. */
export interface RabbitmqNames {
  /** A direct exchange; the routing key is a shard's number. */
  readonly events: string;
  /** Envelopes and questions of the sources of a shard. */
  shard(shard: number): string;
  /** A direct exchange for answers; the routing key is the source's id. */
  readonly stored: string;
  /**
   * A direct exchange, whose routing keys are the shards' numbers, and its queue: messages that were given back wait there
   * for so long, then return to their shard.
   */
  later(delayMs: number): string;
  /** Envelopes that cannot be stored, with the headers `code`, `why`, `at`, `id`. */
  readonly dead: string;
  /** Each worker consumes from it, though nothing is sent there: its consumers are the workers that are alive. */
  readonly workers: string;
  /** An exclusive queue without messages: the worker that reads a shard has it, as long as its connection lives. */
  lease(shard: number): string;
}

export function rabbitmqNames(queue: string): RabbitmqNames {
  return {
    events: `${queue}.events`,
    shard: (shard) => `${queue}.events.${shard}`,
    stored: `${queue}.stored`,
    later: (delayMs) => `${queue}.later.${delayMs}`,
    dead: `${queue}.dead`,
    workers: `${queue}.workers`,
    lease: (shard) => `${queue}.lease.${shard}`,
  };
}

/** The shard of a source. */
export function rabbitmqShard(sourceId: string): number {
  return crc32(sourceId) % RABBITMQ_SHARDS;
}

/** Options of a quorum queue. RabbitMQ 4 would drop what was given back 20 times; here a dead letter has a reason. */
export function quorumQueue(more: { readonly [name: string]: unknown } = {}): {
  readonly durable: true;
  readonly arguments: { readonly [name: string]: unknown };
} {
  return { durable: true, arguments: { "x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000, ...more } };
}

/** Declares what senders and workers share, unless it is there. Rejects when it is there with other arguments. */
export async function declareShards(channel: RabbitmqChannel, names: RabbitmqNames): Promise<void> {
  for (const exchange of [names.events, names.stored]) {
    await rabbitmqReply("exchange.declare", channel.assertExchange(exchange, "direct", { durable: true }));
  }
  for (let shard = 0; shard < RABBITMQ_SHARDS; shard++) {
    // Two workers that read one shard by mistake must not mix its order.
    const options = quorumQueue({ "x-single-active-consumer": true });
    await rabbitmqReply("queue.declare", channel.assertQueue(names.shard(shard), options));
    await rabbitmqReply("queue.bind", channel.bindQueue(names.shard(shard), names.events, String(shard)));
  }
}
