/** Why a spool's events are not on disk, as errors. */
import { errorMessage, SeclogError } from "../event/errors.ts";

/** The operating system refused a write or a sync. */
export function refusedError(directory: string, cause: unknown): SeclogError {
  return new SeclogError(
    "SECLOG_SPOOL_WRITE",
    `the spool in ${directory} cannot be written (${errorMessage(cause)}): free space or fix the disk; events wait in memory meanwhile`,
    { cause },
  );
}

/** Another process has the directory now. */
export function takenError(directory: string): SeclogError {
  return new SeclogError("SECLOG_SPOOL_LOST", `another process took over ${directory}`);
}

/** The log closed before the disk took everything. */
export function unwrittenError(directory: string, cause: unknown): SeclogError {
  const why = errorMessage(cause);
  return new SeclogError("SECLOG_SPOOL_WRITE", `the spool in ${directory} could not be written completely (${why})`, {
    cause,
  });
}

export function closedError(): SeclogError {
  return new SeclogError("SECLOG_CLOSED", "the log was closed before the event could be written");
}
