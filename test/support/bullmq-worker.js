/** A team's own worker of BullMQ, which stores security events among its other jobs. Argument: the port of Redis. */
import { Worker } from "bullmq";
import { createSecurityLogProcessor } from "seclog/bullmq";
import { relayStore } from "seclog/postgres";

const store = relayStore();
const worker = new Worker("seclog", createSecurityLogProcessor({ store }), {
  connection: { host: "127.0.0.1", port: Number(process.argv[2]) },
  concurrency: 8,
  lockDuration: 3_000,
  stalledInterval: 1_000,
  maxStalledCount: 1_000,
});
worker.on("completed", ({ id }) => process.stdout.write(`completed ${id}\n`));
worker.on("failed", (job, error) => process.stdout.write(`failed ${job?.id} ${error.message}\n`));
worker.on("error", () => {});
process.once("SIGTERM", async () => {
  await worker.close();
  await store.close();
});
