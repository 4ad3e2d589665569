import { isLevel } from "seclog";
import { type Column, LEVEL_STYLES, Table } from "./output.ts";
import type { EventRow } from "./queries.ts";

/** Events for people. Time is UTC; the year is there when it is not this one. */
export function eventTable(options: { readonly streaming: boolean; readonly now?: Date }): Table<EventRow> {
  const year = (options.now ?? new Date()).toISOString().slice(0, 5);
  const columns: readonly Column<EventRow>[] = [
    { title: "TIME (UTC)", value: (row) => timeText(row.occurred_at, year), typical: 14 },
    {
      title: "LEVEL",
      value: (row) => row.level,
      style: (row) => (isLevel(row.level) ? LEVEL_STYLES[row.level] : "plain"),
      typical: 8,
    },
    { title: "EVENT", value: eventText, min: 14, typical: 24 },
    { title: "CLIENT", value: (row) => row.ip_address, min: 9, typical: 15 },
    { title: "ACTOR", value: (row) => row.actor_id, min: 5, typical: 8 },
    { title: "REQUEST", value: requestText, min: 15, typical: 30 },
  ];
  return new Table(columns, options);
}

/** `11-22 19:43:22`. */
export function timeText(time: string, year: string): string {
  const text = time.slice(0, 19).replace("T", " ");
  return text.startsWith(year) ? text.slice(year.length) : text;
}

function eventText(row: EventRow): string {
  return row.count === null || row.count === 1 ? row.event_type : `${row.event_type} ×${row.count}`;
}

/** The status stands first because the end is what gets cut. Events without a request show their data. */
function requestText(row: EventRow): string {
  const parts = [row.status_code, row.method_original ?? row.method, row.path ?? row.route];
  const request = parts.filter((part) => part !== null).join(" ");
  if (request !== "") return request;
  return row.data === null ? (row.service ?? "") : JSON.stringify(row.data);
}

/** A row as JSON: what is NULL is left out. */
export function eventObject(row: EventRow): { readonly [column: string]: unknown } {
  return Object.fromEntries(
    Object.entries(row)
      .filter(([, value]) => value !== null)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}
