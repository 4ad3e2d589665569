/** The console inside an application, under the application's own sign-in. */
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { getRequestListener, RequestError } from "@hono/node-server";
import type { UserRole } from "@seclog/api";
import { readVkey, type Vkey } from "@seclog/verify";
import { errorMessage, SeclogError, type SecurityLog } from "seclog";
import type { Access } from "../api/access.ts";
import { apiApp } from "../api/app.ts";
import type { ApiEnvironment } from "../api/environment.ts";
import { STATEMENT_MS } from "../api/serve.ts";
import type { Visitor } from "../api/visitor.ts";
import { requireUrl } from "../config/environment.ts";
import { type Database, openReader } from "../database/reader.ts";
import { BackgroundVerification } from "../integrity/background-verification.ts";
import { quoted } from "../text/words.ts";
import { basePathOf, below } from "./base-path.ts";
import { plain } from "./site.ts";
import { builtSite, isApi } from "./with-pages.ts";

/** A user of the application, as the console shows and records them. */
export interface ConsoleUser {
  /** What the application calls them. */
  readonly name: string;
  /**
   * - `analyst`: searches, and sees what identifies people
   * - `auditor`: also exports and verifies
   * - `admin`: everything
   */
  readonly role: UserRole;
}

/** Options of {@link securityConsole}. */
export interface SecurityConsoleOptions<Subject = unknown> {
  /** The reader's connection URL: the console writes nothing. @default `SECLOG_READER_URL`, or the file of its `_FILE` */
  readonly databaseUrl?: string;
  /**
   * Who sends a request, by the application's own sign-in: `undefined` for those who may not see the log. A `Response`
   * is sent to them as it is, such as a redirect to the application's sign-in. If it throws, the request fails.
   *
   * @param request its address may lack the path at which a router has the console
   * @param subject the framework's own request, with what its middleware added: Node's or Express's, Fastify's, or what
   *   was passed to `fetch`
   */
  readonly authorize: (
    request: Request,
    subject: Subject,
  ) => ConsoleUser | Response | undefined | Promise<ConsoleUser | Response | undefined>;
  /**
   * The path at which browsers have the console, such as `/ops/seclog`.
   *
   * @default the path at which Express or Fastify has it, else `/`
   */
  readonly basePath?: string;
  /** The application's log, which records exports. @default none */
  readonly log?: SecurityLog;
  /** The log's public keys, the oldest first, for verifications. @default those in the database, which the result says */
  readonly vkeys?: readonly string[];
  /** Receives the errors that a response does not show. @default a warning of the process */
  readonly onError?: (error: unknown) => void;
}

/** A console to mount. */
export interface SecurityConsole {
  /** For frameworks on the Fetch API: Hono, Next.js and others. `subject` is passed to `authorize`. */
  readonly fetch: (request: Request, subject?: unknown) => Promise<Response>;
  /** For `node:http` and Express: `app.use("/ops/seclog", security.handler)`. */
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void;
  /** For Fastify: `app.register(security.fastify, { prefix: "/ops/seclog" })`. */
  readonly fastify: (instance: FastifyLike) => Promise<void>;
  /** For Next.js, in `app/ops/seclog/[[...path]]/route.ts`: `export const { GET, POST } = security.route`. */
  readonly route: {
    readonly [M in "GET" | "POST" | "PUT" | "PATCH" | "DELETE"]: (request: Request) => Promise<Response>;
  };
  /** Ends streams and exports, and closes the connections to the database. */
  close(): Promise<void>;
}

/** What the plugin calls of a Fastify instance. */
export interface FastifyLike {
  readonly prefix: string;
  removeAllContentTypeParsers(): unknown;
  addContentTypeParser(
    type: string,
    parser: (request: unknown, payload: unknown, done: (error: null) => void) => void,
  ): unknown;
  all(path: string, options: object, handler: (request: never, reply: never) => void): unknown;
}

interface FastifyRequestLike {
  readonly raw: IncomingMessage;
}

interface FastifyReplyLike {
  readonly raw: ServerResponse;
  hijack(): unknown;
}

const MOST_DATABASE_CONNECTIONS = 6;
const ROLES: readonly string[] = ["analyst", "auditor", "admin"] satisfies UserRole[];

/**
 * Makes a console. It reads the database's URL and connects at the first request that needs it.
 *
 * @throws SeclogError `SECLOG_CONFIG` for a path or a key that cannot be used
 */
export function securityConsole<Subject = unknown>(options: SecurityConsoleOptions<Subject>): SecurityConsole {
  const { log, vkeys = [], onError = report } = options;
  const basePath = options.basePath === undefined ? undefined : requireBasePath(options.basePath);
  const keys = vkeys.map(readKey);
  const ending = new AbortController();
  const { signal } = ending;
  const access: Access = {
    signIn: "application",
    ownHostOnly: false,
    async identify(request, subject) {
      const user = await options.authorize(request, subject as Subject);
      return user === undefined || user instanceof Response ? user : checked(user);
    },
  };
  // A build that loads the application's modules has neither a database nor a URL.
  let opened: { readonly app: ReturnType<typeof apiApp>; readonly database: Database } | undefined;
  function open(): NonNullable<typeof opened> {
    if (opened !== undefined) return opened;
    const url = options.databaseUrl ?? requireUrl("reader");
    const database = openReader(STATEMENT_MS, url, MOST_DATABASE_CONNECTIONS);
    const app = apiApp({
      database,
      url,
      access,
      version: version(),
      verification: new BackgroundVerification({ url, database, keys, signal }),
      ...(log === undefined
        ? {}
        : { onExport: (record) => log.recordSecurityEvent("log_export", null, { ...record }).durable }),
      signal,
      onError,
    });
    opened = { app, database };
    return opened;
  }
  const site = builtSite();

  async function respond(request: Request, base: string, environment: ApiEnvironment): Promise<Response> {
    try {
      const path = below(base, new URL(request.url).pathname);
      if (isApi(path)) return await open().app.fetch(request, { ...environment, path: `/${path}` });
      const user = await access.identify(request, environment.subject);
      if (user instanceof Response) return user;
      if (user === undefined) return plain(401, "Sign in to the application, and open the console again.");
      return await site.respond(request, path, base);
    } catch (error) {
      onError(error);
      return plain(500, "internal error");
    }
  }

  /** For Node's requests, with the base and the framework's request beside them. */
  function listen(
    request: IncomingMessage,
    response: ServerResponse,
    base: string | undefined,
    subject: unknown,
  ): void {
    const listener = getRequestListener(
      (fetched) =>
        base === undefined ? plain(404, "The console cannot be at this path.") : respond(fetched, base, { subject }),
      {
        overrideGlobalObjects: false,
        errorHandler: (error) => {
          if (error instanceof RequestError) return plain(400, "the request's address is invalid");
          onError(error);
          return plain(500, "internal error");
        },
      },
    );
    void listener(request, response);
  }

  const fetch = (request: Request, subject?: unknown): Promise<Response> =>
    respond(request, basePath ?? "/", { subject });
  return {
    fetch,
    handler(request, response) {
      // Express says where it has the handler.
      const { baseUrl } = request as IncomingMessage & { readonly baseUrl?: unknown };
      listen(request, response, basePath ?? basePathOf(typeof baseUrl === "string" ? baseUrl : ""), request);
    },
    async fastify(instance) {
      // Bodies are the console's to read.
      instance.removeAllContentTypeParsers();
      instance.addContentTypeParser("*", (_request, _payload, done) => done(null));
      const handle = (request: FastifyRequestLike, reply: FastifyReplyLike): void => {
        reply.hijack();
        listen(request.raw, reply.raw, basePath ?? basePathOf(instance.prefix), request);
      };
      for (const path of ["/", "/*"]) instance.all(path, {}, handle);
    },
    route: { GET: fetch, POST: fetch, PUT: fetch, PATCH: fetch, DELETE: fetch },
    async close() {
      ending.abort();
      await opened?.database.destroy();
    },
  };
}

/** @throws SeclogError for a user that the console cannot show: a mistake of `authorize` must not let anyone in */
function checked({ name, role }: ConsoleUser): Visitor {
  if (typeof name === "string" && name !== "" && ROLES.includes(role)) return { name, role };
  throw new SeclogError(
    "SECLOG_CONFIG",
    `authorize returned name ${quoted(String(name))} and role ${quoted(String(role))}: return a name, and one of ${ROLES.join(", ")}`,
  );
}

function readKey(text: string): Vkey {
  try {
    return readVkey(text.trim());
  } catch (error) {
    throw new SeclogError("SECLOG_CONFIG", `vkeys: ${quoted(text)} is not a public key: ${errorMessage(error)}`);
  }
}

function requireBasePath(text: string): string {
  const path = basePathOf(text);
  if (path !== undefined) return path;
  throw new SeclogError(
    "SECLOG_CONFIG",
    `basePath ${quoted(text)} is not a path of letters, digits and ._~- such as /ops/seclog`,
  );
}

function version(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

function report(error: unknown): void {
  process.emitWarning(errorMessage(error), "SeclogConsoleWarning");
}
