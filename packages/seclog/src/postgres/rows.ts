/** From a row of `security_event_log` back to its event. */
import { isDate } from "node:util/types";
import { COLUMN_LIST, type EventColumn } from "../event/columns.ts";
import { fromColumns } from "../event/encode.ts";
import { SeclogError } from "../event/errors.ts";
import type { SecurityEvent } from "../event/event.ts";
import type { JsonValue } from "../event/json.ts";

/**
 * The event's columns, for a SELECT list over `security_event_log`, each as the text or number that the event has. A
 * driver's conversions lose the microseconds of a time, the range of a bigint and the text of JSON.
 */
export const EVENT_SELECT: string = COLUMN_LIST.map((column) => `${expression(column)} AS ${column.name}`).join(", ");

function expression({ name, kind }: EventColumn): string {
  switch (kind) {
    case "time":
      return `to_char(${name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
    case "address":
      return `host(${name})`;
    case "word":
    case "uuid":
    case "json":
      return `${name}::text`;
    case "text":
    case "integer":
      return name;
  }
}

/** A row of `SELECT ${EVENT_SELECT} FROM security_event_log`; it may have more columns. */
export interface EventRow {
  readonly [column: string]: unknown;
}

/**
 * Decodes a row. `encodeEvent` of the result returns exactly the bytes that were recorded, unless its personal data was
 * erased.
 *
 * @throws SeclogError `SECLOG_EVENT_MALFORMED` when the row is not an event, or was not selected with
 *   {@link EVENT_SELECT}; `SECLOG_EVENT_VERSION` when a newer program wrote it
 */
export function rowToEvent(row: EventRow): SecurityEvent {
  const columns: { [column: string]: JsonValue } = {};
  for (const column of COLUMN_LIST) {
    const value = row[column.name];
    if (value === null || value === undefined) continue;
    columns[column.name] = toJson(column, value);
  }
  return fromColumns(columns);
}

function toJson({ name, kind }: EventColumn, value: unknown): JsonValue {
  if (kind === "integer") {
    const number = typeof value === "string" || typeof value === "bigint" ? Number(value) : value;
    if (typeof number === "number" && Number.isSafeInteger(number)) return number;
  } else if (typeof value === "string") {
    if (kind !== "json") return value;
    try {
      return JSON.parse(value) as JsonValue;
    } catch (cause) {
      throw new SeclogError("SECLOG_EVENT_MALFORMED", `${name} of the row is not JSON`, { cause });
    }
  }
  throw new SeclogError(
    "SECLOG_EVENT_MALFORMED",
    `${name} of the row is a ${isDate(value) ? "Date" : typeof value}: select it with EVENT_SELECT`,
  );
}
