import { Buffer } from "node:buffer";
import {
  openRabbitmqChannel,
  type RabbitmqChannel,
  type RabbitmqConnection,
  type RabbitmqMessage,
  type RabbitmqPublishOptions,
  rabbitmqReply,
} from "./rabbitmq-connection.ts";

/** Publishes on a confirm channel. It does not reopen: once `failure` is set, use another one. */
export class RabbitmqPublisher {
  readonly #connection: RabbitmqConnection;
  readonly #unconfirmed = new Map<string, (error: unknown) => void>();
  #channel: RabbitmqChannel | undefined;
  #published = 0;
  #failure: Error | undefined;
  #blocked: Error | undefined;

  private constructor(connection: RabbitmqConnection) {
    this.#connection = connection;
  }

  /** @param onFailure called once, when it cannot be used any more */
  static async open(
    connection: RabbitmqConnection,
    onFailure: (error: Error) => void = () => {},
  ): Promise<RabbitmqPublisher> {
    const publisher = new RabbitmqPublisher(connection);
    const channel = await openRabbitmqChannel(connection, (error) => {
      publisher.fail(error);
      onFailure(error);
    });
    channel.on("return", publisher.#onReturn);
    connection.on("blocked", publisher.#onBlocked);
    connection.on("unblocked", publisher.#onUnblocked);
    publisher.#channel = channel;
    return publisher;
  }

  get channel(): RabbitmqChannel {
    if (this.#failure !== undefined || this.#channel === undefined) throw this.#failure ?? new Error("not open");
    return this.#channel;
  }

  /** Why it cannot be used any more. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Resolves when RabbitMQ has the message. Rejects when no queue takes it, or while an alarm blocks publishers. */
  publish(exchange: string, key: string, message: Uint8Array, options: RabbitmqPublishOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#blocked !== undefined) throw this.#blocked;
      const messageId = String(++this.#published);
      const settle = (error: unknown): void => {
        this.#unconfirmed.delete(messageId);
        if (error === undefined || error === null) resolve();
        else reject(error);
      };
      const all = { persistent: true, mandatory: true, ...options, messageId };
      this.#unconfirmed.set(messageId, settle);
      try {
        this.channel.publish(exchange, key, Buffer.from(message), all, settle);
      } catch (error) {
        settle(error);
      }
    });
  }

  /** Publishes what may be lost. */
  tell(exchange: string, key: string, message: Uint8Array): void {
    // While an alarm blocks publishers, nothing is read: it would pile up here.
    if (this.#blocked === undefined) this.channel.publish(exchange, key, Buffer.from(message), {}, () => {});
  }

  /** Marks it as of no use any more. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#rejectAll(error);
  }

  async close(): Promise<void> {
    this.#connection.removeListener("blocked", this.#onBlocked);
    this.#connection.removeListener("unblocked", this.#onUnblocked);
    const closing = this.#failure === undefined ? this.#channel?.close() : undefined;
    this.fail(new Error("it was closed"));
    // A connection that an alarm blocks does not reply.
    await rabbitmqReply("channel.close", closing ?? Promise.resolve()).catch(() => {});
  }

  /** A message comes back before its confirm. */
  readonly #onReturn = (message: unknown): void => {
    const { fields, properties } = message as RabbitmqMessage;
    const target =
      fields.exchange === ""
        ? `the queue ${fields.routingKey} does not exist`
        : `no queue is bound to ${fields.exchange}`;
    this.fail(new Error(`RabbitMQ returned a message: ${target}`));
    this.#unconfirmed.get(String(properties.messageId))?.(this.#failure);
  };

  readonly #onBlocked = (reason: unknown): void => {
    this.#blocked = new Error(`it takes no messages, because a resource runs out: ${String(reason)}`);
    this.#rejectAll(this.#blocked);
  };

  readonly #onUnblocked = (): void => {
    this.#blocked = undefined;
  };

  #rejectAll(error: Error): void {
    for (const settle of [...this.#unconfirmed.values()]) settle(error);
  }
}
