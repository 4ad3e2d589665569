/**
 * The queue engines, by the name of their handler. Each class has the same members, so that a fault runs on each:
 *
 * - `needs()`: why it cannot run here; `start(settings)`: in a folder of its own, on a free port of 127.0.0.1
 * - `url`, `port`; `up()`, `down()`, `kill()` (SIGKILL): with what it kept on disk; `end()`: and removes the folder
 * - `wipe()`: loses everything, as by a purge or with its disk; `waiting()`: how many messages the queue `seclog` has
 * - where an engine allows it: `inject(bytes)`: a stranger's message; `replay()`: every message that is there once more,
 *   the newest first; `fill()`, `relieve()`: it takes nothing more, and does again
 * - `dump()`: all that a stranger who reaches it can read of the queue, as text
 */
import { BullmqEngine } from "./bullmq.js";
import { KafkaEngine } from "./kafka.js";
import { NatsEngine } from "./nats.js";
import { RabbitmqEngine } from "./rabbitmq.js";
import { RedisEngine } from "./redis.js";

export const ENGINES = {
  redis: RedisEngine,
  nats: NatsEngine,
  kafka: KafkaEngine,
  rabbitmq: RabbitmqEngine,
  bullmq: BullmqEngine,
};
