import { inspect } from "node:util";
import { bullmqHandler } from "seclog/bullmq";
import { rabbitmqHandler } from "seclog/rabbitmq";
import { redisHandler } from "seclog/redis";
import { describe, expect, it } from "vitest";
import { openConsumer } from "./open-consumer.ts";

/** NATS and Kafka take several hosts, which `URL` cannot read. */
const HANDLERS = [
  ["redis", redisHandler],
  ["amqp", rabbitmqHandler],
  ["bullmq+redis", bullmqHandler],
] as const;

/** What an operator may mistype around a password. */
const MALFORMED = ["me:sesame-4711@[::1", "me:sesame-4711#x@127.0.0.1", "me:sesame-4711@", "me:sesame-4711?@127.0.0.1"];

describe.each(HANDLERS)("a malformed URL of %s", (scheme, handler) => {
  it.each(MALFORMED)("is refused at once, without its password (%s)", async (rest) => {
    const url = `${scheme}://${rest}`;
    const failures: unknown[] = [];
    try {
      handler({ url, queueKey: false });
    } catch (error) {
      failures.push(error);
    }
    await openConsumer({ url, queue: "seclog", prefetch: 1, onTrouble: () => {} }).catch((error) =>
      failures.push(error),
    );
    expect(failures).toMatchObject([{ code: "SECLOG_CONFIG" }, { code: "SECLOG_CONFIG" }]);
    // Also what the error carries along: new URL() puts the whole text into its error.
    expect(inspect(failures, { depth: 10 })).not.toContain("4711");
  });
});
