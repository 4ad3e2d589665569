/** Makes the handler of an engine, by the name of its subpath. */
const HANDLERS = {
  kafka: async (options) => (await import("seclog/kafka")).kafkaHandler(options),
  redis: async (options) => (await import("seclog/redis")).redisHandler(options),
  nats: async (options) => (await import("seclog/nats")).natsHandler(options),
  bullmq: async (options) => (await import("seclog/bullmq")).bullmqHandler(options),
  rabbitmq: async (options) => (await import("seclog/rabbitmq")).rabbitmqHandler(options),
};

/** @param options `engine`, and those of its handler */
export async function queueHandler({ engine, ...options }) {
  return await HANDLERS[engine](options);
}
