/** The options of `createSecurityLog`, and their validation. */
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
import { type FailedLoginsLimits, type FailedLoginsOptions, failedLoginsLimits } from "../record/failed-logins.ts";
import { createRedactor, type RedactOptions, type Redactor } from "../record/redact.ts";
import type { Diagnostic } from "../record/security-log.ts";
import type { SecurityEventHandler } from "../ship/handler.ts";
import { checkedHandlers } from "./checked-handlers.ts";

/** The options of `createSecurityLog`. */
export interface SecurityLogOptions<Events extends EventDefinitions = Record<never, never>> {
  /**
   * The log's name, as other loggers see it.
   * @default "security"
   */
  readonly name?: string | undefined;
  /** The application, for tables that several applications write to. */
  readonly service?: string | undefined;
  /** @default process.env.NODE_ENV */
  readonly environment?: string | undefined;
  /** @default the machine's host name */
  readonly host?: string | undefined;
  /**
   * Events below this level are not recorded. The log's own events always are.
   * @default "info"
   */
  readonly level?: Level | undefined;
  /**
   * Where events wait until every handler has them: a folder on a local disk, or `"memory"` where none is available
   * (serverless).
   */
  readonly spool: SpoolOption;
  /** Where events go: at least one handler, each with its own name. */
  readonly handlers: readonly SecurityEventHandler[];
  /** The application's own types of event, from `defineEvents`. */
  readonly events?: Events | undefined;
  /** The durability of types for which the catalogue's should not apply. */
  readonly durability?: { readonly [T in EventType<Events>]?: Durability } | undefined;
  /**
   * What happens to an event when the spool is full (`SECLOG_SPOOL_FULL`). Either way it is counted, its receipt
   * rejects, and an `events_dropped` event reports it once space is free. With `"throw"`, the call that records a
   * `"strict"` event also throws; with `"drop"` it returns, and a caller that ignores the receipt does not notice the
   * loss. If the disk refuses (`SECLOG_SPOOL_WRITE`) or the log is closed (`SECLOG_CLOSED`), the call throws in both
   * cases.
   * @default "throw"
   */
  readonly onFull?: "drop" | "throw" | undefined;
  /** How to find the client's address. @default what the framework trusts, else the socket's peer */
  readonly clientIp?: ClientIpOptions | undefined;
  /** What to redact in addition to the defaults. */
  readonly redact?: RedactOptions | undefined;
  /**
   * Whether to count failed logins. Then the failure that reaches a limit is followed by `authn_login_fail_max`, and the
   * success after failures is recorded as `authn_login_successafterfail` with their number, however the logins are recorded:
   * `recordLogin`, a capture or the application. Counts are in memory, so each process has its own.
   * @default false
   */
  readonly failedLogins?: boolean | FailedLoginsOptions | undefined;
  /**
   * The interval of `log_heartbeat` events, in milliseconds, or `false` for none.
   * @default 900000
   */
  readonly heartbeat?: number | false | undefined;
  /** Receives the log's own failures. @default process.emitWarning, once for each code */
  readonly diagnostics?: ((diagnostic: Diagnostic) => void) | undefined;
}

/** The options of a log that prints its events, while the application is being developed. */
export type DevelopmentLogOptions<Events extends EventDefinitions = Record<never, never>> = Omit<
  SecurityLogOptions<Events>,
  "spool" | "handlers"
> & { readonly spool?: SpoolOption | undefined; readonly handlers?: undefined };

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
  "failedLogins",
  "heartbeat",
  "diagnostics",
];

const HEARTBEAT_MS = 15 * 60_000;

/** {@link SecurityLogOptions}, validated, with all defaults filled in. */
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
  readonly failedLogins: FailedLoginsLimits | undefined;
  /** Milliseconds; `undefined` for none. */
  readonly heartbeat: number | undefined;
}

/**
 * @param warn receives warnings about proxies that the options do not name, or that anyone can impersonate
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
  const events = defineEvents(object("events", options.events, "of event types and their definitions") ?? {});
  const durability = checkedDurability(object("durability", options.durability, DURABILITY_FORM) ?? {}, events);
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
    failedLogins: failedLoginsLimits(options.failedLogins),
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

const DURABILITY_FORM = 'of event types, such as { authn_login_success: "strict" }';

/** A nested object of options. @param form what it holds, for the message */
function object<T extends object>(key: string, value: T | undefined, form = "of options"): T | undefined {
  if (value === undefined || (typeof value === "object" && value !== null && !Array.isArray(value))) return value;
  const given = value === null ? "null" : Array.isArray(value) ? "a list" : shortened(value);
  throw config(key, `must be an object ${form}, not ${given}`);
}

/** A value as a message quotes it. */
function shortened(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

function checkedDurability(
  durability: { readonly [type: string]: Durability | undefined },
  events: EventDefinitions,
): ReadonlyMap<string, Durability> {
  const checked = new Map<string, Durability>();
  for (const [type, value] of Object.entries(durability)) {
    if (value === undefined) continue;
    if (definitionOf(type, events) === undefined)
      throw config(`durability.${type}`, "is not an event type of this log");
    if (!DURABILITIES.includes(value)) throw config(`durability.${type}`, `must be one of ${DURABILITIES.join(", ")}`);
    checked.set(canonicalType(type), value);
  }
  return checked;
}
