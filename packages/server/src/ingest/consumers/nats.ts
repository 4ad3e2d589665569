/**
 * NATS JetStream. The 16 subjects of a queue (shards) are each read by one worker at a time, so that the messages of a
 * source stay in order. The lease on a shard is a consumer of its own for it: a stream with work-queue retention refuses a
 * second one for the same subject, and JetStream deletes one that has been inactive for some seconds, whereupon the next
 * consumer receives everything that was not acknowledged. So the share of a dead worker moves on, without clocks to compare.
 * Workers see from signs of life how many they are, and give up what exceeds their share.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { ConsumerMessages, JetStreamClient, JetStreamManager, JsMsg, Consumer as Pull } from "@nats-io/jetstream";
import { SeclogError } from "seclog";
import {
  connectNats,
  isNatsNoResponder,
  NATS_SHARDS,
  type NatsConnection,
  type NatsNames,
  natsNames,
  openNatsDeadStream,
  openNatsStream,
} from "seclog/queues";
import type { Backlog, Consumer, ConsumerOptions, DeadLetters, DeadReason, Delivery } from "../consumer.ts";
import { buryNats, natsDeadLetters } from "./nats-dead-letters.ts";
import { Orphans } from "./orphans.ts";

/** The server deletes a consumer after this time without a request or an acknowledgement. */
const INACTIVE_MS = 3_000;
/** When a message is delivered again whose worker has not said that it holds it. Newer servers add it to the above. */
const ACK_WAIT_MS = 5_000;
const RENEW_MS = 1_000;
/** A worker counts as gone after this time without a sign of life. */
const ALIVE_MS = 3_500;
/** How long a request waits for messages. */
const EXPIRES_MS = 2_000;
/** How long a shard that is given up waits for what this worker holds of it. */
const GIVE_UP_MS = 2_000;

/** A worker's sign of life is its id; its last one begins with this. */
const LEAVES = "-";
const ID_LENGTH = 8;
/** More workers have no shard to read. A stranger can pretend to be many: see {@link Orphans}. */
const MOST_WORKERS = NATS_SHARDS;

/** Connects to NATS, and creates the queue's streams if there are none. */
export async function natsConsumer(options: ConsumerOptions): Promise<Consumer> {
  const client = await jetStreamClient();
  // A connection that was lost took messages with it. Another worker, or the next connection, receives them again.
  const connection = await connectNats("seclog-work", options.url, false);
  try {
    await openNatsStream("work", connection, options.queue);
    await openNatsDeadStream("work", connection, options.queue);
    // The connection is the client's own; its type stays out of the library's.
    const own = connection as unknown as Parameters<typeof client.jetstream>[0];
    return new NatsConsumer(connection, client.jetstream(own), await client.jetstreamManager(own), options);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

async function jetStreamClient(): Promise<typeof import("@nats-io/jetstream")> {
  try {
    return await import("@nats-io/jetstream");
  } catch (cause) {
    const problem = "work: a queue in NATS needs its client: npm install @nats-io/transport-node @nats-io/jetstream";
    throw new SeclogError("SECLOG_CONFIG", problem, { cause });
  }
}

/** A shard that this worker reads. */
interface Leased {
  readonly shard: number;
  /** The name of its consumer. */
  readonly name: string;
  readonly stop: AbortController;
  reading: Promise<void>;
}

/** A message that this worker has received, and neither finished nor given back. */
interface Taken {
  readonly shard: number;
  readonly message: JsMsg;
}

class NatsConsumer implements Consumer {
  readonly title = "NATS";
  readonly dead: DeadLetters;
  readonly #connection: NatsConnection;
  readonly #jetstream: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #names: NatsNames;
  readonly #options: ConsumerOptions;
  readonly #id: string = randomUUID().slice(0, ID_LENGTH);
  readonly #leased = new Map<number, Leased>();
  readonly #taken = new Set<Taken>();
  /** When each worker last gave a sign of life, on the monotonic clock. */
  readonly #alive = new Map<string, number>();
  readonly #orphans = new Orphans();
  /** A consumer of the stream that does not belong to a worker: work-queue retention lets only one read a subject. */
  #stranger: string | undefined;

  constructor(
    connection: NatsConnection,
    jetstream: JetStreamClient,
    manager: JetStreamManager,
    options: ConsumerOptions,
  ) {
    this.#connection = connection;
    this.#jetstream = jetstream;
    this.#manager = manager;
    this.#names = natsNames(options.queue);
    this.#options = options;
    this.dead = natsDeadLetters(jetstream, manager, this.#names);
  }

  async run(take: (delivery: Delivery) => Promise<void>, signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const lost = this.#connection.closed().then((reason) => {
      throw reason instanceof Error ? reason : new Error("the connection was closed");
    });
    lost.catch(() => {});
    const { unsubscribe } = this.#hearWorkers();
    try {
      await Promise.race([lost, this.#keepLeases(take, AbortSignal.any([signal, ended.signal]))]);
    } finally {
      ended.abort();
      unsubscribe();
      for (const { stop } of this.#leased.values()) stop.abort();
    }
  }

  async answer(sourceId: string, message: Uint8Array): Promise<void> {
    this.#connection.publish(this.#names.stored(sourceId), message);
  }

  async backlog(): Promise<Backlog> {
    const { state } = await this.#manager.streams.info(this.#names.stream);
    const { state: dead } = await this.#manager.streams.info(this.#names.deadStream);
    const oldest = state.messages === 0 ? undefined : Date.parse(String(state.first_ts));
    return { waiting: state.messages, oldestQueuedAt: oldest, dead: dead.messages };
  }

  async close(): Promise<void> {
    // What this worker held and did not finish goes to others at once.
    if (!this.#connection.isClosed()) {
      this.#connection.publish(this.#names.workers, text(`${LEAVES}${this.#id}`));
      await Promise.allSettled([...this.#leased.values()].map(({ name }) => this.#deleteConsumer(name)));
    }
    this.#leased.clear();
    await this.#connection.close();
  }

  get problem(): string | undefined {
    return this.#stranger === undefined
      ? undefined
      : `NATS: the consumer ${this.#stranger} of the stream ${this.#names.stream} is not a worker's, and takes subjects from the workers: delete it`;
  }

  /** Counts the workers by their signs of life. */
  #hearWorkers(): { unsubscribe: () => void } {
    const subscription = this.#connection.subscribe(this.#names.workers, {
      callback: (error, { data }) => {
        if (error !== null) return;
        const id = new TextDecoder().decode(data);
        if (id.startsWith(LEAVES)) this.#alive.delete(id.slice(LEAVES.length));
        else if (this.#alive.has(id) || this.#alive.size < MOST_WORKERS) {
          this.#alive.set(id.slice(0, ID_LENGTH), performance.now());
        }
      },
    });
    return {
      unsubscribe: () => {
        if (!this.#connection.isClosed()) subscription.unsubscribe();
      },
    };
  }

  /** Keeps the leases, and takes or gives up some so that every live worker has its share. */
  async #keepLeases(take: (delivery: Delivery) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#connection.publish(this.#names.workers, text(this.#id));
      for (const { message } of this.#taken) message.working();
      const now = performance.now();
      this.#alive.set(this.#id, now);
      for (const [id, at] of this.#alive) if (now - at > ALIVE_MS) this.#alive.delete(id);
      const share = Math.ceil(NATS_SHARDS / this.#alive.size);
      const surplus = this.#orphans.surplus([...this.#leased.keys()], share);
      await Promise.all(surplus.map((shard) => this.#giveUp(this.#leased.get(shard))));
      await this.#takeShards(share, take);
      await sleep(RENEW_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Takes free shards up to this worker's share, and those that no worker takes. */
  async #takeShards(share: number, take: (delivery: Delivery) => Promise<void>): Promise<void> {
    const leased = new Set<number>();
    let stranger: string | undefined;
    for await (const { name } of this.#manager.consumers.list(this.#names.stream)) {
      if (isWorkers(name)) leased.add(shardOfConsumer(name));
      else stranger = name;
    }
    this.#stranger = stranger;
    for (const shard of startingAnywhere()) {
      const free = !leased.has(shard) && !this.#leased.has(shard);
      const orphan = this.#orphans.see(shard, free);
      if (!free || (this.#leased.size >= share && !orphan)) continue;
      await this.#takeShard(shard, take);
      if (orphan) this.#orphans.keep(shard);
    }
  }

  async #takeShard(shard: number, take: (delivery: Delivery) => Promise<void>): Promise<void> {
    const name = consumerName(this.#id, shard);
    try {
      await this.#manager.consumers.add(this.#names.stream, {
        durable_name: name,
        filter_subject: this.#names.shard(shard),
        ack_policy: "explicit",
        deliver_policy: "all",
        ack_wait: ACK_WAIT_MS * 1e6,
        inactive_threshold: INACTIVE_MS * 1e6,
        max_deliver: -1,
        // Messages that were given back count as well, and must not block the others.
        max_ack_pending: 10_000,
      });
    } catch (error) {
      if (isCode(error, NOT_UNIQUE)) return;
      throw error;
    }
    const pull = await this.#jetstream.consumers.get(this.#names.stream, name);
    const leased: Leased = { shard, name, stop: new AbortController(), reading: Promise.resolve() };
    this.#leased.set(shard, leased);
    leased.reading = this.#read(pull, leased, take)
      .catch((error: unknown) => {
        if (!this.#connection.isClosed() && !leased.stop.signal.aborted) this.#options.onTrouble(error);
      })
      .then(() => {
        // The consumer is gone, or JetStream has no leader for it: this worker, or another, takes the shard again.
        if (!leased.stop.signal.aborted && this.#leased.get(shard) === leased) this.#leased.delete(shard);
      });
  }

  async #read(pull: Pull, leased: Leased, take: (delivery: Delivery) => Promise<void>): Promise<void> {
    const { signal } = leased.stop;
    const atOnce = Math.max(1, Math.floor(this.#options.prefetch / NATS_SHARDS));
    while (!signal.aborted) {
      const messages: ConsumerMessages = await pull.fetch({ max_messages: atOnce, expires: EXPIRES_MS });
      const stop = (): void => void messages.close();
      signal.addEventListener("abort", stop, { once: true });
      let turn = Promise.resolve();
      try {
        for await (const message of messages) {
          const taken: Taken = { shard: leased.shard, message };
          // From its arrival on, or what waits for the one before it would be delivered again.
          this.#taken.add(taken);
          turn = turn.then(async () => {
            if (signal.aborted) this.#taken.delete(taken);
            else await take(this.#delivery(taken));
          });
        }
        await turn;
      } finally {
        signal.removeEventListener("abort", stop);
      }
    }
  }

  /** Stops reading a shard, and leaves it to another worker. */
  async #giveUp(leased: Leased | undefined): Promise<void> {
    if (leased === undefined) return;
    leased.stop.abort();
    const held = (): boolean => [...this.#taken].some(({ shard }) => shard === leased.shard);
    for (const end = performance.now() + GIVE_UP_MS; held() && performance.now() < end; ) await sleep(50);
    this.#leased.delete(leased.shard);
    await this.#deleteConsumer(leased.name);
  }

  async #deleteConsumer(name: string): Promise<void> {
    try {
      await this.#manager.consumers.delete(this.#names.stream, name);
    } catch (error) {
      if (!isCode(error, CONSUMER_NOT_FOUND) && !isCode(error, STREAM_NOT_FOUND)) throw error;
    }
  }

  async #bury(message: JsMsg, reason: DeadReason): Promise<void> {
    const room = this.#connection.info?.max_payload ?? 0;
    try {
      await buryNats(this.#jetstream, this.#names, message, reason, room);
    } catch (error) {
      if (!isNatsNoResponder(error)) throw error;
      // The stream of dead letters is gone.
      await openNatsDeadStream("work", this.#connection, this.#options.queue);
      await buryNats(this.#jetstream, this.#names, message, reason, room);
    }
  }

  #delivery(taken: Taken): Delivery {
    const { message } = taken;
    return {
      bytes: message.data,
      attempts: message.info.deliveryCount,
      queuedAt: message.time.getTime(),
      done: async () => {
        this.#taken.delete(taken);
        message.ack();
      },
      release: async (delayMs) => {
        this.#taken.delete(taken);
        message.nak(delayMs);
      },
      bury: async (reason) => {
        try {
          await this.#bury(message, reason);
          message.ack();
        } finally {
          this.#taken.delete(taken);
        }
      },
    };
  }
}

const NOT_UNIQUE = 10100;
const CONSUMER_NOT_FOUND = 10014;
const STREAM_NOT_FOUND = 10059;

function isCode(error: unknown, code: number): boolean {
  return (error as { readonly code?: unknown }).code === code;
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function consumerName(worker: string, shard: number): string {
  return `seclog-work-${worker}-${shard}`;
}

/** Whether a consumer is that of a worker, by its name. */
function isWorkers(name: string): boolean {
  return /^seclog-work-[^-]+-\d+$/.test(name);
}

function shardOfConsumer(name: string): number {
  return Number(/-(\d+)$/.exec(name)?.[1] ?? -1);
}

/** All shards, from a random one on: workers that start together do not ask for the same ones. */
function startingAnywhere(): number[] {
  const start = Math.floor(Math.random() * NATS_SHARDS);
  return Array.from({ length: NATS_SHARDS }, (_, i) => (start + i) % NATS_SHARDS);
}
