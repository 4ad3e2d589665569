/** Reads the matching events of the log, oldest first, at the speed of COPY and in the memory of a few chunks. */
import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { sql } from "kysely";
import { COLUMN_LIST } from "seclog/postgres/schema";
import { copyQuery } from "../../database/copy-query.ts";
import { databaseError } from "../../database/failure.ts";
import type { Database } from "../../database/reader.ts";
import { beyond, type EventRow, ORDERS, type RowKey, readRow } from "../event-rows.ts";
import type { EventFilter } from "../filter.ts";
import { conditionOf } from "../filter-query.ts";

/** Rows that were read together. */
export interface StoredEvents {
  /** The cells of each row, as COPY writes them. {@link rowOf} reads them. */
  readonly rows: readonly (readonly string[])[];
  /** The position of each row. */
  readonly keys: readonly RowKey[];
}

const KEYS = ORDERS.time;

/** The columns of a line, in its order, and what a text in them becomes. */
const COLUMNS: readonly { readonly name: string; readonly read: (text: string) => unknown }[] = [
  ...COLUMN_LIST.map(({ name, kind }) => ({ name, read: kind === "integer" ? number : kind === "time" ? time : same })),
  { name: "created_at", read: time },
  { name: "retention", read: same },
];

const PLACES: readonly number[] = KEYS.map((key) => COLUMNS.findIndex(({ name }) => name === key));

/**
 * Streams the events that match, in one snapshot, ordered by time, source, number and class.
 *
 * @param after continues after this position
 * @param signal ends the query, also while the database prepares the first row
 * @throws SeclogError as the database fails
 */
export async function* storedEvents(
  url: string,
  database: Database,
  filter: EventFilter,
  after?: RowKey,
  signal?: AbortSignal,
): AsyncGenerator<StoredEvents> {
  const columns = sql.join(COLUMNS.map(({ name }) => sql.ref(`log.${name}`)));
  const order = sql.join(KEYS.map((key) => sql.ref(`log.${key}`)));
  const following = after === undefined ? sql`true` : beyond(KEYS, "asc", after);
  const query = sql`SELECT ${columns} FROM security_event_log AS log
    WHERE ${conditionOf(filter)} AND ${following} ORDER BY ${order}`.compile(database);
  const copy = await copyQuery(url, query);
  const leave = (): void => void copy.stream.destroy(signal?.reason);
  signal?.addEventListener("abort", leave, { once: true });
  try {
    signal?.throwIfAborted();
    for await (const lines of linesOf(copy.stream)) {
      const cells = lines.map((line) => line.split("\t"));
      yield {
        rows: cells,
        keys: cells.map((row) => PLACES.map((place) => row[place]) as unknown as RowKey),
      };
    }
  } catch (error) {
    throw signal?.aborted ? signal.reason : databaseError(error, "reader");
  } finally {
    signal?.removeEventListener("abort", leave);
    await copy.close();
  }
}

/** Whole lines of a stream; COPY writes a line end within a value as `\n`. */
async function* linesOf(stream: Readable): AsyncGenerator<readonly string[]> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.write(chunk)).split("\n");
    rest = lines.pop() ?? "";
    if (lines.length > 0) yield lines;
  }
}

/** A row from its cells. */
export function rowOf(cells: readonly string[]): EventRow {
  const raw: { [column: string]: unknown } = {};
  for (const [index, { name, read }] of COLUMNS.entries()) {
    const text = cells[index] ?? "\\N";
    raw[name] = text === "\\N" ? null : read(text.includes("\\") ? unescaped(text) : text);
  }
  return readRow(raw);
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
]);

/** COPY's text form (https://www.postgresql.org/docs/current/sql-copy.html): a backslash before each special character. */
function unescaped(text: string): string {
  return text.replace(/\\(.)/gs, (_, character: string) => ESCAPES.get(character) ?? character);
}

function same(text: string): string {
  return text;
}

/** Beyond 2^53 a number stays text, as in `EventRow`. */
function number(text: string): number | string {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : text;
}

/** `2026-11-22 19:43:22.5+00` as events have it. What the calendar does not have stays as PostgreSQL writes it. */
function time(text: string): string {
  const [, date, clock, fraction = ""] = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00$/.exec(text) ?? [];
  return date === undefined ? text : `${date}T${clock}.${fraction.padEnd(6, "0")}Z`;
}
