import type { Command } from "commander";
import { errorMessage } from "seclog";
import { requireUrl } from "../../config/environment.ts";
import { databaseError } from "../../database/failure.ts";
import { SessionPool } from "../../database/session.ts";
import { startHttpService } from "../../http/service.ts";
import { ReadApi } from "../../integrity/tiles/read-api.ts";
import { interruption, unlessInterrupted, untilInterrupted } from "../../terminal/interruption.ts";
import { occasionalNotice } from "../../terminal/occasional-notice.ts";
import { print } from "../../terminal/print.ts";
import { Exit } from "../exit.ts";
import { addConnectionOptions, type ConnectionOptions, connectionLimits, parseListen } from "../options/listen.ts";

interface TilesOptions extends ConnectionOptions {
  readonly listen: string;
  readonly entries?: true;
}

const MOST_DATABASE_CONNECTIONS = 4;

/** `seclog tiles`. */
export function addTiles(command: Command): void {
  command
    .option("--listen <host:port>", "the address to listen on", "127.0.0.1:7381")
    .option("--entries", "also serve the entries, which name hosts, routes and times");
  addConnectionOptions(command).action(tiles);
}

async function tiles(options: TilesOptions): Promise<void> {
  const listen = parseListen(options.listen);
  const connections = connectionLimits(options);
  const url = requireUrl("reader");
  const signal = interruption();
  const pool = new SessionPool(
    { role: "reader", url, purpose: "seclog tiles", access: "READ ONLY" },
    MOST_DATABASE_CONNECTIONS,
  );
  try {
    await unlessInterrupted(signal, pool.ready());
    const say = occasionalNotice();
    const onError = (error: unknown): void => say(errorMessage(error));
    const api = new ReadApi({ pool, entries: options.entries === true, onError });
    const service = await startHttpService({
      listen,
      connections,
      ownHostOnly: true,
      respond: (request) => api.respond(request),
      onError,
    });
    try {
      await print(`${service.url}\n`);
      await untilInterrupted(signal);
    } finally {
      await service.close();
    }
  } catch (error) {
    throw databaseError(error, "reader");
  } finally {
    if (!signal.aborted) await pool.end();
  }
  // A query that the database does not answer must not keep the process running.
  if (signal.aborted) throw new Exit(0);
}
