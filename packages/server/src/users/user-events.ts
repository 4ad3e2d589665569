/** Records in the log who signs in to the console, who fails to, and what is changed of its users. */
import type { IncomingMessage } from "node:http";
import { createSecurityLog, type SecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";

/** What happens to users. */
export type UserEventType =
  | "authn_login_success"
  | "authn_login_fail"
  | "authn_login_lock"
  | "session_logout"
  | "authn_password_change"
  | "user_created"
  | "user_updated"
  | "user_deleted"
  | "log_read";

/** Records an event. `actor` is who does it; `target` is the user that it is done to. */
export type RecordUserEvent = (
  type: UserEventType,
  request: IncomingMessage | null,
  data: { readonly actor?: string; readonly target?: string; readonly [member: string]: unknown },
) => void;

/**
 * A log for the events of the console's users, which the writer's connection stores. Failures of storing are reported, and
 * hold no request up: a database that is away must not keep those out who come to look why.
 */
export function userEvents(
  writerUrl: string,
  onTrouble: (message: string) => void,
): { readonly record: RecordUserEvent; readonly close: SecurityLog["close"] } {
  const log = createSecurityLog({
    service: "seclog console",
    spool: "memory",
    handlers: [postgresHandler({ url: writerUrl })],
    heartbeat: false,
    diagnostics: ({ level, message }) => {
      if (level !== "info") onTrouble(`an event of the console's users: ${message}`);
    },
  });
  return {
    record: (type, request, data) => void log.recordSecurityEvent(type, request, data),
    close: (options) => log.close(options),
  };
}
