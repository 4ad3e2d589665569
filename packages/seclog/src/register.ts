/**
 * Captures a Node server without touching its code:
 *
 * ```sh
 * node --import seclog/register server.js
 * ```
 *
 * Settings come from the environment: `SECLOG_DATABASE_URL`, `SECLOG_SERVICE`, `SECLOG_SPOOL` (the folder where events
 * wait, `var/seclog` by default) and `SECLOG_TRUST_PROXY` (the proxies in front, as in `clientIp.trust`, separated by
 * commas). Without a database the events are printed, and kept nowhere. Code that wants to record its own events imports
 * `security`.
 */
import { isMainThread } from "node:worker_threads";
import { captureProcess } from "./capture/node/http.ts";
import { stdoutHandler } from "./handlers/stdout.ts";
import { createSecurityLog } from "./log/create-security-log.ts";
import { postgresHandler } from "./postgres/handler.ts";
import type { SecurityLog } from "./record/security-log.ts";

/** The log; `undefined` in the process's other threads, which Node gives the same preloads. */
export const security: SecurityLog | undefined = isMainThread ? open() : undefined;

function open(): SecurityLog {
  const { SECLOG_DATABASE_URL, SECLOG_SERVICE, SECLOG_SPOOL, SECLOG_TRUST_PROXY } = process.env;
  const trust = SECLOG_TRUST_PROXY?.split(",").map((entry) => entry.trim());
  const log = createSecurityLog({
    service: SECLOG_SERVICE,
    ...(trust !== undefined && { clientIp: { trust } }),
    ...(SECLOG_DATABASE_URL === undefined
      ? { spool: "memory", handlers: [stdoutHandler()] }
      : { spool: { directory: SECLOG_SPOOL ?? "var/seclog" }, handlers: [postgresHandler()] }),
  });
  if (SECLOG_DATABASE_URL === undefined) {
    process.stderr.write(
      "seclog: SECLOG_DATABASE_URL is not set, so security events are printed here and kept nowhere\n",
    );
  }
  captureProcess(log);
  return log;
}
