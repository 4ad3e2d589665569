/** Records of winston become events. */
import { Writable } from "node:stream";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { isForwarded } from "../record/forwarded.ts";
import { BRIDGE_OPTIONS, type BridgeLog, type BridgeOptions, isChosen, recordForeign } from "./foreign-record.ts";

/** A record of winston, after the logger's formats. */
export type WinstonInfo = { readonly [name: string | symbol]: unknown };

/** Options of {@link SeclogTransport}. A record's logger is its `logger`, `label` or `name`. */
export interface WinstonBridgeOptions extends BridgeOptions<WinstonInfo> {
  /** The least severe level to take, in the logger's own words. @default the logger's */
  readonly level?: string | undefined;
}

/** winston sets the level here as well, where no format changes it. */
const LEVEL = Symbol.for("level");

/** The levels by name, 0 for the most severe. */
type WinstonLevels = { readonly [name: string]: number };

/**
 * A transport for winston that makes events of records.
 *
 * ```ts
 * const logger = winston.createLogger({ transports: [new winston.transports.Console(), new SeclogTransport(security)] });
 * logger.child({ logger: "security" }).warn("authz_fail", { userid: "ada", req });
 * ```
 *
 * It has the shape of a `TransportStream` of winston-transport, without that package. A record without `req` belongs to
 * the current request. Closing the logger leaves the log open.
 */
export class SeclogTransport extends Writable {
  /** As winston's own transports have it: it may be changed while the logger runs. */
  level?: string;
  silent?: boolean;
  readonly #log: BridgeLog;
  readonly #options: WinstonBridgeOptions;
  #logger: { readonly level?: string; readonly levels?: WinstonLevels } = {};

  /** @throws SeclogError `SECLOG_CONFIG` that names the option at fault */
  constructor(log: BridgeLog, options: WinstonBridgeOptions = {}) {
    if (typeof log?.recordSecurityEvent !== "function") {
      throw configError("SeclogTransport", "log", "must be the log that createSecurityLog returned");
    }
    rejectUnknownOptions("SeclogTransport", options, [...BRIDGE_OPTIONS, "level"]);
    super({ objectMode: true });
    this.#log = log;
    this.#options = options;
    if (options.level !== undefined) this.level = options.level;
    this.on("pipe", (logger: object) => {
      this.#logger = logger;
    });
  }

  override _write(info: WinstonInfo, _encoding: string, done: () => void): void {
    this.log(info, done);
  }

  /** Records one record, as winston calls it. Never throws. */
  log(info: WinstonInfo, next: () => void): void {
    try {
      if (this.silent !== true && this.#isSevereEnough(info)) this.#take(info);
    } catch {
      // A getter of the record, or the application's function, threw: winston would stop writing to this transport.
    }
    next();
  }

  #isSevereEnough(info: WinstonInfo): boolean {
    const { level: ofLogger, levels = {} } = this.#logger;
    const least = levels[this.level ?? ofLogger ?? ""];
    const own = levels[String(info[LEVEL] ?? info["level"])];
    return least === undefined || own === undefined || own <= least;
  }

  #take(info: WinstonInfo): void {
    const { filter, loggers } = this.#options;
    if (isForwarded(info)) return;
    if (filter === undefined ? !isChosen([info["logger"], info["label"], info["name"]], loggers) : !filter(info))
      return;
    const type = this.#options.type?.(info);
    const { level, message, timestamp, logger: _logger, label: _label, stack, ...others } = info;
    // An error that was logged itself: its message is the record's, and its name is all that is left to say.
    const members = typeof stack === "string" ? { ...others, name: undefined, error: others["name"] } : others;
    recordForeign(this.#log, {
      bridge: "winston",
      level: info[LEVEL] ?? level,
      time: timestamp,
      message: message === undefined ? undefined : String(message),
      type,
      members,
    });
  }
}
