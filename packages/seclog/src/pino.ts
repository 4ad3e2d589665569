/**
 * pino's bridge: `seclogStream` for the application's own log, and by default the transport that pino loads into its
 * thread, where it opens a log of its own.
 */
import type { Writable } from "node:stream";
import { seclogStream } from "./bridges/pino.ts";
import { rejectUnknownOptions } from "./event/options.ts";
import { createSecurityLog } from "./log/create-security-log.ts";
import type { SecurityLogOptions } from "./log/options.ts";
import { postgresHandler } from "./postgres/handler.ts";

export type { BridgeLog, BridgeOptions } from "./bridges/foreign-record.ts";
export { type PinoBridgeOptions, type PinoRecord, seclogStream } from "./bridges/pino.ts";

/** Options of the transport: what a thread can be passed. */
export interface SeclogTransportOptions
  extends Pick<
    SecurityLogOptions,
    "name" | "service" | "environment" | "host" | "level" | "redact" | "clientIp" | "heartbeat"
  > {
  /** The writer's URL. @default `SECLOG_DATABASE_URL`, or the file that `SECLOG_DATABASE_URL_FILE` names */
  readonly url?: string | undefined;
  /** Where events wait until the database has them. @default `SECLOG_SPOOL`, or `var/seclog` */
  readonly spool?: SecurityLogOptions["spool"] | undefined;
  /**
   * The loggers whose records become events, by `name`, or `"all"`.
   * @default ["security"]
   */
  readonly loggers?: readonly string[] | "all" | undefined;
}

const WHERE = "seclog/pino";
const OF_THE_LOG = ["name", "service", "environment", "host", "level", "redact", "clientIp", "heartbeat"] as const;

/**
 * The transport: `pino.transport({ target: "seclog/pino", options })`. It runs in pino's thread, with a spool and a
 * connection of its own, and closes its log when pino ends the transport.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option at fault
 */
export default function seclogTransport(options: SeclogTransportOptions = {}): Writable {
  // pino adds members of its own to the options: `$context`, `pinoWillSendConfig`.
  const given: SeclogTransportOptions = Object.fromEntries(
    Object.entries(options).filter(([name]) => !/^(?:\$|pino)/.test(name)),
  );
  rejectUnknownOptions(WHERE, given, [...OF_THE_LOG, "url", "spool", "loggers"]);
  const { url, spool = { directory: process.env["SECLOG_SPOOL"] ?? "var/seclog" }, loggers, ...others } = given;
  const log = createSecurityLog({ ...others, spool, handlers: [postgresHandler({ url })] });
  const stream = seclogStream(log, { loggers });
  const destroy = stream._destroy.bind(stream);
  // pino's thread exits once the stream has closed.
  stream._destroy = (error, done) => {
    const end = (): void => destroy(error, done);
    log.close().then(end, end);
  };
  return stream;
}
