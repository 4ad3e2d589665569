import { errorMessage, SeclogError } from "seclog";

/** An engine's failure, without the credentials that clients repeat. */
export function queueError(title: string, error: unknown): SeclogError {
  const message = errorMessage(error).replace(/(\w+:\/\/)[^\s@/]*@/g, "$1");
  return new SeclogError("SECLOG_QUEUE", `the queue (${title}) says: ${message}`, { cause: error });
}
