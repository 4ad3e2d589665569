/**
 * A handler for the shipper's thread that appends its events to a file, and fails as its options and a control file
 * say: `stuck` (takes nothing), `crash` (ends the thread once), `poison:<text>` (rejects events that hold the text).
 */
import { appendFileSync, existsSync, readFileSync, rmSync } from "node:fs";
import { HandlerError } from "seclog/handler";

export function createHandler({ out, control, name = "test", batchSize }) {
  const last = new Map();
  const handle = async (batch) => {
    const orders = existsSync(control) ? readFileSync(control, "utf8").trim() : "";
    if (orders === "stuck") throw new HandlerError("retry", "stuck by the test");
    if (orders === "stopped") throw new HandlerError("destination", "stopped by the test");
    if (orders === "crash") {
      rmSync(control);
      setImmediate(() => {
        throw new Error("the thread crashes by the test");
      });
      await new Promise(() => {});
    }
    if (orders.startsWith("poison:")) {
      const poison = orders.slice(7);
      if (batch.records.some((record) => Buffer.from(record).includes(poison))) {
        throw new HandlerError("event", `it holds ${poison}`);
      }
    }
    let lines = "";
    for (const event of batch.events) {
      if (event.seq <= (last.get(event.sourceId) ?? 0)) continue;
      last.set(event.sourceId, event.seq);
      lines += `${JSON.stringify(event)}\n`;
    }
    appendFileSync(out, lines);
  };
  return { name, ...(batchSize === undefined ? {} : { batchSize }), handle, close: async () => {} };
}
