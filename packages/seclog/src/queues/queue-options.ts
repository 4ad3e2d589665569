/** What the handlers of all engines have in common: their options, and the queue keys. */
import { Buffer } from "node:buffer";
import { SeclogError } from "../event/errors.ts";
import { configError, wholeNumber } from "../event/options.ts";
import { readConfiguredFile } from "../spool/files.ts";
import { type QueueKey, queueKey } from "./queue-key.ts";

/** Options that the handlers of all engines have. */
export interface QueueOptions {
  /**
   * When `handle` resolves, and with it when the spool forgets the events: `"stored"`, once a worker has committed them
   * to PostgreSQL; `"queued"`, once the engine has acknowledged them. With `"stored"`, an engine that loses everything
   * costs nothing: the events are sent again.
   * @default "stored"
   */
  readonly confirm?: "stored" | "queued" | undefined;
  /**
   * 32 random bytes (`openssl rand -base64 32`) in base64 or hexadecimal, which workers share: without it, events in the
   * engine can be neither read nor forged. A list: the first one seals, and answers signed with any are believed. `false` sends
   * plain envelopes, which need no key; without a decision, production (`NODE_ENV`) refuses to start, and others warn.
   * @default `SECLOG_QUEUE_KEY`, or the file that `SECLOG_QUEUE_KEY_FILE` names
   */
  readonly queueKey?: string | readonly string[] | false | undefined;
  /** Names the stream, subject, topic or queue: applications that share workers share it. `[a-z0-9_-]`. @default "seclog" */
  readonly queue?: string | undefined;
  /** Maximum events in one message, fewer where the engine's limit demands it. @default 2000 */
  readonly batchSize?: number | undefined;
  /**
   * Milliseconds that a batch waits for its worker before the handler reports that none has stored it. It keeps
   * waiting after that, and sends again only what is lost.
   * @default 60000
   */
  readonly storedTimeout?: number | undefined;
  /** @default the engine's name */
  readonly name?: string | undefined;
  /** Whether a receipt's `stored` waits for it. @default true */
  readonly required?: boolean | undefined;
}

/** The names of {@link QueueOptions}, for `rejectUnknownOptions`. */
export const QUEUE_OPTIONS: readonly (keyof QueueOptions)[] = [
  "confirm",
  "queueKey",
  "queue",
  "batchSize",
  "storedTimeout",
  "name",
  "required",
];

/** {@link QueueOptions}, checked. */
export interface QueueSettings {
  readonly confirm: "stored" | "queued";
  readonly keys: readonly QueueKey[];
  readonly queue: string;
  readonly batchSize: number;
  readonly storedTimeout: number;
  readonly name: string;
  readonly required: boolean;
}

/**
 * Checks the common options.
 *
 * @param where the handler's function, for errors
 * @param engine the handler's default name
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function queueSettings(where: string, engine: string, options: QueueOptions): QueueSettings {
  const { confirm = "stored", queue = "seclog", name = engine, required = true } = options;
  if (confirm !== "stored" && confirm !== "queued") {
    throw configError(where, "confirm", `must be "stored" or "queued", not ${JSON.stringify(confirm)}`);
  }
  return {
    confirm,
    keys: configuredKeys(where, options.queueKey).map((text) => parseQueueKey(where, text)),
    queue: checkedQueue(where, queue),
    batchSize: wholeNumber(where, "batchSize", options.batchSize, { default: 2_000, min: 1, max: 100_000 }),
    storedTimeout: wholeNumber(where, "storedTimeout", options.storedTimeout, {
      default: 60_000,
      min: 100,
      max: 110_000,
    }),
    name,
    required,
  };
}

/**
 * The options as a worker thread needs them: secrets from the environment and from files are read on the application's
 * side.
 *
 * @throws SeclogError `SECLOG_CONFIG` when a file cannot be read, or both a variable and its file are set
 */
export function resolvedQueueOptions<Options extends QueueOptions & { readonly url?: string | undefined }>(
  where: string,
  options: Options,
): Options {
  const keys = configuredKeys(where, options.queueKey);
  const url = options.url ?? secret(where, "SECLOG_QUEUE_URL");
  return { ...options, queueKey: keys.length === 0 ? false : keys, ...(url === undefined ? {} : { url }) };
}

/**
 * Refuses a URL that clients could not read: their error would repeat it, with its password.
 *
 * @throws SeclogError `SECLOG_CONFIG`, which does not repeat it
 */
export function checkUrl(where: string, url: string): void {
  if (URL.canParse(url)) return;
  const escapes = "in a user's name or a password write % / ? # @ : as %25 %2F %3F %23 %40 %3A";
  throw configError(where, "url", `is malformed; ${escapes}`);
}

/** @throws SeclogError `SECLOG_CONFIG` */
export function checkedQueue(where: string, queue: unknown): string {
  if (typeof queue === "string" && /^[a-z0-9_-]{1,40}$/.test(queue)) return queue;
  throw configError(where, "queue", `must have 1 to 40 characters of a-z, 0-9, _ and -, not ${JSON.stringify(queue)}`);
}

/**
 * A queue key from its text: 64 hexadecimal digits, or 44 characters of base64.
 *
 * @throws SeclogError `SECLOG_CONFIG`, which does not repeat it
 */
export function parseQueueKey(where: string, text: string): QueueKey {
  const trimmed = typeof text === "string" ? text.trim() : "";
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return queueKey(Buffer.from(trimmed, "hex"));
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) return queueKey(Buffer.from(trimmed, "base64"));
  throw configError(where, "queueKey", "must be 32 random bytes in base64 or hexadecimal: openssl rand -base64 32");
}

/** The keys' texts: the option, or those of the environment. */
export function configuredKeys(where: string, given: QueueOptions["queueKey"]): readonly string[] {
  if (given === false) return [];
  if (given !== undefined) {
    const keys: unknown = typeof given === "string" ? [given] : given;
    if (Array.isArray(keys) && keys.length > 0) return keys as readonly string[];
    throw configError(where, "queueKey", "must be a key, a list of at least one, or false for plain envelopes");
  }
  const text = secret(where, "SECLOG_QUEUE_KEY");
  if (text !== undefined) return keyLines(text);
  const plain = "without a queue key, everyone who reaches the engine can read and forge events";
  const step = "set SECLOG_QUEUE_KEY_FILE (openssl rand -base64 32), or queueKey: false";
  if (process.env["NODE_ENV"] === "production") throw configError(where, "queueKey", `is missing: ${plain}; ${step}`);
  warnOnce(`${where}: ${plain}; ${step}`);
  return [];
}

/** One key a line, the first one seals: what a file of queue keys contains. */
export function keyLines(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

/** A secret from its variable, or from the file that the variable with `_FILE` names. Neither is ever repeated. */
function secret(where: string, variable: string): string | undefined {
  const value = process.env[variable] || undefined;
  const file = process.env[`${variable}_FILE`] || undefined;
  if (value !== undefined && file !== undefined) {
    throw configError(where, variable, `and ${variable}_FILE are both set; keep one`);
  }
  if (file === undefined) return value;
  try {
    return readConfiguredFile(file).trim();
  } catch (cause) {
    throw new SeclogError("SECLOG_CONFIG", `${where}: ${variable}_FILE names a file that cannot be read`, { cause });
  }
}

const warned = new Set<string>();

/** Warns once in a process: a handler may be made many times. */
export function warnOnce(warning: string): void {
  if (warned.has(warning)) return;
  warned.add(warning);
  process.emitWarning(warning, { code: "SECLOG_QUEUE_UNSAFE" });
}
