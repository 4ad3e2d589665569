/**
 * Stores all events of one source with a relay, as a worker that a queue sends its messages to twice and out of order.
 * Arguments: the source's id, the number of events, the events of a message.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { relayStore } from "seclog/postgres";
import { exampleBatch } from "seclog/testing";

const [sourceId, total, size] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const store = relayStore();
const messages = [];
// Each begins within the one before.
for (let firstSeq = 1; firstSeq <= total; firstSeq += Math.ceil(size / 2)) {
  messages.push({ firstSeq, count: Math.min(size, total - firstSeq + 1) });
}
await Promise.all([work([...messages]), work([...messages])]);
await store.close();
process.stdout.write("done\n");

async function work(queue) {
  while (queue.length > 0) {
    const [message] = queue.splice(Math.floor(Math.random() * Math.min(queue.length, 6)), 1);
    const { source, firstSeq, records } = exampleBatch({ sourceId, ...message });
    const keyHash = createHash("sha256").update(source.key).digest("hex");
    const relayed = { id: source.id, epoch: 1, keyHash, acknowledged: 0, sender: "" };
    try {
      const position = await store.store({ source: relayed, firstSeq, records }, AbortSignal.timeout(60_000));
      process.stdout.write(`${position}\n`);
    } catch (error) {
      if (error.kind !== "retry") throw error;
      queue.unshift(message);
      if (error.code !== "SECLOG_BATCH_EARLY") await sleep(20);
    }
  }
}
