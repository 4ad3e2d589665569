import type { Command } from "commander";
import { errorMessage } from "seclog";
import { requireUrl } from "../../config/environment.ts";
import { serveTiles } from "../../integrity/tiles/serve.ts";
import { interruption, unlessInterrupted, untilInterrupted } from "../../terminal/interruption.ts";
import { occasionalNotice } from "../../terminal/occasional-notice.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { Exit } from "../exit.ts";
import { addConnectionOptions, type ConnectionOptions, connectionLimits, parseListen } from "../options/listen.ts";

interface TilesOptions extends ConnectionOptions {
  readonly listen: string;
  readonly json?: true;
  readonly entries?: true;
}

/** `seclog tiles`. */
export function addTiles(command: Command): void {
  command
    .option("--listen <host:port>", "the address to listen on", "127.0.0.1:7381")
    .option("--entries", "also serve the entries, which name hosts, routes and times");
  addConnectionOptions(command).option("--json", "one JSON document").action(tiles);
}

async function tiles(options: TilesOptions): Promise<void> {
  const listen = parseListen(options.listen);
  const connections = connectionLimits(options);
  const url = requireUrl("reader");
  const signal = interruption();
  const say = occasionalNotice();
  const service = await unlessInterrupted(
    signal,
    serveTiles({
      url,
      listen,
      connections,
      entries: options.entries === true,
      onError: (error) => say(errorMessage(error)),
    }),
  );
  try {
    await print(options.json ? jsonLine({ listening: service.url }) : `${service.url}\n`);
    await untilInterrupted(signal);
  } finally {
    // A query that the database does not answer must not keep the process running.
    const closing = service.close();
    if (signal.aborted) closing.catch(() => {});
    else await closing;
  }
  throw new Exit(0);
}
