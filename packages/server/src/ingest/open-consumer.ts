import { SeclogError } from "seclog";
import type { Consumer, ConsumerOptions } from "./consumer.ts";
import { queueError } from "./queue-error.ts";

/** How to consume each engine, by the scheme of its URL. Each loads on demand, with the engine's client. */
const ENGINES: { readonly [scheme: string]: (options: ConsumerOptions) => Promise<Consumer> } = {
  kafka: async (options) => (await import("./consumers/kafka.ts")).kafkaConsumer(options),
  "kafka+ssl": async (options) => (await import("./consumers/kafka.ts")).kafkaConsumer(options),
  redis: async (options) => (await import("./consumers/redis.ts")).redisConsumer(options),
  rediss: async (options) => (await import("./consumers/redis.ts")).redisConsumer(options),
  nats: async (options) => (await import("./consumers/nats.ts")).natsConsumer(options),
  tls: async (options) => (await import("./consumers/nats.ts")).natsConsumer(options),
  "bullmq+redis": async (options) => (await import("./consumers/bullmq.ts")).bullmqConsumer(options),
  "bullmq+rediss": async (options) => (await import("./consumers/bullmq.ts")).bullmqConsumer(options),
  amqp: async (options) => (await import("./consumers/rabbitmq.ts")).rabbitmqConsumer(options),
  amqps: async (options) => (await import("./consumers/rabbitmq.ts")).rabbitmqConsumer(options),
};

/**
 * Checks that a URL names an engine.
 *
 * @throws SeclogError `SECLOG_CONFIG`, which does not repeat the URL: it may hold a password
 */
export function checkQueueUrl(where: string, url: string): void {
  const scheme = /^([a-z+]+):\/\//.exec(url)?.[1] ?? "";
  if (Object.hasOwn(ENGINES, scheme)) return;
  const schemes = Object.keys(ENGINES)
    .map((name) => `${name}://`)
    .join(", ");
  throw new SeclogError("SECLOG_CONFIG", `${where} must begin with one of ${schemes}`);
}

/**
 * Connects to the engine that the URL names.
 *
 * @throws SeclogError `SECLOG_CONFIG`, also when the engine's client is not installed; otherwise `SECLOG_QUEUE`
 */
export async function openConsumer(options: ConsumerOptions): Promise<Consumer> {
  const scheme = /^([a-z+]+):\/\//.exec(options.url)?.[1] ?? "";
  const open = ENGINES[scheme];
  if (open === undefined) throw new SeclogError("SECLOG_CONFIG", `no engine has URLs that begin with ${scheme}://`);
  try {
    return await open(options);
  } catch (error) {
    throw error instanceof SeclogError ? error : queueError(scheme, error);
  }
}
