/**
 * The dead letters of RabbitMQ: a queue. To look at it is to take messages and give them back, which a quorum queue appends
 * to those that came back before. So their order is in their ids, by which they are also found.
 */
import { randomUUID } from "node:crypto";
import {
  openRabbitmqChannel,
  type RabbitmqChannel,
  type RabbitmqConnection,
  type RabbitmqMessage,
  type RabbitmqNames,
  type RabbitmqPublisher,
  rabbitmqReply,
  rabbitmqShard,
  sourceOf,
} from "seclog/queues";
import type { DeadLetter, DeadLetters, DeadReason } from "../consumer.ts";

/** The most messages that are looked through. */
const MOST_SEARCHED = 10_000;

/** The most characters of a reason: a message's headers go into one frame. */
const MOST_REASON = 1_000;

/** The headers of a message that is buried now. Ids sort by time. */
export function deadLetterHeaders(shard: number, { code, message }: DeadReason): { readonly [name: string]: string } {
  const at = String(Date.now());
  const id = `${at}-${String(++buried).padStart(9, "0")}-${randomUUID().slice(0, 8)}`;
  return { id, at, code, why: message.slice(0, MOST_REASON), shard: String(shard) };
}

let buried = 0;

export function rabbitmqDeadLetters(
  connection: RabbitmqConnection,
  publisher: RabbitmqPublisher,
  names: RabbitmqNames,
): DeadLetters {
  /** Takes messages until `visit` returns true, and gives back all that it did not acknowledge. */
  const visit = async (
    visitor: (message: RabbitmqMessage, channel: RabbitmqChannel) => boolean | Promise<boolean>,
  ): Promise<boolean> => {
    const channel = await openRabbitmqChannel(connection, () => {});
    try {
      for (let taken = 0; taken < MOST_SEARCHED; taken++) {
        const message = await rabbitmqReply("basic.get", channel.get(names.dead, { noAck: false }));
        if (message === false) return false;
        if (await visitor(message, channel)) return true;
      }
      return false;
    } finally {
      await rabbitmqReply("channel.close", channel.close()).catch(() => {});
    }
  };
  const remove = (id: string, before: (message: RabbitmqMessage) => Promise<void>): Promise<boolean> =>
    visit(async (message, channel) => {
      if (header(message, "id") !== id) return false;
      await before(message);
      channel.ack(message);
      return true;
    });
  return {
    async list(limit) {
      const letters: DeadLetter[] = [];
      await visit((message) => {
        letters.push({
          id: header(message, "id"),
          at: Number(header(message, "at")),
          code: header(message, "code"),
          message: header(message, "why"),
          bytes: message.content,
        });
        return false;
      });
      return letters.sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit);
    },
    retry: (id) =>
      remove(id, async (message) => {
        const { content } = message;
        const sourceId = sourceOf(content);
        // A stranger can write dead letters, with any shard.
        const came = /^[0-7]$/.test(header(message, "shard")) ? header(message, "shard") : "0";
        const shard = sourceId === undefined ? came : String(rabbitmqShard(sourceId));
        await publisher.publish(names.events, shard, content, {});
      }),
    drop: (id) => remove(id, async () => {}),
  };
}

function header({ properties: { headers } }: RabbitmqMessage, name: string): string {
  const value = headers?.[name];
  return typeof value === "string" ? value : "";
}
