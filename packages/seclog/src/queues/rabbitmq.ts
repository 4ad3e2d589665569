/**
 * RabbitMQ, for amqplib.
 *
 * The envelopes of a source go to one of 8 quorum queues, so that one worker at a time reads them, in order. Answers come
 * to an exclusive queue of the connection, which is bound to the sources that it sends.
 *
 * RabbitMQ confirms a message once the quorum queue has it on the disks of a majority of its nodes: a node that crashes
 * takes nothing. On a single node, its disk is the only copy. A message that no queue would get is returned, and so is a
 * failure.
 */
import { randomUUID } from "node:crypto";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { wallNow } from "../runtime/timers.ts";
import type { FailureKind, SecurityEventHandler } from "../ship/handler.ts";
import { type QueueConnection, queueHandler } from "./queue-handler.ts";
import { checkUrl, QUEUE_OPTIONS, type QueueOptions, queueSettings, resolvedQueueOptions } from "./queue-options.ts";
import {
  connectRabbitmq,
  openRabbitmqChannel,
  type RabbitmqConnection,
  type RabbitmqMessage,
  rabbitmqReply,
} from "./rabbitmq-connection.ts";
import { declareShards, type RabbitmqNames, rabbitmqNames, rabbitmqShard } from "./rabbitmq-names.ts";
import { RabbitmqPublisher } from "./rabbitmq-publisher.ts";

export type {
  RabbitmqChannel,
  RabbitmqConnection,
  RabbitmqMessage,
  RabbitmqPublishOptions,
} from "./rabbitmq-connection.ts";

/** Options of {@link rabbitmqHandler}. */
export interface RabbitmqHandlerOptions extends QueueOptions {
  /**
   * `amqp://user:password@host:5672/vhost`, or `amqps://` for TLS: the handler connects in the shipper's thread, with
   * amqplib.
   * @default `SECLOG_QUEUE_URL`, or the file that `SECLOG_QUEUE_URL_FILE` names
   */
  readonly url?: string | undefined;
  /**
   * The application's own connection instead: what `connect(url, { recovery: true })` of amqplib resolves to, which
   * reconnects. The handler opens a channel of its own, and never closes the connection.
   */
  readonly connection?: RabbitmqConnection | undefined;
}

const WHERE = "rabbitmqHandler";

/** Brokers take 16 MiB (RabbitMQ 4) or 128 MiB, and do not say so. What a worker prefetches should stay far below. */
const MAX_BYTES = 1024 * 1024;

/**
 * Sends events through RabbitMQ to `seclog work`, which stores them in PostgreSQL.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function rabbitmqHandler(options: RabbitmqHandlerOptions = {}): SecurityEventHandler {
  rejectUnknownOptions(WHERE, options, ["url", "connection", ...QUEUE_OPTIONS]);
  const settings = queueSettings(WHERE, "rabbitmq", options);
  const names = rabbitmqNames(settings.queue);
  const { connection, ...others } = options;
  if (connection !== undefined) {
    if (typeof (connection as Partial<RabbitmqConnection>).createConfirmChannel !== "function") {
      throw configError(WHERE, "connection", "is not a connection of amqplib: pass what its connect() resolves to");
    }
    const open = (): Promise<QueueConnection> => Sender.open(connection, names, async () => {});
    return queueHandler({ title: "RabbitMQ", kindOf, open }, settings);
  }
  const resolved = resolvedQueueOptions(WHERE, others);
  const { url = "" } = resolved;
  if (!/^amqps?:\/\//.test(url)) {
    throw configError(WHERE, "url", "must begin with amqp:// or amqps://; set it, or SECLOG_QUEUE_URL");
  }
  checkUrl(WHERE, url);
  const open = async (): Promise<QueueConnection> => {
    const own = await connectRabbitmq(WHERE, url);
    try {
      return await Sender.open(own, names, () => own.close());
    } catch (error) {
      own.close().catch(() => {});
      throw error;
    }
  };
  return queueHandler({ title: "RabbitMQ", kindOf, open }, settings, { module: "seclog:rabbitmq", options: resolved });
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: RabbitmqHandlerOptions): SecurityEventHandler {
  return rabbitmqHandler(options);
}

/** A refused password, vhost or permission, and queues with other arguments, need an operator. The rest recovers. */
function kindOf(error: unknown): FailureKind {
  const message = error instanceof Error ? error.message : "";
  return /\b(?:ACCESS[-_]REFUSED|NOT[-_]ALLOWED|PRECONDITION[-_]FAILED)\b/.test(message) ? "destination" : "retry";
}

class Sender implements QueueConnection {
  readonly maxBytes: number = MAX_BYTES;
  readonly #publisher: RabbitmqPublisher;
  readonly #names: RabbitmqNames;
  readonly #end: () => Promise<void>;
  readonly #watched = new Map<string, (message: Uint8Array) => void>();
  readonly #answers: string;

  private constructor(publisher: RabbitmqPublisher, names: RabbitmqNames, end: () => Promise<void>) {
    this.#publisher = publisher;
    this.#names = names;
    this.#end = end;
    this.#answers = `${names.stored}.${randomUUID()}`;
  }

  static async open(connection: RabbitmqConnection, names: RabbitmqNames, end: () => Promise<void>): Promise<Sender> {
    await declare(connection, names);
    const sender = new Sender(await RabbitmqPublisher.open(connection), names, end);
    await sender.#listen();
    return sender;
  }

  get closed(): boolean {
    return this.#publisher.failure !== undefined;
  }

  async #listen(): Promise<void> {
    const { channel } = this.#publisher;
    const options = { exclusive: true, autoDelete: true, durable: false };
    await rabbitmqReply("queue.declare", channel.assertQueue(this.#answers, options));
    const onMessage = (message: RabbitmqMessage | null): void => {
      if (message === null) this.#publisher.fail(new Error(`the queue ${this.#answers} was deleted`));
      else this.#watched.get(message.fields.routingKey)?.(message.content);
    };
    await rabbitmqReply("basic.consume", channel.consume(this.#answers, onMessage, { noAck: true }));
  }

  send(sourceId: string, message: Uint8Array): Promise<void> {
    const timestamp = Math.floor(wallNow() / 1000);
    return this.#publisher.publish(this.#names.events, String(rabbitmqShard(sourceId)), message, { timestamp });
  }

  async watch(sourceId: string, onPosition: (message: Uint8Array) => void): Promise<void> {
    this.#watched.set(sourceId, onPosition);
    const { channel } = this.#publisher;
    await rabbitmqReply("queue.bind", channel.bindQueue(this.#answers, this.#names.stored, sourceId));
  }

  async close(): Promise<void> {
    await this.#publisher.close();
    await rabbitmqReply("connection.close", this.#end()).catch(() => {});
  }
}

/** Declares the queues, on a channel of its own: the server closes it on a refusal. */
async function declare(connection: RabbitmqConnection, names: RabbitmqNames): Promise<void> {
  const channel = await openRabbitmqChannel(connection, () => {});
  try {
    await declareShards(channel, names);
  } catch (error) {
    // An application without the right to declare uses what the workers have declared.
    if ((error as { readonly code?: unknown }).code === 403) return;
    throw error;
  }
  await rabbitmqReply("channel.close", channel.close());
}
