import { join } from "node:path";
import { createSecurityLog, type SecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";

/**
 * The shop's security log. The store's address comes from `SECLOG_DATABASE_URL` (or the file that
 * `SECLOG_DATABASE_URL_FILE` names); it connects only when there are events.
 */
export function openSecurityLog(directory: string): SecurityLog {
  return createSecurityLog({
    service: "shop",
    level: "info",
    spool: { directory: join(directory, "seclog") },
    handlers: [postgresHandler()],
    diagnostics: ({ level, code, message }) => console.error(`seclog ${level} ${code}: ${message}`),
  });
}
