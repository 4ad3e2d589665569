/** Grafana Loki. */

import type { SecurityEvent } from "../event/event.ts";
import { configError } from "../event/options.ts";
import { epochNanoseconds } from "../formats/described.ts";
import { ndjsonLine } from "../formats/ndjson.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { type HttpHandler, httpHandler } from "./http/http-handler.ts";
import type { HttpHandlerOptions } from "./http/http-options.ts";

export type { HttpHandlerOptions, HttpTlsOptions } from "./http/http-options.ts";

/** Options of {@link lokiHandler}. */
export interface LokiHandlerOptions extends HttpHandlerOptions {
  /** The tenant, sent as `X-Scope-OrgID`. */
  readonly tenant?: string | undefined;
  /** Labels of every stream, beside `job`, `service_name`, `environment`, `level` and `category`. */
  readonly labels?: { readonly [name: string]: string } | undefined;
}

const WHERE = "lokiHandler";

const KIND: HttpHandler<LokiHandlerOptions> = {
  where: WHERE,
  module: "seclog:loki",
  options: ["tenant", "labels"],
  name: "loki",
  batchSize: 500,
  open({ tenant, labels = {}, url }, sender) {
    for (const name of Object.keys(labels)) {
      if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) {
        throw configError(WHERE, "labels", `has ${JSON.stringify(name)}, which cannot be the name of a label`);
      }
    }
    const headers = {
      "content-type": "application/json",
      ...(tenant === undefined ? {} : { "x-scope-orgid": tenant }),
    };
    const path = new URL(url).pathname === "/" ? { path: "/loki/api/v1/push" } : {};
    return async (events, _batch, signal) => {
      const streams = new Map<string, { stream: object; values: [time: string, line: string][] }>();
      for (const event of events) {
        const stream = labelsOf(event, labels);
        const key = JSON.stringify(stream);
        const found = streams.get(key) ?? { stream, values: [] };
        streams.set(key, found);
        found.values.push([epochNanoseconds(event.occurredAt), ndjsonLine(event).trimEnd()]);
      }
      await sender.deliver({ ...path, headers, body: JSON.stringify({ streams: [...streams.values()] }) }, signal);
    };
  },
};

/**
 * Sends events to Loki, each as a line of JSON with the table's column names and the time of the event. Labels have few
 * values, as Loki demands; search the rest by `| json`. Loki keeps a line of the same stream, time and text once, so what
 * is sent again does not appear twice.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function lokiHandler(options: LokiHandlerOptions): SecurityEventHandler {
  return httpHandler(KIND, options);
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: LokiHandlerOptions): SecurityEventHandler {
  return lokiHandler(options);
}

/** Never an address, an id or a type of the application's own making: each new value makes a stream. */
function labelsOf(
  event: SecurityEvent,
  labels: { readonly [name: string]: string },
): { readonly [name: string]: string } {
  return {
    job: "seclog",
    service_name: event.service ?? event.logger,
    ...(event.environment === undefined ? {} : { environment: event.environment }),
    level: event.level,
    category: event.category,
    ...labels,
  };
}
