import type { Command } from "commander";
import { errorMessage, SeclogError } from "seclog";
import { collectSpool } from "../../config/collect.ts";
import { requireUrl } from "../../config/environment.ts";
import { startCollector } from "../../ingest/receivers/collector.ts";
import { interruption, unlessInterrupted, untilInterrupted } from "../../terminal/interruption.ts";
import { occasionalNotice } from "../../terminal/occasional-notice.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { Exit } from "../exit.ts";
import { addConnectionOptions, type ConnectionOptions, connectionLimits, parseListen } from "../options/listen.ts";
import { parseCount } from "../options/numbers.ts";

interface CollectOptions extends ConnectionOptions {
  readonly listen: string;
  readonly spool?: string;
  readonly spoolMib: string;
  readonly rate: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly json?: true;
}

/** `seclog collect`. */
export function addCollect(command: Command): void {
  command
    .option("--listen <host:port>", "the address to listen on", "127.0.0.1:7390")
    .option("--spool <directory>", "the collector's own spool (default: SECLOG_COLLECT_SPOOL)")
    .option("--spool-mib <number>", "the most MiB of the spool", "2048")
    .option("--rate <number>", "the most events a second of each sender", "10000")
    .option("--tls-cert <file>", "serve HTTPS with this certificate, in PEM")
    .option("--tls-key <file>", "the certificate's key");
  addConnectionOptions(command).option("--json", "one JSON document").action(collect);
}

async function collect(options: CollectOptions): Promise<void> {
  const listen = parseListen(options.listen);
  const connections = connectionLimits(options);
  const spool = collectSpool(options.spool);
  const spoolBytes = parseCount("--spool-mib", options.spoolMib, 1_000_000, 64) * 1024 * 1024;
  const rate = parseCount("--rate", options.rate, 10_000_000);
  const url = requireUrl("writer");
  const signal = interruption();
  const say = occasionalNotice();
  const collector = await unlessInterrupted(
    signal,
    startCollector({
      listen,
      connections,
      spool,
      spoolBytes,
      rate,
      url,
      certificate: certificateOf(options),
      onTrouble: (error) => say(errorMessage(error)),
    }),
  );
  try {
    await print(options.json ? jsonLine({ listening: collector.url }) : `${collector.url}\n`);
    await untilInterrupted(signal);
  } finally {
    await collector.close();
  }
  throw new Exit(0);
}

function certificateOf({ tlsCert, tlsKey }: CollectOptions): { cert: string; key: string } | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert !== undefined && tlsKey !== undefined) return { cert: tlsCert, key: tlsKey };
  throw new SeclogError("SECLOG_CONFIG", "--tls-cert and --tls-key go together: name both files");
}
