/** Dead letters in NATS JetStream: a stream of their own, which keeps them until they are retried or dropped. */
import type { JetStreamClient, JetStreamManager, JsMsg, StoredMsg } from "@nats-io/jetstream";
import { type NatsNames, sourceOf } from "seclog/queues";
import type { DeadLetter, DeadLetters, DeadReason } from "../consumer.ts";

const CODE = "Seclog-Code";
const REASON = "Seclog-Reason";
const SUBJECT = "Seclog-Subject";

/** The most characters of a reason: the headers must fit beside the largest envelope. */
const MOST_REASON = 1_000;

/** How long a list waits for letters that others drop meanwhile, in milliseconds. */
const LIST_MS = 5_000;

/** What is kept of a message that is too long to be buried whole: a stranger's, since envelopes leave room. */
const CUT_BYTES = 4_096;
/** The most bytes of the headers that are added. */
const HEADERS_BYTES = 12 * 1024;

/**
 * Copies a message to the dead letters.
 *
 * @param room the longest message that the server takes
 */
export async function buryNats(
  jetstream: JetStreamClient,
  names: NatsNames,
  message: JsMsg,
  { code, message: why }: DeadReason,
  room: number,
): Promise<void> {
  const { headers } = await import("@nats-io/transport-node");
  const reasons = headers();
  reasons.set(CODE, code);
  // A reason may quote what an attacker has sent, and a line break would end the header.
  reasons.set(REASON, encodeURIComponent(Buffer.from(why.slice(0, MOST_REASON)).toString()));
  reasons.set(SUBJECT, message.subject.slice(0, MOST_REASON));
  const { data } = message;
  const whole = data.length + HEADERS_BYTES <= room;
  await jetstream.publish(names.dead, whole ? data : data.subarray(0, CUT_BYTES), { headers: reasons });
}

export function natsDeadLetters(jetstream: JetStreamClient, manager: JetStreamManager, names: NatsNames): DeadLetters {
  const find = async (id: string): Promise<StoredMsg | undefined> =>
    /^[1-9]\d{0,15}$/.test(id)
      ? ((await manager.streams.getMessage(names.deadStream, { seq: Number(id) })) ?? undefined)
      : undefined;
  const remove = (id: string): Promise<boolean> => manager.streams.deleteMessage(names.deadStream, Number(id), false);
  return {
    async list(limit) {
      const { state } = await manager.streams.info(names.deadStream);
      const most = Math.min(limit, state.messages);
      if (most === 0) return [];
      const letters: DeadLetter[] = [];
      const reader = await jetstream.consumers.get(names.deadStream);
      for await (const { seq, time, headers, data } of await reader.fetch({ max_messages: most, expires: LIST_MS })) {
        const message = decoded(headers?.get(REASON) ?? "");
        letters.push({ id: String(seq), at: time.getTime(), code: headers?.get(CODE) ?? "", message, bytes: data });
        if (letters.length === most) break;
      }
      return letters;
    },
    async retry(id) {
      const letter = await find(id);
      if (letter === undefined) return false;
      const sourceId = sourceOf(letter.data);
      const came = letter.header.get(SUBJECT);
      // A stranger can write dead letters: this must not publish for them where only workers may.
      const there = names.subjects.some((wanted) => isBelow(came, wanted)) ? came : names.unknown;
      await jetstream.publish(sourceId === undefined ? there : names.events(sourceId), letter.data);
      return await remove(id);
    },
    async drop(id) {
      return (await find(id)) !== undefined && (await remove(id));
    },
  };
}

/** Whether a subject is one of `….*`. */
function isBelow(subject: string, wanted: string): boolean {
  const start = wanted.slice(0, -1);
  return subject.startsWith(start) && /^[\w-]+$/.test(subject.slice(start.length));
}

/** A reason, which a stranger may have written. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
