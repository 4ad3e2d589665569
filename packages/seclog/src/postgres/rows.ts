import { isDate } from "node:util/types";
import { COLUMN_NAMES, fromColumns } from "../event/encode.ts";
import { SeclogError } from "../event/errors.ts";
import type { SecurityEvent } from "../event/event.ts";
import type { JsonValue } from "../event/json.ts";

const TIMES = new Set(["occurred_at", "started_at", "ended_at"]);
const INTEGERS = new Set(["v", "epoch", "seq", "status_code", "count"]);
const TEXTS_OF_OTHER_TYPES = new Set(["id", "source_id", "level", "outcome"]);

/**
 * The event's columns for a SELECT list over `security_event_log`, each as the text or number that the event has. A
 * driver's own conversions lose something: the microseconds of a time, the range of a bigint, the text of JSON.
 */
export const EVENT_SELECT: string = Object.values(COLUMN_NAMES)
  .map((column) => `${expression(column)} AS ${column}`)
  .join(", ");

function expression(column: string): string {
  if (TIMES.has(column)) return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
  if (column === "ip_address") return "host(ip_address)";
  if (column === "data" || column === "notes" || TEXTS_OF_OTHER_TYPES.has(column)) return `${column}::text`;
  return column;
}

/** A row of `SELECT ${EVENT_SELECT} FROM security_event_log`; it may have more columns. */
export interface EventRow {
  readonly [column: string]: unknown;
}

/**
 * The event of a row. `encodeEvent` of it gives exactly the bytes that were recorded, unless the person in it was
 * erased.
 *
 * @throws SeclogError `SECLOG_EVENT_MALFORMED` when the row is no event, or was not selected with
 *   {@link EVENT_SELECT}; `SECLOG_EVENT_VERSION` when a newer program wrote it
 */
export function rowToEvent(row: EventRow): SecurityEvent {
  const columns: { [column: string]: JsonValue } = {};
  for (const column of Object.values(COLUMN_NAMES)) {
    const value = row[column];
    if (value === null || value === undefined) continue;
    columns[column] = toJson(column, value);
  }
  return fromColumns(columns);
}

function toJson(column: string, value: unknown): JsonValue {
  if (INTEGERS.has(column)) {
    const number = typeof value === "string" || typeof value === "bigint" ? Number(value) : value;
    if (typeof number === "number" && Number.isSafeInteger(number)) return number;
  } else if (typeof value === "string") {
    if (column !== "data" && column !== "notes") return value;
    try {
      return JSON.parse(value) as JsonValue;
    } catch (cause) {
      throw new SeclogError("SECLOG_EVENT_MALFORMED", `${column} of the row is not JSON`, { cause });
    }
  }
  throw new SeclogError(
    "SECLOG_EVENT_MALFORMED",
    `${column} of the row is a ${isDate(value) ? "Date" : typeof value}: select it with EVENT_SELECT`,
  );
}
