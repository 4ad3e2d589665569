/**
 * NATS JetStream, for `@nats-io/transport-node`.
 *
 * A queue is a stream with work-queue retention. The envelopes of a source go to one of 16 subjects, so that one worker at
 * a time reads them, in order. Its positions come back on a subject beside the stream, which the handler subscribes to
 * before it sends.
 *
 * JetStream acknowledges a message once the stream's leader and most of its replicas have written it, but syncs files only
 * every two minutes (`sync_interval`): a stream with one replica loses the latest messages with its machine's power, and one
 * with three loses them only when most machines lose it at once. `confirm: "stored"` does not depend on any of that.
 *
 * Messages have no `Nats-Msg-Id`. JetStream would drop what is sent again within its window of duplicates although a purge
 * has removed the message meanwhile. The database recognises what comes twice.
 */
import { configError, rejectUnknownOptions } from "../event/options.ts";
import type { FailureKind, SecurityEventHandler } from "../ship/handler.ts";
import { connectNats, type NatsClient, natsAddress } from "./nats-client.ts";
import { natsNames } from "./nats-names.ts";
import { isNatsNoResponder, type NatsStreamConfig, natsRequest, openNatsStream } from "./nats-stream.ts";
import { NoReply, withinTime } from "./no-reply.ts";
import { type QueueConnection, queueHandler } from "./queue-handler.ts";
import { QUEUE_OPTIONS, type QueueOptions, queueSettings, resolvedQueueOptions, warnOnce } from "./queue-options.ts";

export type { NatsClient } from "./nats-client.ts";

/** Options of {@link natsHandler}. */
export interface NatsHandlerOptions extends QueueOptions {
  /**
   * `nats://user:password@host:4222`, or `tls://` to refuse servers without TLS; several hosts separated by commas. The
   * parameters `credentials` (a file with JWT and seed), `ca`, `cert` and `key` name files. The handler connects in the
   * shipper's thread, with `@nats-io/transport-node`.
   * @default `SECLOG_QUEUE_URL`, or the file that `SECLOG_QUEUE_URL_FILE` names
   */
  readonly url?: string | undefined;
  /** The application's own connection instead: `await connect(…)`. The handler never closes it. */
  readonly client?: NatsClient | undefined;
}

const WHERE = "natsHandler";

/** Left of a server's limit for what the worker adds to a dead letter: its reason, in headers. */
const HEADROOM = 16 * 1024;

const FLUSH_MS = 5_000;

/**
 * Sends events through NATS JetStream to `seclog work`, which stores them in PostgreSQL.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function natsHandler(options: NatsHandlerOptions = {}): SecurityEventHandler {
  rejectUnknownOptions(WHERE, options, ["url", "client", ...QUEUE_OPTIONS]);
  const settings = queueSettings(WHERE, "nats", options);
  const { queue, confirm } = settings;
  const open = async (client: NatsClient, close: () => Promise<void>): Promise<QueueConnection> => {
    try {
      const stream = await existingStream(client, queue);
      if (confirm === "queued" && stream !== undefined) warnOfLoss(stream);
      return connection(client, queue, stream, close);
    } catch (error) {
      await close();
      throw error;
    }
  };
  const { client, ...others } = options;
  if (client !== undefined) {
    if (typeof client?.request !== "function" || typeof client.subscribe !== "function") {
      throw configError(WHERE, "client", "is not a connection to NATS: await connect(…) of @nats-io/transport-node");
    }
    return queueHandler({ title: "NATS", kindOf, open: () => open(client, async () => {}) }, settings);
  }
  const resolved = resolvedQueueOptions(WHERE, others);
  const { url = "" } = resolved;
  if (!/^(?:nats|tls):\/\//.test(url)) {
    throw configError(WHERE, "url", "must begin with nats:// or tls://; set it, or SECLOG_QUEUE_URL");
  }
  natsAddress(WHERE, url);
  const connect = async (): Promise<QueueConnection> => {
    const made = await connectNats(WHERE, url, true);
    return open(made, () => made.close());
  };
  return queueHandler({ title: "NATS", kindOf, open: connect }, settings, { module: "seclog:nats", options: resolved });
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: NatsHandlerOptions): SecurityEventHandler {
  return natsHandler(options);
}

/** The stream; `undefined` if this user may not ask for it. A user needs no more than to publish events. */
async function existingStream(client: NatsClient, queue: string): Promise<NatsStreamConfig | undefined> {
  if (client.isClosed()) throw new Error("the connection is closed");
  try {
    return await openNatsStream(WHERE, client, queue);
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

function connection(
  client: NatsClient,
  queue: string,
  stream: NatsStreamConfig | undefined,
  close: () => Promise<void>,
): QueueConnection {
  const names = natsNames(queue);
  const subscriptions = new Set<{ unsubscribe(): void }>();
  const { max_msg_size: limit = -1 } = stream ?? {};
  const server = client.info?.max_payload ?? 1024 * 1024;
  const ended = (): Error => new NoReply("the connection is closed");
  return {
    maxBytes: Math.min(server, limit > 0 ? limit : server) - HEADROOM,
    async send(sourceId, message) {
      if (client.isClosed()) throw ended();
      const subject = names.events(sourceId);
      try {
        await natsRequest(client, subject, message);
      } catch (error) {
        if (!isNatsNoResponder(error)) throw error;
        // The stream is gone, as after the loss of a disk.
        await openNatsStream(WHERE, client, queue);
        await natsRequest(client, subject, message);
      }
    },
    async watch(sourceId, onPosition) {
      if (client.isClosed()) throw ended();
      const callback = (error: Error | null, { data }: { readonly data: Uint8Array }): void => {
        if (error === null) onPosition(data);
      };
      subscriptions.add(client.subscribe(names.stored(sourceId), { callback }));
      const failure = (): Error => new NoReply(`no reply to a subscription within ${FLUSH_MS / 1000} s`);
      await withinTime(client.flush(), FLUSH_MS, failure);
    },
    async close() {
      if (!client.isClosed()) for (const subscription of subscriptions) subscription.unsubscribe();
      subscriptions.clear();
      await close();
    },
  };
}

function isForbidden(error: unknown): boolean {
  return /permissions violation/i.test(errorText(error));
}

/** What is refused, or configured otherwise, needs an operator. A full server, or one without a leader, recovers. */
function kindOf(error: unknown): FailureKind {
  const { code } = error as { readonly code?: unknown };
  return code === "SECLOG_CONFIG" || /authorization|authentication|permissions violation/i.test(errorText(error))
    ? "destination"
    : "retry";
}

function errorText(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const { cause } = error;
  return `${error.message} ${cause instanceof Error ? cause.message : ""}`;
}

/** Warns of settings with which an acknowledged event can be lost. `sync_interval` is not visible to clients. */
function warnOfLoss({ name, storage, num_replicas, discard, max_age, max_bytes, max_msgs }: NatsStreamConfig): void {
  const risks: string[] = [];
  if (storage !== "file") risks.push(`it is kept in ${storage}: a restart of NATS loses queued events`);
  else if (num_replicas === 1) {
    risks.push("it has one replica: a power failure loses what NATS has not synced yet (sync_interval, two minutes)");
  }
  if (discard === "old" && (max_bytes > 0 || max_msgs > 0)) {
    risks.push('its discard policy is "old": at its limit, NATS drops queued events');
  }
  if (max_age > 0) risks.push("it has a max_age: NATS drops queued events that are older");
  for (const risk of risks) warnOnce(`natsHandler with confirm: "queued": the stream ${name} is unsafe: ${risk}`);
}
