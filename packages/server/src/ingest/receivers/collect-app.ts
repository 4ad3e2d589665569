/** The collector over HTTP. */
import { type Context, Hono } from "hono";
import { BodyError } from "../../http/bounded-body.ts";
import type { FetchEnvironment } from "../../http/fetch-service.ts";
import type { CollectMetrics } from "./collect-metrics.ts";
import { ENVELOPE_TYPE, type Envelopes } from "./envelopes.ts";
import { readJsonEvents } from "./json-events.ts";
import { readLogRecord } from "./log-records.ts";
import { otlpFailure, otlpJsonEvents, otlpProtobufEvents, otlpResponse } from "./otlp.ts";
import type { Answer, Reader, Receive } from "./receive.ts";
import type { Senders } from "./senders.ts";
import type { TokenEntry } from "./token.ts";

type Env = { readonly Bindings: FetchEnvironment };

/** What {@link collectApp} serves. */
export interface CollectAppOptions {
  readonly senders: Senders;
  readonly receive: Receive;
  /** Without it, envelopes are refused: they need the relay's role. */
  readonly envelopes: Envelopes | undefined;
  readonly metrics: CollectMetrics;
  /** Every reason for which no event is taken at the moment. */
  readonly unready: () => readonly string[];
}

interface ReceiverOfType {
  /** Its name, in metrics and in the events' data. */
  readonly receiver: string;
  readonly read: Reader;
}

const PROTOBUF = "application/x-protobuf";

/** The readers of `POST /v1/logs`, by the media type of the body. */
const OTLP_READERS: { readonly [type: string]: ReceiverOfType } = {
  [PROTOBUF]: { receiver: "otlp", read: otlpProtobufEvents },
  "application/json": { receiver: "otlp", read: otlpJsonEvents },
};

/** The readers of `POST /v1/events`. */
const READERS: { readonly [type: string]: ReceiverOfType } = {
  "application/json": { receiver: "json", read: (body) => readJsonEvents(body, false) },
  ...Object.fromEntries(
    ["application/x-ndjson", "application/ndjson", "application/jsonl"].map((type) => [
      type,
      { receiver: "ndjson", read: (body: Buffer) => readJsonEvents(body, true) },
    ]),
  ),
  "application/x-www-form-urlencoded": { receiver: "logrecord", read: readLogRecord },
};

export function collectApp({ senders, receive, envelopes, metrics, unready }: CollectAppOptions): Hono<Env> {
  const app = new Hono<Env>();

  app.get("/healthz", (c) => c.text("ok\n"));
  app.get("/readyz", (c) => {
    const reasons = unready();
    return reasons.length === 0 ? c.text("ok\n") : c.text(`${reasons.join("\n")}\n`, 503);
  });
  app.get("/metrics", async (c) => {
    const { contentType, body } = await metrics.text();
    return c.body(body, 200, { "content-type": contentType });
  });

  /** Runs a receiver for a request that names a valid token. */
  const receiving = async (c: Context<Env>, take: (sender: TokenEntry) => Promise<Answer>): Promise<Answer> => {
    const end = metrics.begin();
    const answer = await answered(c, senders, take);
    end(answer.status);
    return answer;
  };

  app.post("/v1/events", async (c) =>
    response(
      await receiving(c, (sender) => {
        if (mediaType(c) === ENVELOPE_TYPE) {
          return envelopes?.take(c.env.incoming, sender, receive) ?? Promise.resolve(NO_ENVELOPES);
        }
        const { receiver, read } = readerOf(READERS, c);
        return receive.take(c.env.incoming, sender, receiver, read);
      }),
    ),
  );
  app.post("/v1/logs", async (c) =>
    otlpAnswer(
      mediaType(c) === PROTOBUF,
      await receiving(c, (sender) => {
        const { receiver, read } = readerOf(OTLP_READERS, c);
        return receive.take(c.env.incoming, sender, receiver, read);
      }),
    ),
  );
  app.get("/v1/sources/:id", async (c) =>
    response(await receiving(c, () => envelopes?.position(c.req.param("id")) ?? Promise.resolve(NO_ENVELOPES))),
  );
  for (const path of ["/v1/events", "/v1/logs"]) {
    app.all(path, (c) => c.json({ error: "events are sent with POST" }, 405, { allow: "POST" }));
  }
  app.notFound((c) => c.json({ error: "not found: POST /v1/events, /v1/logs; GET /healthz, /readyz, /metrics" }, 404));
  return app;
}

const NO_ENVELOPES: Answer = {
  status: 501,
  body: { error: "this collector takes no envelopes: start it with SECLOG_RELAY_URL, which seclog setup makes" },
};

function readerOf(readers: typeof READERS, c: Context<Env>): ReceiverOfType {
  const type = mediaType(c);
  const reader = Object.hasOwn(readers, type) ? readers[type] : undefined;
  if (reader !== undefined) return reader;
  const known = Object.keys(readers).join(", ");
  throw new BodyError(415, `content-type ${JSON.stringify(type.slice(0, 60))}: send ${known}`);
}

function response({ status, headers, body }: Answer): Response {
  return Response.json(body, { status, headers: { ...headers, ...commonHeaders(status) } });
}

/** OTLP has 200 for a request that was read, whatever became of its records, and a message of its own in each case. */
function otlpAnswer(isProtobuf: boolean, { status, headers, body, result }: Answer): Response {
  const type = isProtobuf ? PROTOBUF : "application/json";
  const refused = result?.refused ?? 0;
  const [first] = result?.items ?? [];
  const message = first === undefined ? "" : `record ${first.index}: ${first.message}`;
  const error = String((body as { readonly error?: unknown }).error ?? "refused");
  const how = {
    status: result === undefined ? status : 200,
    headers: { ...headers, ...commonHeaders(status), "content-type": type },
  };
  if (isProtobuf) {
    return new Response(Buffer.from(result === undefined ? otlpFailure(error) : otlpResponse(refused, message)), how);
  }
  const partial =
    refused === 0 ? {} : { partialSuccess: { rejectedLogRecords: String(refused), errorMessage: message } };
  return new Response(JSON.stringify(result === undefined ? { message: error } : partial), how);
}

/** Of a sender that is refused early, more of the body is on its way. */
function commonHeaders(status: number): { readonly [name: string]: string } {
  const early = status === 401 || status === 413 || status === 415;
  return { "x-content-type-options": "nosniff", ...(early && { connection: "close" }) };
}

async function answered(
  c: Context<Env>,
  senders: Senders,
  take: (sender: TokenEntry) => Promise<Answer>,
): Promise<Answer> {
  const sender = senders.authenticate(c.env.incoming);
  if ("status" in sender) return { status: sender.status, body: { error: sender.message }, headers: sender.headers };
  try {
    return await take(sender);
  } catch (error) {
    if (error instanceof BodyError) return { status: error.status, body: { error: error.message } };
    // The sender went away: nothing will read the response.
    if (c.env.incoming.destroyed && !c.env.incoming.complete)
      return { status: 400, body: { error: "the body ended early" } };
    throw error;
  }
}

/** `application/json` of `application/json; charset=utf-8`. */
function mediaType(c: Context<Env>): string {
  return (c.req.header("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}
