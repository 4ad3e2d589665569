/**
 * Rows of the log, for people and programs to read.
 *
 * A hostile writer may store anything that a column's type holds: times BC or at infinity, numbers beyond JavaScript's exact
 * range, megabytes of JSON, nested deeper than any stack. So this file trusts no value: it returns each as stored, as text if
 * it has no other form, and `odd` names the columns whose values Seclog never writes.
 */
import { type Expression, type RawBuilder, type SqlBool, sql } from "kysely";
import { COLUMN_LIST, type EventColumn } from "seclog/postgres/schema";
import type { Database, Tables } from "../database/reader.ts";

type Log = Tables["security_event_log"];

/** A row of the log by column: text, numbers (text beyond 2^53) and JSON (text if Seclog does not write such JSON). */
export type EventRow = { readonly [C in keyof Omit<Log, "data" | "notes">]: Log[C] } & {
  readonly data: unknown;
  readonly notes: unknown;
  /** The columns with values that Seclog never writes; `null` if there are none. */
  readonly odd: readonly string[] | null;
};

/** A time with microseconds, as in events; unusual ones in a form that PostgreSQL reads back: `… BC`, `infinity`. */
export function timeText(column: string): RawBuilder<string> {
  const time = sql.ref(column);
  return sql`coalesce(to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    || CASE WHEN ${time} < '0001-01-01 00:00:00+00' THEN ' BC' ELSE '' END, ${time}::text)`;
}

/** In alphabetical order, which becomes the order of the rows' members and of the printed JSON. */
const COLUMNS: readonly (readonly [name: string, expression: RawBuilder<unknown>])[] = [
  ...COLUMN_LIST.map((column) => [column.name, expressionOf(column)] as const),
  ["created_at", timeText("log.created_at")] as const,
].sort(([a], [b]) => (a < b ? -1 : 1));

/** The columns with times; the database sets `created_at`. */
const TIME_COLUMNS: readonly string[] = [
  ...COLUMN_LIST.filter(({ kind }) => kind === "time").map(({ name }) => name),
  "created_at",
];

function expressionOf({ name, kind }: EventColumn): RawBuilder<unknown> {
  const column = sql.ref(name);
  switch (kind) {
    case "time":
      return timeText(`log.${name}`);
    case "address":
      return sql`CASE WHEN masklen(${column}) = CASE family(${column}) WHEN 4 THEN 32 ELSE 128 END THEN host(${column}) ELSE ${column}::text END`;
    case "word":
    case "json":
      return sql`${column}::text`;
    default:
      return column;
  }
}

/** The size of a row's variable-length columns, without reading them: PostgreSQL knows the length of values stored out of line. */
const BYTES: RawBuilder<number> = sql.raw(
  COLUMN_LIST.filter(({ kind }) => kind === "text" || kind === "json")
    .map(({ name, kind }) => `coalesce(octet_length(${kind === "json" ? `${name}::text` : name}), 0)`)
    .concat("500")
    .join(" + "),
);

/** The orders to read rows in, each of which identifies a row. The last column distinguishes copied rows. */
export const ORDERS = {
  time: ["occurred_at", "source_id", "seq", "retention"],
  number: ["seq", "occurred_at", "source_id", "retention"],
} as const;
const TYPES = { occurred_at: "timestamptz", source_id: "uuid", seq: "bigint", retention: "text" } as const;

export const NUMBER_ORDER: (typeof ORDERS)["number"] = ORDERS.number;

/** A row's position in an order. */
export type RowKey = readonly [string, string, string, string];

/** Selects the rows of a page. */
export interface PageOptions {
  readonly where: Expression<SqlBool>;
  readonly order: keyof typeof ORDERS;
  readonly direction: "asc" | "desc";
  readonly limit: number;
  /** Only rows after this one. */
  readonly after: RowKey | undefined;
}

/** Rows read together: as many as requested, or as fit in memory. */
export interface Page {
  readonly rows: readonly EventRow[];
  /** The last row's position. */
  readonly last: RowKey | undefined;
  /** Whether these are all requested rows; long rows take more pages. */
  readonly complete: boolean;
  /** About how much memory they take. */
  readonly bytes: number;
}

/** The most rows to read at a time. */
export const PAGE_ROWS = 5_000;

/** The most bytes to read at a time; a page may exceed it by one row. */
export const PAGE_BYTES = 16_777_216;

/** Reads rows in an order, up to a limit and as fit in memory. */
export async function readPage(database: Database, options: PageOptions): Promise<Page> {
  const { where, order, direction, limit, after } = options;
  const keys = ORDERS[order];
  const way = sql.raw(direction);
  const sorted = (prefix: string): RawBuilder<unknown> =>
    sql.join(keys.map((key) => sql`${sql.ref(`${prefix}${key}`)} ${way}`));
  const columns = sql.join(COLUMNS.map(([name, expression]) => sql`${expression} AS ${sql.ref(name)}`));
  const keyColumns = sql.join(keys.map((key) => sql`${sql.ref(`log.${key}`)} AS ${sql.ref(`key_${key}`)}`));
  const keyTexts = sql.join(keys.map((key) => sql`${sql.ref(`key_${key}`)}::text AS ${sql.ref(`key_${key}`)}`));
  const { rows } = await sql<RawRow>`
    SELECT ${sql.join(COLUMNS.map(([name]) => sql.ref(name)))}, ${keyTexts}, found, bytes FROM (
      SELECT page.*, count(*) OVER () AS found,
          sum(bytes) OVER (ORDER BY ${sorted("key_")} ROWS UNBOUNDED PRECEDING) - bytes AS bytes_before FROM (
        SELECT ${columns}, ${keyColumns}, ${BYTES} AS bytes
          FROM security_event_log AS log WHERE ${where} AND ${after === undefined ? sql`true` : beyond(keys, direction, after)}
          ORDER BY ${sorted("log.")} LIMIT ${limit}) AS page) AS part
      WHERE bytes_before < ${PAGE_BYTES} ORDER BY ${sorted("part.key_")}`.execute(database);
  const end = rows.at(-1);
  return {
    rows: rows.map(readRow),
    last: end === undefined ? undefined : (keys.map((key) => String(end[`key_${key}`])) as unknown as RowKey),
    complete: rows.length === Number(end?.found ?? 0),
    bytes: rows.reduce((sum, row) => sum + Number(row["bytes"]), 0),
  };
}

/** The condition for rows after a position. The separate comparison of the first column lets PostgreSQL prune partitions. */
export function beyond(
  keys: readonly (keyof typeof TYPES)[],
  direction: "asc" | "desc",
  after: RowKey,
  inclusive = false,
): RawBuilder<SqlBool> {
  const sign = direction === "desc" ? "<" : ">";
  const [first, ...others] = keys.map((key, index) => sql`${after[index]}::${sql.raw(TYPES[key])}`);
  const [name] = keys;
  return sql`${sql.ref(`log.${name}`)} ${sql.raw(sign)}= ${first} AND
    (${sql.join(keys.map((key) => sql.ref(`log.${key}`)))}) ${sql.raw(inclusive ? `${sign}=` : sign)} (${sql.join([first, ...others])})`;
}

/** The position of a walk by number after so many rows; `undefined` if fewer remain. */
export async function numberAfter(
  database: Database,
  where: RawBuilder<SqlBool>,
  rows: number,
): Promise<RowKey | undefined> {
  const keys = ORDERS.number;
  const { rows: found } = await sql<{ [key: string]: string }>`
    SELECT ${sql.join(keys.map((key) => sql`${sql.ref(`log.${key}`)}::text AS ${sql.ref(key)}`))} FROM security_event_log AS log
      WHERE ${where} ORDER BY ${sql.join(keys.map((key) => sql.ref(`log.${key}`)))} OFFSET ${rows - 1} LIMIT 1`.execute(
    database,
  );
  const [row] = found;
  return row === undefined ? undefined : (keys.map((key) => row[key]) as unknown as RowKey);
}

type RawRow = { readonly [column: string]: unknown };

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
/** An event further in the future than this comes from a wrong clock, or from a writer that wants to stay on top. */
const AHEAD_MS = 86_400_000;

/** A row of texts and numbers as what it holds; `odd` names what Seclog never writes. */
export function readRow(raw: RawRow): EventRow {
  const odd: string[] = [];
  const row: { [column: string]: unknown } = {};
  for (const [name] of COLUMNS) row[name] = raw[name];
  for (const name of ["data", "notes"]) {
    const text = raw[name];
    if (typeof text !== "string") continue;
    const value = readJson(text);
    if (value === undefined) odd.push(name);
    else row[name] = value;
  }
  for (const name of TIME_COLUMNS) {
    const text = raw[name];
    if (typeof text === "string" && !TIME.test(text)) odd.push(name);
  }
  const { occurred_at, created_at, started_at, ended_at } = raw as { readonly [name: string]: string };
  if (!odd.includes("occurred_at") && Date.parse(occurred_at ?? "") - Date.parse(created_at ?? "") > AHEAD_MS)
    odd.push("occurred_at");
  if (started_at && ended_at && !odd.includes("ended_at") && ended_at < started_at) odd.push("ended_at");
  for (const [name, low, high] of RANGES) {
    const value = raw[name];
    if (value !== null && !(typeof value === "number" && value >= low && value <= high)) odd.push(name);
  }
  if (String(raw["ip_address"] ?? "").includes("/")) odd.push("ip_address");
  return { ...(row as unknown as EventRow), odd: odd.length === 0 ? null : odd.sort() };
}

const RANGES: readonly (readonly [string, number, number])[] = [
  ["count", 1, Number.MAX_SAFE_INTEGER],
  ["epoch", 1, Number.MAX_SAFE_INTEGER],
  ["seq", 1, Number.MAX_SAFE_INTEGER],
  ["status_code", 0, 999],
  ["v", 1, 1],
];

/** Seclog never nests deeper, and printing deeper values could exhaust the stack. */
const MOST_DEPTH = 200;

/** The object; `undefined` for JSON that Seclog never writes: other values, and objects that parsing would alter, such as one with a duplicate name. */
function readJson(text: string): unknown {
  let depth = 0;
  for (let at = 0, inString = false; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at++;
    else if (code === 0x22) inString = !inString;
    else if (inString) continue;
    else if (code === 0x7b || code === 0x5b) depth++;
    else if (code === 0x7d || code === 0x5d) depth--;
    if (depth > MOST_DEPTH) return undefined;
  }
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject && JSON.stringify(value).length === text.length ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A row as JSON, without its NULL columns. */
export function eventObject(row: EventRow): { readonly [column: string]: unknown } {
  const object: { [column: string]: unknown } = {};
  for (const [column, value] of Object.entries(row)) if (value !== null) object[column] = value;
  return object;
}
