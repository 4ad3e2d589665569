/**
 * A row's entry in the Merkle tree: the text whose hash is its leaf (docs/design/integrity.md).
 *
 * Takes values as PostgreSQL prints them, with `DateStyle` ISO and the time zone UTC, not as a driver converts them: a
 * row that some other program inserted has an entry as well.
 */
import { jsonString } from "../event/json.ts";
import { CORE_COLUMNS, PERSONAL_COLUMNS } from "./line-reader.ts";

/** The columns of an entry, in its order: for a SELECT list. None of them identifies a person. */
export const ENTRY_COLUMNS: readonly string[] = [
  ...CORE_COLUMNS.map(({ name }) => name),
  "commitment",
  "created_at",
  "retention",
];

/**
 * The entry of an event.
 *
 * @param values the text of each of {@link ENTRY_COLUMNS}, as PostgreSQL prints it
 */
export function eventEntry(values: readonly (string | null)[]): string {
  let line = "";
  for (const [index, { name, kind }] of CORE_COLUMNS.entries()) {
    const value = values[index];
    if (value === null || value === undefined) continue;
    line += `${line === "" ? "{" : ","}"${name}":`;
    line += kind === "integer" ? value : kind === "time" ? `"${isoTime(value)}"` : jsonString(value);
  }
  const [commitment, createdAt, retention] = values.slice(CORE_COLUMNS.length);
  return `${line}}\n${hexText(commitment)}\n{"created_at":"${isoTime(createdAt ?? "")}","retention":${jsonString(retention ?? "")}}`;
}

/**
 * The personal line of an event, over which its commitment was made.
 *
 * @param row of `SELECT ${EVENT_SELECT}`, so that `data` and `notes` are the stored text
 */
export function personalLine(row: { readonly [column: string]: unknown }): string {
  let line = "";
  for (const { name, kind } of PERSONAL_COLUMNS) {
    const value = row[name];
    if (typeof value !== "string") continue;
    line += `${line === "" ? "{" : ","}"${name}":${kind === "json" ? value : jsonString(value)}`;
  }
  return line === "" ? "{}" : `${line}}`;
}

/** The entry of a number whose record is in quarantine. Takes times and bytes as PostgreSQL prints them. */
export function quarantineEntry(sourceId: string, seq: number, createdAt: string, commitment: string): string {
  return `{"created_at":"${isoTime(createdAt)}","quarantined":true,"seq":${seq},"source_id":"${sourceId}"}\n${hexText(commitment)}`;
}

/** The entry of a number that its source has passed and that has neither an event nor a record in quarantine. */
export function missingEntry(sourceId: string, seq: number): string {
  return `{"missing":true,"seq":${seq},"source_id":"${sourceId}"}`;
}

/** `2026-11-22 19:43:22.1234+00` in the form of events. Others (infinity, years of five digits or BC) are unchanged. */
function isoTime(text: string): string {
  const [, date, clock, fraction = ""] = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00$/.exec(text) ?? [];
  return date === undefined ? text : `${date}T${clock}.${fraction.padEnd(6, "0")}Z`;
}

function hexText(bytea: string | null | undefined): string {
  return bytea?.startsWith("\\x") ? bytea.slice(2) : "";
}
