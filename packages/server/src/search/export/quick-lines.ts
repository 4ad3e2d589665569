/**
 * Writes a row as NDJSON or CSV straight from COPY's cells, if they are as Seclog writes them and need no escape: most rows,
 * at several times the speed. `undefined` for any other row, which goes the usual way. A test compares the two.
 */
import { COLUMN_LIST } from "seclog/postgres/schema";

type Kind = (typeof COLUMN_LIST)[number]["kind"];

interface Cell {
  readonly name: string;
  readonly kind: Kind;
  readonly index: number;
  /** What stands before its value in NDJSON. */
  readonly prefix: string;
}

/** The cells of a line in COPY's order, which is that of the table of columns, then `created_at`. */
const CELLS: readonly Cell[] = [...COLUMN_LIST, { name: "created_at", kind: "time" } as const].map(
  ({ name, kind }, index) => ({
    name,
    kind,
    index,
    prefix: `,"${name}":${kind === "integer" || kind === "json" ? "" : '"'}`,
  }),
);

/** In the order of the members. */
const BY_NAME: readonly Cell[] = [...CELLS].sort((a, b) => (a.name < b.name ? -1 : 1));
const OF_CSV: readonly Cell[] = CELLS.filter(({ name }) => name !== "created_at");
const OCCURRED_AT = CELLS.findIndex(({ name }) => name === "occurred_at");
const CREATED_AT = CELLS.findIndex(({ name }) => name === "created_at");

/** Printable ASCII without `"` and `\`. */
const PLAIN = /^[ !#-[\]-~]*$/;
/** The same without a comma, and without what begins a formula or white space at its ends. */
const PLAIN_CSV = /^(?:(?![=+\-@ ])[ !#-+\--[\]-~]*(?<! ))?$/;
const PLAIN_ADDRESS = /^[\da-f.:]+$/;
const PLAIN_JSON = /^\{[ -[\]-~]*\}$/;
const COUNT = /^[1-9]\d{0,14}$/;
const TIME = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?\+00$/;

/** Below this length JSON cannot nest deeper than `readRow` accepts. */
const SHORT_JSON = 400;

/** A row as a line of NDJSON. */
export function quickNdjson(cells: readonly string[]): string | undefined {
  // A time after that of the database makes the row odd, which the line says.
  if ((cells[OCCURRED_AT] ?? "") > (cells[CREATED_AT] ?? "")) return undefined;
  let line = "";
  for (const { name, kind, index, prefix } of BY_NAME) {
    const cell = cells[index];
    if (cell === "\\N") continue;
    if (cell === undefined) return undefined;
    if (kind === "integer") {
      if (!isCount(name, cell)) return undefined;
      line += prefix + cell;
    } else if (kind === "json") {
      const value = json(cell);
      if (value === undefined) return undefined;
      line += prefix + value;
    } else {
      const value =
        kind === "time" ? time(name, cell) : (kind === "address" ? PLAIN_ADDRESS : PLAIN).test(cell) ? cell : undefined;
      if (value === undefined) return undefined;
      line += `${prefix}${value}"`;
    }
  }
  return `{${line.slice(1)}}\n`;
}

/** A row as a line of CSV. */
export function quickCsv(cells: readonly string[]): string | undefined {
  let line = "";
  for (const { name, kind, index } of OF_CSV) {
    const cell = cells[index];
    if (index > 0) line += ",";
    if (cell === "\\N") continue;
    if (cell === undefined) return undefined;
    let value: string | undefined = cell;
    if (kind === "integer") value = isCount(name, cell) ? cell : undefined;
    else if (kind === "json") value = json(cell);
    else if (kind === "time") value = time(name, cell);
    else if (!(kind === "address" ? PLAIN_ADDRESS : PLAIN_CSV).test(cell)) return undefined;
    if (value === undefined) return undefined;
    line += kind === "json" && /[",]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  }
  return `${line}\r\n`;
}

function isCount(name: string, cell: string): boolean {
  if (name === "v") return cell === "1";
  return name === "status_code" ? /^[1-9]\d\d$/.test(cell) : COUNT.test(cell);
}

/** As `readRow` reads it, and JSON.stringify writes it: parsing may reorder members whose names are numbers. */
function json(cell: string): string | undefined {
  if (cell.length > SHORT_JSON || !PLAIN_JSON.test(cell)) return undefined;
  try {
    const text = JSON.stringify(JSON.parse(cell));
    return text.length === cell.length ? text : undefined;
  } catch {
    return undefined;
  }
}

/** The ends of an aggregate are compared the usual way. */
function time(name: string, cell: string): string | undefined {
  if (name === "started_at" || name === "ended_at" || !TIME.test(cell)) return undefined;
  const fraction = cell.length > 22 ? cell.slice(20, -3) : "";
  return `${cell.slice(0, 10)}T${cell.slice(11, 19)}.${fraction.padEnd(6, "0")}Z`;
}
