/** Serves the API. */
import type { Vkey } from "@seclog/verify";
import { databaseError } from "../database/failure.ts";
import { openReader, queriesOf } from "../database/reader.ts";
import { type FetchEnvironment, type FetchServiceOptions, startFetchService } from "../http/fetch-service.ts";
import type { HttpService } from "../http/listening.ts";
import { isLoopback } from "../http/service.ts";
import { BackgroundVerification } from "../integrity/background-verification.ts";
import { InputError } from "../text/input-error.ts";
import { type ApiOptions, apiApp } from "./app.ts";

export interface ServeApiOptions
  extends Pick<FetchServiceOptions, "listen" | "connections">,
    Pick<ApiOptions, "url" | "access" | "version" | "intervalMs" | "onExport" | "onError"> {
  /** The log's public keys, for verifications. @default those in the database, which the result says */
  readonly keys?: readonly Vkey[] | undefined;
  /** What the server serves, from the API, such as the console's pages too. @default the API */
  readonly around?: ((api: Fetch) => Fetch) | undefined;
}

/** The function of the server. */
type Fetch = (request: Request, environment: FetchEnvironment) => Response | Promise<Response>;

/** The longest statement, in milliseconds. A search that reaches it goes on with a shorter slice. */
export const STATEMENT_MS = 4_000;
const MOST_DATABASE_CONNECTIONS = 6;

/**
 * Starts the server once the database answers.
 *
 * @throws SeclogError for a database failure, `SECLOG_CONFIG` if it cannot listen, or not there
 */
export async function serveApi({
  listen,
  connections,
  around,
  keys,
  ...options
}: ServeApiOptions): Promise<HttpService> {
  if (!isLoopback(listen.host) && !options.access.hosts?.length) {
    throw new InputError(
      (named) =>
        `${named("listen")} ${listen.host}: others reach it only with users of its own (SECLOG_CONSOLE_URL) behind a proxy with TLS (${named("publicUrl")} https://…); without them it listens on loopback only: use 127.0.0.1`,
    );
  }
  const database = openReader(STATEMENT_MS, options.url, MOST_DATABASE_CONNECTIONS);
  const ending = new AbortController();
  try {
    await queriesOf(database).query("SELECT 1");
    const { signal } = ending;
    const verification = new BackgroundVerification({ url: options.url, database, keys, signal });
    const app = apiApp({ ...options, database, verification, signal });
    const api: Fetch = (request, environment) => app.fetch(request, environment);
    const service = await startFetchService({
      listen,
      connections,
      fetch: around?.(api) ?? api,
      onError: options.onError,
    });
    return {
      url: service.url,
      async close(graceMs) {
        ending.abort();
        await service.close(graceMs);
        await database.destroy();
      },
    };
  } catch (error) {
    await database.destroy();
    throw databaseError(error, "reader");
  }
}
