/** The API as one `fetch(Request) → Response`, for a server of its own or to be mounted into another one. */
import { createHash, timingSafeEqual } from "node:crypto";
import { type ApiFailure, QueryError } from "@seclog/api";
import { Hono, type Context as HonoContext } from "hono";
import { errorMessage, SeclogError } from "seclog";
import { databaseError } from "../database/failure.ts";
import type { Database } from "../database/reader.ts";
import { isLoopback } from "../http/service.ts";
import type { BackgroundVerification } from "../integrity/background-verification.ts";
import type { ExportRecord } from "../search/export/record-export.ts";
import { readQuery } from "../search/filter-query.ts";
import { download } from "./download.ts";
import { openApi } from "./openapi.ts";
import { EXPORT_PARAMETERS, VERIFICATION_PARAMETERS } from "./other-parameters.ts";
import { readParameters } from "./parameters.ts";
import { NotFound, ROUTES } from "./routes.ts";
import { streamEvents } from "./stream.ts";

export interface ApiOptions {
  /** The reader's, with a time limit for each statement. */
  readonly database: Database;
  /** The reader's connection URL, for proofs. */
  readonly url: string;
  /** Every request must have it. */
  readonly token: string;
  readonly version: string;
  /** The pause between two looks of a stream, in milliseconds. @default 500 */
  readonly intervalMs?: number;
  readonly verification: BackgroundVerification;
  /** Records an export in the log; if it fails at the start, nothing is exported. @default exports leave no event */
  readonly onExport?: ((record: ExportRecord) => Promise<void>) | undefined;
  /** Ends the streams and the downloads. */
  readonly signal: AbortSignal;
  /** Receives the details that a response hides. */
  readonly onError: (error: unknown) => void;
}

/** How many streams may be open: each looks at the database twice a second. */
const MOST_STREAMS = 50;

/** How many exports may run: each has a connection of its own to the database. */
const MOST_EXPORTS = 4;

/** Makes the API. */
export function apiApp(options: ApiOptions): Hono {
  const { database, url, token, version, verification, signal, intervalMs = 500, onError } = options;
  const { onExport = async () => {} } = options;
  const app = new Hono();
  let streams = 0;
  let exports = 0;
  app.use(async (c, next) => {
    const refused = refusal(c, token);
    if (refused !== undefined) return refused;
    await next();
    c.header("cache-control", "no-store");
    c.header("x-content-type-options", "nosniff");
    return undefined;
  });
  app.get("/api/v1/openapi.json", (c) => c.json(openApi(version)));
  for (const { path, parameters, respond } of ROUTES) {
    app.get(`/api/v1${path.replace(/\{(\w+)\}/g, ":$1")}`, async (c) => {
      const values = readParameters(parameters, new URL(c.req.url).searchParams, c.req.param());
      return c.json(await respond(values, { database, url, signal: c.req.raw.signal }));
    });
  }
  app.get("/api/v1/stream", (c) => {
    if (streams >= MOST_STREAMS)
      return failed(503, "SECLOG_CONFIG", `${MOST_STREAMS} streams are open: close one`, { "retry-after": "10" });
    const declared = { q: { type: "string", about: "a query" } } as const;
    const { q } = readParameters(declared, new URL(c.req.url).searchParams, {});
    const query = readQuery(q ?? "", new Date());
    const left = new AbortController();
    const lastId = c.req.header("last-event-id");
    const items = streamEvents({ database, query, lastId, intervalMs, signal: AbortSignal.any([signal, left.signal]) });
    streams++;
    return new Response(
      streamOf(items, left, onError, () => streams--),
      { headers: { "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" } },
    );
  });
  app.get("/api/v1/export", async (c) => {
    if (exports >= MOST_EXPORTS)
      return failed(503, "SECLOG_CONFIG", `${MOST_EXPORTS} exports are running: wait for one`, { "retry-after": "30" });
    const { q, since, until, format } = readParameters(EXPORT_PARAMETERS, new URL(c.req.url).searchParams, {});
    exports++;
    return await download({
      url,
      database,
      q,
      since,
      until,
      format,
      signal: AbortSignal.any([signal, c.req.raw.signal]),
      record: onExport,
      onError,
      onEnd: () => exports--,
    });
  });
  app.get("/api/v1/verification", (c) => c.json(verification.state));
  app.post("/api/v1/verification", (c) => {
    const { vkey } = readParameters(VERIFICATION_PARAMETERS, new URL(c.req.url).searchParams, {});
    return c.json(verification.start(vkey?.split(" ").filter((key) => key !== "")), 202);
  });
  app.notFound((c) => failed(404, "NOT_FOUND", `${c.req.path} does not exist: /api/v1/openapi.json lists the paths`));
  // A client that has left reads no response, and its search ended with it.
  app.onError((error, c) =>
    c.req.raw.signal.aborted ? new Response(null, { status: 499 }) : failureOf(error, onError),
  );
  return app;
}

/** Why a request is refused before it is read. */
function refusal(c: HonoContext, token: string): Response | undefined {
  const { method, path } = c.req;
  if (method !== "GET" && method !== "HEAD" && !(method === "POST" && path === "/api/v1/verification"))
    return failed(405, "METHOD", "only GET and HEAD here", { allow: "GET, HEAD" });
  // A web page must not read the log through a name that resolves to this machine (DNS rebinding).
  const host = (c.req.header("host") ?? "").replace(/:\d+$/, "");
  if (!isLoopback(host))
    return failed(421, "HOST", "this server responds only to localhost; a proxy must send Host: localhost");
  if (c.req.header("sec-fetch-site") === "cross-site")
    return failed(403, "ORIGIN", "requests of other sites are refused: open the API's own address");
  const [, given = ""] = /^Bearer (.+)$/.exec(c.req.header("authorization") ?? "") ?? [];
  if (!isSame(given, token))
    return failed(401, "TOKEN", "send Authorization: Bearer with the token of seclog start", {
      "www-authenticate": "Bearer",
    });
  return undefined;
}

/** In a time that says nothing about the token. */
function isSame(given: string, token: string): boolean {
  const hash = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given), hash(token));
}

function failureOf(error: Error, onError: (error: unknown) => void): Response {
  if (error instanceof NotFound) return failed(404, "NOT_FOUND", error.message);
  const known = databaseError(error, "reader");
  if (!(known instanceof SeclogError)) {
    onError(known);
    return failed(500, "INTERNAL", "internal error");
  }
  const { code, message, cause } = known;
  if (code === "SECLOG_QUERY" && cause instanceof QueryError) {
    const { at, length, suggestion } = cause;
    return failed(400, code, message, {}, { at, length, ...(suggestion === undefined ? {} : { suggestion }) });
  }
  if (code === "SECLOG_CONFIG") return failed(400, code, message);
  if (code === "SECLOG_PROOF") return failed(404, code, message);
  onError(known);
  // The message of a database may quote what the client must not see.
  return failed(503, code, "the database is unavailable, or refused: see the server's output", { "retry-after": "5" });
}

function failed(
  status: number,
  code: string,
  message: string,
  headers: { readonly [name: string]: string } = {},
  more: Omit<ApiFailure["error"], "code" | "message"> = {},
): Response {
  const body: ApiFailure = { error: { code, message, ...more } };
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      "content-type": "application/json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}

/** The items as bytes, as fast as the client reads them. Ends them when the client leaves. */
function streamOf(
  items: AsyncGenerator<string>,
  left: AbortController,
  onError: (error: unknown) => void,
  ended: () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await items.next();
        if (!done) {
          controller.enqueue(encoder.encode(value));
          return;
        }
      } catch (error) {
        if (!left.signal.aborted && error instanceof SeclogError) onError(errorMessage(error));
      }
      ended();
      controller.close();
    },
    cancel() {
      left.abort();
    },
  });
}
