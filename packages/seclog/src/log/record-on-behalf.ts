import { configError } from "../event/options.ts";
import { ON_BEHALF, type OnBehalf, type Origin, type RecordOnBehalf } from "../record/on-behalf.ts";
import type { SecurityLog } from "../record/security-log.ts";

/**
 * Records other applications' events in a log, as theirs: with their service and logger, and without the request that
 * brought them. The returned function remembers each type's encoding, so keep it for the next event of the same origin.
 *
 * Who may name which service is for the caller to check.
 *
 * @throws SeclogError `SECLOG_CONFIG` if `log` is not one that `createSecurityLog` returned
 */
export function recordOnBehalf(log: Pick<SecurityLog, "name">, origin: Origin): RecordOnBehalf {
  const record = (log as Partial<OnBehalf>)[ON_BEHALF];
  if (record === undefined)
    throw configError("recordOnBehalf", "log", "must be the log that createSecurityLog returned");
  return record(origin);
}
