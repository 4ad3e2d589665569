/** Records of pino become events: lines of JSON, as pino writes them to a stream or to a transport's thread. */
import { Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { configError, rejectUnknownOptions } from "../event/options.ts";
import { currentRequest } from "../record/context.ts";
import { EVENT_MEMBER } from "../record/forwarded.ts";
import { BRIDGE_OPTIONS, type BridgeLog, type BridgeOptions, isChosen, recordForeign } from "./foreign-record.ts";
import { isObject, traceparentOf } from "./foreign-request.ts";

/** A line of pino, parsed. */
export type PinoRecord = { readonly [name: string]: unknown };

/** Options of {@link seclogStream}. A record's logger is its `name`. */
export type PinoBridgeOptions = BridgeOptions<PinoRecord>;

/** The longest line to read. What is longer is reported as `unknown`. */
const LONGEST_LINE = 16 * 1024 * 1024;

/**
 * A stream for pino that makes events of records: alone, or beside others in `pino.multistream()`.
 *
 * ```ts
 * const logger = pino({ name: "shop" }, pino.multistream([process.stdout, seclogStream(security)]));
 * logger.child({ name: "security" }).warn({ event: "authz_fail", userid: "ada", req }, "refused");
 * ```
 *
 * On the application's thread a record without `req` belongs to the current request. Lines that are not a JSON object
 * are emitted as `unknown`, with the line and the reason.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option at fault
 */
export function seclogStream(log: BridgeLog, options: PinoBridgeOptions = {}): Writable {
  if (typeof log?.recordSecurityEvent !== "function") {
    throw configError("seclogStream", "log", "must be the log that createSecurityLog returned");
  }
  rejectUnknownOptions("seclogStream", options, BRIDGE_OPTIONS);
  const decoder = new StringDecoder("utf8");
  let rest = "";
  let skipping = false;
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: Buffer | string, _encoding, done) {
      const lines = (rest + (typeof chunk === "string" ? chunk : decoder.write(chunk))).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (skipping) skipping = false;
        else take(line);
      }
      if (rest.length > LONGEST_LINE) {
        if (!skipping)
          stream.emit("unknown", rest.slice(0, 1_000), `the line is longer than ${LONGEST_LINE} characters`);
        skipping = true;
        rest = "";
      }
      done();
    },
    final(done) {
      if (!skipping) take(rest + decoder.end());
      done();
    },
  });
  const take = (line: string): void => {
    if (line.trim() === "") return;
    let record: unknown;
    try {
      record = JSON.parse(line);
    } catch (error) {
      stream.emit("unknown", line, error);
      return;
    }
    if (isObject(record)) recordPino(log, record, options);
    else stream.emit("unknown", line, "it is not an object");
  };
  return stream;
}

function recordPino(log: BridgeLog, record: PinoRecord, options: PinoBridgeOptions): void {
  const { filter, loggers } = options;
  if (isForwardedEvent(record)) return;
  let type: string | undefined;
  try {
    if (filter === undefined ? !isChosen([record["name"]], loggers) : !filter(record)) return;
    type = options.type?.(record);
  } catch {
    // The application's function threw: a record too many is better than an event too few.
  }
  const { level, time, pid: _pid, hostname: _hostname, name: _name, v: _v, ...rest } = record;
  const members: { [name: string]: unknown } = rest;
  const message = takeMessage(members);
  const traceparent = currentRequest() === undefined ? traceparentOf(record) : undefined;
  if (traceparent !== undefined) {
    for (const id of ["trace_id", "span_id", "trace_flags"]) delete members[id];
    members["req"] = withTrace(members["req"], traceparent);
  }
  recordForeign(log, { bridge: "pino", level, time, message, type, members });
}

/** Takes the message out of a record: pino's `msg`, or `message`, to which many set it. */
function takeMessage(members: { [name: string]: unknown }): string | undefined {
  const key = ["msg", "message"].find((name) => typeof members[name] === "string");
  if (key === undefined) return undefined;
  const text = members[key] as string;
  delete members[key];
  return text;
}

/** A record's own trace, where its request names none. */
function withTrace(req: unknown, traceparent: string): unknown {
  if (req === undefined) return { headers: { traceparent } };
  if (!isObject(req)) return req;
  return { ...req, headers: { traceparent, ...(isObject(req["headers"]) ? req["headers"] : {}) } };
}

/**
 * Whether `loggerHandler` of `seclog/logger` wrote the record. Text may be forged; but code that writes members at the top
 * of a pino record can write its name and level as well, since the last of two equal names counts.
 */
function isForwardedEvent(record: PinoRecord): boolean {
  const event = record[EVENT_MEMBER];
  return isObject(event) && typeof event["id"] === "string" && typeof event["source_id"] === "string";
}
