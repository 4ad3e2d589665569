/** What the handlers that send over HTTP have in common. */
import type { SecurityEvent } from "../../event/event.ts";
import { rejectUnknownOptions, wholeNumber } from "../../event/options.ts";
import type { EventBatch, SecurityEventHandler } from "../../ship/handler.ts";
import { closedError, decodedEvents } from "../batches.ts";
import { HTTP_OPTIONS, type HttpHandlerOptions, httpSettings } from "./http-options.ts";
import { HttpSender } from "./send.ts";

/** A handler of this kind. */
export interface HttpHandler<Options extends HttpHandlerOptions> {
  /** The function that makes it, as errors name it. */
  readonly where: string;
  /** Its name in the shipper's thread, such as `seclog:otlp`. */
  readonly module: string;
  /** Its options beside {@link HTTP_OPTIONS}. */
  readonly options: readonly string[];
  readonly name: string;
  readonly batchSize: number;
  /**
   * Checks the options, and returns how to deliver a batch: resolves when the server has it, rejects with a HandlerError.
   */
  readonly open: (options: Options, sender: HttpSender) => Deliver;
}

/** Delivers the events of a batch. */
export type Deliver = (events: readonly SecurityEvent[], batch: EventBatch, signal: AbortSignal) => Promise<void>;

/** Makes the handler. @throws SeclogError `SECLOG_CONFIG` that names the option */
export function httpHandler<Options extends HttpHandlerOptions>(
  kind: HttpHandler<Options>,
  options: Options,
): SecurityEventHandler {
  const { where, module } = kind;
  rejectUnknownOptions(where, options, [...HTTP_OPTIONS, ...kind.options]);
  const { name = kind.name, required = true } = options;
  const batchSize = wholeNumber(where, "batchSize", options.batchSize, {
    default: kind.batchSize,
    min: 1,
    max: 10_000,
  });
  const sender = new HttpSender(httpSettings(where, options));
  const deliver = kind.open(options, sender);
  let closed = false;
  return {
    name,
    required,
    batchSize,
    worker: { module, options },
    async handle(batch, signal) {
      if (closed) throw closedError();
      await deliver(decodedEvents(batch), batch, signal);
    },
    async close() {
      closed = true;
      sender.close();
    },
  };
}
