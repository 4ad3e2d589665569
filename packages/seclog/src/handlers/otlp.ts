/** OpenTelemetry: a Collector, or any service that takes logs by OTLP over HTTP. */
import { Buffer } from "node:buffer";
import { configError } from "../event/options.ts";
import { visibleText } from "../event/visible.ts";
import { otlpLogs, otlpProtobuf } from "../formats/otlp.ts";
import { HandlerError, type SecurityEventHandler } from "../ship/handler.ts";
import { type HttpHandler, httpHandler } from "./http/http-handler.ts";
import type { HttpHandlerOptions } from "./http/http-options.ts";
import type { HttpAnswer } from "./http/send.ts";

export type { HttpHandlerOptions, HttpTlsOptions } from "./http/http-options.ts";

/** Options of {@link otlpHandler}. */
export interface OtlpHandlerOptions extends Omit<HttpHandlerOptions, "url"> {
  /**
   * The receiver. Without a path, OTLP's own `/v1/logs` is used.
   * @default "http://localhost:4318"
   */
  readonly url?: string | undefined;
  /**
   * How the request is written.
   * @default "protobuf"
   */
  readonly encoding?: "protobuf" | "json" | undefined;
}

/** Options with an address. */
type Options = OtlpHandlerOptions & HttpHandlerOptions;

const WHERE = "otlpHandler";

const KIND: HttpHandler<Options> = {
  where: WHERE,
  module: "seclog:otlp",
  options: ["encoding"],
  name: "otlp",
  batchSize: 500,
  open({ encoding = "protobuf", url }, sender) {
    if (encoding !== "protobuf" && encoding !== "json") {
      throw configError(WHERE, "encoding", `must be "protobuf" or "json", not ${JSON.stringify(encoding)}`);
    }
    const isJson = encoding === "json";
    const headers = { "content-type": isJson ? "application/json" : "application/x-protobuf" };
    const path = new URL(url).pathname === "/" ? { path: "/v1/logs" } : {};
    return async (events, _batch, signal) => {
      const body = isJson ? JSON.stringify(otlpLogs(events)) : otlpProtobuf(events);
      const answer = await sender.deliver({ ...path, headers, body }, signal);
      const { rejected, message } = partialSuccess(answer);
      if (rejected === 0) return;
      // The receiver says how many it refused, not which: the shipper finds that out with smaller batches.
      const said = message === "" ? "" : `: ${visibleText(message).slice(0, 200)}`;
      throw new HandlerError("event", `${sender.place} refused ${rejected} of ${events.length} log records${said}`);
    };
  },
};

/**
 * Sends events as OpenTelemetry log records by OTLP over HTTP. The type is the record's `EventName`, and `seclog.id`
 * identifies the event: a request that is repeated after a lost answer brings the same ids. A record with a trace is
 * correlated with it.
 *
 * @throws SeclogError `SECLOG_CONFIG`, naming the option
 */
export function otlpHandler(options: OtlpHandlerOptions = {}): SecurityEventHandler {
  const { url = "http://localhost:4318" } = options;
  return httpHandler(KIND, { ...options, url });
}

/** Creates the handler in the shipper's worker thread. */
export function createHandler(options: OtlpHandlerOptions): SecurityEventHandler {
  return otlpHandler(options);
}

interface PartialSuccess {
  readonly rejected: number;
  readonly message: string;
}

/** ExportLogsServiceResponse, in the form that the server chose. An answer that cannot be read rejected nothing. */
function partialSuccess({ headers, body }: HttpAnswer): PartialSuccess {
  if (!String(headers["content-type"]).includes("json")) return fromProtobuf(Buffer.from(body));
  try {
    const { partialSuccess: found } = JSON.parse(Buffer.from(body).toString()) as {
      partialSuccess?: { rejectedLogRecords?: unknown; errorMessage?: unknown };
    };
    return { rejected: Number(found?.rejectedLogRecords ?? 0) || 0, message: String(found?.errorMessage ?? "") };
  } catch {
    return { rejected: 0, message: "" };
  }
}

/** Field 1 of the response is the partial success: field 1 of that is the count, field 2 the message. */
function fromProtobuf(body: Buffer): PartialSuccess {
  const found = { rejected: 0, message: "" };
  for (const { field, bytes } of fields(body)) {
    if (field !== 1 || bytes === undefined) continue;
    for (const inner of fields(bytes)) {
      if (inner.field === 1) found.rejected = inner.number;
      if (inner.field === 2) found.message = inner.bytes?.toString() ?? "";
    }
  }
  return found;
}

/** The fields of a message that has varints and bytes only. It ends at the first thing that is neither. */
function* fields(message: Buffer): Generator<{ field: number; number: number; bytes?: Buffer }> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; at < message.length; shift += 7) {
      const byte = message[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < message.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    if (tag % 8 === 0) yield { field, number: varint() };
    else if (tag % 8 === 2) {
      const length = varint();
      yield { field, number: 0, bytes: message.subarray(at, at + length) };
      at += length;
    } else return;
  }
}
