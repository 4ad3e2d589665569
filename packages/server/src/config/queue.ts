/** Where the queue is, and the keys of its senders: from options and the environment. */
import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { SeclogError } from "seclog";
import { optionalSecretUrl } from "seclog/postgres/schema";
import { keyLines, parseQueueKey, type QueueKey } from "seclog/queues";

/** A queue key, and the name of the application that seals with it. */
export interface SenderKey {
  readonly key: QueueKey;
  readonly sender: string;
}

const URL_VARIABLE = "SECLOG_QUEUE_URL";

/**
 * The queue's URL: the argument, or with credentials the variable.
 *
 * @throws SeclogError `SECLOG_CONFIG` when there is none, or both
 */
export function queueUrl(from: string | undefined): string {
  const configured = optionalSecretUrl("environment", {}, URL_VARIABLE);
  if (from !== undefined && configured !== undefined) {
    throw new SeclogError("SECLOG_CONFIG", `--from and ${URL_VARIABLE} both name a queue: keep one`);
  }
  const url = from ?? configured;
  if (url !== undefined) return url;
  throw new SeclogError(
    "SECLOG_CONFIG",
    `no queue to read: name it with --from, or set ${URL_VARIABLE}, or ${URL_VARIABLE}_FILE, when the URL has a password`,
  );
}

/**
 * The keys of the senders: one file for each application, named after it, with a key a line. `SECLOG_QUEUE_KEY` is the
 * key of the sender `default`.
 *
 * @param files paths, or `NAME=PATH` where the file is named otherwise
 * @throws SeclogError `SECLOG_CONFIG`
 */
export function senderKeys(files: readonly string[]): SenderKey[] {
  const keys: SenderKey[] = [];
  const add = (sender: string, text: string, from: string): void => {
    if (!/^[\w.-]{1,60}$/.test(sender)) {
      throw new SeclogError("SECLOG_CONFIG", `${from}: a sender's name has 1 to 60 letters, digits, ., _ and -`);
    }
    for (const line of keyLines(text)) {
      const key = parseQueueKey(from, line);
      const other = keys.find((known) => known.key.id === key.id);
      if (other !== undefined && other.sender !== sender) {
        throw new SeclogError(
          "SECLOG_CONFIG",
          `${other.sender} and ${sender} have the same queue key ${key.id}: give each its own`,
        );
      }
      keys.push({ key, sender });
    }
    if (keys.at(-1)?.sender !== sender) throw new SeclogError("SECLOG_CONFIG", `${from} has no queue key in it`);
  };
  for (const given of files) {
    const [, name, path = given] = /^([\w.-]+)=(.+)$/s.exec(given) ?? [];
    add(name ?? basename(path).replace(/\.[^.]*$/, ""), readSecretFile(path), `--queue-key ${path}`);
  }
  const configured = optionalSecretUrl("environment", {}, "SECLOG_QUEUE_KEY");
  if (configured !== undefined) add("default", configured, "SECLOG_QUEUE_KEY");
  return keys;
}

function readSecretFile(path: string): string {
  try {
    const stat = statSync(path);
    if (!stat.isFile())
      throw new SeclogError("SECLOG_CONFIG", `${path} is not a regular file: name the key file itself`);
    if ((stat.mode & 0o077) !== 0) {
      throw new SeclogError(
        "SECLOG_CONFIG",
        `${path} is readable by other users: chmod 600 it and change the key, which may have been copied`,
      );
    }
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof SeclogError) throw cause;
    const { code = "unreadable" } = cause as NodeJS.ErrnoException;
    throw new SeclogError("SECLOG_CONFIG", `the queue key file ${path} cannot be read (${code})`, { cause });
  }
}
