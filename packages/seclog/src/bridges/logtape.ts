/** Records of LogTape become events. */
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { isForwarded } from "../record/forwarded.ts";
import { BRIDGE_OPTIONS, type BridgeLog, type BridgeOptions, isChosen, recordForeign } from "./foreign-record.ts";

/** The part of LogTape's `LogRecord` that the sink reads. */
export interface LogTapeRecord {
  readonly category: readonly string[];
  readonly level: string;
  readonly message: readonly unknown[];
  readonly rawMessage: string | readonly string[];
  /** Milliseconds since the Unix epoch. */
  readonly timestamp: number;
  readonly properties: { readonly [name: string]: unknown };
}

/** Options of {@link getSeclogSink}. A record's loggers are the steps of its category. */
export type LogTapeBridgeOptions = BridgeOptions<LogTapeRecord>;

/** LogTape's `Sink & AsyncDisposable`. Disposing of it waits until the log has stored the events, and leaves it open. */
export interface SeclogSink extends AsyncDisposable {
  (record: LogTapeRecord): void;
}

/** The log that the sink records to. */
export interface SinkLog extends BridgeLog {
  flush(): Promise<void>;
}

/**
 * A sink for LogTape that makes events of records.
 *
 * ```ts
 * await configure({
 *   sinks: { seclog: getSeclogSink(security) },
 *   loggers: [{ category: ["shop", "security"], sinks: ["seclog"] }],
 * });
 * getLogger(["shop", "security"]).warn("authz_fail", { userid: "ada" });
 * ```
 *
 * The message is stored as the template (`"{user} was refused"`), and the values under their names, so that a value
 * whose name is secret is redacted. A record without `req` belongs to the current request.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option at fault
 */
export function getSeclogSink(log: SinkLog, options: LogTapeBridgeOptions = {}): SeclogSink {
  if (typeof log?.recordSecurityEvent !== "function" || typeof log.flush !== "function") {
    throw configError("getSeclogSink", "log", "must be the log that createSecurityLog returned");
  }
  rejectUnknownOptions("getSeclogSink", options, BRIDGE_OPTIONS);
  const { filter, loggers, type } = options;
  const sink = (record: LogTapeRecord): void => {
    if (isForwarded(record.properties)) return;
    // LogTape passes what a sink throws to its meta logger, so a filter that throws is reported there.
    if (filter === undefined ? !isChosen(record.category, loggers) : !filter(record)) return;
    recordForeign(log, {
      bridge: "logtape",
      level: record.level,
      time: record.timestamp,
      ...messageOf(record),
      type: type?.(record),
    });
  };
  return Object.assign(sink, { [Symbol.asyncDispose]: () => log.flush().catch(() => {}) });
}

/** The template, and the values of one that has no names for them. */
function messageOf({ rawMessage, message, properties }: LogTapeRecord): {
  readonly message: string;
  readonly members: { readonly [name: string]: unknown };
} {
  if (typeof rawMessage === "string") return { message: rawMessage, members: properties };
  const values = message.filter((_, index) => index % 2 === 1);
  return { message: rawMessage.join("{}"), members: values.length > 0 ? { ...properties, values } : properties };
}
