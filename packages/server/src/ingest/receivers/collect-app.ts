/** The collector over HTTP. */
import { type Context, Hono } from "hono";
import { BodyError } from "../../http/bounded-body.ts";
import type { FetchEnvironment } from "../../http/fetch-service.ts";
import type { CollectMetrics } from "./collect-metrics.ts";
import { readJsonEvents } from "./json-events.ts";
import { readLogRecord } from "./log-records.ts";
import type { Answer, Reader, Receive } from "./receive.ts";
import type { Senders } from "./senders.ts";
import type { TokenEntry } from "./token.ts";

type Env = { readonly Bindings: FetchEnvironment };

/** What {@link collectApp} serves. */
export interface CollectAppOptions {
  readonly senders: Senders;
  readonly receive: Receive;
  readonly metrics: CollectMetrics;
  /** Every reason for which no event is taken at the moment. */
  readonly unready: () => readonly string[];
}

/** The readers of `POST /v1/events`, by the media type of the body. */
const READERS: { readonly [type: string]: { readonly receiver: string; readonly read: Reader } } = {
  "application/json": { receiver: "json", read: (body) => readJsonEvents(body, false) },
  ...Object.fromEntries(
    ["application/x-ndjson", "application/ndjson", "application/jsonl"].map((type) => [
      type,
      { receiver: "ndjson", read: (body: Buffer) => readJsonEvents(body, true) },
    ]),
  ),
  "application/x-www-form-urlencoded": { receiver: "logrecord", read: readLogRecord },
};

export function collectApp({ senders, receive, metrics, unready }: CollectAppOptions): Hono<Env> {
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
  const receiving = async (c: Context<Env>, take: (sender: TokenEntry) => Promise<Answer>): Promise<Response> => {
    const end = metrics.begin();
    const answer = await answered(c, senders, take);
    end(answer.status);
    const nosniff = { "x-content-type-options": "nosniff" };
    // Whoever is refused early has more of its body on the way.
    const close =
      answer.status === 401 || answer.status === 413 || answer.status === 415 ? { connection: "close" } : {};
    return Response.json(answer.body, { status: answer.status, headers: { ...answer.headers, ...nosniff, ...close } });
  };

  app.post("/v1/events", (c) =>
    receiving(c, (sender) => {
      const type = mediaType(c.req.header("content-type"));
      const reader = Object.hasOwn(READERS, type) ? READERS[type] : undefined;
      if (reader === undefined) {
        throw new BodyError(
          415,
          `content-type ${JSON.stringify(type.slice(0, 60))}: send ${Object.keys(READERS).join(", ")}`,
        );
      }
      return receive.take(c.env.incoming, sender, reader.receiver, reader.read);
    }),
  );
  app.all("/v1/events", (c) => c.json({ error: "events are sent with POST" }, 405, { allow: "POST" }));
  app.notFound((c) => c.json({ error: "not found: POST /v1/events; GET /healthz, /readyz, /metrics" }, 404));
  return app;
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
function mediaType(header: string | undefined): string {
  return (header ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}
