/**
 * One way to run commands on ioredis 5 and 6 and on node-redis 5 and 6: as a list of arguments, with the strings of the
 * reply as bytes. Their own methods differ in names, arguments and replies.
 */
import { configError } from "../event/options.ts";
import type { FailureKind } from "../ship/handler.ts";
import { NoReply, withinTime } from "./no-reply.ts";
import { checkUrl, warnOnce } from "./queue-options.ts";

/** ioredis, alone or as a cluster, by its shape. */
export interface IoRedisClient {
  callBuffer(command: string, ...args: (string | Buffer)[]): Promise<unknown>;
}

/** node-redis, by its shape. */
export interface NodeRedisClient {
  withTypeMapping(mapping: { readonly [type: number]: unknown }): unknown;
  sendCommand(
    args: (string | Buffer)[],
    options: { readonly typeMapping: { readonly [type: number]: unknown } },
  ): Promise<unknown>;
}

/** A client of Redis: of ioredis or of node-redis. */
export type RedisClient = IoRedisClient | NodeRedisClient;

/** Runs commands of Redis. */
export interface RedisCommands {
  run(command: readonly [string, ...(string | Buffer)[]]): Promise<unknown>;
  /** Ends the connection, if it was made for this. */
  close(): Promise<void>;
}

/** `RESP_TYPES.BLOB_STRING` of node-redis: most strings of a reply. */
const BLOB_STRING = 36;

/** The commands of an application's own client, which stays open. */
export function redisCommands(where: string, client: RedisClient): RedisCommands {
  const close = async (): Promise<void> => {};
  if (typeof client !== "object" || client === null) throw configError(where, "client", "is not a client of Redis");
  if (typeof (client as Partial<IoRedisClient>).callBuffer === "function") {
    const { callBuffer } = client as IoRedisClient;
    return { run: ([name, ...args]) => inTime(name, callBuffer.call(client, name, ...args)), close };
  }
  if (typeof (client as Partial<NodeRedisClient>).withTypeMapping === "function") {
    const { sendCommand } = client as NodeRedisClient;
    // With each command: version 5 forgets the mapping of `withTypeMapping` there.
    const options = { typeMapping: { [BLOB_STRING]: Buffer } };
    return { run: (command) => inTime(command[0], sendCommand.call(client, [...command], options)), close };
  }
  throw configError(where, "client", "is neither a client of ioredis nor of node-redis");
}

/** Milliseconds to connect, and to wait for a reply. */
const CONNECT_MS = 10_000;
const REPLY_MS = 5_000;

/** Clients may keep a command for ever whose connection was lost at the wrong moment. */
function inTime(name: string, reply: Promise<unknown>): Promise<unknown> {
  return withinTime(reply, REPLY_MS, () => new NoReply(`no reply to ${name} within ${REPLY_MS / 1000} s`));
}

/**
 * Connects with whichever client is installed. The client reconnects by itself; commands fail meanwhile, and are not kept.
 *
 * @throws SeclogError `SECLOG_CONFIG` when neither is installed
 */
export async function connectRedis(where: string, url: string): Promise<RedisCommands> {
  checkUrl(where, url);
  // In a `try`, so that bundlers take a missing client for what it is: optional.
  try {
    const { Redis } = await import("ioredis");
    const client = new Redis(url, {
      lazyConnect: true,
      enableOfflineQueue: false,
      connectTimeout: CONNECT_MS,
      maxRetriesPerRequest: 0,
      retryStrategy: reconnectMs,
    });
    const lastError = await connected(client, () => client.disconnect());
    const isReady = (): boolean => client.status === "ready";
    return whileReady(redisCommands(where, client), isReady, lastError, async () => client.disconnect());
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  try {
    const { createClient } = await import("redis");
    const client = createClient({
      url,
      RESP: 2,
      disableOfflineQueue: true,
      socket: { connectTimeout: CONNECT_MS, reconnectStrategy: reconnectMs },
    });
    const lastError = await connected(client, () => client.destroy());
    return whileReady(
      redisCommands(where, client),
      () => client.isReady,
      lastError,
      async () => client.destroy(),
    );
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw configError(where, "url", "needs a client of Redis: npm install ioredis, or redis");
  }
}

/** Commands whose failures say why there is no connection: the clients name an option of theirs instead. */
function whileReady(
  { run }: RedisCommands,
  isReady: () => boolean,
  lastError: () => Error | undefined,
  close: () => Promise<void>,
): RedisCommands {
  return {
    async run(command) {
      try {
        return await run(command);
      } catch (cause) {
        if (cause instanceof NoReply || isReady()) throw cause;
        const reason = lastError()?.message ?? "the server closed it";
        throw new Error(`the connection is lost: ${reason}`, { cause });
      }
    },
    close,
  };
}

/**
 * Connects a client. One that cannot connect now is ended: it would try for ever, and so would the next one.
 *
 * @returns the latest failure of the connection
 */
async function connected(
  client: { on(event: "error", listener: (error: Error) => void): unknown; connect(): Promise<unknown> },
  end: () => void,
): Promise<() => Error | undefined> {
  let reason: Error | undefined;
  let latest: Error | undefined;
  let ready = false;
  const connecting = client.connect();
  const failed = new Promise<never>((_, reject) => {
    // Later failures are ignored here: the running command fails, too.
    client.on("error", (error) => {
      if (!ready) reject(error);
      reason ??= error;
      latest = error;
    });
  });
  try {
    await Promise.race([connecting, failed]);
    ready = true;
    failed.catch(() => {});
    return () => latest;
  } catch (error) {
    connecting.catch(() => {});
    end();
    throw reason ?? error;
  }
}

function reconnectMs(times: number): number {
  return Math.min(2_000, 50 * 2 ** Math.min(times, 6));
}

/** A module that is not installed, as Node and bundlers report it. */
function isMissing(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND";
}

/** A password that is refused, or a right that is missing, needs an operator. A full or read-only server recovers. */
export function redisFailureKind(error: unknown): FailureKind {
  const message = error instanceof Error ? error.message : "";
  return /^(?:WRONGPASS|NOAUTH|NOPERM)\b/.test(message) || message.includes("invalid username-password")
    ? "destination"
    : "retry";
}

/** Warns of settings with which an acknowledged event can be lost. A server that does not show them is left alone. */
export async function warnOfRedisLoss(where: string, commands: RedisCommands): Promise<void> {
  try {
    const read = async (name: string): Promise<string> => {
      const reply = await commands.run(["CONFIG", "GET", name]);
      return Array.isArray(reply) ? String(reply[1]) : "";
    };
    const risks: string[] = [];
    if ((await read("appendonly")) === "no") risks.push("appendonly is no: a crash of Redis loses queued events");
    const policy = await read("maxmemory-policy");
    if (policy.startsWith("allkeys-")) risks.push(`maxmemory-policy is ${policy}: Redis may evict queued events`);
    for (const risk of risks) warnOnce(`${where} with confirm: "queued": ${risk}`);
  } catch {
    // CONFIG is often forbidden.
  }
}
