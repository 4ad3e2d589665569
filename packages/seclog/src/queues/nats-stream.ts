/** The streams of a queue in NATS JetStream, over any client that can make requests. Workers and senders create them alike. */
import { configError } from "../event/options.ts";
import type { NatsClient } from "./nats-client.ts";
import { natsNames } from "./nats-names.ts";
import { NoReply, withinTime } from "./no-reply.ts";

/** What Seclog reads of a stream's configuration. */
export interface NatsStreamConfig {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly retention: string;
  readonly storage: string;
  readonly discard: string;
  readonly num_replicas: number;
  readonly max_age: number;
  readonly max_bytes: number;
  readonly max_msgs: number;
  readonly max_msg_size: number;
}

/** JetStream refused a request. */
class NatsApiError extends Error {
  /** JetStream's own number of the error. */
  readonly code: number;

  constructor(code: number, description: string) {
    super(description);
    this.code = code;
  }
}

const STREAM_NOT_FOUND = 10059;
const STREAM_NAME_IN_USE = 10058;
const NO_SUITABLE_PEERS = 10005;

/** Milliseconds to wait for a reply. */
const REPLY_MS = 5_000;

/** A request, and its reply as JSON. Clients may keep one for ever whose connection was lost at the wrong moment. */
export async function natsRequest(client: NatsClient, subject: string, payload: Uint8Array): Promise<unknown> {
  const failure = (): Error => new NoReply(`no reply to ${subject} within ${REPLY_MS / 1000} s`);
  const request = client.request(subject, payload, { timeout: 2 * REPLY_MS });
  const { data } = await withinTime(request, REPLY_MS, failure);
  const reply: unknown = JSON.parse(new TextDecoder().decode(data));
  const { error } = reply as { error?: { err_code?: number; code?: number; description?: string } };
  if (error === undefined) return reply;
  throw new NatsApiError(
    error.err_code ?? error.code ?? 0,
    `${error.description ?? "the request failed"} (${subject})`,
  );
}

/**
 * The stream of a queue's events, which is created if there is none: a work queue on disk, with three replicas in a cluster.
 * One that an operator made otherwise is used as it is, if it can serve.
 *
 * @throws SeclogError `SECLOG_CONFIG` when it cannot
 */
export async function openNatsStream(where: string, client: NatsClient, queue: string): Promise<NatsStreamConfig> {
  const { stream, subjects } = natsNames(queue);
  // A full stream refuses new messages. Were it to drop the oldest, it would lose them silently.
  return open(where, client, { name: stream, subjects, retention: "workqueue", discard: "new" });
}

/** The stream of a queue's dead letters, as {@link openNatsStream}. */
export async function openNatsDeadStream(where: string, client: NatsClient, queue: string): Promise<NatsStreamConfig> {
  const { deadStream, dead } = natsNames(queue);
  return open(where, client, { name: deadStream, subjects: [dead], retention: "limits", discard: "new" });
}

type Wanted = Pick<NatsStreamConfig, "name" | "subjects" | "retention" | "discard">;

async function open(where: string, client: NatsClient, wanted: Wanted): Promise<NatsStreamConfig> {
  const { name } = wanted;
  let config: NatsStreamConfig;
  try {
    config = await streamRequest(client, "INFO", name, undefined);
  } catch (error) {
    if (!isCode(error, STREAM_NOT_FOUND)) throw error;
    config = await create(client, wanted);
  }
  if (config.retention !== wanted.retention || !wanted.subjects.every((one) => config.subjects.some(covers(one)))) {
    const has = `retention ${JSON.stringify(config.retention)} and the subjects ${config.subjects.join(", ")}`;
    const [first = "", ...others] = wanted.subjects;
    const needs = `${JSON.stringify(wanted.retention)} and ${others.length > 0 ? `${first} to ${others.at(-1)}` : first}`;
    throw configError(
      where,
      "queue",
      `needs a stream ${name} with ${needs}, but it has ${has}: remove it, or use another queue`,
    );
  }
  return config;
}

/** Whether a subject of a stream is the wanted one, or ends with the wildcard for everything below. */
function covers(wanted: string): (subject: string) => boolean {
  return (subject) => subject === wanted || (subject.endsWith(".>") && wanted.startsWith(subject.slice(0, -1)));
}

async function create(client: NatsClient, wanted: Wanted): Promise<NatsStreamConfig> {
  const { name } = wanted;
  const num_replicas = client.info?.cluster ? 3 : 1;
  try {
    return await streamRequest(client, "CREATE", name, { ...wanted, storage: "file", num_replicas });
  } catch (error) {
    // Another process was faster.
    if (isCode(error, STREAM_NAME_IN_USE)) return await streamRequest(client, "INFO", name, undefined);
    if (!isCode(error, NO_SUITABLE_PEERS)) throw error;
    throw new NatsApiError(
      NO_SUITABLE_PEERS,
      `the cluster has no room for the stream ${name} with three replicas on disk: start the missing servers, or create it with fewer (nats stream add)`,
    );
  }
}

async function streamRequest(
  client: NatsClient,
  request: "INFO" | "CREATE",
  name: string,
  body: object | undefined,
): Promise<NatsStreamConfig> {
  const payload = new TextEncoder().encode(body === undefined ? "" : JSON.stringify(body));
  const reply = await natsRequest(client, `$JS.API.STREAM.${request}.${name}`, payload);
  return (reply as { readonly config: NatsStreamConfig }).config;
}

function isCode(error: unknown, code: number): boolean {
  return error instanceof NatsApiError && error.code === code;
}

/** Nothing subscribes to the subject: no stream, or no JetStream. */
export function isNatsNoResponder(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ((at as { readonly code?: unknown }).code === "503" || /^NoResponders/.test(at.name)) return true;
  }
  return false;
}
