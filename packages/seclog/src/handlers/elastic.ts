/** Elasticsearch and OpenSearch: documents of ECS, created by the event's id. */
import { Buffer } from "node:buffer";
import { configError } from "../event/options.ts";
import { visibleText } from "../event/visible.ts";
import { ecsDocument } from "../formats/ecs.ts";
import { type EventBatch, HandlerError, type SecurityEventHandler } from "../ship/handler.ts";
import { type HttpHandler, httpHandler } from "./http/http-handler.ts";
import type { HttpHandlerOptions } from "./http/http-options.ts";
import type { HttpAnswer } from "./http/send.ts";

export type { HttpHandlerOptions, HttpTlsOptions } from "./http/http-options.ts";

/** Options of {@link elasticHandler}. */
export interface ElasticHandlerOptions extends HttpHandlerOptions {
  /**
   * The index, or the data stream.
   * @default "logs-seclog.event-default"
   */
  readonly index?: string | undefined;
  /** An API key in its encoded form, as Kibana shows it. A user and a password can be in `url` instead. */
  readonly apiKey?: string | undefined;
}

const WHERE = "elasticHandler";

const KIND: HttpHandler<ElasticHandlerOptions> = {
  where: WHERE,
  module: "seclog:elastic",
  options: ["index", "apiKey"],
  name: "elastic",
  batchSize: 1_000,
  open({ index = "logs-seclog.event-default", apiKey, url }, sender) {
    // https://www.elastic.co/guide/en/elasticsearch/reference/current/indices-create-index.html
    if (!/^(?![-_+.])[a-z0-9_.+-]{1,255}$/.test(index)) {
      throw configError(WHERE, "index", `${JSON.stringify(index)} cannot be the name of an index`);
    }
    const headers = {
      "content-type": "application/x-ndjson",
      ...(apiKey === undefined ? {} : { authorization: `ApiKey ${apiKey}` }),
    };
    const path = `${new URL(url).pathname.replace(/\/$/, "")}/${index}/_bulk?filter_path=errors,items.*.status,items.*.error`;
    return async (events, batch, signal) => {
      const lines = events.map((event) => `{"create":{"_id":"${event.id}"}}\n${JSON.stringify(ecsDocument(event))}\n`);
      const answer = await sender.deliver({ path, headers, body: lines.join("") }, signal);
      judge(sender.place, answer, batch);
    };
  },
};

/**
 * Sends events to Elasticsearch or OpenSearch by `_bulk`, as documents of ECS 9. Each is created under its event's id, so
 * what is sent again is already there and stays as it is. In a data stream that holds within a backing index.
 *
 * A document that the index refuses goes to quarantine, and the others are stored.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function elasticHandler(options: ElasticHandlerOptions): SecurityEventHandler {
  return httpHandler(KIND, options);
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: ElasticHandlerOptions): SecurityEventHandler {
  return elasticHandler(options);
}

interface BulkItem {
  readonly create?: { readonly status?: number; readonly error?: { readonly type?: string; readonly reason?: string } };
}

/** Rejects for the first item that is not stored. The failure says how far they are. */
function judge(place: string, { body }: HttpAnswer, batch: EventBatch): void {
  let answer: { errors?: boolean; items?: readonly BulkItem[] };
  try {
    answer = JSON.parse(Buffer.from(body).toString()) as typeof answer;
  } catch {
    throw new HandlerError("destination", `${place} did not answer as _bulk does; check the url`);
  }
  if (answer.errors === false) return;
  if (answer.errors === undefined || answer.items?.length !== batch.records.length) {
    throw new HandlerError("destination", `${place} did not answer as _bulk does; check the url`);
  }
  for (const [index, { create }] of answer.items.entries()) {
    const status = create?.status ?? 0;
    // 409: a document with this id is already there.
    if ((status >= 200 && status < 300) || status === 409) continue;
    const { type = "no reason", reason = "" } = create?.error ?? {};
    const said = `${place} answered ${status} for event ${batch.firstSeq + index}: ${visibleText(`${type} ${reason}`).slice(0, 300)}`;
    const failure = new HandlerError(kindOf(status), said);
    failure.stored = batch.firstSeq + index - 1;
    throw failure;
  }
}

function kindOf(status: number): "retry" | "event" | "destination" {
  if (status === 429 || status >= 500) return "retry";
  return status === 400 || status === 413 ? "event" : "destination";
}
