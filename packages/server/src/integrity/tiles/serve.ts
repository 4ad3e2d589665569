/** Serves a log's checkpoint and tiles over HTTP. */
import { databaseError } from "../../database/failure.ts";
import { SessionPool } from "../../database/session.ts";
import { type HttpService, type HttpServiceOptions, startHttpService } from "../../http/service.ts";
import { ReadApi, type ReadApiOptions } from "./read-api.ts";

export interface ServeTilesOptions
  extends Pick<HttpServiceOptions, "listen" | "connections">,
    Omit<ReadApiOptions, "pool"> {
  /** The reader's connection URL. */
  readonly url: string;
}

const MOST_DATABASE_CONNECTIONS = 4;

/**
 * Starts the server once the database answers.
 *
 * @throws SeclogError for a database failure, `SECLOG_CONFIG` if it cannot listen
 */
export async function serveTiles({ url, entries, onError, ...service }: ServeTilesOptions): Promise<HttpService> {
  const pool = new SessionPool(
    { role: "reader", url, purpose: "seclog tiles", access: "READ ONLY" },
    MOST_DATABASE_CONNECTIONS,
  );
  try {
    await pool.ready();
    const api = new ReadApi({ pool, entries, onError });
    const { url: address, close } = await startHttpService({
      ...service,
      ownHostOnly: true,
      respond: (request) => api.respond(request),
      onError,
    });
    return {
      url: address,
      close: async (graceMs) => {
        await close(graceMs);
        await pool.end();
      },
    };
  } catch (error) {
    await pool.end();
    throw databaseError(error, "reader");
  }
}
