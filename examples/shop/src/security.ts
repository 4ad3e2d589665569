import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createSecurityLog, type SecurityLog } from "seclog";
import type { SecurityEventHandler } from "seclog/handler";
import { natsHandler } from "seclog/nats";
import { postgresHandler } from "seclog/postgres";
import { redisHandler } from "seclog/redis";

/**
 * The shop's security log. The store's address comes from `SECLOG_DATABASE_URL` (or the file that
 * `SECLOG_DATABASE_URL_FILE` names); it connects only when there are events.
 */
export function openSecurityLog(directory: string): SecurityLog {
  return createSecurityLog({
    service: "shop",
    level: "info",
    spool: { directory: join(directory, "seclog") },
    handlers: [configuredHandler()],
    diagnostics: ({ level, code, message }) => console.error(`seclog ${level} ${code}: ${message}`),
  });
}

/** Where events go is configuration: through the queue of `SECLOG_QUEUE_URL` if it is set, else to the database. */
function configuredHandler(): SecurityEventHandler {
  const { SECLOG_QUEUE_URL: url, SECLOG_QUEUE_URL_FILE: file } = process.env;
  const queue = file === undefined ? url : readFileSync(file, "utf8");
  if (queue?.startsWith("redis")) return redisHandler();
  return queue?.startsWith("nats") ? natsHandler() : postgresHandler();
}
