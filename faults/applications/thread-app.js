/**
 * An application that works in threads, as Piscina and bree do: each opens a log, records, waits until everything is
 * durable, and ends on its parent's command, without a close. With `own` the main thread has a log as well.
 */
import { writeSync } from "node:fs";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { createSecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";
import { contentHash } from "../check.js";
import { dataOf, LOG, openLedger, requestOf, rowOf } from "../events.js";

const { ledger: path, life, spool, url } = JSON.parse(process.env.FAULT_APP);
const open = (to) =>
  createSecurityLog({ ...LOG, spool, handlers: [postgresHandler({ url: to })], diagnostics: () => {} });

if (isMainThread) {
  const logs = [];
  process.on("message", async ({ how, own, away }) => {
    if (own && logs.length === 0) logs.push(open(url));
    const worker = new Worker(new URL(import.meta.url), { workerData: { how, away } });
    const ended = new Promise((resolve) => worker.once("exit", resolve));
    if (how === "terminate") {
      await new Promise((resolve) => worker.once("message", resolve));
      await worker.terminate();
    }
    await ended;
    process.send({ ended: how });
  });
  process.on("disconnect", () => process.exit());
  process.send("ready");
} else {
  const ledger = openLedger(path);
  const enter = (line) => writeSync(ledger, `${line} ${Date.now()}\n`);
  const { how, away } = workerData;
  const security = open(away);
  const receipts = [];
  for (let n = 1; n <= 20; n++) {
    const key = `${life}-${how}-${Math.random().toString(36).slice(2)}-${n}`;
    const event = {
      key,
      type: "authz_fail",
      log: LOG,
      outcome: "failure",
      method: "POST",
      path: `/orders/${n}`,
      ip: "192.0.2.7",
      status: 403,
      actor: `user-${n}`,
      text: `${key} in a thread`,
    };
    enter(`try ${key} ${contentHash(rowOf(event))}`);
    receipts.push(
      security.recordSecurityEvent(event.type, requestOf(event), dataOf(event)).durable.then(() => enter(`ack ${key}`)),
    );
  }
  await Promise.all(receipts);
  if (how === "exit") process.exit(0);
  if (how === "terminate") {
    parentPort.postMessage("recorded");
    setInterval(() => {}, 1_000);
  }
}
