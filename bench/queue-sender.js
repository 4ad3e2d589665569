/** A source of `bench/queue.js`: drains its spool, or records events at a steady rate. */
import { createSecurityLog } from "seclog";
import { drainSpool } from "seclog/spool";
import { queueHandler } from "../faults/applications/queue-handler.js";

const { directory, handler, rate, seconds } = JSON.parse(process.argv[2]);
const made =
  handler.engine === "postgres"
    ? (await import("seclog/postgres")).postgresHandler({ url: handler.url })
    : await queueHandler(handler);

process.once("message", async () => {
  if (rate === undefined) {
    const { shipped, failures } = await drainSpool({
      directory,
      handlers: [made],
      signal: AbortSignal.timeout(300_000),
    });
    process.send({ shipped, failures });
    return;
  }
  const log = createSecurityLog({ service: "shop", spool: { directory }, handlers: [made] });
  const start = performance.now();
  for (let n = 0; n < rate * seconds; n++) {
    const wait = start + (n * 1_000) / rate - performance.now();
    if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
    log.recordSecurityEvent("authz_fail", undefined, {
      path: `/orders/${n}`,
      statusCode: 403,
      userid: `user-${n % 100}`,
    });
  }
  await log.close({ deadline: 60_000 });
  process.send({ shipped: rate * seconds });
});
process.send("ready");
