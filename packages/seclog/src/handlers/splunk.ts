/** Splunk, by its HTTP Event Collector. */
import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";
import { eventToJson } from "../event/encode.ts";
import { configError, wholeNumber } from "../event/options.ts";
import { epochMs } from "../formats/described.ts";
import { monotonicNow, sleep } from "../runtime/timers.ts";
import { HandlerError, type SecurityEventHandler } from "../ship/handler.ts";
import { type HttpHandler, httpHandler } from "./http/http-handler.ts";
import type { HttpHandlerOptions } from "./http/http-options.ts";
import type { HttpAnswer, HttpSender } from "./http/send.ts";

export type { HttpHandlerOptions, HttpTlsOptions } from "./http/http-options.ts";

/** Options of {@link splunkHandler}. */
export interface SplunkHandlerOptions extends HttpHandlerOptions {
  /** The token of the HTTP Event Collector. */
  readonly token: string;
  /**
   * The index.
   * @default the token's own
   */
  readonly index?: string | undefined;
  /** @default "seclog:event" */
  readonly sourcetype?: string | undefined;
  /**
   * Whether to wait until the indexers have the events, which needs a token with indexer acknowledgement. Without it, what
   * Splunk has in memory is lost when it crashes.
   * @default true
   */
  readonly acknowledge?: boolean | undefined;
  /**
   * Milliseconds to wait for that, before the events are sent again.
   * @default 60000
   */
  readonly acknowledgeTimeout?: number | undefined;
}

const WHERE = "splunkHandler";

/** How often the acknowledgement is asked for, in milliseconds: at first, and at most. */
const FIRST_ASK_MS = 100;
const SLOWEST_ASK_MS = 2_000;

/** Codes of the collector that mean the events: no data, an invalid format, a blank event, an error in fields. */
const ABOUT_EVENTS: ReadonlySet<number> = new Set([5, 6, 12, 13, 15]);

const KIND: HttpHandler<SplunkHandlerOptions> = {
  where: WHERE,
  module: "seclog:splunk",
  options: ["token", "index", "sourcetype", "acknowledge", "acknowledgeTimeout"],
  name: "splunk",
  batchSize: 500,
  open(options, sender) {
    const { token, index, sourcetype = "seclog:event", acknowledge = true } = options;
    if (typeof token !== "string" || !/^[!-~]+$/.test(token)) {
      throw configError(WHERE, "token", "must be the token of an HTTP Event Collector");
    }
    const limit = { default: 60_000, min: 1_000, max: 100_000 };
    const patience = wholeNumber(WHERE, "acknowledgeTimeout", options.acknowledgeTimeout, limit);
    // Acknowledgements belong to a channel: one for each handler.
    const channel = randomUUID();
    const headers = {
      "content-type": "application/json",
      authorization: `Splunk ${token}`,
      ...(acknowledge ? { "x-splunk-request-channel": channel } : {}),
    };
    return async (events, _batch, signal) => {
      const body = events
        .map((event) => {
          const meta = {
            time: epochMs(event.occurredAt) / 1000,
            host: event.host,
            source: event.service,
            sourcetype,
            index,
          };
          return `${JSON.stringify(meta).slice(0, -1)},"event":${eventToJson(event)}}\n`;
        })
        .join("");
      const answer = await sender.send({ path: "/services/collector/event", headers, body }, signal);
      const { code, ackId } = answerOf(answer);
      if (answer.status !== 200 || code !== 0) throw refusal(sender, answer, code);
      if (!acknowledge) return;
      if (ackId === undefined) {
        throw new HandlerError(
          "destination",
          `${sender.place} does not acknowledge: enable indexer acknowledgement for the token, or set acknowledge: false`,
        );
      }
      await acknowledged(sender, { channel, headers, ackId, patience }, signal);
    };
  },
};

/**
 * Sends events to Splunk's HTTP Event Collector, each as a JSON object with the table's column names, and waits until the
 * indexers have them. Splunk keeps what is sent again a second time: `id` tells such events (`| dedup id`).
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function splunkHandler(options: SplunkHandlerOptions): SecurityEventHandler {
  return httpHandler(KIND, options);
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: SplunkHandlerOptions): SecurityEventHandler {
  return splunkHandler(options);
}

interface Pending {
  readonly channel: string;
  readonly headers: { readonly [name: string]: string };
  readonly ackId: number;
  readonly patience: number;
}

async function acknowledged(
  sender: HttpSender,
  { channel, headers, ackId, patience }: Pending,
  signal: AbortSignal,
): Promise<void> {
  const end = monotonicNow() + patience;
  for (let pause = FIRST_ASK_MS; ; pause = Math.min(pause * 2, SLOWEST_ASK_MS)) {
    const path = `/services/collector/ack?channel=${channel}`;
    const answer = await sender.deliver({ path, headers, body: JSON.stringify({ acks: [ackId] }) }, signal);
    const { acks } = answerOf(answer);
    if (acks?.[String(ackId)] === true) return;
    if (monotonicNow() >= end) {
      throw new HandlerError(
        "retry",
        `${sender.place} has not indexed the events within ${patience} ms: they are sent again`,
      );
    }
    await sleep(pause, undefined, { signal }).catch(() => {});
    if (signal.aborted)
      throw new HandlerError("retry", `${sender.place}: waiting for the acknowledgement was given up`);
  }
}

interface CollectorAnswer {
  readonly code?: number;
  readonly ackId?: number;
  readonly acks?: { readonly [ackId: string]: boolean };
}

function answerOf({ body }: HttpAnswer): CollectorAnswer {
  try {
    return JSON.parse(Buffer.from(body).toString()) as CollectorAnswer;
  } catch {
    return {};
  }
}

/** The collector's code says more than the status: 400 is a bad event, but also an index that the token may not use. */
function refusal(sender: HttpSender, answer: HttpAnswer, code: number | undefined): HandlerError {
  const failure = sender.refusal(answer);
  if (answer.status !== 400 || code === undefined) return failure;
  return new HandlerError(ABOUT_EVENTS.has(code) ? "event" : "destination", failure.message);
}
