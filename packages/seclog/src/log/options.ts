/** The options of `createSecurityLog`, and what is wrong with them. */
import { hostname } from "node:os";
import { CATALOGUE, canonicalType, definitionOf } from "../event/catalogue.ts";
import { defineEvents } from "../event/define-events.ts";
import type { EventDefinitions } from "../event/definition.ts";
import { DURABILITIES, type Durability } from "../event/durability.ts";
import type { SeclogError } from "../event/errors.ts";
import { isLevel, LEVELS, type Level } from "../event/level.ts";
import { configError, rejectUnknownOptions, wholeNumber } from "../event/options.ts";
import { type CheckedSpool, type SpoolOption, spoolOptions } from "../pipeline/open-pipeline.ts";
import { type ClientIpOptions, type ClientIpReader, createClientIp } from "../record/client-ip.ts";
import type { EventType } from "../record/facts.ts";
import { createRedactor, type RedactOptions, type Redactor } from "../record/redact.ts";
import type { Diagnostic } from "../record/security-log.ts";
import { checkedHandlers, type SecurityEventHandler } from "../ship/handler.ts";

/** What `createSecurityLog` takes. */
export interface SecurityLogOptions<Events extends EventDefinitions = Record<never, never>> {
  /**
   * The log's name, as other loggers see it.
   * @default "security"
   */
  readonly name?: string | undefined;
  /** The application, for logs that several write to. */
  readonly service?: string | undefined;
  /** @default process.env.NODE_ENV */
  readonly environment?: string | undefined;
  /** @default the machine's host name */
  readonly host?: string | undefined;
  /**
   * Events below it are not recorded. The log's own events always are.
   * @default "info"
   */
  readonly level?: Level | undefined;
  /** Where events are kept until every handler has them: a folder on a local disk, or `"memory"` where there is none (serverless). */
  readonly spool: SpoolOption;
  /** Where events go; at least one, each with its own name. */
  readonly handlers: readonly SecurityEventHandler[];
  /** The application's own types of event, from `defineEvents`. */
  readonly events?: Events | undefined;
  /** The durability of types that should not have the catalogue's. */
  readonly durability?: { readonly [T in EventType<Events>]?: Durability } | undefined;
  /**
   * What happens to an event when the spool has no room (`SECLOG_SPOOL_FULL`). Either way it is counted, its receipt
   * rejects, and an `events_dropped` event says so as soon as there is room. With `"throw"` the call of a `"strict"` event
   * throws besides; with `"drop"` it returns, so that whoever goes on without looking at the receipt goes on
   * without the event. When the disk refuses (`SECLOG_SPOOL_WRITE`) or the log is closed (`SECLOG_CLOSED`), the call of a
   * `"strict"` event throws whatever this says.
   * @default "throw"
   */
  readonly onFull?: "drop" | "throw" | undefined;
  /** How the client's address is found. @default what the framework trusts, else the socket's peer */
  readonly clientIp?: ClientIpOptions | undefined;
  /** What to redact beyond the defaults. */
  readonly redact?: RedactOptions | undefined;
  /**
   * How often the log says that it lives, in milliseconds (`log_heartbeat`), or `false`.
   * @default 900000
   */
  readonly heartbeat?: number | false | undefined;
  /** Told of the log's own failures. @default process.emitWarning, once for each kind */
  readonly diagnostics?: ((diagnostic: Diagnostic) => void) | undefined;
}

const OPTION_NAMES: readonly (keyof SecurityLogOptions)[] = [
  "name",
  "service",
  "environment",
  "host",
  "level",
  "spool",
  "handlers",
  "events",
  "durability",
  "onFull",
  "clientIp",
  "redact",
  "heartbeat",
  "diagnostics",
];

const HEARTBEAT_MS = 15 * 60_000;

/** {@link SecurityLogOptions}, checked and complete. */
export interface CheckedOptions {
  readonly name: string;
  readonly service: string | undefined;
  readonly environment: string | undefined;
  readonly host: string;
  readonly level: Level;
  readonly spool: CheckedSpool;
  readonly handlers: readonly SecurityEventHandler[];
  readonly events: EventDefinitions;
  readonly durability: ReadonlyMap<string, Durability>;
  readonly throwOnFull: boolean;
  readonly clientIp: ClientIpReader;
  readonly redactor: Redactor;
  /** Milliseconds, `undefined` for none. */
  readonly heartbeat: number | undefined;
}

/**
 * @param warn is called about proxies that the log does not know, or that anyone can pass for
 * @throws SeclogError `SECLOG_CONFIG` that names the option at fault
 */
export function checkedOptions<Events extends EventDefinitions>(
  options: SecurityLogOptions<Events>,
  warn: (message: string) => void,
): CheckedOptions {
  rejectUnknownOptions("createSecurityLog", options, OPTION_NAMES);
  const { level = "info", onFull = "throw", diagnostics } = options;
  const name = text("name", options.name) ?? "security";
  assertLevel("createSecurityLog", level);
  const handlers = checkedHandlers(options.handlers);
  if (diagnostics !== undefined && typeof diagnostics !== "function") {
    throw config("diagnostics", "must be a function");
  }
  const events = defineEvents(object("events", options.events) ?? {});
  const durability = checkedDurability(object("durability", options.durability) ?? {}, events);
  if (onFull !== "drop" && onFull !== "throw") throw config("onFull", 'must be "drop" or "throw"');
  const heartbeat =
    options.heartbeat === false
      ? undefined
      : wholeNumber("createSecurityLog", "heartbeat", options.heartbeat, { default: HEARTBEAT_MS, min: 1_000 });
  const spool = spoolOptions(options.spool);
  const strict = Object.entries({ ...CATALOGUE, ...events }).find(([type, definition]) => {
    return (durability.get(type) ?? definition.durability) === "strict";
  });
  if (spool === "memory" && strict !== undefined) {
    throw config("durability", `of ${strict[0]} is "strict", which needs a spool on disk, and spool is "memory"`);
  }
  return {
    name,
    service: text("service", options.service),
    environment: text("environment", options.environment) ?? process.env["NODE_ENV"],
    host: text("host", options.host) ?? hostname(),
    level,
    spool,
    handlers,
    events,
    durability,
    throwOnFull: onFull === "throw",
    clientIp: createClientIp(object("clientIp", options.clientIp), warn),
    redactor: createRedactor(object("redact", options.redact)),
    heartbeat,
  };
}

/** @throws SeclogError `SECLOG_CONFIG` */
export function assertLevel(where: string, level: unknown): asserts level is Level {
  if (isLevel(level)) return;
  throw configError(where, "level", `must be one of ${LEVELS.join(", ")}, not ${JSON.stringify(level)}`);
}

function config(key: string, problem: string): SeclogError {
  return configError("createSecurityLog", key, problem);
}

function text(key: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value === "" || value.length > 100)
    throw config(key, "must be a string of 1 to 100 characters");
  return value;
}

/** An option that is an object of options. */
function object<T extends object>(key: string, value: T | undefined): T | undefined {
  if (value === undefined || (typeof value === "object" && value !== null && !Array.isArray(value))) return value;
  throw config(key, "must be an object");
}

function checkedDurability(
  durability: { readonly [type: string]: Durability | undefined },
  events: EventDefinitions,
): ReadonlyMap<string, Durability> {
  const checked = new Map<string, Durability>();
  for (const [type, value] of Object.entries(durability)) {
    if (value === undefined) continue;
    if (definitionOf(type, events) === undefined) throw config(`durability.${type}`, "is no type of event of this log");
    if (!DURABILITIES.includes(value)) throw config(`durability.${type}`, `must be one of ${DURABILITIES.join(", ")}`);
    checked.set(canonicalType(type), value);
  }
  return checked;
}
