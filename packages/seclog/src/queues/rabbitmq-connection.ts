/** Connections to RabbitMQ, as amqplib makes them, by the shape that is used. */
import type { Buffer } from "node:buffer";
import { configError } from "../event/options.ts";
import { NoReply, withinTime } from "./no-reply.ts";
import { checkUrl } from "./queue-options.ts";

/** A message of amqplib. */
export interface RabbitmqMessage {
  readonly content: Buffer;
  readonly fields: { readonly exchange: string; readonly routingKey: string };
  readonly properties: {
    readonly headers: { readonly [name: string]: unknown } | undefined;
    readonly messageId: unknown;
    readonly timestamp: unknown;
  };
}

/** What is sent along with a message. */
export interface RabbitmqPublishOptions {
  readonly persistent?: boolean;
  readonly mandatory?: boolean;
  readonly messageId?: string;
  /** Seconds since the epoch. */
  readonly timestamp?: number;
  readonly headers?: { readonly [name: string]: unknown };
}

/** A confirm channel of amqplib, by its shape. */
export interface RabbitmqChannel {
  on(event: string, listener: (value: unknown) => void): unknown;
  assertQueue(queue: string, options: object): Promise<unknown>;
  checkQueue(queue: string): Promise<{ readonly messageCount: number; readonly consumerCount: number }>;
  deleteQueue(queue: string): Promise<unknown>;
  assertExchange(exchange: string, type: string, options: object): Promise<unknown>;
  bindQueue(queue: string, exchange: string, key: string): Promise<unknown>;
  publish(
    exchange: string,
    key: string,
    content: Buffer,
    options: RabbitmqPublishOptions,
    callback: (error: unknown) => void,
  ): boolean;
  consume(
    queue: string,
    onMessage: (message: RabbitmqMessage | null) => void,
    options?: { readonly noAck?: boolean },
  ): Promise<{ readonly consumerTag: string }>;
  cancel(consumerTag: string): Promise<unknown>;
  get(queue: string, options: { readonly noAck?: boolean }): Promise<RabbitmqMessage | false>;
  ack(message: RabbitmqMessage): void;
  nack(message: RabbitmqMessage, allUpTo: boolean, requeue: boolean): void;
  prefetch(count: number): Promise<unknown>;
  close(): Promise<void>;
}

/** A connection of amqplib, by its shape. */
export interface RabbitmqConnection {
  createConfirmChannel(): Promise<RabbitmqChannel>;
  on(event: string, listener: (value: unknown) => void): unknown;
  removeListener(event: string, listener: (value: unknown) => void): unknown;
  close(): Promise<void>;
}

/** Seconds after which each side probes a silent connection; after twice that, it is lost. */
const HEARTBEAT_SECONDS = 5;

/** Milliseconds to connect, and to wait for a reply. */
const CONNECT_MS = 10_000;
const REPLY_MS = 10_000;

/**
 * Connects with amqplib, which does not reconnect.
 *
 * @throws SeclogError `SECLOG_CONFIG` when it is not installed
 */
export async function connectRabbitmq(where: string, url: string): Promise<RabbitmqConnection> {
  checkUrl(where, url);
  const full = new URL(url);
  if (!full.searchParams.has("heartbeat")) full.searchParams.set("heartbeat", String(HEARTBEAT_SECONDS));
  // In a `try`, so that bundlers take a missing client for what it is: optional.
  try {
    const { connect } = await import("amqplib");
    const connection = await rabbitmqReply("connect", connect(full.href, { timeout: CONNECT_MS, noDelay: true }));
    // Without a listener, amqplib's report would end the process. `close` follows.
    connection.on("error", () => {});
    return connection;
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") throw error;
    throw configError(where, "url", "needs a client of RabbitMQ: npm install amqplib");
  }
}

/** A reply of the server. It stays away when the connection is dead, or blocked by an alarm. */
export function rabbitmqReply<T>(name: string, reply: Promise<T>): Promise<T> {
  return withinTime(reply, REPLY_MS, () => new NoReply(`no reply to ${name} within ${REPLY_MS / 1000} s`));
}

/**
 * A confirm channel. `onClosed` is called once, when it, its connection, or one of its consumers has ended, with the
 * reason.
 */
export async function openRabbitmqChannel(
  connection: RabbitmqConnection,
  onClosed: (error: Error) => void,
): Promise<RabbitmqChannel> {
  const channel = await rabbitmqReply("channel.open", connection.createConfirmChannel());
  let reason: Error | undefined;
  channel.on("error", (error) => {
    reason = error as Error;
  });
  channel.on("close", () => onClosed(reason ?? new Error("the connection was lost")));
  return channel;
}
