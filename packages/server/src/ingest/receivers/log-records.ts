/**
 * Python's `LogRecord`s, as `logging.handlers.HTTPHandler` of its standard library posts them: the attributes of the
 * record, with the `extra` fields of the call among them, each as `str()` prints it.
 */
import { CATALOGUE } from "seclog";
import { BodyError } from "../../http/bounded-body.ts";
import { djangoEvent, djangoRequest } from "./django.ts";
import { fromMembers } from "./members.ts";
import { format, readLiteral } from "./python-text.ts";
import { isRefused, type Received } from "./received-event.ts";

/** Attributes of every record. They say where in the program the call was, which is not what happened. */
const ATTRIBUTES: ReadonlySet<string> = new Set([
  ...["name", "msg", "args", "levelname", "levelno", "pathname", "filename", "module", "exc_info", "exc_text"],
  ...["stack_info", "lineno", "funcName", "created", "msecs", "relativeCreated", "thread", "threadName"],
  ...["processName", "process", "taskName", "message", "asctime", "request"],
]);

const MOST_FIELDS = 200;

/** The type of a record that names none. */
const UNNAMED = "logged_message";

/** `logging.CRITICAL` and so on. */
const LEVELS: readonly (readonly [least: number, level: string])[] = [
  [50, "critical"],
  [40, "error"],
  [30, "warning"],
  [20, "info"],
  [1, "debug"],
];

/**
 * The event of a form.
 *
 * @throws BodyError 400 when it is not a form of UTF-8
 */
export function readLogRecord(body: Buffer): readonly Received[] {
  return [eventOf(fieldsOf(body))];
}

type Fields = ReadonlyMap<string, string>;

/** Not by URLSearchParams, which replaces what is not UTF-8. */
function fieldsOf(body: Buffer): Fields {
  const fields = new Map<string, string>();
  const parts = body.toString("latin1").split("&", MOST_FIELDS + 1);
  if (parts.length > MOST_FIELDS) throw new BodyError(400, `a form has at most ${MOST_FIELDS} fields`);
  for (const part of parts) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = decoded(equals < 0 ? part : part.slice(0, equals));
    const value = equals < 0 ? "" : decoded(part.slice(equals + 1));
    // `str(None)`: the attribute is absent.
    if (value !== "None" && value !== "") fields.set(name, value);
  }
  return fields;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch (cause) {
    throw new BodyError(400, "the form is not valid UTF-8", { cause });
  }
}

function eventOf(fields: Fields): Received {
  const logger = fields.get("name") ?? "";
  const { message, error } = spoken(fields);
  const members: { [name: string]: unknown } = { ...djangoRequest(fields.get("request")) };
  for (const [name, value] of fields) if (!ATTRIBUTES.has(name)) define(members, name, fieldValue(name, value));
  const named = fields.get("event_type");
  const inMessage = named === undefined && isType(message) ? message : undefined;
  const status = typeof members["status_code"] === "number" ? members["status_code"] : undefined;
  const django = (named ?? inMessage) === undefined ? djangoEvent(logger, status, message, error) : undefined;
  const type = named ?? inMessage ?? django?.type ?? UNNAMED;
  const data: { [name: string]: unknown } = { ...django?.data };
  if (message !== "" && message !== type) data["message"] = message;
  if (error !== undefined && data["reason"] !== error) data["error"] = error;
  const received = fromMembers({
    ...members,
    event_type: type,
    // Django has one level for what strangers may cause at any time, and the catalogue another.
    ...(django === undefined && { level: members["level"] ?? levelOf(fields.get("levelno")) }),
    ...(/^[\w.-]{1,100}$/.test(logger) && { logger }),
    occurred_at: Number(fields.get("created")) || undefined,
  });
  return isRefused(received) ? received : { ...received, data: { ...data, ...received.data } };
}

/** As an own property, whatever the name. */
function define(members: object, name: string, value: unknown): void {
  Object.defineProperty(members, name, { value, enumerable: true, configurable: true, writable: true });
}

/** A record's message, formatted, without the traceback that `QueueHandler` appends; and its exception's class. */
function spoken(fields: Fields): { readonly message: string; readonly error: string | undefined } {
  const raw = fields.get("message") ?? fields.get("msg") ?? "";
  const args = fields.has("message") ? undefined : readLiteral(fields.get("args") ?? "()");
  const formatted = Array.isArray(args) ? format(raw, args) : raw;
  const at = formatted.search(/(?:^|\n)(?:Traceback \(most recent call last\):|Stack \(most recent call last\):)/);
  const message = at < 0 ? formatted : formatted.slice(0, at);
  const last = at < 0 ? "" : (formatted.trimEnd().split("\n").at(-1) ?? "");
  const [, inTraceback] = /^([\w.]+)(?::|$)/.exec(last) ?? [];
  const [, inInfo] = /^\(<class '([\w.]+)'>/.exec(fields.get("exc_info") ?? "") ?? [];
  const error = inTraceback ?? inInfo;
  return { message, error: error?.split(".").at(-1) };
}

function fieldValue(name: string, value: string): unknown {
  if (name === "status_code" || name === "count") return /^\d{1,9}$/.test(value) ? Number(value) : value;
  if (name !== "allowed_methods" && !/^[[(]/.test(value)) return value;
  const literal = readLiteral(value);
  return Array.isArray(literal) ? literal : value;
}

function levelOf(number: string | undefined): string | undefined {
  return LEVELS.find(([least]) => Number(number) >= least)?.[1];
}

/** Whether a message is a type: of the catalogue, or two words and more in its form. */
function isType(message: string): boolean {
  return Object.hasOwn(CATALOGUE, message) || /^[a-z0-9]+(?:_[a-z0-9]+)+$/.test(message);
}
