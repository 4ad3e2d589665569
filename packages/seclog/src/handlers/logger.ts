/** A handler that forwards events to the application's own logger. */
import { eventToJson } from "../event/encode.ts";
import type { SecurityEvent } from "../event/event.ts";
import type { Level } from "../event/level.ts";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { visibleText } from "../event/visible.ts";
import { BRIDGE_MEMBER, EVENT_MEMBER, FORWARDED } from "../record/forwarded.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { closedError, decodedEvents } from "./batches.ts";

/** One method of a logger. Loggers disagree about the order of message and members. */
type Write = (...values: never[]) => unknown;

/** A logger in the shape of pino, winston, LogTape, bunyan or `console`. */
export interface ForeignLogger {
  readonly debug: Write;
  readonly info: Write;
  readonly error: Write;
  readonly warn?: Write;
  readonly warning?: Write;
  readonly fatal?: Write;
  readonly crit?: Write;
}

/** An event as it is forwarded. */
export interface ForwardedEvent {
  readonly level: Level;
  /** The type, the request, the status and the address, on one line: `authz_fail GET /admin 403 203.0.113.9`. */
  readonly message: string;
  readonly event: SecurityEvent;
  /** `security_event`: the event by the names of its columns, with a mark that our bridges recognise. */
  readonly members: { readonly [name: string]: unknown };
}

/** Options of {@link loggerHandler}. */
export interface LoggerHandlerOptions {
  /** @default "logger" */
  readonly name?: string | undefined;
  /**
   * Whether a receipt's `stored` waits for it.
   * @default false
   */
  readonly required?: boolean | undefined;
}

/**
 * Forwards events to the application's logger, whose level and destinations apply, on the application's thread:
 *
 * ```ts
 * createSecurityLog({ spool, handlers: [postgresHandler(), loggerHandler(logger)] });
 * ```
 *
 * What came from a logger, through one of our bridges, is not forwarded to one, so a log and a logger that feed each
 * other do not run in circles. An event counts as forwarded when the logger's call has returned, whatever the logger
 * does with it. After a restart, events that were forwarded and not yet acknowledged are forwarded again.
 *
 * @param logger pino, winston, LogTape, bunyan, `console`, or a function that receives each event
 * @throws SeclogError `SECLOG_CONFIG` that names the option at fault
 */
export function loggerHandler(
  logger: ForeignLogger | ((forwarded: ForwardedEvent) => void),
  options: LoggerHandlerOptions = {},
): SecurityEventHandler {
  rejectUnknownOptions("loggerHandler", options, ["name", "required"]);
  const { name = "logger", required = false } = options;
  const forward = typeof logger === "function" ? logger : writerOf(logger);
  const forwarded = new Map<string, number>();
  let closed = false;
  return {
    name,
    required,
    async handle(batch) {
      if (closed) throw closedError();
      const events = decodedEvents(batch);
      for (const [index, event] of events.entries()) {
        const seq = batch.firstSeq + index;
        if (seq <= (forwarded.get(batch.source.id) ?? 0)) continue;
        if (event.data?.[BRIDGE_MEMBER] === undefined) forward(forwardedOf(event));
        forwarded.set(batch.source.id, seq);
      }
    },
    async close() {
      closed = true;
    },
  };
}

function forwardedOf(event: SecurityEvent): ForwardedEvent {
  const { type, method, methodOriginal, path, statusCode, ipAddress } = event;
  const words = [type, methodOriginal ?? method, path, statusCode, ipAddress].filter((word) => word !== undefined);
  return {
    level: event.level,
    message: visibleText(words.join(" ")),
    event,
    members: { [EVENT_MEMBER]: Object.assign(JSON.parse(eventToJson(event)) as object, { [FORWARDED]: true }) },
  };
}

/** The methods for each level, in order of preference. */
const METHODS: { readonly [L in Level]: readonly (keyof ForeignLogger)[] } = {
  debug: ["debug"],
  info: ["info"],
  warning: ["warn", "warning"],
  error: ["error"],
  critical: ["fatal", "crit", "error"],
};

function writerOf(logger: ForeignLogger): (forwarded: ForwardedEvent) => void {
  const methods = new Map<Level, keyof ForeignLogger>();
  for (const [level, names] of Object.entries(METHODS) as [Level, (keyof ForeignLogger)[]][]) {
    const method = names.find((name) => typeof logger?.[name] === "function");
    if (method === undefined) {
      const missing = `must be a logger with ${names.join(" or ")}(), or a function that receives each event`;
      throw configError("loggerHandler", "logger", missing);
    }
    methods.set(level, method);
  }
  // pino and bunyan take the members first; all others, such as winston, LogTape and console, the message.
  const membersFirst = isMembersFirst(logger);
  return ({ level, message, members }) => {
    const write = methods.get(level) ?? "info";
    const values = membersFirst ? [members, message] : [message, members];
    Reflect.apply(logger[write] as Write, logger, values as never[]);
  };
}

/** pino has `bindings()`, Fastify's wrapper of it too; bunyan has `addSerializers()`. */
function isMembersFirst(logger: ForeignLogger): boolean {
  const { bindings, addSerializers } = logger as { readonly bindings?: unknown; readonly addSerializers?: unknown };
  return typeof bindings === "function" || typeof addSerializers === "function";
}
