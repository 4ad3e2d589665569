/** The API as one `fetch(Request) → Response`, for a server of its own or to be mounted into another one. */
import type { SessionResult } from "@seclog/api";
import { Hono } from "hono";
import { sql } from "kysely";
import { errorMessage, SeclogError } from "seclog";
import type { Database } from "../database/reader.ts";
import type { BackgroundVerification } from "../integrity/background-verification.ts";
import type { ExportRecord } from "../search/export/record-export.ts";
import { readQuery } from "../search/filter-query.ts";
import { type Access, refusal, rightsAt } from "./access.ts";
import { download } from "./download.ts";
import type { Environment } from "./environment.ts";
import { failed, failureOf } from "./failures.ts";
import { only } from "./only.ts";
import { openApi } from "./openapi.ts";
import { EXPORT_PARAMETERS, VERIFICATION_PARAMETERS } from "./other-parameters.ts";
import { readParameters } from "./parameters.ts";
import { ROUTES } from "./routes.ts";
import { streamEvents } from "./stream.ts";
import type { Visitor } from "./visitor.ts";

export interface ApiOptions {
  /** The reader's, with a time limit for each statement. */
  readonly database: Database;
  /** The reader's connection URL, for proofs. */
  readonly url: string;
  /** Who may use it. */
  readonly access: Access;
  readonly version: string;
  /** The pause between two looks of a stream, in milliseconds. @default 500 */
  readonly intervalMs?: number;
  /** How often an open stream's session is looked at, in milliseconds. @default 10000 */
  readonly recheckMs?: number;
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
export function apiApp(options: ApiOptions): Hono<Environment> {
  const {
    database,
    url,
    access,
    version,
    verification,
    signal,
    intervalMs = 500,
    recheckMs = 10_000,
    onError,
  } = options;
  const { onExport = async () => {} } = options;
  const app = new Hono<Environment>({
    getPath: (request, options) => options?.env?.path ?? new URL(request.url).pathname,
  });
  let streams = 0;
  let exports = 0;
  app.use(async (c, next) => {
    const refused = refusal(c, access);
    if (refused !== undefined) return refused;
    let visitor: Awaited<ReturnType<Access["identify"]>>;
    try {
      visitor = await access.identify(c.req.raw, c.env.subject);
    } catch (error) {
      if (access.signIn !== "application") return failureOf(error as Error, onError);
      // Of the application, whose words are not for the client.
      onError(error);
      return failed(500, "INTERNAL", "internal error");
    }
    if (visitor instanceof Response) return visitor;
    if (visitor !== undefined) c.set("visitor", visitor);
    else if (c.req.path !== "/api/v1/session" && access.open?.includes(c.req.path) !== true) return stranger(access);
    try {
      await next();
    } catch (error) {
      // Node's adapter aborts a request with a text, which is not an error to Hono.
      if (c.req.raw.signal.aborted) return new Response(null, { status: 499 });
      throw error;
    }
    // A proxy or a middleware that compresses would hold a stream back.
    c.header("cache-control", isStream(c.res) ? "no-store, no-transform" : "no-store");
    c.header("x-content-type-options", "nosniff");
    return undefined;
  });
  app.get("/api/v1/session", async (c) => c.json(await sessionOf(c.get("visitor"), access, database)));
  app.delete("/api/v1/session", async (c) => {
    if (access.signOut === undefined)
      return failed(405, "METHOD", "the application signs its users out", { allow: "GET, HEAD" });
    const cookie = await access.signOut(c.req.raw, c.get("visitor"), c.env.incoming ?? null);
    return new Response(null, { status: 204, headers: { "set-cookie": cookie } });
  });
  access.addTo?.(app);
  app.get("/api/v1/openapi.json", (c) => c.json(openApi(version)));
  for (const { path, parameters, respond } of ROUTES) {
    app.get(`/api/v1${path.replace(/\{(\w+)\}/g, ":$1")}`, async (c) => {
      const values = readParameters(parameters, new URL(c.req.url).searchParams, c.req.param());
      const result = await respond(values, { database, url, signal: c.req.raw.signal });
      const visitor = c.get("visitor");
      const read = readOf(path, c.req.param());
      if (visitor !== undefined && read !== undefined) access.onRead?.(visitor, read, c.env.incoming ?? null);
      return c.json(result);
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
    const session = sessionSignal(access, c.req.raw, recheckMs);
    const ended = AbortSignal.any([signal, left.signal, session.ended]);
    const items = streamEvents({ database, query, lastId, intervalMs, signal: ended });
    streams++;
    return new Response(
      streamOf(items, left, onError, () => {
        streams--;
        session.stop();
      }),
      { headers: { "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" } },
    );
  });
  app.get("/api/v1/export", only("export"), async (c) => {
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
      record: (record) => onExport({ ...record, actor: c.get("visitor")?.name }),
      onError,
      onEnd: () => exports--,
    });
  });
  app.get("/api/v1/verification", (c) => c.json(verification.state));
  app.post("/api/v1/verification", only("verify"), (c) => {
    const { vkey } = readParameters(VERIFICATION_PARAMETERS, new URL(c.req.url).searchParams, {});
    return c.json(verification.start(vkey?.split(" ").filter((key) => key !== "")), 202);
  });
  app.notFound((c) =>
    c.req.method !== "GET" && c.req.method !== "HEAD"
      ? failed(405, "METHOD", "only GET and HEAD here", { allow: "GET, HEAD" })
      : failed(404, "NOT_FOUND", `${c.req.path} does not exist: /api/v1/openapi.json lists the paths`),
  );
  // A client that has left reads no response, and its search ended with it.
  app.onError((error, c) =>
    c.req.raw.signal.aborted ? new Response(null, { status: 499 }) : failureOf(error, onError),
  );
  return app;
}

function isStream(response: Response): boolean {
  const { headers } = response;
  return headers.has("content-disposition") || headers.get("content-type")?.startsWith("text/event-stream") === true;
}

function stranger({ signIn }: Access): Response {
  return signIn === "token"
    ? failed(401, "TOKEN", "send Authorization: Bearer with the token of seclog start", {
        "www-authenticate": "Bearer",
      })
    : failed(401, "SIGN_IN", "nobody is signed in: sign in, and open the console again");
}

/** The query for what a path shows of one person, perhaps. */
function readOf(path: string, { id, kind, value }: { readonly [name: string]: string }): string | undefined {
  if (path === "/events/{id}") return `id:${id}`;
  return path === "/entities/{kind}/{value}" ? `${kind}=${JSON.stringify(value)}` : undefined;
}

/** What a page has to know first. */
async function sessionOf(visitor: Visitor | undefined, access: Access, database: Database): Promise<SessionResult> {
  const setup = visitor === undefined && (await access.isNew?.()) === true;
  const common = { setup, sign_in: access.signIn, oidc: null } as const;
  if (visitor === undefined) return { ...common, user: null, log: null, may: [] };
  const { rows } = await sql<{ name: string }>`
    SELECT name FROM security_event_key ORDER BY first_size DESC LIMIT 1`.execute(database);
  const { name, role } = visitor;
  return { ...common, user: { name, role }, log: rows[0]?.name ?? null, may: rightsAt(access, role) };
}

/** Aborts when the sender of a request may read no longer, or when that cannot be found out. */
function sessionSignal(
  access: Access,
  request: Request,
  everyMs: number,
): { readonly ended: AbortSignal; readonly stop: () => void } {
  const ending = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    const isIn = await access.isStillIn?.(request).catch(() => false);
    if (isIn !== true) ending.abort();
    else if (timer !== undefined) timer = setTimeout(look, everyMs).unref();
  };
  if (access.isStillIn !== undefined) timer = setTimeout(look, everyMs).unref();
  return {
    ended: ending.signal,
    stop: () => {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}

/** The items as bytes, as fast as the client reads them. Ends them when the client leaves. */
function streamOf(
  items: AsyncGenerator<string>,
  left: AbortController,
  onError: (error: unknown) => void,
  ended: () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let open = true;
  const end = (): void => {
    if (open) ended();
    open = false;
  };
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
      end();
      if (!left.signal.aborted) controller.close();
    },
    async cancel() {
      left.abort();
      end();
      await items.return(undefined);
    },
  });
}
