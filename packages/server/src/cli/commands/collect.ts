import type { Command } from "commander";
import { errorMessage, SeclogError } from "seclog";
import { collectSpool } from "../../config/collect.ts";
import { connectionUrl, requireUrl } from "../../config/environment.ts";
import { type SyslogSettings, startCollector } from "../../ingest/receivers/collector.ts";
import { interruption, unlessInterrupted, untilInterrupted } from "../../terminal/interruption.ts";
import { occasionalNotice } from "../../terminal/occasional-notice.ts";
import { jsonLine, print } from "../../terminal/print.ts";
import { quoted } from "../../text/words.ts";
import { Exit } from "../exit.ts";
import { collect as repeatable } from "../options/collect.ts";
import { addConnectionOptions, type ConnectionOptions, connectionLimits, parseListen } from "../options/listen.ts";
import { parseCount } from "../options/numbers.ts";

interface CollectOptions extends ConnectionOptions {
  readonly listen: string;
  readonly spool?: string;
  readonly spoolMib: string;
  readonly rate: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly syslog?: readonly string[];
  readonly syslogSender?: string;
  readonly syslogCa?: string;
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
    .option("--tls-key <file>", "the certificate's key")
    .option("--syslog <url>", "receive syslog too: udp://HOST:PORT, tcp:// or tls://; repeatable", repeatable)
    .option("--syslog-sender <name>", "the name of the token whose services and types apply to it")
    .option("--syslog-ca <file>", "over TLS, ask clients for a certificate of these authorities");
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
      relayUrl: connectionUrl("relay"),
      certificate: certificateOf(options),
      syslog: syslogOf(options),
      onTrouble: (error) => say(errorMessage(error)),
    }),
  );
  try {
    const addresses = [collector.url, ...collector.syslog];
    await print(options.json ? jsonLine({ listening: addresses }) : `${addresses.join("\n")}\n`);
    await untilInterrupted(signal);
  } finally {
    await collector.close();
  }
  throw new Exit(0);
}

function syslogOf({ syslog = [], syslogSender, syslogCa, tlsCert }: CollectOptions): SyslogSettings | undefined {
  if (syslog.length === 0) {
    if (syslogSender === undefined && syslogCa === undefined) return undefined;
    throw new SeclogError("SECLOG_CONFIG", "--syslog-sender and --syslog-ca go with --syslog URL");
  }
  if (syslogSender === undefined) {
    throw new SeclogError("SECLOG_CONFIG", "--syslog needs --syslog-sender NAME, the name of a token");
  }
  const listeners = syslog.map((url): SyslogSettings["listeners"][number] => {
    const [, protocol, address = ""] = /^(udp|tcp|tls):\/\/([^/]+)$/.exec(url) ?? [];
    if (protocol !== "udp" && protocol !== "tcp" && protocol !== "tls") {
      throw new SeclogError(
        "SECLOG_CONFIG",
        `--syslog ${quoted(url)} is not udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT`,
      );
    }
    if (protocol === "tls" && tlsCert === undefined) {
      throw new SeclogError("SECLOG_CONFIG", `--syslog ${url} needs --tls-cert and --tls-key`);
    }
    return { protocol, listen: parseListen(address) };
  });
  return { listeners, sender: syslogSender, clientAuthorities: syslogCa };
}

function certificateOf({ tlsCert, tlsKey }: CollectOptions): { cert: string; key: string } | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert !== undefined && tlsKey !== undefined) return { cert: tlsCert, key: tlsKey };
  throw new SeclogError("SECLOG_CONFIG", "--tls-cert and --tls-key go together: name both files");
}
