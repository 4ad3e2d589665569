import { configError } from "../event/options.ts";
import { NEXT_SEQ, ON_BEHALF, type OnBehalf, type Origin, type RecordOnBehalf } from "../record/on-behalf.ts";
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

/**
 * The number that the log's next event will have, in the source that `sourceId` names now: what a program writes down
 * before it records, since a long batch may reach the disk in parts.
 *
 * @throws SeclogError `SECLOG_CONFIG` if `log` is not one that `createSecurityLog` returned
 */
export function nextSeq(log: Pick<SecurityLog, "name">): number {
  const next = (log as Partial<OnBehalf>)[NEXT_SEQ];
  if (next === undefined) throw configError("nextSeq", "log", "must be the log that createSecurityLog returned");
  return next;
}
