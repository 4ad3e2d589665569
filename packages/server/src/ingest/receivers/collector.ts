/**
 * The collector: takes the events of other applications, and is itself an application of Seclog. Its log has a spool of its
 * own, from which the shipper stores the events in PostgreSQL, so a collector takes events while the database is away.
 */
import { readFileSync, statSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { createSecurityLog, errorMessage, SeclogError, type SecurityLog } from "seclog";
import { securityCapture, watchServer } from "seclog/http";
import { postgresHandler, type RelayStore, relayStore } from "seclog/postgres";
import { commandLine } from "../../config/program.ts";
import { lockFolder } from "../../files/folder-lock.ts";
import { makeFolder } from "../../files/make-folder.ts";
import type { ConnectionLimits } from "../../http/connection-shares.ts";
import { type Certificate, type FetchService, startFetchService } from "../../http/fetch-service.ts";
import type { ListenAddress } from "../../http/service.ts";
import { counted } from "../../text/words.ts";
import { Admission } from "./admission.ts";
import { collectApp } from "./collect-app.ts";
import { CollectMetrics } from "./collect-metrics.ts";
import { Envelopes } from "./envelopes.ts";
import { KeyedResults } from "./keyed-results.ts";
import { Receive, type ReceiveEvent } from "./receive.ts";
import { Senders } from "./senders.ts";
import { type SyslogOptions, startSyslog } from "./syslog-server.ts";
import { collectorFolder, Tokens } from "./token-file.ts";

export interface CollectorOptions {
  readonly listen: ListenAddress;
  /** The folder of the spool, of this collector alone. */
  readonly spool: string;
  /** The most bytes of the spool. @default 2 GiB */
  readonly spoolBytes?: number | undefined;
  /** The writer's connection URL. */
  readonly url: string;
  /** The relay's connection URL: with it, the collector takes envelopes. */
  readonly relayUrl?: string | undefined;
  /** The most bytes of a body. @default 8 MiB */
  readonly bodyBytes?: number | undefined;
  /** The most events of one request. @default 10000 */
  readonly requestEvents?: number | undefined;
  /** Events a second of each sender. @default 10000 */
  readonly rate?: number | undefined;
  readonly connections?: ConnectionLimits | undefined;
  /** Milliseconds for a request's header, and for a whole request. @default 5000 and 30000 */
  readonly timeouts?: { readonly header: number; readonly request: number } | undefined;
  /** The collector's own certificate; without one it serves plain HTTP. */
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined;
  /** How often a renewed certificate is looked for, in milliseconds. @default 60000 */
  readonly renewalMs?: number | undefined;
  readonly syslog?: SyslogSettings | undefined;
  readonly onEvent?: ((event: ReceiveEvent) => void) | undefined;
  /** Receives failures that the collector itself outlives. */
  readonly onTrouble: (error: unknown) => void;
}

/** Where a collector listens for syslog. */
export interface SyslogSettings {
  readonly listeners: readonly { readonly protocol: "udp" | "tcp" | "tls"; readonly listen: ListenAddress }[];
  /** The name of the token whose services and types apply: in syslog, a sender cannot say who it is. */
  readonly sender: string;
  /** A file of authorities, in PEM: over TLS, clients must have a certificate of one of them. */
  readonly clientAuthorities?: string | undefined;
}

/** A running collector. */
export interface Collector {
  readonly url: string;
  /** `udp://host:port` and so on, in the order of the settings. */
  readonly syslog: readonly string[];
  /** Finishes the running requests, and ships what it can within some seconds; the rest stays in the spool. */
  close(): Promise<void>;
}

const GiB = 1024 * 1024 * 1024;
const MiB = 1024 * 1024;

/**
 * Starts a collector.
 *
 * @throws SeclogError `SECLOG_CONFIG`, `SECLOG_SPOOL_DIRECTORY`, `SECLOG_SPOOL_LOCKED`
 */
export async function startCollector(options: CollectorOptions): Promise<Collector> {
  const { spool, spoolBytes = 2 * GiB, certificate, onTrouble } = options;
  const pem = certificate === undefined ? undefined : readCertificate(certificate);
  makeFolder(spool);
  const folder = collectorFolder(spool);
  makeFolder(folder);
  const lock = await lockFolder(folder, (pid) => inUse(spool, pid));
  const ends: (() => void | Promise<void>)[] = [() => lock.release()];
  const closeAll = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const tokens = new Tokens(spool, onTrouble);
    ends.push(() => tokens.close());
    // Before the log: it reads what the last process left, which the log ships.
    const keys = new KeyedResults(spool);
    ends.push(() => keys.close());
    const log = createSecurityLog({
      service: "seclog-collect",
      level: "debug",
      spool: { directory: spool, maxBytes: spoolBytes },
      handlers: [postgresHandler({ url: options.url })],
      diagnostics: ({ message }) => onTrouble(new Error(message)),
    });
    ends.push(() => log.close());
    const store = options.relayUrl === undefined ? undefined : relayStore({ url: options.relayUrl });
    if (store !== undefined) ends.push(() => store.close());
    const { service, receive } = await serve(options, pem, { log, tokens, keys, spoolBytes, store });
    ends.push(() => service.close());
    const syslog: string[] = [];
    for (const { protocol, listen } of options.syslog?.listeners ?? []) {
      const server = await startSyslog({
        ...syslogOptions(options, tokens, receive),
        protocol,
        listen,
        certificate: pem,
      });
      syslog.push(server.url);
      ends.push(() => server.close());
    }
    if (certificate !== undefined) {
      const renewal = watchCertificate(certificate, service, onTrouble, options.renewalMs);
      ends.push(() => clearInterval(renewal));
    }
    return { url: service.url, syslog, close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

interface Parts {
  readonly log: SecurityLog;
  readonly tokens: Tokens;
  readonly keys: KeyedResults;
  readonly spoolBytes: number;
  readonly store: RelayStore | undefined;
}

async function serve(
  options: CollectorOptions,
  certificate: Certificate | undefined,
  { log, tokens, keys, spoolBytes, store }: Parts,
): Promise<{ readonly service: FetchService; readonly receive: Receive }> {
  const { bodyBytes = 8 * MiB, requestEvents = 10_000, rate = 10_000, onEvent, onTrouble } = options;
  const senders = new Senders(tokens, log);
  const note = (event: ReceiveEvent): void => {
    metrics.note(event);
    onEvent?.(event);
  };
  const receive = new Receive({
    log,
    admission: new Admission(log),
    keys,
    limits: { bodyBytes, events: requestEvents, rate },
    spoolBytes,
    onEvent: note,
  });
  const envelopes = store === undefined ? undefined : new Envelopes(store, note);
  const unready = (): readonly string[] => {
    const { full } = receive;
    const { status, lastError } = log.health();
    const failing = status === "failing" && lastError?.code.startsWith("SECLOG_SPOOL") ? lastError.message : undefined;
    return [full, failing].filter((reason) => reason !== undefined);
  };
  const metrics = new CollectMetrics(
    () => log.health(),
    () => unready().length === 0,
  );
  const app = collectApp({ senders, receive, envelopes, metrics, unready });
  const actor = (request: IncomingMessage): { id: string; type: string } | undefined => {
    const sender = senders.of(request);
    return sender === undefined ? undefined : { id: sender.name, type: "sender" };
  };
  const capture = { actor, context: false, detect: { badRequest: true } };
  const service = await startFetchService({
    listen: options.listen,
    fetch: (request, environment) => app.fetch(request, environment),
    certificate,
    connections: options.connections,
    headerTimeoutMs: options.timeouts?.header,
    requestTimeoutMs: options.timeouts?.request,
    around: (listener) => securityCapture(log, listener, capture),
    onError: onTrouble,
  });
  watchServer(log, service.server, capture);
  return { service, receive };
}

function syslogOptions(
  { syslog, connections, onTrouble }: CollectorOptions,
  tokens: Tokens,
  receive: Receive,
): Pick<SyslogOptions, "connections" | "clientAuthorities" | "take" | "onDropped"> {
  const name = syslog?.sender ?? "";
  if (tokens.named(name) === undefined) {
    throw new SeclogError(
      "SECLOG_CONFIG",
      `no token has the name ${JSON.stringify(name)}: messages of syslog are those of a token, which need not be sent to anyone; make one with ${commandLine("tokens create")}`,
    );
  }
  const authorities = syslog?.clientAuthorities;
  return {
    connections,
    clientAuthorities: authorities === undefined ? undefined : readPem(authorities, "list of authorities"),
    take: (events) => {
      const sender = tokens.named(name);
      return sender !== undefined && receive.takeNow(sender, "syslog", events);
    },
    onDropped: (count, why) => onTrouble(new Error(`syslog: ${counted(count, "message")} not taken: ${why}`)),
  };
}

function inUse(spool: string, pid: number): SeclogError {
  return new SeclogError(
    "SECLOG_SPOOL_LOCKED",
    `process ${pid} is a collector with the spool ${spool}: give each collector a spool of its own`,
  );
}

function readCertificate({ cert, key }: { readonly cert: string; readonly key: string }): Certificate {
  return { cert: readPem(cert, "certificate"), key: readPem(key, "certificate's key") };
}

function readPem(path: string, what: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new SeclogError("SECLOG_CONFIG", `the ${what} ${path} cannot be read: ${errorMessage(cause)}`, { cause });
  }
}

/** Takes a renewed certificate, so that a collector need not restart every few weeks. */
function watchCertificate(
  files: { readonly cert: string; readonly key: string },
  service: FetchService,
  onTrouble: (error: unknown) => void,
  renewalMs = 60_000,
): NodeJS.Timeout {
  const stateOf = (): string => {
    try {
      return `${statSync(files.cert).mtimeMs} ${statSync(files.key).mtimeMs}`;
    } catch {
      // Being replaced: look again later.
      return state;
    }
  };
  let state = "";
  state = stateOf();
  return setInterval(() => {
    const now = stateOf();
    if (now === state) return;
    state = now;
    try {
      service.renew(readCertificate(files));
    } catch (error) {
      onTrouble(error);
    }
  }, renewalMs).unref();
}
