/** For programs that read queues, such as `seclog work`: the wire format, its keys, and where an engine has what. */
export {
  type Bullmq,
  type BullmqEvents,
  type BullmqJob,
  type BullmqOwnQueue,
  type BullmqQueue,
  type BullmqWorker,
  bullmqError,
  bullmqReply,
  connectBullmq,
  jobMessage,
} from "./queues/bullmq-connection.ts";
export {
  type DecodedEnvelope,
  decodeEnvelope,
  type EncodeOptions,
  type Envelope,
  type EnvelopeSource,
  encodeEnvelopes,
  encodeQuarantined,
  sourceOf,
} from "./queues/envelope.ts";
export {
  type KafkaAdmin,
  type KafkaBatch,
  type KafkaClient,
  type KafkaConsumer,
  type KafkaMessage,
  type KafkaProducer,
  type KafkaRecord,
  kafkaClient,
} from "./queues/kafka-client.ts";
export { KafkaTail } from "./queues/kafka-tail.ts";
export {
  type KafkaTopics,
  kafkaCode,
  kafkaPartitioner,
  kafkaSettings,
  kafkaTopics,
  makeKafkaTopics,
  positionPartitioner,
} from "./queues/kafka-topics.ts";
export { connectNats, type NatsConnection } from "./queues/nats-client.ts";
export { NATS_SHARDS, type NatsNames, natsNames } from "./queues/nats-names.ts";
export { isNatsNoResponder, type NatsStreamConfig, openNatsDeadStream, openNatsStream } from "./queues/nats-stream.ts";
export { decodePosition, encodePosition, isPositionMessage, type PositionMessage } from "./queues/position.ts";
export { type QueueKey, queueKey } from "./queues/queue-key.ts";
export { checkedQueue, keyLines, parseQueueKey } from "./queues/queue-options.ts";
export {
  connectRabbitmq,
  openRabbitmqChannel,
  type RabbitmqChannel,
  type RabbitmqConnection,
  type RabbitmqMessage,
  type RabbitmqPublishOptions,
  rabbitmqReply,
} from "./queues/rabbitmq-connection.ts";
export {
  declareShards,
  quorumQueue,
  RABBITMQ_SHARDS,
  type RabbitmqNames,
  rabbitmqNames,
  rabbitmqShard,
} from "./queues/rabbitmq-names.ts";
export { RabbitmqPublisher } from "./queues/rabbitmq-publisher.ts";
export { connectRedis, type RedisCommands } from "./queues/redis-commands.ts";
export { REDIS_SHARDS, type RedisKeys, redisKeys, shardOf } from "./queues/redis-keys.ts";
