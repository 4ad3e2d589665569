/** Events for people and for programs: the columns of the table, and the members of an object of `--json`. */
import { isLevel } from "seclog";
import type { EventRow } from "../search/event-rows.ts";
import { lineWidth } from "../terminal/line-width.ts";
import { LEVEL_STYLES } from "../terminal/style.ts";
import { type Column, Table } from "../terminal/table.ts";

/** Events for people. Times are UTC and show the year only if it is not the current one. */
export function eventTable(options: { readonly streaming: boolean; readonly now?: Date }): Table<EventRow> {
  const year = (options.now ?? new Date()).toISOString().slice(0, 5);
  // 80 columns leave no room for an actor column: the actor follows the request.
  const wide = lineWidth() >= 100;
  const columns: readonly Column<EventRow>[] = [
    { title: "TIME (UTC)", value: (row) => timeText(row.occurred_at, year), typical: 14 },
    {
      title: "LEVEL",
      value: (row) => row.level,
      style: (row) => (isLevel(row.level) ? LEVEL_STYLES[row.level] : "plain"),
      typical: 8,
    },
    { title: "EVENT", value: eventText, min: 22, typical: 22 },
    { title: "CLIENT", value: (row) => row.ip_address, min: 9, typical: 15 },
    ...(wide ? [{ title: "ACTOR", value: (row: EventRow) => row.actor_id, min: 8, typical: 12 }] : []),
    { title: "REQUEST", value: (row) => requestText(row, !wide), min: 15, typical: 40 },
  ];
  return new Table(columns, options);
}

/** `11-22 19:43:22`. */
export function timeText(time: string, year: string): string {
  const text = time.slice(0, 19).replace("T", " ");
  return text.startsWith(year) ? text.slice(year.length) : text;
}

function eventText(row: EventRow): string {
  const text = row.count === null || row.count === 1 ? row.event_type : `${row.event_type} ×${row.count}`;
  return row.odd === null ? text : `${text} (odd: ${row.odd.join(", ")})`;
}

/** The status comes first because the table cuts the end. Events without a request show their data. */
function requestText(row: EventRow, withActor: boolean): string {
  const actor = withActor && row.actor_id !== null ? `(${row.actor_id})` : null;
  const parts = [row.status_code, row.method_original ?? row.method, row.path ?? row.route, actor];
  const request = parts.filter((part) => part !== null).join(" ");
  if (request !== "") return request;
  return row.data === null ? (row.service ?? "") : JSON.stringify(row.data);
}
